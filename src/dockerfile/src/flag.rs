//! Flags of an instruction: which it takes, and what was written.

use crate::error::Fault;

/// How a flag takes its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `--name` or `--name=true|false`, once.
    Bool,
    /// `--name=value`, once.
    Text,
    /// `--name=value`, any number of times.
    List,
}

/// The flags written on one instruction, each known to it.
#[derive(Debug, Clone, Default)]
pub struct Flags(Vec<(&'static str, String)>);

impl Flags {
    /// Reads `words` (each beginning with `--`) against the flags the instruction takes.
    ///
    /// # Errors
    /// An unknown flag (with the nearest known one), a repeated one, a missing or impossible value.
    pub fn read(words: &[String], known: &[(&'static str, Kind)]) -> Result<Self, Fault> {
        let mut flags = Self::default();
        for word in words {
            let (flag, value) = match word.split_once('=') {
                Some((flag, value)) => (flag, Some(value)),
                None => (word.as_str(), None),
            };
            let name = flag.trim_start_matches('-');
            let Some((name, kind)) = known.iter().find(|(known, _)| *known == name) else {
                let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
                return Err(Fault::near(format!("unknown flag: {flag}"), name, &names));
            };
            if *kind != Kind::List && flags.has(name) {
                return Err(format!("duplicate flag specified: {flag}").into());
            }
            flags.0.push((name, read_value(flag, value, *kind)?));
        }
        Ok(flags)
    }

    /// Whether the flag was written.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| *known == name)
    }

    /// The value of a flag that is taken once.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.clone())
    }

    /// Every value of a flag, in the order written.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        let all = self.0.iter().filter(|(known, _)| *known == name);
        all.map(|(_, value)| value.clone()).collect()
    }

    /// A boolean flag: `None` where it was not written.
    #[must_use]
    pub fn switch(&self, name: &str) -> Option<bool> {
        self.text(name).map(|value| value == "true")
    }
}

fn read_value(flag: &str, value: Option<&str>, kind: Kind) -> Result<String, Fault> {
    match (kind, value) {
        (Kind::Bool, None) => Ok("true".to_owned()),
        (Kind::Bool, Some("")) | (_, None) => {
            Err(format!("missing a value on flag: {flag}").into())
        }
        (Kind::Bool, Some(value)) => match value.to_ascii_lowercase().as_str() {
            word @ ("true" | "false") => Ok(word.to_owned()),
            _ => Err(format!("expecting boolean value for flag {flag}, not: {value}").into()),
        },
        (_, Some(value)) => Ok(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[(&str, Kind)] = &[
        ("link", Kind::Bool),
        ("chown", Kind::Text),
        ("exclude", Kind::List),
    ];

    fn read(words: &[&str]) -> Result<Flags, String> {
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        Flags::read(&words, KNOWN).map_err(|fault| fault.to_string())
    }

    #[test]
    fn values_by_kind() {
        let flags = read(&["--link", "--chown=a:b", "--exclude=x", "--exclude=y"]).unwrap();
        assert_eq!(flags.switch("link"), Some(true));
        assert_eq!(flags.text("chown").as_deref(), Some("a:b"));
        assert_eq!(flags.list("exclude"), ["x", "y"]);
        assert_eq!(read(&["--link=FALSE"]).unwrap().switch("link"), Some(false));
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        for (words, message) in [
            (&["--lnik"][..], "unknown flag: --lnik (did you mean link?)"),
            (&["--link", "--link"], "duplicate flag specified: --link"),
            (
                &["--link=x"],
                "expecting boolean value for flag --link, not: x",
            ),
            (&["--chown"], "missing a value on flag: --chown"),
        ] {
            assert_eq!(read(words).unwrap_err(), message);
        }
    }
}

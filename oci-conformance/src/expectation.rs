//! The known deviations of one runtime: `expected/NAME.txt`, a line each: case name, then the reason.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// Case names and why the runtime is known to fail them.
#[derive(Debug, Default)]
pub struct Expectation {
    reasons: BTreeMap<String, String>,
}

impl Expectation {
    /// Reads a file; empty lines and lines that begin with `#` say nothing. A name without a reason is refused.
    pub fn read(path: &Path) -> io::Result<Self> {
        Self::parse(&fs::read_to_string(path)?).map_err(|line| io::Error::other(format!("{}: {line}", path.display())))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut reasons = BTreeMap::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((name, reason)) = line.split_once(char::is_whitespace) else {
                return Err(format!("line {}: {line}: a reason must follow the case's name", at + 1));
            };
            if reasons.insert(name.to_owned(), reason.trim().to_owned()).is_some() {
                return Err(format!("line {}: {name}: listed before", at + 1));
            }
        }
        Ok(Self { reasons })
    }

    /// Why the runtime is known to fail the case.
    pub fn reason(&self, case: &str) -> Option<&str> {
        self.reasons.get(case).map(String::as_str)
    }

    /// The listed names that are no case at all.
    pub fn strangers<'a>(&'a self, known: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = &'a str> {
        self.reasons.keys().map(String::as_str).filter(move |name| !known(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading() {
        let text = "# why\n\nhooks/a  does not\n";
        let read = Expectation::parse(text).expect("is well formed");
        assert_eq!(read.reason("hooks/a"), Some("does not"));
        assert_eq!(read.strangers(|_| false).count(), 1);
        assert!(Expectation::parse("hooks/a\n").is_err());
        assert!(Expectation::parse("a b\na c\n").is_err());
    }
}

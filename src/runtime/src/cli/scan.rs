//! Go's rules for flags: one dash or two, `-flag v` or `-flag=v`, `=true` and `=false` on switches; and, as crun's users
//! write, short switches bundled (`-it`) or with the value attached (`-b/bundle`).
//!
//! The scanner knows flags only by a table; what they mean is decided by clap's definition or, for the commands that an
//! engine runs for every container, by the direct parsers in [`super::hot`].

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use super::value::{self, FlagError};

/// One flag as the scanner needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Flag<'a> {
    pub long: &'a str,
    pub short: Option<char>,
    pub takes_value: bool,
}

pub(super) const fn flag(long: &str, short: Option<char>, takes_value: bool) -> Flag<'_> {
    Flag {
        long,
        short,
        takes_value,
    }
}

/// A command's flags and how many positional arguments it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table<'a> {
    pub flags: Vec<Flag<'a>>,
    /// Whether the first positional ends the flags (`exec`, `ps`: what follows belongs to another program).
    pub in_order: bool,
    pub least: usize,
    pub most: Option<usize>,
}

/// What was given for a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Given {
    Switch(bool),
    Value(OsString),
}

impl Given {
    pub fn on(&self) -> bool {
        matches!(self, Self::Switch(true))
    }

    pub fn text(&self) -> &OsStr {
        match self {
            Self::Switch(_) => OsStr::new(""),
            Self::Value(value) => value,
        }
    }

    pub fn str(&self) -> Result<&str, FlagError> {
        let text = self.text();
        text.to_str().ok_or_else(|| {
            FlagError::Plain(format!("{text:?} is not UTF-8 (accepted: UTF-8 text)"))
        })
    }

    /// The value; in Go's flags an empty string is no value.
    pub fn string(&self) -> Result<Option<String>, FlagError> {
        Ok(Some(self.str()?.to_owned()).filter(|s| !s.is_empty()))
    }

    pub fn path(&self) -> Option<PathBuf> {
        Some(PathBuf::from(self.text())).filter(|p| !p.as_os_str().is_empty())
    }
}

/// What the scanner found in one stretch of flags.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found<'a> {
    /// Flags of the command itself, in order.
    pub own: Vec<(&'a str, Given)>,
    /// Global flags, in order.
    pub global: Vec<(&'a str, Given)>,
    pub positionals: Vec<OsString>,
    pub help: bool,
    pub version: bool,
}

/// Reads flags from `argv`. With `verb` absent the first positional (the command's name) ends the scan and `argv` is left
/// behind it; with a verb's table the whole of `argv` is read.
///
/// # Errors
/// Go's sentence about the first wrong flag.
pub(super) fn scan<'a>(
    argv: &mut std::vec::IntoIter<OsString>,
    global: &[Flag<'a>],
    verb: Option<&Table<'a>>,
) -> Result<Found<'a>, String> {
    let mut found = Found::default();
    while let Some(arg) = argv.next() {
        let bytes = arg.as_bytes();
        if bytes == b"--" && verb.is_some() {
            found.positionals.extend(argv);
            break;
        }
        if bytes.len() < 2 || bytes[0] != b'-' {
            found.positionals.push(arg);
            match verb {
                None => break,
                Some(table) if table.in_order => {
                    found.positionals.extend(argv);
                    break;
                }
                Some(_) => continue,
            }
        }
        let own = verb.map_or(&[][..], |table| &table.flags);
        if one(bytes, argv, own, global, &mut found)? {
            break;
        }
    }
    Ok(found)
}

/// Reads one word of flags; true when help or the version was asked for.
fn one<'a>(
    word: &[u8],
    argv: &mut std::vec::IntoIter<OsString>,
    own: &[Flag<'a>],
    global: &[Flag<'a>],
    found: &mut Found<'a>,
) -> Result<bool, String> {
    let double = word.starts_with(b"--");
    let body = &word[if double { 2 } else { 1 }..];
    let (name, value) = match body.iter().position(|&b| b == b'=') {
        Some(at) => (&body[..at], Some(&body[at + 1..])),
        None => (body, None),
    };
    let shown = String::from_utf8_lossy(name).into_owned();
    let hit = lookup(own, &shown)
        .map(|f| (f, true))
        .or_else(|| lookup(global, &shown).map(|f| (f, false)));
    if let Some((flag, mine)) = hit {
        let given = take(flag, &shown, value, argv)?;
        if mine {
            &mut found.own
        } else {
            &mut found.global
        }
        .push((flag.long, given));
        return Ok(false);
    }
    match shown.as_str() {
        "h" | "help" | "?" | "usage" => found.help = true,
        "v" | "V" | "version" => found.version = true,
        _ if !double && bundle(body, argv, own, found)? => return Ok(false),
        _ => return Err(format!("flag provided but not defined: -{shown}")),
    }
    Ok(true)
}

fn lookup<'a>(flags: &[Flag<'a>], name: &str) -> Option<Flag<'a>> {
    let mut chars = name.chars();
    let short = chars.next().filter(|_| chars.next().is_none());
    flags
        .iter()
        .copied()
        .find(|f| f.long == name || (short.is_some() && f.short == short))
}

fn take(
    flag: Flag<'_>,
    shown: &str,
    value: Option<&[u8]>,
    argv: &mut std::vec::IntoIter<OsString>,
) -> Result<Given, String> {
    if flag.takes_value {
        return match value {
            Some(value) => Ok(Given::Value(OsString::from_vec(value.to_vec()))),
            None => argv
                .next()
                .map(Given::Value)
                .ok_or_else(|| format!("flag needs an argument: -{shown}")),
        };
    }
    let Some(value) = value else {
        return Ok(Given::Switch(true));
    };
    let text = String::from_utf8_lossy(value);
    value::boolean(&text)
        .map(Given::Switch)
        .ok_or_else(|| format!("invalid boolean value {text:?} for -{shown}: parse error"))
}

/// `-it` or `-b/bundle`: true when every letter was a short flag of the command.
fn bundle<'a>(
    body: &[u8],
    argv: &mut std::vec::IntoIter<OsString>,
    own: &[Flag<'a>],
    found: &mut Found<'a>,
) -> Result<bool, String> {
    let mut given = Vec::new();
    for (at, &letter) in body.iter().enumerate() {
        let Some(flag) = own
            .iter()
            .copied()
            .find(|f| f.short == Some(char::from(letter)))
        else {
            return Ok(false);
        };
        if flag.takes_value {
            let rest = &body[at + 1..];
            let value = (!rest.is_empty()).then(|| rest.strip_prefix(b"=").unwrap_or(rest));
            given.push((
                flag.long,
                take(flag, &char::from(letter).to_string(), value, argv)?,
            ));
            break;
        }
        given.push((flag.long, Given::Switch(true)));
    }
    found.own.append(&mut given);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = (Vec<(String, String)>, Vec<String>);

    fn run(line: &[&str], in_order: bool) -> Result<Read, String> {
        let table = Table {
            flags: vec![
                flag("tty", Some('t'), false),
                flag("interactive", Some('i'), false),
                flag("bundle", Some('b'), true),
            ],
            in_order,
            least: 0,
            most: None,
        };
        let argv: Vec<OsString> = line.iter().map(OsString::from).collect();
        let found = scan(
            &mut argv.into_iter(),
            &[flag("root", None, true)],
            Some(&table),
        )?;
        let show = |(long, given): &(&str, Given)| {
            let text = match given {
                Given::Switch(on) => on.to_string(),
                Given::Value(value) => value.to_string_lossy().into_owned(),
            };
            ((*long).to_owned(), text)
        };
        let flags = found.own.iter().chain(&found.global).map(show).collect();
        Ok((
            flags,
            found
                .positionals
                .iter()
                .map(|p| p.to_string_lossy().into_owned())
                .collect(),
        ))
    }

    fn flags(line: &[&str]) -> Vec<(String, String)> {
        run(line, false).unwrap().0
    }

    #[test]
    fn one_dash_is_two() {
        for line in [
            &["-bundle", "x"][..],
            &["--bundle", "x"],
            &["-bundle=x"],
            &["--bundle=x"],
            &["-b", "x"],
            &["--b", "x"],
            &["-bx"],
            &["-b=x"],
        ] {
            assert_eq!(
                flags(line),
                [("bundle".to_owned(), "x".to_owned())],
                "{line:?}"
            );
        }
        assert_eq!(flags(&["-bundle", "-x"])[0].1, "-x");
        assert_eq!(flags(&["-root", "/r"])[0].0, "root");
    }

    #[test]
    fn switches_take_booleans_and_bundle() {
        assert_eq!(flags(&["--tty=false"])[0].1, "false");
        assert_eq!(flags(&["-t=1"])[0].1, "true");
        assert_eq!(flags(&["-it"]).len(), 2);
        assert_eq!(flags(&["-itb", "x"]).len(), 3);
        assert_eq!(
            run(&["-tty=maybe"], false).unwrap_err(),
            "invalid boolean value \"maybe\" for -tty: parse error"
        );
        assert_eq!(
            run(&["-ix"], false).unwrap_err(),
            "flag provided but not defined: -ix"
        );
        assert_eq!(
            run(&["-b"], false).unwrap_err(),
            "flag needs an argument: -b"
        );
    }

    #[test]
    fn positionals_end_flags_only_in_order() {
        let (flags, rest) = run(&["id", "-t", "-x"], true).unwrap();
        assert!(flags.is_empty());
        assert_eq!(rest, ["id", "-t", "-x"]);
        let (flags, rest) = run(&["id", "-t", "--", "-x", "-"], false).unwrap();
        assert_eq!(flags.len(), 1);
        assert_eq!(rest, ["id", "-x", "-"]);
    }
}

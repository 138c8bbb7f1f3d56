//! Reads flags and arguments.

use std::collections::BTreeMap;

use super::{Command, Count, Flag};
use crate::failure::Failure;
use crate::format::{duration, units};

/// A command line taken apart.
pub struct Parsed {
    /// The command that was named.
    pub command: Command,
    /// How it was named: `gantry container ls`.
    pub path: String,
    /// Everything that is not a flag.
    pub arguments: Vec<String>,
    values: BTreeMap<&'static str, Vec<String>>,
}

impl Parsed {
    /// Whether the flag was given at all.
    #[must_use]
    pub fn given(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// A flag that is true by being there.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.last(name).map_or_else(
            || self.default_of(name) == "true",
            |text| super::checks::parse_boolean(text) == Some(true),
        )
    }

    /// The last value given, or the default.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.last(name).unwrap_or_else(|| self.default_of(name))
    }

    /// The last value given, if any.
    #[must_use]
    pub fn last(&self, name: &str) -> Option<&str> {
        self.values
            .get(name)
            .and_then(|values| values.last())
            .map(String::as_str)
    }

    /// Every value given.
    #[must_use]
    pub fn list(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// A number; the flag's check has looked at it. 0 when neither given nor defaulted.
    #[must_use]
    pub fn number(&self, name: &str) -> i64 {
        self.text(name).parse().unwrap_or_default()
    }

    /// A size in bytes; -1 for `-1`.
    #[must_use]
    pub fn bytes(&self, name: &str) -> i64 {
        match self.text(name) {
            "-1" => -1,
            "" => 0,
            text => units::parse_bytes(text).unwrap_or_default(),
        }
    }

    /// A duration in nanoseconds.
    #[must_use]
    pub fn duration(&self, name: &str) -> i64 {
        duration::parse(self.text(name)).unwrap_or_default()
    }

    fn default_of(&self, name: &str) -> &'static str {
        self.command
            .flags
            .iter()
            .flat_map(|table| table.iter())
            .find(|flag| flag.long == name)
            .map_or("", |flag| flag.default)
    }
}

/// What reading a command line comes to.
pub enum Reading {
    /// The command is to be run.
    Run(Box<Parsed>),
    /// Help was asked for.
    Help,
}

/// Reads the words after the command's name.
///
/// # Errors
/// Unknown flags, refused values (exit code 125), too few or too many arguments (1).
pub fn parse(command: &Command, path: &str, words: &[String]) -> Result<Reading, Failure> {
    let mut parsed = Parsed {
        command: *command,
        path: path.to_owned(),
        arguments: Vec::new(),
        values: BTreeMap::new(),
    };
    let mut help = false;
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            parsed.arguments.extend(rest.cloned());
            break;
        }
        let read = match word.strip_prefix("--") {
            Some(long) => read_long(command, long, &mut rest, &mut parsed.values, &mut help),
            None if word.len() > 1 && word.starts_with('-') => {
                read_short(command, word, &mut rest, &mut parsed.values, &mut help)
            }
            None => {
                parsed.arguments.push(word.clone());
                if command.trailing {
                    parsed.arguments.extend(rest.cloned());
                    break;
                }
                Ok(())
            }
        };
        read.map_err(|text| flag_error(command, path, &text))?;
        if help {
            return Ok(Reading::Help);
        }
    }
    check_count(&parsed)?;
    Ok(Reading::Run(Box::new(parsed)))
}

fn flag_error(command: &Command, path: &str, text: &str) -> Failure {
    Failure::new(format!(
        "{text}\n\nUsage:  {}\n\nRun '{path} --help' for more information",
        super::help::usage_line(command, path)
    ))
    .with_code(125)
}

type Rest<'a> = std::slice::Iter<'a, String>;
type Values = BTreeMap<&'static str, Vec<String>>;

fn read_long(
    command: &Command,
    text: &str,
    rest: &mut Rest<'_>,
    values: &mut Values,
    help: &mut bool,
) -> Result<(), String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    if name.is_empty() || name.starts_with('-') {
        return Err(format!("bad flag syntax: --{text}"));
    }
    let found = command
        .flags
        .iter()
        .flat_map(|table| table.iter())
        .find(|flag| flag.long == name);
    let Some(flag) = found else {
        if name == "help" {
            *help = true;
            return Ok(());
        }
        return Err(format!("unknown flag: --{name}"));
    };
    let value = match value {
        Some(value) => value,
        None if flag.bare.is_some() => flag.bare.unwrap_or_default().to_owned(),
        None => rest
            .next()
            .cloned()
            .ok_or_else(|| format!("flag needs an argument: --{name}"))?,
    };
    store(flag, value, values)
}

fn read_short(
    command: &Command,
    word: &str,
    rest: &mut Rest<'_>,
    values: &mut Values,
    help: &mut bool,
) -> Result<(), String> {
    let mut letters = &word[1..];
    while let Some(letter) = letters.chars().next() {
        let after = &letters[letter.len_utf8()..];
        let found = command
            .flags
            .iter()
            .flat_map(|table| table.iter())
            .find(|flag| flag.short == Some(letter));
        let Some(flag) = found else {
            if letter == 'h' {
                *help = true;
                return Ok(());
            }
            return Err(format!("unknown shorthand flag: '{letter}' in -{letters}"));
        };
        if let Some(value) = after.strip_prefix('=') {
            return store(flag, value.to_owned(), values);
        }
        if let Some(value) = flag.bare {
            store(flag, value.to_owned(), values)?;
            letters = after;
            continue;
        }
        let value = if after.is_empty() {
            rest.next()
                .cloned()
                .ok_or_else(|| format!("flag needs an argument: '{letter}' in -{letters}"))?
        } else {
            after.to_owned()
        };
        return store(flag, value, values);
    }
    Ok(())
}

fn store(flag: &'static Flag, value: String, values: &mut Values) -> Result<(), String> {
    (flag.check)(&value).map_err(|why| {
        format!(
            "invalid argument {} for {} flag: {why}",
            super::checks::quoted(&value),
            super::checks::quoted(&flag.title())
        )
    })?;
    values.entry(flag.long).or_default().push(value);
    Ok(())
}

fn check_count(parsed: &Parsed) -> Result<(), Failure> {
    let given = parsed.arguments.len();
    let plural = |count: usize| if count == 1 { "argument" } else { "arguments" };
    let (wrong, text, see) = match parsed.command.count {
        Count::None => (given > 0, "accepts no arguments".to_owned(), "Run"),
        Count::Exactly(count) => (
            given != count,
            format!("requires {count} {}", plural(count)),
            "Run",
        ),
        Count::AtLeast(count) => (
            given < count,
            format!("requires at least {count} {}", plural(count)),
            "See",
        ),
        Count::AtMost(count) => (
            given > count,
            format!("requires at most {count} {}", plural(count)),
            "SRun",
        ),
        Count::Between(low, high) => (
            given < low || given > high,
            format!(
                "requires at least {low} and at most {high} {}",
                plural(high)
            ),
            "Run",
        ),
    };
    if !wrong {
        return Ok(());
    }
    Err(Failure::new(format!(
        "gantry: '{path}' {text}\n\nUsage:  {}\n\n{see} '{path} --help' for more information",
        super::help::usage_line(&parsed.command, &parsed.path),
        path = parsed.path
    )))
}

#[cfg(test)]
mod tests {
    use super::{Reading, parse};
    use crate::grammar::{COMMAND, Command, Count, Flag, flag, option};

    const FLAGS: &[Flag] = &[
        flag("all", "").short('a'),
        flag("quiet", "").short('q'),
        option("name", "string", "").short('n'),
    ];
    const COMMAND_UNDER_TEST: Command = Command {
        name: "x",
        flags: &[FLAGS],
        count: Count::AtLeast(0),
        trailing: true,
        ..COMMAND
    };

    fn read(words: &[&str]) -> Result<Box<super::Parsed>, String> {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        match parse(&COMMAND_UNDER_TEST, "gantry x", &words) {
            Ok(Reading::Run(parsed)) => Ok(parsed),
            Ok(Reading::Help) => Err("help".to_owned()),
            Err(error) => Err(error.text.lines().next().unwrap_or_default().to_owned()),
        }
    }

    #[test]
    fn short_flags_bundle_and_take_values_in_every_form() {
        for words in [
            &["-aqn", "v", "i", "-x"][..],
            &["-aqnv", "i", "-x"],
            &["-aq", "-n=v", "i", "-x"],
        ] {
            let parsed = read(words).expect("reads");
            assert!(parsed.is("all") && parsed.is("quiet"));
            assert_eq!(parsed.text("name"), "v");
            assert_eq!(parsed.arguments, ["i", "-x"]);
        }
    }

    #[test]
    fn refusals_are_worded_as_pflag_words_them() {
        assert_eq!(
            read(&["-az"]).err().as_deref(),
            Some("unknown shorthand flag: 'z' in -z")
        );
        assert_eq!(
            read(&["--nosuch"]).err().as_deref(),
            Some("unknown flag: --nosuch")
        );
        assert_eq!(
            read(&["--name"]).err().as_deref(),
            Some("flag needs an argument: --name")
        );
        let boolean = r#"invalid argument "x" for "-a, --all" flag: strconv.ParseBool: parsing "x": invalid syntax"#;
        assert_eq!(read(&["--all=x"]).err().as_deref(), Some(boolean));
    }
}

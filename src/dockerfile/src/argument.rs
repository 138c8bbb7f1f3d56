//! How the rest of a line falls apart: flags first, then words, `name=value` pairs, or a JSON array of strings.

use crate::error::Fault;

/// Whether the text is a JSON array of strings, the exec form.
#[must_use]
pub fn is_json(text: &str) -> bool {
    matches!(json(text), Ok(Some(_)))
}

/// The strings of an exec form; `None` where the text is not JSON and so is the shell form.
///
/// # Errors
/// A JSON array with something else than strings in it.
pub fn json(text: &str) -> Result<Option<Vec<String>>, Fault> {
    if !text.trim_start().starts_with('[') {
        return Ok(None);
    }
    match serde_json::from_str::<Vec<serde_json::Value>>(text) {
        Err(_) => Ok(None),
        Ok(values) => values
            .into_iter()
            .map(|value| match value {
                serde_json::Value::String(text) => Ok(text),
                _ => Err(
                    "when using JSON array syntax, arrays must be comprised of strings only".into(),
                ),
            })
            .collect::<Result<_, Fault>>()
            .map(Some),
    }
}

/// The instruction's word, its `--flags` with quotes and escapes removed, and the rest of the line.
#[must_use]
pub fn command(line: &str, escape: char) -> (String, Vec<String>, String) {
    let line = line.trim();
    let Some(end) = line.find(char::is_whitespace) else {
        return (line.to_owned(), Vec::new(), String::new());
    };
    let (word, rest) = line.split_at(end);
    let (flags, rest) = flags(rest.trim_start(), escape);
    (word.to_owned(), flags, rest.trim().to_owned())
}

/// Takes words that begin with `--` off the front; a bare `--` ends them.
fn flags(text: &str, escape: char) -> (Vec<String>, &str) {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        if !rest.starts_with("--") {
            return (found, rest);
        }
        let (word, length) = flag(rest, escape);
        rest = &rest[length..];
        if word == "--" {
            return (found, rest);
        }
        found.push(word);
    }
}

/// One flag with its quotes and escapes removed, and how many bytes of `text` it took.
fn flag(text: &str, escape: char) -> (String, usize) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if quote == Some(c) {
            quote = None;
        } else if c == escape {
            word.extend(chars.next().map(|(_, c)| c));
        } else if quote.is_none() && c.is_whitespace() {
            return (word, at);
        } else if quote.is_none() && matches!(c, '\'' | '"') {
            quote = Some(c);
        } else {
            word.push(c);
        }
    }
    (word, text.len())
}

/// The words of ENV, LABEL and ARG: split at blanks outside quotes; quotes and escapes stay for the expansion.
#[must_use]
pub fn quoted_words(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            words.extend(word.take());
            continue;
        }
        if c == escape && quote != Some('\'') {
            // The last character of a line escapes nothing and is dropped.
            if let Some(next) = chars.next() {
                word.get_or_insert_default().extend([c, next]);
            }
            continue;
        }
        if quote == Some(c) {
            quote = None;
        } else if quote.is_none() && matches!(c, '\'' | '"') {
            quote = Some(c);
        }
        word.get_or_insert_default().push(c);
    }
    words.extend(word);
    words
}

/// Words separated by blanks, quotes of no meaning.
#[must_use]
pub fn bare_words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// One `name=value` of ENV or LABEL, unexpanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The name, quotes kept.
    pub name: String,
    /// The value, quotes kept.
    pub value: String,
    /// Written in the old form, `ENV name value with blanks`.
    pub legacy: bool,
}

/// The pairs of ENV or LABEL; a first word without `=` means the old form, one pair for the whole line.
///
/// # Errors
/// No pair, a blank name, or a word without `=` after one that has it.
pub fn pairs(text: &str, instruction: &str, escape: char) -> Result<Vec<Pair>, Fault> {
    let words = quoted_words(text, escape);
    let Some(first) = words.first() else {
        return Err(format!("{instruction} requires at least one argument").into());
    };
    if !first.contains('=') {
        let Some((name, value)) = text.split_once(char::is_whitespace) else {
            return Err(format!("{instruction} must have two arguments").into());
        };
        return Ok(vec![Pair {
            name: name.to_owned(),
            value: value.trim_start().to_owned(),
            legacy: true,
        }]);
    }
    words.iter().map(|word| pair(word, instruction)).collect()
}

fn pair(word: &str, instruction: &str) -> Result<Pair, Fault> {
    match word.split_once('=') {
        None => Err(format!(
            "Syntax error - can't find = in {word:?}. Must be of the form: name=value"
        )
        .into()),
        Some(("", _)) => Err(format!("{instruction} names can not be blank").into()),
        Some((name, value)) => Ok(Pair {
            name: name.to_owned(),
            value: value.to_owned(),
            legacy: false,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_taken_off_the_front() {
        let (word, flags, rest) = command("RUN --mount=type=bind --x=\"a b\"  echo --y", '\\');
        assert_eq!((word.as_str(), rest.as_str()), ("RUN", "echo --y"));
        assert_eq!(flags, ["--mount=type=bind", "--x=a b"]);
        assert_eq!(command("COPY -- --a b", '\\').2, "--a b");
        assert_eq!(command("RUN", '\\'), ("RUN".into(), vec![], String::new()));
    }

    #[test]
    fn exec_form_or_shell_form() {
        assert_eq!(json("[\"a\", \"b\"]").unwrap().unwrap(), ["a", "b"]);
        assert_eq!(json("[ 'a' ]").unwrap(), None);
        assert_eq!(json("[ -f x ] && y").unwrap(), None);
        assert!(json("[1]").is_err());
        assert_eq!(json("[]").unwrap().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn pairs_old_and_new() {
        let values = |text: &str| -> Vec<(String, String)> {
            let pairs = pairs(text, "ENV", '\\').unwrap();
            pairs.into_iter().map(|p| (p.name, p.value)).collect()
        };
        assert_eq!(values("a b  c"), [("a".into(), "b  c".into())]);
        assert_eq!(
            values("a=1 b=\"x y\" c=\\ z d="),
            [
                ("a".into(), "1".into()),
                ("b".into(), "\"x y\"".into()),
                ("c".into(), "\\ z".into()),
                ("d".into(), String::new())
            ]
        );
        assert!(pairs("a=1 b", "ENV", '\\').is_err());
        assert!(pairs("a", "ENV", '\\').is_err());
        assert!(pairs("=a", "ENV", '\\').is_err());
    }
}

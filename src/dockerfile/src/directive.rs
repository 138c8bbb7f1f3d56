//! Parser directives: `# name=value` in the comments a Dockerfile begins with.

use crate::error::Fault;

/// What the leading comments of a file ask of its parser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directives {
    /// `# syntax=`: the frontend image named, as written.
    pub syntax: Option<String>,
    /// `# escape=`: the character that escapes and continues lines, `\` or a backtick.
    pub escape: char,
    /// `# check=`: options of the linter, as written.
    pub check: Option<String>,
    /// `# include=1`: allows the INCLUDE instruction, which is no part of docker's language.
    pub include: bool,
}

impl Default for Directives {
    fn default() -> Self {
        Self {
            syntax: None,
            escape: '\\',
            check: None,
            include: false,
        }
    }
}

/// Reads the leading comments one by one; the first line that is not a directive ends it.
#[derive(Debug, Default)]
pub struct Reader {
    found: Directives,
    seen: Vec<String>,
    done: bool,
}

impl Reader {
    /// Takes the next line of the file, blanks at its beginning removed. True where it is a directive.
    ///
    /// # Errors
    /// A directive written twice, or an escape character that is neither `\` nor a backtick.
    pub fn take(&mut self, line: &str) -> Result<bool, Fault> {
        if self.done {
            return Ok(false);
        }
        let Some((name, value)) = split(line) else {
            self.done = true;
            return Ok(false);
        };
        if self.seen.contains(&name) {
            return Err(format!("only one {name} parser directive can be used").into());
        }
        match name.as_str() {
            "syntax" => self.found.syntax = Some(value.to_owned()),
            "check" => self.found.check = Some(value.to_owned()),
            "escape" => self.found.escape = escape(value)?,
            "include" => self.found.include = flag(value)?,
            _ => {
                self.done = true;
                return Ok(false);
            }
        }
        self.seen.push(name);
        Ok(true)
    }

    /// The directives taken so far.
    #[must_use]
    pub fn directives(&self) -> &Directives {
        &self.found
    }
}

/// `# name = value` with a name of letters and digits, in lower case; `None` for any other line.
fn split(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.strip_prefix('#')?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let letters = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric());
    (letters && !value.is_empty()).then(|| (name.to_lowercase(), value))
}

fn escape(value: &str) -> Result<char, Fault> {
    match value {
        "\\" => Ok('\\'),
        "`" => Ok('`'),
        _ => Err(format!("invalid escape token '{value}' does not match ` or \\").into()),
    }
}

fn flag(value: &str) -> Result<bool, Fault> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(format!("invalid include directive '{value}', expected 1 or 0").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_end_at_the_first_other_line() {
        let mut reader = Reader::default();
        assert_eq!(reader.take("# Syntax = docker/dockerfile:1"), Ok(true));
        assert_eq!(reader.take("#escape=`"), Ok(true));
        assert_eq!(reader.take("# just a comment"), Ok(false));
        assert_eq!(reader.take("# check=skip=all"), Ok(false));
        let found = reader.directives();
        assert_eq!(found.syntax.as_deref(), Some("docker/dockerfile:1"));
        assert_eq!((found.escape, found.check.as_deref()), ('`', None));
    }

    #[test]
    fn a_repeated_or_wrong_directive_is_refused() {
        let mut reader = Reader::default();
        assert_eq!(reader.take("# escape=\\"), Ok(true));
        assert!(reader.take("# escape=`").is_err());
        assert!(Reader::default().take("# escape=x").is_err());
    }
}

//! Where a Dockerfile is wrong and what would be accepted there.

use std::fmt;

/// A refusal, with the place in the file it is about.
///
/// Shown as docker's classic builder shows it (`dockerfile parse error on line N: …`), because tools look for it; the
/// file's name and the nearest accepted word are kept apart for faces that can show more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// First line of the instruction, counted from 1; 0 where no line is to blame.
    pub line: usize,
    /// What is wrong, lower case, without a full stop.
    pub message: String,
    /// The accepted word nearest to the one written, where one is near.
    pub suggestion: Option<String>,
}

/// What every parser of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A refusal of the instruction that begins at `line`.
    #[must_use]
    pub fn new(line: usize, message: impl Into<String>) -> Self {
        Self {
            line,
            message: message.into(),
            suggestion: None,
        }
    }

    /// The same refusal with the accepted word nearest to `written` among `accepted`, if one is near.
    #[must_use]
    pub fn suggest(mut self, written: &str, accepted: &[&str]) -> Self {
        self.suggestion = crate::nearest::nearest(written, accepted).map(str::to_owned);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "dockerfile parse error on line {}: ", self.line)?;
        }
        f.write_str(&self.message)?;
        match &self.suggestion {
            Some(word) => write!(f, " (did you mean {word}?)"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// A refusal that does not know its line yet; the caller that does adds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub message: String,
    /// The nearest accepted word.
    pub suggestion: Option<String>,
}

impl Fault {
    /// A fault with the accepted word nearest to `written`.
    #[must_use]
    pub fn near(message: impl Into<String>, written: &str, accepted: &[&str]) -> Self {
        Self {
            message: message.into(),
            suggestion: crate::nearest::nearest(written, accepted).map(str::to_owned),
        }
    }

    /// The fault as an error of the instruction that begins at `line`.
    #[must_use]
    pub fn at(self, line: usize) -> Error {
        Error {
            line,
            message: self.message,
            suggestion: self.suggestion,
        }
    }
}

impl From<String> for Fault {
    fn from(message: String) -> Self {
        Self {
            message,
            suggestion: None,
        }
    }
}

impl From<&str> for Fault {
    fn from(message: &str) -> Self {
        message.to_owned().into()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.clone().at(0), f)
    }
}

//! What the store refuses and why. Each kind maps once to an HTTP status in the engine: not found 404, conflict 409,
//! invalid 400, unsupported 501, corrupt and io 500. The texts of not found and conflict are docker's, word for word.

use std::path::{Path, PathBuf};

/// An error of the store. `Display` is one line, ready for `{"message": …}`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing by that name (image, layer, container layer, path in a container).
    #[error("{0}")]
    NotFound(String),
    /// The name is taken, or the thing is in use.
    #[error("{0}")]
    Conflict(String),
    /// The caller's input is wrong: a reference, an archive, a configuration.
    #[error("{0}")]
    Invalid(String),
    /// This machine or this store cannot do it.
    #[error("{0}")]
    Unsupported(String),
    /// Stored data is not what its record says, or content does not match its digest.
    #[error("{0}")]
    Corrupt(String),
    /// The kernel said no: the step, the path it concerned and its errno.
    #[error("failed to {step} {}: {source}", path.display())]
    Io {
        /// What was being done, a verb phrase.
        step: &'static str,
        /// The path it concerned.
        path: PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// Reading from or writing to a stream given by the caller failed.
    #[error("{0}")]
    Stream(#[from] std::io::Error),
}

/// Result of the store.
pub type Result<T> = std::result::Result<T, Error>;

/// Adds step and path to an io result.
pub(crate) trait At<T> {
    /// Names the step and the path.
    fn at(self, step: &'static str, path: impl AsRef<Path>) -> Result<T>;
}

impl<T, E: Into<std::io::Error>> At<T> for std::result::Result<T, E> {
    fn at(self, step: &'static str, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|source| Error::Io {
            step,
            path: path.as_ref().to_owned(),
            source: source.into(),
        })
    }
}

impl Error {
    /// True for "nothing by that name".
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Error::NotFound(_) => true,
            Error::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
            _ => false,
        }
    }
}

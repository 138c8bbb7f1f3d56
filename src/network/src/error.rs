//! What can go wrong while a network is planned, built or taken down.
//!
//! The engine maps each kind once to an HTTP status; the text is what docker's clients see.

use std::fmt;
use std::io;

/// A refusal or a failure of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller asked for something that cannot be meant: HTTP 400.
    #[error("{0}")]
    Invalid(String),
    /// What was named does not exist: HTTP 404.
    #[error("{0}")]
    NotFound(String),
    /// An address, a port or a name is taken: HTTP 403 or 409 by the caller's choice.
    #[error("{0}")]
    Taken(String),
    /// No address or pool is left to hand out.
    #[error("{0}")]
    Exhausted(String),
    /// A kernel call failed: the step it belonged to, the call with its arguments, and the error it returned.
    #[error("{step}: {call}: {source}")]
    Kernel {
        /// What the call was for, such as `bridge "gantry0"`.
        step: String,
        /// The call and its arguments.
        call: String,
        /// The error number the kernel returned.
        source: io::Error,
    },
    /// The process that answers names and forwards local ports did not do what it was asked.
    #[error("network server: {0}")]
    Server(String),
}

impl Error {
    /// A failed kernel call.
    pub fn kernel(
        step: impl fmt::Display,
        call: impl fmt::Display,
        source: impl Into<io::Error>,
    ) -> Self {
        Self::Kernel {
            step: step.to_string(),
            call: call.to_string(),
            source: source.into(),
        }
    }

    /// The error number of a failed kernel call.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Kernel { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

//! What can go wrong, by kind, each kind with one meaning for the exit code and for who must act.

use std::fmt;

use sys::Errno;

/// The result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure. Its text is one line, object before cause; `compat` owns the phrases that callers match.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// config.json (or a process file) asks for something impossible; `path` is the field's path in the file.
    #[error("{path}: {reason}")]
    InvalidConfig {
        /// The field, as `linux.resources.memory.limit`.
        path: String,
        /// What is wrong and what would be accepted.
        reason: String,
    },
    /// What was named does not exist.
    #[error("{0}")]
    NotFound(String),
    /// What was to be made exists.
    #[error("{0}")]
    AlreadyExists(String),
    /// The container is in a state that the command does not go with.
    #[error("{0}")]
    WrongState(String),
    /// This machine or this build lacks something.
    #[error("{feature}: not supported here: {missing}")]
    Unsupported {
        /// What was asked for.
        feature: String,
        /// What it would need.
        missing: String,
    },
    /// Refused for safety or for lack of a right, before the kernel was asked.
    #[error("{0}")]
    Denied(String),
    /// A kernel call failed.
    #[error("{0}")]
    Kernel(Box<Kernel>),
    /// A hook failed, could not be run, or took too long.
    #[error("{0}")]
    Hook(String),
    /// Something did not happen in time.
    #[error("{0}")]
    Timeout(String),
    /// Cannot happen; a report is welcome.
    #[error("bug: {0}")]
    Bug(String),
}

/// A failed kernel call: in which step, which call, on what, and the kernel's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// What was being done, as `mount "/proc"`.
    pub step: String,
    /// The call, as `fsmount`.
    pub call: String,
    /// Its object where the step does not name it; may be empty.
    pub arguments: String,
    /// The kernel's answer.
    pub errno: Errno,
}

impl fmt::Display for Kernel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.step, self.call)?;
        if !self.arguments.is_empty() {
            write!(out, " {}", self.arguments)?;
        }
        write!(out, ": {}", sys::describe(self.errno))
    }
}

impl Error {
    /// A failed kernel call.
    #[must_use]
    pub fn kernel(
        step: impl Into<String>,
        call: &str,
        arguments: impl Into<String>,
        errno: Errno,
    ) -> Self {
        Self::Kernel(Box::new(Kernel {
            step: step.into(),
            call: call.to_owned(),
            arguments: arguments.into(),
            errno,
        }))
    }

    /// A refused field of config.json.
    #[must_use]
    pub fn config(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::InvalidConfig {
            path: path.into(),
            reason: reason.into(),
        }
    }

    /// The kernel's answer, where the failure is one.
    #[must_use]
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Kernel(kernel) => Some(kernel.errno),
            _ => None,
        }
    }

    /// The same failure with `context` in front of its text; the kind stays.
    #[must_use]
    pub fn within(self, context: &str) -> Self {
        let prefixed = |text: String| format!("{context}: {text}");
        match self {
            Self::Usage(text) => Self::Usage(prefixed(text)),
            Self::InvalidConfig { path, reason } => Self::InvalidConfig {
                path: prefixed(path),
                reason,
            },
            Self::NotFound(text) => Self::NotFound(prefixed(text)),
            Self::AlreadyExists(text) => Self::AlreadyExists(prefixed(text)),
            Self::WrongState(text) => Self::WrongState(prefixed(text)),
            Self::Unsupported { feature, missing } => Self::Unsupported {
                feature: prefixed(feature),
                missing,
            },
            Self::Denied(text) => Self::Denied(prefixed(text)),
            Self::Kernel(mut kernel) => {
                kernel.step = prefixed(kernel.step);
                Self::Kernel(kernel)
            }
            Self::Hook(text) => Self::Hook(prefixed(text)),
            Self::Timeout(text) => Self::Timeout(prefixed(text)),
            Self::Bug(text) => Self::Bug(prefixed(text)),
        }
    }
}

/// Gives a bare errno its step, call and object.
pub trait Kernelize<T> {
    /// The failure as [`Error::Kernel`]; the texts are made only then.
    fn step(self, step: impl FnOnce() -> String, call: &str) -> Result<T>;
}

impl<T> Kernelize<T> for sys::Result<T> {
    fn step(self, step: impl FnOnce() -> String, call: &str) -> Result<T> {
        self.map_err(|errno| Error::kernel(step(), call, "", errno))
    }
}

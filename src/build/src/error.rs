//! Why a build cannot go on, before anything is run.

use gantry_dockerfile::error::Fault;

/// What is wrong with a Dockerfile together with its options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text itself.
    #[error(transparent)]
    Dockerfile(#[from] gantry_dockerfile::Error),
    /// `--target` names no stage.
    #[error("target stage {0:?} could not be found")]
    Target(String),
    /// `--platform` or the like is no platform.
    #[error("{0:?} is an invalid platform, expected OS/ARCH[/VARIANT]")]
    Platform(String),
    /// `--network`, `--security` and the like ask for what was not granted.
    #[error("{0}")]
    Denied(String),
}

/// What this crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A fault of the language at `line`.
pub(crate) fn at(line: usize) -> impl Fn(Fault) -> Error {
    move |fault| Error::Dockerfile(fault.at(line))
}

//! What may go wrong in a monitor.

/// A monitor's failure, as one line for the engine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A kernel call failed at a named step.
    #[error("{step}: {source}")]
    Kernel {
        /// What was being done.
        step: String,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// `monitor.json` is not what the protocol says.
    #[error("monitor.json: {0}")]
    Config(serde_json::Error),
    /// The OCI runtime refused; the text is its own.
    #[error("{0}")]
    Runtime(String),
}

impl Error {
    /// A failed step with the kernel's answer.
    pub fn kernel(step: impl Into<String>, source: impl Into<std::io::Error>) -> Self {
        Self::Kernel {
            step: step.into(),
            source: source.into(),
        }
    }
}

/// Short for this crate's results.
pub type Result<T> = std::result::Result<T, Error>;

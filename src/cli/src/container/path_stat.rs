//! `X-Docker-Container-Path-Stat`: what a path in a container is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::connection::Answer;
use crate::failure::{Failure, Outcome};

/// Go's file mode bits for a directory and a symbolic link.
const DIRECTORY: u32 = 1 << 31;
const LINK: u32 = 1 << 27;

/// A path in a container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PathStat {
    /// Last element of the path.
    pub name: String,
    /// Bytes.
    pub size: i64,
    /// Go's mode bits.
    pub mode: u32,
    /// Where a link points to, in the container.
    #[serde(rename = "linkTarget")]
    pub link_target: String,
}

impl PathStat {
    /// Reads the header.
    ///
    /// # Errors
    /// When it is missing or garbled.
    pub fn of(answer: &Answer) -> Outcome<Self> {
        let text = answer
            .header("X-Docker-Container-Path-Stat")
            .unwrap_or_default();
        let bytes = STANDARD.decode(text).map_err(|error| {
            Failure::new(format!(
                "unable to decode container path stat header: {error}"
            ))
        })?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Failure::new(format!(
                "unable to decode container path stat header: {error}"
            ))
        })
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.mode & DIRECTORY != 0
    }

    /// Whether it is a symbolic link.
    #[must_use]
    pub fn is_link(&self) -> bool {
        self.mode & LINK != 0
    }
}

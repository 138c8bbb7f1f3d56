//! COPY and ADD of files that are already here: which are meant ([`select`]), what they are worth in a key
//! ([`content`]), and putting them into a stage ([`put`]).
//!
//! Source and stage are directories filled by somebody else; every path is resolved within them by the store, so neither
//! a symlink of the context nor one of the image leads outside.

pub mod content;
pub mod mode;
pub mod owner;
pub mod put;
pub mod select;
mod stream;

use gantry_store::archive::{self, PathStat};
use std::path::Path;

/// Why files cannot be put.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The instruction asks for what is not there or cannot be.
    #[error("{0}")]
    Refused(String),
    /// The store's.
    #[error(transparent)]
    Store(#[from] gantry_store::Error),
    /// A pipe between two parts of the copy.
    #[error("copy stopped: {0}")]
    Pipe(#[from] std::io::Error),
}

/// What this room's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Go's mode bits of a directory and of a symlink, as [`PathStat`] has them.
const DIRECTORY: u32 = 1 << 31;
const SYMLINK: u32 = 1 << 27;

/// What a path leads to, symlinks followed within the root; with the path where it was found. `None` where nothing is.
fn follow(root: &Path, path: &str) -> Result<Option<(String, PathStat)>> {
    let mut path = path.to_owned();
    // As many links as the kernel follows (path_resolution(7)).
    for _ in 0..40 {
        let stat = match archive::stat(root, &path) {
            Err(error) if error.is_not_found() => return Ok(None),
            other => other?,
        };
        if stat.mode & SYMLINK == 0 {
            return Ok(Some((path, stat)));
        }
        path.clone_from(&stat.link_target);
    }
    Err(Error::Refused(format!(
        "{path}: too many levels of symbolic links"
    )))
}

fn is_directory(stat: &PathStat) -> bool {
    stat.mode & DIRECTORY != 0
}

/// The last element of a path and what is before it.
fn split(path: &str) -> (&str, &str) {
    let path = path.trim_end_matches('/');
    path.rsplit_once('/').unwrap_or(("", path))
}

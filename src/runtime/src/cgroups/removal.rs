//! Taking a cgroup down in every hierarchy.

use std::path::PathBuf;

use super::{dir, failed};
use crate::error::Result;

/// Removes each of `dirs` with all below it; tries them all and tells the first failure.
pub fn remove<'a>(dirs: impl Iterator<Item = &'a PathBuf>) -> Result<()> {
    let mut first = Ok(());
    for dir in dirs {
        let removed = dir::remove(dir).map_err(|e| failed("remove cgroup", "rmdir", dir, e));
        first = first.and(removed);
    }
    first
}

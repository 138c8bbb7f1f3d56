//! `--change` of commit and import: Dockerfile instructions over a configuration.

use gantry_store::config::RunConfig;

use crate::error::{Error, Result};

/// Applies instructions in order.
///
/// # Errors
/// Unsupported for any instruction yet.
pub fn apply(changes: &[String], config: RunConfig) -> Result<RunConfig> {
    match changes.iter().find(|change| !change.trim().is_empty()) {
        Some(change) => Err(Error::unsupported(format!(
            "change {change:?}: changes are not available"
        ))),
        None => Ok(config),
    }
}

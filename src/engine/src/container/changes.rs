//! `--change` of commit and import: Dockerfile instructions over a configuration, by the builder's own rules.

use std::collections::BTreeMap;

use gantry_build::platform::Platform;
use gantry_build::state::State;
use gantry_build::variables::Globals;
use gantry_store::config::{ImageConfig, RunConfig};

use crate::error::{Error, Result};

/// What docker takes there; everything else needs a build.
const ALLOWED: [&str; 11] = [
    "CMD",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "LABEL",
    "ONBUILD",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
    "HEALTHCHECK",
];

/// Applies instructions in order.
///
/// # Errors
/// Invalid for what is no instruction, or one that a configuration alone cannot follow.
pub fn apply(changes: &[String], config: RunConfig) -> Result<RunConfig> {
    let lines: Vec<&str> = changes
        .iter()
        .map(|change| change.trim())
        .filter(|change| !change.is_empty())
        .collect();
    if lines.is_empty() {
        return Ok(config);
    }
    for line in &lines {
        let word = line.split_whitespace().next().unwrap_or_default();
        if !ALLOWED.contains(&word.to_uppercase().as_str()) {
            return Err(Error::invalid(format!(
                "{} is not a valid change command",
                word.to_lowercase()
            )));
        }
    }
    let refuse = |error: &dyn std::fmt::Display| Error::invalid(error.to_string());
    let text = format!("FROM scratch\n{}\n", lines.join("\n"));
    let file = gantry_dockerfile::parse(&text).map_err(|error| refuse(&error))?;
    let host = format!("linux/{}", gantry_store::config::host_architecture());
    let platform = Platform::parse(&host).map_err(|error| Error::internal(error.to_string()))?;
    let globals = Globals::new(&file, BTreeMap::new(), &platform, &platform, "")
        .map_err(|error| refuse(&error))?;
    let image = ImageConfig {
        config: Some(config),
        ..ImageConfig::default()
    };
    let (mut state, triggers) = State::new(&file, &globals, 0, image);
    for instruction in file.stages.iter().flat_map(|stage| &stage.instructions) {
        // A WORKDIR would also make its directory; here it is configuration only, as in docker.
        state.apply(instruction).map_err(|error| refuse(&error))?;
    }
    let mut config = state.image.config.unwrap_or_default();
    if !triggers.is_empty() {
        config.on_build = Some([triggers, config.on_build.unwrap_or_default()].concat());
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_language() {
        let changes = ["CMD [\"a\", \"b\"]", "ENV X=1 Y=2", "EXPOSE 80"].map(str::to_owned);
        let config = apply(&changes, RunConfig::default()).unwrap();
        assert_eq!(config.cmd, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(config.env, Some(vec!["X=1".to_owned(), "Y=2".to_owned()]));
        assert!(apply(&["RUN true".to_owned()], RunConfig::default()).is_err());
    }
}

//! What an image gives to a container that does not say otherwise.

use std::collections::BTreeMap;

use gantry_api::container::Config;
use gantry_store::config::RunConfig;

use crate::error::{Error, Result};

/// An image's run configuration in the API's words: both write docker's JSON.
///
/// # Errors
/// Internal for a configuration docker could not have written either.
pub fn image_config(run: Option<&RunConfig>) -> Result<Config> {
    let Some(run) = run else {
        return Ok(Config::default());
    };
    let value = serde_json::to_value(run)
        .map_err(|e| Error::internal(format!("image configuration: {e}")))?;
    serde_json::from_value(value).map_err(|e| Error::internal(format!("image configuration: {e}")))
}

/// Fills `own` up from the image's configuration, docker's rules.
pub fn merge(own: &mut Config, image: &Config) {
    if own.user.is_empty() {
        own.user.clone_from(&image.user);
    }
    for (port, empty) in &image.exposed_ports {
        own.exposed_ports.entry(port.clone()).or_insert(*empty);
    }
    merge_environment(own, image);
    if let Some(labels) = &image.labels {
        let mine = own.labels.get_or_insert_with(BTreeMap::new);
        for (key, value) in labels {
            mine.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    // A new entrypoint makes the image's command meaningless.
    if own.entrypoint.as_ref().is_none_or(Vec::is_empty) {
        if own.cmd.as_ref().is_none_or(Vec::is_empty) {
            own.cmd.clone_from(&image.cmd);
            own.args_escaped = image.args_escaped;
        }
        if own.entrypoint.is_none() {
            own.entrypoint.clone_from(&image.entrypoint);
        }
    }
    merge_health(own, image);
    if own.working_dir.is_empty() {
        own.working_dir.clone_from(&image.working_dir);
    }
    if let Some(volumes) = &image.volumes {
        let mine = own.volumes.get_or_insert_with(BTreeMap::new);
        for (path, empty) in volumes {
            mine.entry(path.clone()).or_insert(*empty);
        }
    }
    if own.stop_signal.is_empty() {
        own.stop_signal.clone_from(&image.stop_signal);
    }
    if own.shell.is_empty() {
        own.shell.clone_from(&image.shell);
    }
}

fn merge_environment(own: &mut Config, image: &Config) {
    let Some(given) = &image.env else { return };
    let mine = own.env.get_or_insert_with(Vec::new);
    if mine.is_empty() {
        mine.clone_from(given);
        return;
    }
    for entry in given {
        let name = entry.split('=').next().unwrap_or_default();
        if !mine
            .iter()
            .any(|known| known.split('=').next() == Some(name))
        {
            mine.push(entry.clone());
        }
    }
}

fn merge_health(own: &mut Config, image: &Config) {
    let Some(given) = &image.healthcheck else {
        return;
    };
    let Some(mine) = &mut own.healthcheck else {
        own.healthcheck = Some(given.clone());
        return;
    };
    if mine.test.is_empty() {
        mine.test.clone_from(&given.test);
    }
    for (value, default) in [
        (&mut mine.interval, given.interval),
        (&mut mine.timeout, given.timeout),
        (&mut mine.start_period, given.start_period),
        (&mut mine.start_interval, given.start_interval),
        (&mut mine.retries, given.retries),
    ] {
        if *value == 0 {
            *value = default;
        }
    }
}

//! `--wait[=running|healthy]`: returns when the container is up, fails when it ended or turned unhealthy first.

use std::thread;
use std::time::Duration;

use gantry_api::container::inspect::Inspect;

use crate::connection::Query;
use crate::failure::{Failure, Outcome};
use crate::session::Engine;

/// Looks at the flag's value.
///
/// # Errors
/// For anything but `running` and `healthy`.
pub fn check(text: &str) -> Result<(), String> {
    match text {
        "running" | "healthy" => Ok(()),
        _ => Err("must be one of \"running\" or \"healthy\"".to_owned()),
    }
}

/// Waits until the container is as `condition` says.
///
/// # Errors
/// When it ended, turned unhealthy, or has no health check to be healthy by.
pub fn wait(engine: &Engine, id: &str, condition: &str) -> Outcome {
    loop {
        let container: Inspect = engine.get(&format!("/containers/{id}/json"), &Query::new())?;
        let name = container.name.trim_start_matches('/');
        let state = &container.state;
        if matches!(state.status.as_str(), "exited" | "dead") {
            return Err(Failure::new(format!(
                "{name}: exited with code {} before it was {condition}",
                state.exit_code
            )));
        }
        if state.running && !state.restarting {
            match (
                condition,
                state.health.as_ref().map(|health| health.status.as_str()),
            ) {
                ("running", _) | (_, Some("healthy")) => return Ok(()),
                (_, Some("unhealthy")) => return Err(Failure::new(format!("{name}: unhealthy"))),
                (_, None | Some("none" | "")) => {
                    return Err(Failure::new(format!(
                        "{name}: no health check to wait for; give one with --health-cmd"
                    )));
                }
                _ => {}
            }
        }
        thread::sleep(Duration::from_millis(100));
    }
}

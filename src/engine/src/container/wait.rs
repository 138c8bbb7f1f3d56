//! `POST /containers/{id}/wait`.

use std::sync::Arc;

use gantry_api::container::wait::WaitResponse;

use super::Container;
use crate::error::{Error, Result};

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// That it does not run.
    NotRunning,
    /// Its next end.
    NextExit,
    /// Its removal.
    Removed,
}

impl Condition {
    /// Reads the parameter.
    ///
    /// # Errors
    /// Invalid, docker's text.
    pub fn parse(text: &str) -> Result<Self> {
        match text {
            "" | "not-running" => Ok(Self::NotRunning),
            "next-exit" => Ok(Self::NextExit),
            "removed" => Ok(Self::Removed),
            _ => Err(Error::invalid(format!("invalid condition: \"{text}\""))),
        }
    }
}

/// Waits; called at once, so that an end right after the answer's headers is not missed. The future does the waiting.
pub fn wait(
    container: &Arc<Container>,
    condition: Condition,
) -> impl Future<Output = WaitResponse> + Send + use<> {
    let container = container.clone();
    let mut changes = container.changed.subscribe();
    let mut removed = container.removed.subscribe();
    let exits = container.view().state.exits;
    async move {
        loop {
            let view = container.view();
            let gone = *removed.borrow_and_update();
            let met = match condition {
                Condition::NotRunning => {
                    !view.state.lives() && view.state.phase != super::record::Phase::Restarting
                }
                Condition::NextExit => view.state.exits > exits,
                Condition::Removed => false,
            };
            if met || gone {
                return WaitResponse {
                    error: None,
                    status_code: i64::from(view.state.exit_code),
                };
            }
            tokio::select! {
                result = changes.changed() => if result.is_err() { return WaitResponse::default() },
                result = removed.changed() => if result.is_err() { return WaitResponse::default() },
            }
        }
    }
}

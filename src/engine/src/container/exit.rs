//! What follows a container's end: the record, the events, the policy.

use std::sync::Arc;

use gantry_monitor::protocol::Exit;

use super::record::Phase;
use super::{Container, lock};
use crate::Engine;
use crate::clock;
use crate::pipe::blocking;

impl Engine {
    /// The container's monitor said how it ended, or is gone without a word.
    pub async fn ended(self: &Arc<Self>, container: &Arc<Container>, exit: Option<Exit>) {
        let _life = container.life.lock().await;
        let exit = match exit.or_else(|| read_exit(container)) {
            Some(exit) => exit,
            None => self.after_lost_monitor(container).await,
        };
        if let Some(probe) = lock(&container.probe).take() {
            probe.abort();
        }
        *lock(&container.process) = None;
        let (engine, own) = (self.clone(), container.clone());
        let down = blocking(move || {
            engine.take_down(&own);
            Ok(())
        });
        if let Err(error) = down.await {
            tracing::warn!("container {}: {error}", container.id);
        }
        self.settle_end(container, &exit);
        let record = container.view();
        if record.state.phase == Phase::Restarting {
            self.restart_later(container);
        } else if record.host.auto_remove {
            let (engine, container) = (self.clone(), container.clone());
            tokio::spawn(async move { engine.remove_ended(&container).await });
        }
    }

    fn settle_end(&self, container: &Container, exit: &Exit) {
        let before = container.view();
        let again = super::restart::wanted(&before, exit.code);
        let stored = container.change_state(|state| {
            state.phase = if again {
                Phase::Restarting
            } else {
                Phase::Exited
            };
            state.pid = 0;
            state.exit_code = exit.code;
            state.oom_killed = exit.oom_killed;
            state.finished_at.clone_from(&exit.at);
            state.exits += 1;
            state.network = gantry_api::container::inspect::NetworkSettings {
                networks: state.network.networks.take(),
                ..Default::default()
            };
        });
        if let Err(error) = stored {
            tracing::warn!("container {}: {error}", container.id);
        }
        for exec in lock(&container.execs).values() {
            exec.end_with_container();
        }
        let record = container.view();
        if exit.oom_killed {
            self.container_event(&record, "oom", &[]);
        }
        let ran = match (
            clock::nanos_of(&exit.at),
            clock::nanos_of(&record.state.started_at),
        ) {
            (Some(end), Some(start)) => (end - start).max(0) / 1_000_000_000,
            _ => 0,
        };
        self.container_event(
            &record,
            "die",
            &[
                ("execDuration", ran.to_string()),
                ("exitCode", exit.code.to_string()),
            ],
        );
        // Only now: whoever waits sees the events of the end already sent.
        container.changed.send_modify(|count| *count += 1);
    }

    /// Somebody killed the monitor: the container cannot be left without one, so it ends too.
    async fn after_lost_monitor(&self, container: &Container) -> Exit {
        let record = container.view();
        let message = "the container's monitor was killed";
        tracing::warn!("container {}: {message}", record.id);
        if let Err(error) = self
            .run_runtime(
                &record.host.runtime,
                &["delete", "--force", &record.id],
                None,
            )
            .await
        {
            tracing::warn!("container {}: {error}", record.id);
        }
        container.change(|record| record.state.error = message.into());
        Exit {
            code: 137,
            at: clock::now(),
            oom_killed: false,
            started: true,
        }
    }
}

/// The record a monitor left on disk.
pub fn read_exit(container: &Container) -> Option<Exit> {
    let bytes = std::fs::read(container.places.exit_record()).ok()?;
    serde_json::from_slice(&bytes).ok()
}

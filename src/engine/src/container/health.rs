//! Health probes: an exec session every interval, its last five results, and what they say of the container.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gantry_api::container::Healthcheck;
use gantry_api::container::exec::ExecRequest;
use gantry_api::container::inspect::{Health, Probe};
use gantry_monitor::protocol::{Kind, Reply, Streams};

use super::record::{Phase, Record};
use super::{Container, lock};
use crate::Engine;
use crate::clock;
use crate::error::{Error, Result};
use crate::monitor;

/// Annotation that has an unhealthy container restarted.
const RESTART: &str = "gantry.restart-unhealthy";

/// docker's defaults.
const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const START_INTERVAL: Duration = Duration::from_secs(5);
const RETRIES: i64 = 3;
/// How much of a probe's output is kept, bytes.
const KEPT_OUTPUT: usize = 4096;
/// How many results are kept.
const KEPT_RESULTS: usize = 5;

/// Checks a probe's times.
///
/// # Errors
/// Invalid, docker's text.
pub fn check(probe: Option<&Healthcheck>) -> Result<()> {
    let Some(probe) = probe else { return Ok(()) };
    for (name, value) in [
        ("Interval", probe.interval),
        ("Timeout", probe.timeout),
        ("StartPeriod", probe.start_period),
        ("StartInterval", probe.start_interval),
    ] {
        if value != 0 && value < 1_000_000 {
            return Err(Error::invalid(format!(
                "{name} in Healthcheck cannot be less than 1ms"
            )));
        }
    }
    if probe.retries < 0 {
        return Err(Error::invalid("Retries in Healthcheck cannot be negative"));
    }
    Ok(())
}

/// The command of a probe; none when there is no probe.
fn command(record: &Record) -> Option<Vec<String>> {
    let test = &record.config.healthcheck.as_ref()?.test;
    let (kind, rest) = test.split_first()?;
    match kind.as_str() {
        "CMD" => Some(rest.to_vec()),
        "CMD-SHELL" => {
            let shell = &record.config.shell;
            let mut words = if shell.is_empty() {
                vec!["/bin/sh".to_owned(), "-c".into()]
            } else {
                shell.clone()
            };
            words.extend(rest.first().cloned());
            Some(words)
        }
        _ => None,
    }
}

fn or(nanos: i64, default: Duration) -> Duration {
    u64::try_from(nanos)
        .ok()
        .filter(|nanos| *nanos > 0)
        .map_or(default, Duration::from_nanos)
}

impl Engine {
    /// Starts the probing of a container that has just started or was found running.
    pub fn start_probe(self: &Arc<Self>, container: &Arc<Container>) {
        let record = container.view();
        let Some(words) = command(&record) else {
            container.change(|record| record.state.health = None);
            return;
        };
        if record.state.health.is_none() || record.state.started_at > record.state.finished_at {
            container.change(|record| {
                record.state.health = Some(Health {
                    status: "starting".into(),
                    failing_streak: 0,
                    log: Some(Vec::new()),
                });
            });
        }
        let (engine, own) = (self.clone(), container.clone());
        let task = tokio::spawn(async move { engine.probe_on(&own, &words).await });
        if let Some(old) = lock(&container.probe).replace(task.abort_handle()) {
            old.abort();
        }
    }

    async fn probe_on(self: &Arc<Self>, container: &Arc<Container>, words: &[String]) {
        let settings = container
            .view()
            .config
            .healthcheck
            .clone()
            .unwrap_or_default();
        let began = Instant::now();
        let grace = or(settings.start_period, Duration::ZERO);
        loop {
            let starting = container
                .view()
                .state
                .health
                .as_ref()
                .is_none_or(|health| health.status == "starting");
            let early = starting && began.elapsed() < grace;
            let pause = if early {
                or(settings.start_interval, START_INTERVAL)
            } else {
                or(settings.interval, INTERVAL)
            };
            tokio::time::sleep(pause).await;
            match container.view().state.phase {
                Phase::Running => {}
                Phase::Paused => continue,
                _ => return,
            }
            let result = self
                .probe_once(container, words, or(settings.timeout, TIMEOUT))
                .await;
            self.note(container, result, &settings, began.elapsed() < grace);
        }
    }

    async fn probe_once(
        &self,
        container: &Arc<Container>,
        words: &[String],
        patience: Duration,
    ) -> Probe {
        let start = clock::now();
        let mut output = Vec::new();
        let running = self.probe_process(container, words, &mut output);
        let (exit_code, output) = match tokio::time::timeout(patience, running).await {
            Ok(Ok(code)) => (code, String::from_utf8_lossy(&output).into_owned()),
            Ok(Err(error)) => (-1, error.message),
            Err(_) => (
                -1,
                format!(
                    "Health check exceeded timeout ({}s)",
                    patience.as_secs_f64()
                ),
            ),
        };
        Probe {
            start,
            end: clock::now(),
            exit_code: i64::from(exit_code),
            output,
        }
    }

    async fn probe_process(
        &self,
        container: &Arc<Container>,
        words: &[String],
        output: &mut Vec<u8>,
    ) -> Result<i32> {
        let request = ExecRequest {
            cmd: Some(words.to_vec()),
            attach_stdout: true,
            attach_stderr: true,
            ..ExecRequest::default()
        };
        let id = self.create_exec(container, request)?;
        let (_, exec) = self.find_exec(&id)?;
        self.claim_exec(container, &exec)?;
        let streams = Streams {
            stdin: false,
            stdout: true,
            stderr: true,
        };
        let mut stream = self.start_exec(container, &exec, streams, (0, 0)).await?;
        while let Some((kind, payload)) = monitor::next(&mut stream)
            .await
            .map_err(|e| Error::kernel("monitor", e))?
        {
            match kind {
                Kind::Message => {
                    if let Ok(Reply::ExecExited { code, .. }) = serde_json::from_slice(&payload) {
                        return Ok(code);
                    }
                }
                _ => {
                    let room = KEPT_OUTPUT.saturating_sub(output.len()).min(payload.len());
                    output.extend_from_slice(&payload[..room]);
                }
            }
        }
        Err(Error::internal(
            "the container ended during its health check",
        ))
    }

    fn note(
        self: &Arc<Self>,
        container: &Arc<Container>,
        probe: Probe,
        settings: &Healthcheck,
        in_grace: bool,
    ) {
        let retries = if settings.retries == 0 {
            RETRIES
        } else {
            settings.retries
        };
        let before = container
            .view()
            .state
            .health
            .as_ref()
            .map(|health| health.status.clone())
            .unwrap_or_default();
        let stored = container.change_state(|state| {
            let health = state.health.get_or_insert_default();
            let good = probe.exit_code == 0;
            let log = health.log.get_or_insert_default();
            log.push(probe);
            if log.len() > KEPT_RESULTS {
                log.remove(0);
            }
            if good {
                health.failing_streak = 0;
                health.status = "healthy".into();
            } else if !(in_grace && health.status == "starting") {
                health.failing_streak += 1;
                if health.failing_streak >= retries {
                    health.status = "unhealthy".into();
                }
            }
        });
        if let Err(error) = stored {
            tracing::warn!("container {}: {error}", container.id);
        }
        let view = container.view();
        let now = view
            .state
            .health
            .as_ref()
            .map(|health| health.status.clone())
            .unwrap_or_default();
        if now != before {
            self.container_event(&view, &format!("health_status: {now}"), &[]);
            if now == "unhealthy"
                && view
                    .host
                    .annotations
                    .get(RESTART)
                    .is_some_and(|wish| wish == "true")
            {
                let (engine, container) = (self.clone(), container.clone());
                // Apart from this task, which the container's end aborts.
                tokio::spawn(async move {
                    if let Err(error) = engine.restart_container(&container, "", None).await {
                        tracing::warn!("container {}: restart: {error}", container.id);
                    }
                });
            }
        }
    }
}

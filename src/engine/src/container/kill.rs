//! Signals, stopping, pausing.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::record::Phase;
use super::{Container, lock};
use crate::Engine;
use crate::error::{Error, Result};

/// How long a stop waits before it kills, docker's number.
const STOP_TIMEOUT: i64 = 10;
/// How long the kernel may take for a killed process.
const KILL_WAIT: Duration = Duration::from_secs(10);

/// A signal's number: `9`, `KILL`, `SIGKILL`, `RTMIN+3`, any case.
#[must_use]
pub fn signal_number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    // glibc keeps the two lowest real-time signals of the kernel's 32 to 64 for itself.
    if let Some(rest) = name.strip_prefix("RTMIN") {
        let plus: i32 = if rest.is_empty() {
            0
        } else {
            rest.strip_prefix('+')?.parse().ok()?
        };
        return (0..=30).contains(&plus).then_some(34 + plus);
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        let minus: i32 = if rest.is_empty() {
            0
        } else {
            rest.strip_prefix('-')?.parse().ok()?
        };
        return (0..=30).contains(&minus).then_some(64 - minus);
    }
    match name {
        "CLD" => Some(Signal::SIGCHLD as i32),
        "POLL" => Some(Signal::SIGIO as i32),
        name => format!("SIG{name}")
            .parse::<Signal>()
            .ok()
            .map(|signal| signal as i32),
    }
}

impl Engine {
    /// Sends a signal to a container's first process.
    ///
    /// # Errors
    /// Invalid for no signal, conflict if it does not run; docker's texts.
    pub async fn kill_container(&self, container: &Container, signal: &str) -> Result<()> {
        let signal = if signal.is_empty() { "KILL" } else { signal };
        let number = signal_number(signal)
            .ok_or_else(|| Error::invalid(format!("invalid signal: {signal}")))?;
        let view = container.view();
        if !view.state.lives() {
            return Err(Error::conflict(format!(
                "cannot kill container: {}: container {} is not running",
                view.short_name(),
                view.id
            )));
        }
        // Only the end that follows such a signal is the user's wish; the policy stays in force after a HUP.
        let stop = view.config.stop_signal.as_str();
        let stop = signal_number(if stop.is_empty() { "TERM" } else { stop }).unwrap_or(15);
        if number == 9 || number == 15 || number == stop {
            container.change(|record| record.state.stopped_by_user = true);
        }
        self.send_signal(container, number)?;
        if number == 9 && view.state.phase == Phase::Paused {
            // A frozen process dies of SIGKILL in cgroup v2 only.
            self.run_runtime(&view.host.runtime, &["resume", &view.id], None)
                .await?;
        }
        if number == 9 {
            ended_within(container, view.state.exits, KILL_WAIT).await;
        }
        Ok(())
    }

    fn send_signal(&self, container: &Container, number: i32) -> Result<()> {
        let held = lock(&container.process);
        let Some(process) = held.as_ref() else {
            return Err(Error::conflict(format!(
                "container {} is not running",
                container.id
            )));
        };
        // The process may have ended a moment ago: then there is nothing to signal.
        if let Err(errno) = sys::process::signal(process.as_fd(), number) {
            tracing::debug!("container {}: signal {number}: {errno:?}", container.id);
        }
        drop(held);
        self.container_event(&container.view(), "kill", &[("signal", number.to_string())]);
        Ok(())
    }

    /// Stops a container: its stop signal, then after `timeout` seconds (-1: never) SIGKILL.
    ///
    /// # Errors
    /// Not modified if it does not run; internal if it cannot be killed.
    pub async fn stop_container(
        &self,
        container: &Arc<Container>,
        signal: &str,
        timeout: Option<i64>,
    ) -> Result<()> {
        let view = container.view();
        if view.state.phase == Phase::Restarting {
            container.call_off.notify_waiters();
            let _life = container.life.lock().await;
            if container.view().state.phase == Phase::Restarting {
                container.change_state(|state| {
                    state.phase = Phase::Exited;
                    state.stopped_by_user = true;
                })?;
                self.container_event(&container.view(), "stop", &[]);
                return Ok(());
            }
        }
        let view = container.view();
        if !view.state.lives() {
            return Err(Error::not_modified());
        }
        let named = if signal.is_empty() {
            view.config.stop_signal.as_str()
        } else {
            signal
        };
        let named = if named.is_empty() { "TERM" } else { named };
        let number = signal_number(named)
            .ok_or_else(|| Error::invalid(format!("invalid signal: {named}")))?;
        let timeout = timeout.or(view.config.stop_timeout).unwrap_or(STOP_TIMEOUT);
        container.change_state(|state| state.stopped_by_user = true)?;
        self.send_signal(container, number)?;
        if view.state.phase == Phase::Paused {
            self.unpause_container(container).await?;
        }
        let patience = u64::try_from(timeout).map_or(Duration::MAX, Duration::from_secs);
        if !ended_within(container, view.state.exits, patience).await {
            if let Err(error) = self.send_signal(container, 9)
                && container.view().state.lives()
            {
                return Err(error);
            }
            if !ended_within(container, view.state.exits, KILL_WAIT).await {
                return Err(Error::internal(format!(
                    "cannot stop container: {}: tried to kill container, but did not receive an exit event",
                    view.id
                )));
            }
        }
        self.container_event(&container.view(), "stop", &[]);
        Ok(())
    }

    /// Stops and starts again.
    ///
    /// # Errors
    /// As stop and start.
    pub async fn restart_container(
        self: &Arc<Self>,
        container: &Arc<Container>,
        signal: &str,
        timeout: Option<i64>,
    ) -> Result<()> {
        match self.stop_container(container, signal, timeout).await {
            Err(error) if error.kind != crate::error::Kind::NotModified => return Err(error),
            _ => {}
        }
        {
            let _life = container.life.lock().await;
            self.run_up(container).await?;
        }
        self.container_event(&container.view(), "restart", &[]);
        Ok(())
    }

    /// Freezes a container.
    ///
    /// # Errors
    /// Conflict if it does not run or is frozen already; docker's texts.
    pub async fn pause_container(&self, container: &Container) -> Result<()> {
        let _life = container.life.lock().await;
        let view = container.view();
        match view.state.phase {
            Phase::Running => {}
            Phase::Paused => {
                return Err(Error::conflict(format!(
                    "Container {} is already paused",
                    view.id
                )));
            }
            Phase::Restarting => {
                return Err(Error::conflict(format!(
                    "Container {} is restarting, wait until the container is running",
                    view.id
                )));
            }
            _ => {
                return Err(Error::conflict(format!(
                    "container {} is not running",
                    view.id
                )));
            }
        }
        self.run_runtime(&view.host.runtime, &["pause", &view.id], None)
            .await?;
        container.change_state(|state| state.phase = Phase::Paused)?;
        self.container_event(&view, "pause", &[]);
        Ok(())
    }

    /// Thaws a container.
    ///
    /// # Errors
    /// Conflict if it is not frozen.
    pub async fn unpause_container(&self, container: &Container) -> Result<()> {
        let _life = container.life.lock().await;
        let view = container.view();
        if view.state.phase != Phase::Paused {
            return Err(Error::conflict(format!(
                "Container {} is not paused",
                view.id
            )));
        }
        self.run_runtime(&view.host.runtime, &["resume", &view.id], None)
            .await?;
        container.change_state(|state| state.phase = Phase::Running)?;
        self.container_event(&view, "unpause", &[]);
        Ok(())
    }
}

/// Waits until the container has ended more than `exits` times; false when that takes longer.
pub async fn ended_within(container: &Container, exits: u64, patience: Duration) -> bool {
    let mut changes = container.changed.subscribe();
    let waiting = async {
        while container.view().state.exits <= exits {
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    if patience == Duration::MAX {
        waiting.await;
        return true;
    }
    tokio::time::timeout(patience, waiting).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::signal_number;

    #[test]
    fn reads_signals_as_docker_does() {
        assert_eq!(signal_number("9"), Some(9));
        assert_eq!(signal_number("sigterm"), Some(15));
        assert_eq!(signal_number("HUP"), Some(1));
        assert_eq!(signal_number("RTMIN+3"), Some(37));
        assert_eq!(signal_number("SIGRTMAX"), Some(64));
        assert_eq!(signal_number("0"), None);
        assert_eq!(signal_number("NOSUCH"), None);
    }
}

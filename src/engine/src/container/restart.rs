//! Restart policies: when, and after how long.

use std::sync::Arc;
use std::time::Duration;

use super::Container;
use super::record::{Phase, Record};
use crate::Engine;
use crate::clock;

/// The first delay; each further one doubles.
const FIRST: Duration = Duration::from_millis(100);
/// No delay is longer.
const LONGEST: Duration = Duration::from_secs(60);
/// A run at least this long resets the delay.
const LONG_RUN: i64 = 10_000_000_000;

/// Whether the policy of `record` starts it again after an end with `code`.
#[must_use]
pub fn wanted(record: &Record, code: i32) -> bool {
    let policy = &record.host.restart_policy;
    if record.state.stopped_by_user || record.state.phase == Phase::Removing {
        return false;
    }
    match policy.name.as_str() {
        "always" | "unless-stopped" => true,
        "on-failure" => {
            let tries = policy.maximum_retry_count;
            code != 0 && (tries == 0 || record.state.restart_count < tries)
        }
        _ => false,
    }
}

/// The delay after `count` restarts in a row.
fn delay(count: i64) -> Duration {
    let doublings = u32::try_from(count).unwrap_or(0).min(16);
    (FIRST * 2_u32.pow(doublings)).min(LONGEST)
}

impl Engine {
    /// Starts a container again after its delay, unless somebody calls it off.
    pub fn restart_later(self: &Arc<Self>, container: &Arc<Container>) {
        let (engine, container) = (self.clone(), container.clone());
        let busy = engine.idle.container();
        tokio::spawn(async move {
            let view = container.view();
            let ran = match (
                clock::nanos_of(&view.state.started_at),
                clock::nanos_of(&view.state.finished_at),
            ) {
                (Some(start), Some(end)) => end - start,
                _ => 0,
            };
            let count = if ran >= LONG_RUN {
                0
            } else {
                view.state.restart_count
            };
            let called_off = container.call_off.notified();
            tokio::select! {
                () = tokio::time::sleep(delay(count)) => {}
                () = called_off => return,
            }
            let _life = container.life.lock().await;
            if container.view().state.phase != Phase::Restarting {
                return;
            }
            container.change(|record| record.state.restart_count = count + 1);
            if let Err(error) = engine.run_up(&container).await {
                tracing::warn!("container {}: restart: {error}", container.id);
            }
            drop(busy);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_a_minute() {
        assert_eq!(delay(0), Duration::from_millis(100));
        assert_eq!(delay(3), Duration::from_millis(800));
        assert_eq!(delay(30), Duration::from_secs(60));
    }

    #[test]
    fn respects_the_user_and_the_count() {
        let mut record = Record::default();
        record.host.restart_policy.name = "on-failure".into();
        record.host.restart_policy.maximum_retry_count = 2;
        assert!(wanted(&record, 1) && !wanted(&record, 0));
        record.state.restart_count = 2;
        assert!(!wanted(&record, 1));
        record.host.restart_policy.name = "always".into();
        assert!(wanted(&record, 0));
        record.state.stopped_by_user = true;
        assert!(!wanted(&record, 0));
    }
}

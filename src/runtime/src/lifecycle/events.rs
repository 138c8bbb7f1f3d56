//! `events`: what a container uses, at intervals, and when the kernel kills in it for want of memory.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Context;
use crate::cgroups::{Cgroup, OomWatch, Stats};
use crate::cli::Events;
use crate::compat;
use crate::error::{Error, Kernelize, Result};
use crate::query::print;
use crate::state::slot::open_process;
use crate::state::{Record, Status};

/// One line.
#[derive(Serialize)]
struct Event<'a> {
    r#type: &'static str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Stats>,
}

impl Event<'_> {
    fn print(&self) -> Result<()> {
        let text = serde_json::to_string(self).map_err(|e| Error::Bug(e.to_string()))?;
        print(format!("{text}\n").as_bytes())
    }
}

/// Prints statistics once, or with every interval, and kills as they happen, until the container stops.
///
/// # Errors
/// [`Error::WrongState`] for a container that does not run.
pub fn events(context: &Context, verb: &Events) -> Result<()> {
    let slot = context.root()?.find(&verb.id)?;
    let record = slot.record()?;
    if matches!(
        Status::of(&slot, &record),
        Status::Stopped | Status::Creating
    ) {
        return Err(Error::WrongState(compat::not_running(&verb.id)));
    }
    let cgroup = Cgroup::from_record(&record.cgroup);
    if verb.stats {
        return statistics(&verb.id, &cgroup);
    }
    stream(verb, &record, &cgroup)
}

fn statistics(id: &str, cgroup: &Cgroup) -> Result<()> {
    let stats = cgroup.stats()?;
    let event = Event {
        r#type: "stats",
        id,
        data: Some(&stats),
    };
    event.print()
}

fn stream(verb: &Events, record: &Record, cgroup: &Cgroup) -> Result<()> {
    let Some(init) = open_process(record.pid, record.start_time) else {
        return Err(Error::WrongState(compat::not_running(&verb.id)));
    };
    let watch = cgroup.watch_oom()?;
    let mut kills = cgroup.oom_kills()?.unwrap_or_default();
    let mut next = Instant::now() + verb.interval;
    loop {
        let left = next.saturating_duration_since(Instant::now());
        let ended = wait(init.as_fd(), watch.as_ref(), left)?;
        // Also after the end: the kill may have been what ended it.
        let now = cgroup.oom_kills()?.unwrap_or(kills);
        for _ in kills..now {
            Event {
                r#type: "oom",
                id: &verb.id,
                data: None,
            }
            .print()?;
        }
        kills = now.max(kills);
        if ended {
            return Ok(());
        }
        if Instant::now() >= next {
            statistics(&verb.id, cgroup)?;
            next += verb.interval;
        }
    }
}

/// Waits for a kill or for the end of the container, at most `left`; says whether it is the end.
fn wait(init: BorrowedFd<'_>, watch: Option<&OomWatch>, left: Duration) -> Result<bool> {
    // One more than the whole milliseconds, or the last part of them would be spent in a busy loop.
    let milliseconds = u32::try_from(left.as_millis() + 1).unwrap_or(u32::MAX);
    let mut descriptors = vec![(init, sys::event::News::Data)];
    descriptors.extend(watch.map(OomWatch::descriptor));
    let ready = sys::event::wait(&descriptors, milliseconds)
        .step(|| "wait for events".to_owned(), "poll")?;
    if ready.get(1) == Some(&true)
        && let Some(watch) = watch
    {
        watch.settle()?;
    }
    Ok(ready[0])
}

//! What a container is doing, derived from its facts and the kernel.

use std::fmt;

use super::slot::process_facts;
use super::{Record, Slot};
use crate::cgroups::Cgroup;

/// The states of runtime-spec `runtime.md` "State", and `paused`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Its maker is at work.
    Creating,
    /// It waits for `start`.
    Created,
    /// Its program runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Its init is gone. A zombie is gone: it only waits for its parent to notice.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        })
    }
}

impl Status {
    /// The status of a container now.
    #[must_use]
    pub fn of(slot: &Slot, record: &Record) -> Self {
        if record.pid == 0 {
            return if slot.is_busy() {
                Self::Creating
            } else {
                Self::Stopped
            };
        }
        let alive = process_facts(record.pid).is_some_and(|(letter, start)| {
            start == record.start_time && !matches!(letter, b'Z' | b'X')
        });
        if !alive {
            return Self::Stopped;
        }
        if frozen(record) {
            return Self::Paused;
        }
        if slot.has_gate() {
            Self::Created
        } else {
            Self::Running
        }
    }
}

fn frozen(record: &Record) -> bool {
    let cgroup = Cgroup::from_record(&record.cgroup);
    let v1 = cgroup
        .dir("freezer")
        .map(|dir| std::fs::read_to_string(dir.join("freezer.state")).unwrap_or_default());
    let v2 = cgroup
        .dir("")
        .map(|dir| std::fs::read_to_string(dir.join("cgroup.freeze")).unwrap_or_default());
    let text = v1
        .filter(|text| !text.is_empty())
        .or(v2)
        .unwrap_or_default();
    matches!(text.trim(), "FROZEN" | "FREEZING" | "1")
}

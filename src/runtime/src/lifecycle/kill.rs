//! `kill`: a signal for init, or for everybody.

use std::os::fd::AsFd;

use sys::{Errno, process};

use super::Context;
use crate::cgroups::Cgroup;
use crate::cli::Kill;
use crate::compat;
use crate::config::{Kind, Origin};
use crate::error::{Error, Result};
use crate::state::Record;
use crate::state::root::matching;
use crate::state::slot::open_process;

const SIGKILL: i32 = 9;

/// Sends the signal.
///
/// # Errors
/// [`Error::WrongState`] when init is gone, unless everybody is meant.
pub fn kill(context: &Context, verb: &Kill) -> Result<()> {
    let root = context.root()?;
    if !verb.regex {
        return one(&root.find(&verb.id)?.record()?, verb.signal, verb.all);
    }
    let results = matching(&root, &verb.id)?
        .into_iter()
        .map(|(_, record)| one(&record, verb.signal, verb.all));
    // All are tried, the first failure is told.
    results.fold(Ok(()), Result::and)
}

fn one(record: &Record, signal: i32, all: bool) -> Result<()> {
    let cgroup = Cgroup::from_record(&record.cgroup);
    let init = open_process(record.pid, record.start_time);
    if all {
        return cgroup.kill_all(signal);
    }
    let Some(init) = init else {
        return Err(Error::WrongState(compat::CONTAINER_NOT_RUNNING.to_owned()));
    };
    let shared = matches!(
        record.config()?.namespaces.origin(Kind::Pid),
        Origin::Shared | Origin::Joined(_)
    );
    match process::signal(init.as_fd(), signal) {
        Ok(()) => {}
        Err(Errno::SRCH) => {
            return Err(Error::WrongState(compat::CONTAINER_NOT_RUNNING.to_owned()));
        }
        Err(errno) => {
            return Err(Error::kernel(
                format!("signal {signal} to {}", record.pid),
                "pidfd_send_signal",
                "",
                errno,
            ));
        }
    }
    if signal == SIGKILL && shared && !record.cgroup.paths.is_empty() {
        // Nothing else ends the other processes: there is no pid namespace that would die with its init.
        return cgroup.kill_all(signal);
    }
    if signal == SIGKILL && cgroup.frozen().unwrap_or(false) {
        // A frozen v1 cgroup keeps even this signal waiting.
        return cgroup.thaw();
    }
    Ok(())
}

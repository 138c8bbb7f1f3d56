//! Taking a container apart: every step is tried, what is gone is fine, the first failure is told.

use std::os::fd::AsFd;
use std::path::Path;

use sys::process;

use crate::cgroups::Cgroup;
use crate::config::{Config, Point};
use crate::error::{Error, Result};
use crate::hooks::{self, Setting};
use crate::state::slot::open_process;
use crate::state::{HookState, Record, Root, Slot};

const SIGKILL: i32 = 9;

/// How long the end of a killed process is waited for, in milliseconds.
const PATIENCE: i32 = 10_000;

/// Kills what is left of a container and waits for its end.
///
/// # Errors
/// [`Error::Timeout`] when the kernel does not let go of init.
pub fn kill(record: &Record) -> Result<()> {
    let cgroup = Cgroup::from_record(&record.cgroup);
    if let Some(init) = open_process(record.pid, record.start_time) {
        // Gone meanwhile is as good as killed.
        process::signal(init.as_fd(), SIGKILL).ok();
        kill_rest(record, &cgroup);
        if !process::ended(init.as_fd(), PATIENCE).unwrap_or(true) {
            return Err(Error::Timeout(crate::compat::INIT_STILL_RUNNING.to_owned()));
        }
        return Ok(());
    }
    kill_rest(record, &cgroup);
    Ok(())
}

/// Processes that do not end with init: those of a container without a pid namespace of its own, and those of a create
/// that was killed.
fn kill_rest(record: &Record, cgroup: &Cgroup) {
    // Half-made: whether the planned cgroup is its own nobody knows; its child has died with its maker.
    if record.cgroup.paths.is_empty() || record.pid == 0 {
        return;
    }
    if let Err(error) = cgroup.kill_all(SIGKILL) {
        tracing::debug!("{}: kill of the cgroup: {error}", record.id);
    }
}

/// Removes cgroup, resctrl class and directory of a container whose processes are gone.
///
/// # Errors
/// The first failure of all steps.
pub fn remove(root: &Root, slot: &Slot, record: Option<&Record>) -> Result<()> {
    let cgroup = record.map_or(Ok(()), |record| {
        if record.pid == 0 {
            remove_planned(record);
            return Ok(());
        }
        Cgroup::from_record(&record.cgroup).remove()
    });
    let rdt = record
        .and_then(|record| record.rdt.as_ref())
        .map_or(Ok(()), crate::rdt::Record::remove);
    let directory = slot.clear().and_then(|()| root.forget(&slot.id));
    cgroup.and(rdt).and(directory)
}

/// Removes what a killed `create` had made of its planned cgroup: the directories themselves and nothing below them, and
/// only while nobody is in them. Its child may still be on its way out.
fn remove_planned(record: &Record) {
    const ROUNDS: u32 = 50;
    for path in record.cgroup.paths.values() {
        for _ in 0..ROUNDS {
            match std::fs::remove_dir(path).map_err(|error| sys::Errno::from_io_error(&error)) {
                Err(Some(sys::Errno::BUSY)) => {
                    std::thread::sleep(std::time::Duration::from_millis(10))
                }
                _ => break,
            }
        }
    }
}

/// Runs the poststop hooks; their failures are warnings (runtime-spec `runtime.md`, lifecycle step 13).
pub fn poststop(record: &Record) {
    let config = match record.config() {
        Ok(config) => config,
        Err(error) => {
            tracing::warn!("poststop hooks: {error}");
            return;
        }
    };
    let setting = Setting {
        state: hook_state(&config, &record.id).json("stopped", None),
        directory: Some(Path::new(&record.bundle)),
        environment: None,
    };
    for hook in config.hooks.at(Point::Poststop) {
        if let Err(error) = hooks::run(Point::Poststop, std::slice::from_ref(hook), &setting) {
            tracing::warn!("{error}");
        }
    }
}

/// What hooks are told of a container.
#[must_use]
pub fn hook_state(config: &Config, id: &str) -> HookState {
    HookState {
        version: crate::cli::SPEC_VERSION.to_owned(),
        id: id.to_owned(),
        bundle: config.bundle.clone(),
        annotations: config.annotations.clone(),
    }
}

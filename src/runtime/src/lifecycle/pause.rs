//! `pause` and `resume`: all processes of a container stop, and go on.

use super::Context;
use crate::cgroups::Cgroup;
use crate::cli::{Pause, Resume};
use crate::compat;
use crate::error::{Error, Result};
use crate::state::Status;

/// Stops every process; returns when all have stopped.
///
/// # Errors
/// [`Error::WrongState`] for a container that neither runs nor waits for its start.
pub fn pause(context: &Context, verb: &Pause) -> Result<()> {
    let slot = context.root()?.find(&verb.id)?;
    let record = slot.record()?;
    if !matches!(
        Status::of(&slot, &record),
        Status::Running | Status::Created
    ) {
        return Err(Error::WrongState(compat::CONTAINER_NOT_RUNNING.to_owned()));
    }
    Cgroup::from_record(&record.cgroup).freeze()
}

/// Lets every process go on.
///
/// # Errors
/// [`Error::WrongState`] for a container that is not paused.
pub fn resume(context: &Context, verb: &Resume) -> Result<()> {
    let slot = context.root()?.find(&verb.id)?;
    let record = slot.record()?;
    if Status::of(&slot, &record) != Status::Paused {
        return Err(Error::WrongState(compat::CONTAINER_NOT_PAUSED.to_owned()));
    }
    Cgroup::from_record(&record.cgroup).thaw()
}

//! `delete`: removes what a container held; with force it ends it first, and clears what a killed `create` left.

use super::{Context, teardown};
use crate::cli::Delete;
use crate::compat;
use crate::config::{Kind, Origin};
use crate::error::{Error, Result};
use crate::state::root::matching;
use crate::state::{Record, Root, Slot, Status};

/// Removes the container.
///
/// # Errors
/// [`Error::NotFound`] without force; [`Error::WrongState`] when it runs; the first failure of all teardown steps.
pub fn delete(context: &Context, verb: &Delete) -> Result<()> {
    let root = context.root()?;
    if verb.regex {
        let results = matching(&root, &verb.id)?
            .into_iter()
            .map(|(slot, _)| one(&root, &slot, verb.force));
        // All are tried, the first failure is told.
        return results.fold(Ok(()), Result::and);
    }
    match root.find(&verb.id) {
        Ok(slot) => one(&root, &slot, verb.force),
        Err(Error::NotFound(_)) if verb.force => Ok(()),
        Err(error) => Err(error),
    }
}

fn shares_pids(record: &Record) -> Result<bool> {
    let origin = record.config()?.namespaces.origin(Kind::Pid).clone();
    Ok(matches!(origin, Origin::Shared | Origin::Joined(_)))
}

fn one(root: &Root, slot: &Slot, force: bool) -> Result<()> {
    slot.lock()?;
    let record = match slot.record() {
        Ok(record) => record,
        // Its maker was killed before it had anything to tell.
        Err(Error::NotFound(_) | Error::Denied(_)) if force => {
            return teardown::remove(root, slot, None);
        }
        Err(error) => return Err(error),
    };
    match Status::of(slot, &record) {
        // Without a pid namespace of its own, the other processes did not end with init.
        Status::Stopped if shares_pids(&record)? => teardown::kill(&record)?,
        Status::Stopped => {}
        // Created: init runs, but nothing of the user's does.
        Status::Created => teardown::kill(&record)?,
        _ if force => teardown::kill(&record)?,
        status => {
            return Err(Error::WrongState(compat::not_stopped(
                &record.id,
                &status.to_string(),
            )));
        }
    }
    if force {
        teardown::kill(&record)?;
    }
    teardown::remove(root, slot, Some(&record))?;
    teardown::poststop(&record);
    Ok(())
}

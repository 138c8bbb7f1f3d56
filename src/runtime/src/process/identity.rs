//! The change of identity and capabilities, in the order in which the kernel allows it: the bounding set needs
//! `CAP_SETPCAP`, a change of user id takes the capabilities away unless they are kept, ambient ones come last.

use std::os::fd::{AsFd, BorrowedFd};

use sys::Errno;
use sys::credentials::{self, Capabilities};
use sys::file::{self, Kind};

use super::Identity;
use crate::error::{Error, Kernelize, Result};

/// Drops what is not in `keep` from the bounding set.
///
/// # Errors
/// The kernel's.
pub fn limit(keep: u64) -> Result<()> {
    for number in (0..64_u32).filter(|number| keep & (1 << number) == 0) {
        match credentials::drop_bounding(number) {
            // The first number that the kernel does not know ends its list.
            Err(Errno::INVAL) => return Ok(()),
            result => result.step(|| "capabilities".to_owned(), "prctl PR_CAPBSET_DROP")?,
        }
    }
    Ok(())
}

/// Becomes the user and takes the capability sets.
///
/// # Errors
/// The kernel's.
pub fn assume(identity: &Identity) -> Result<()> {
    let step = || format!("user {}:{}", identity.uid, identity.gid);
    let keep = identity.uid != 0;
    if keep {
        credentials::keep_capabilities(true).step(step, "prctl PR_SET_KEEPCAPS")?;
    }
    if let Some(groups) = &identity.groups {
        credentials::set_groups(groups).step(step, "setgroups")?;
    }
    credentials::set_group(identity.gid).step(step, "setresgid")?;
    credentials::set_user(identity.uid).step(step, "setresuid")?;
    if keep {
        credentials::keep_capabilities(false).step(step, "prctl PR_SET_KEEPCAPS")?;
    }
    take(identity.capabilities)
}

fn take(sets: crate::config::process::Capabilities) -> Result<()> {
    let step = || "capabilities".to_owned();
    let held = credentials::capabilities().step(step, "capget")?;
    // What the runtime itself lacks cannot be given; runc leaves it out too, and the bounding set says so inside.
    let wanted = Capabilities {
        effective: sets.effective & sets.permitted & held.permitted,
        permitted: sets.permitted & held.permitted,
        inheritable: sets.inheritable & (held.permitted | held.inheritable),
    };
    credentials::clear_ambient()
        .or_else(|errno| {
            if errno == Errno::INVAL {
                Ok(())
            } else {
                Err(errno)
            }
        })
        .step(step, "prctl PR_CAP_AMBIENT")?;
    credentials::set_capabilities(wanted).step(step, "capset")?;
    let ambient = sets.ambient & wanted.permitted & wanted.inheritable;
    for number in (0..64_u32).filter(|number| ambient & (1 << number) != 0) {
        credentials::raise_ambient(number).step(step, "prctl PR_CAP_AMBIENT")?;
    }
    Ok(())
}

/// Gives pipes and terminals on the standard streams to the user, so that it can open them again by `/dev/stdout`.
/// Never a device like `/dev/null`, whose owner is the host's business (CVE-2026-88265).
///
/// # Errors
/// The kernel's, but for those that say that this file cannot change hands.
pub fn own_streams(uid: u32) -> Result<()> {
    let (input, output, error) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let streams: [BorrowedFd<'_>; 3] = [input.as_fd(), output.as_fd(), error.as_fd()];
    for (number, stream) in (0..).zip(streams) {
        let Ok(facts) = file::facts(stream) else {
            continue;
        };
        if is_null(&facts) {
            reopen_null(number)?;
            continue;
        }
        let terminal = facts.kind == Kind::CharacterDevice && facts.device.0 != 1;
        if facts.uid == uid || !(terminal || matches!(facts.kind, Kind::Fifo | Kind::Other)) {
            continue;
        }
        match file::set_owner(stream, uid, facts.gid) {
            Ok(()) | Err(Errno::PERM | Errno::ROFS | Errno::INVAL) => {}
            Err(errno) => return Err(Error::kernel("standard streams", "fchown", "", errno)),
        }
    }
    Ok(())
}

fn is_null(facts: &file::Facts) -> bool {
    facts.kind == Kind::CharacterDevice && facts.device == (1, 3)
}

/// The host's null device is on a mount that the container does not have, which checkpoints trip over; the container's own
/// takes its place, if it is one and not what an image put there (CVE-2026-88265).
fn reopen_null(number: u32) -> Result<()> {
    let Ok(null) = file::open_both(file::here(), c"/dev/null") else {
        return Ok(());
    };
    let facts = file::facts(null.as_fd());
    if facts.is_ok_and(|facts| is_null(&facts)) {
        let step = || "standard streams".to_owned();
        file::become_standard(null.as_fd(), number).step(step, "dup3")?;
    }
    Ok(())
}

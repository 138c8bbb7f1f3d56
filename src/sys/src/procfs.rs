//! A procfs that nobody else can have put something over: detached where the kernel allows it, else the one at a given
//! place after a look at what it is. Writes to `attr/*` through an image's `/proc` end up wherever the image wants
//! (CVE-2019-16884, CVE-2025-52881).

use std::ffi::CStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use crate::{Errno, Result, file, mount};

/// `PROC_SUPER_MAGIC`.
const MAGIC: u64 = 0x9fa0;

/// A procfs of the calling thread's pid namespace: a new, detached one, or `fallback` (a directory, opened as a path) where
/// this user namespace may not make one.
///
/// # Errors
/// `EPERM` where the fallback is no procfs, or what the kernel says.
pub fn private(fallback: impl FnOnce() -> Result<OwnedFd>) -> Result<OwnedFd> {
    let fresh = || {
        let context = mount::fsopen(c"proc")?;
        mount::create(context.as_fd())?;
        use mount::attribute::{NODEV, NOEXEC, NOSUID};
        mount::fsmount(context.as_fd(), NOSUID | NODEV | NOEXEC)
    };
    fresh().or_else(|_| {
        let place = fallback()?;
        if file::filesystem(place.as_fd())? == MAGIC {
            Ok(place)
        } else {
            Err(Errno::PERM)
        }
    })
}

/// Opens an entry of a procfs for writing: beneath it, through no symbolic link and no mount, and found to be procfs.
///
/// # Errors
/// `EXDEV` or `ELOOP` where something lies over the entry, `EPERM` where it is not procfs, or what the kernel says.
pub fn entry(proc: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    let file = file::write_strictly_beneath(proc, path)?;
    if file::filesystem(file.as_fd())? == MAGIC {
        Ok(file)
    } else {
        Err(Errno::PERM)
    }
}

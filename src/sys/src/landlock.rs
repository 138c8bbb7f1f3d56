//! Landlock (Linux 5.13): rights to files that a process gives up for good.

use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use crate::{Errno, Result, check};

const RULE_PATH_BENEATH: libc::c_int = 1;
const CREATE_RULESET_VERSION: u32 = 1;

/// `LANDLOCK_ACCESS_FS_*` bits.
pub mod access {
    /// Run a file.
    pub const EXECUTE: u64 = 1;
    /// Write to a file.
    pub const WRITE_FILE: u64 = 1 << 1;
    /// Read a file.
    pub const READ_FILE: u64 = 1 << 2;
    /// List a directory.
    pub const READ_DIR: u64 = 1 << 3;
    /// Everything that makes or removes names, bits 4 to 12.
    pub const MAKE_AND_REMOVE: u64 = 0x1ff0;
    /// Move or link between directories (ABI 2).
    pub const REFER: u64 = 1 << 13;
    /// Truncate a file (ABI 3).
    pub const TRUNCATE: u64 = 1 << 14;
    /// Device ioctls (ABI 5).
    pub const IOCTL_DEV: u64 = 1 << 15;
}

/// `struct landlock_path_beneath_attr`, which is packed.
#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: i32,
}

/// The version of the interface that this kernel speaks, 1 or more.
///
/// # Errors
/// `ENOSYS` without Landlock, `EOPNOTSUPP` where it is switched off.
pub fn version() -> Result<u32> {
    // SAFETY: with the version flag the kernel reads no memory; the pointer must be null and the size zero.
    let result = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<u64>(),
            0usize,
            CREATE_RULESET_VERSION,
        )
    };
    u32::try_from(check(result)?).map_err(|_| Errno::RANGE)
}

/// A rule set that takes the rights `handled` away, except where a rule gives them back.
///
/// # Errors
/// `EINVAL` for a right that this kernel does not know.
pub fn ruleset(handled: u64) -> Result<OwnedFd> {
    // SAFETY: the kernel reads eight bytes, the first field of landlock_ruleset_attr, from a value that outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            &raw const handled,
            8usize,
            0u32,
        )
    };
    let descriptor = RawFd::try_from(check(result)?).map_err(|_| Errno::BADF)?;
    // SAFETY: the kernel just made this descriptor for the caller.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Gives the rights `allowed` back for `place` and what lies beneath it.
///
/// # Errors
/// `EINVAL` for rights that the rule set does not handle or that a file cannot have.
pub fn allow(ruleset: BorrowedFd<'_>, place: BorrowedFd<'_>, allowed: u64) -> Result<()> {
    let rule = PathBeneath {
        allowed,
        parent: place.as_raw_fd(),
    };
    // SAFETY: the kernel reads one landlock_path_beneath_attr, which `rule` is and which outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_landlock_add_rule,
            ruleset.as_raw_fd(),
            RULE_PATH_BENEATH,
            &raw const rule,
            0u32,
        )
    };
    check(result).map(drop)
}

/// Puts the rule set in force for this thread and all it starts. Needs `no_new_privs` or `CAP_SYS_ADMIN`.
///
/// # Errors
/// `EPERM` without the privilege.
pub fn restrict(ruleset: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: the call takes two numbers.
    let result =
        unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0u32) };
    check(result).map(drop)
}

//! Who a process is: user and group numbers and capabilities.
//!
//! All calls are raw: the process has one thread, and libc's versions would try to change the others too.

use crate::{Result, check};

/// The three capability sets that `capset(2)` writes, one bit per capability number.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// In force now.
    pub effective: u64,
    /// May be put in force.
    pub permitted: u64,
    /// Pass an `execve` of files that carry them too.
    pub inheritable: u64,
}

/// The effective user id of this process.
#[must_use]
pub fn effective_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The effective group id of this process.
#[must_use]
pub fn effective_group() -> u32 {
    rustix::process::getegid().as_raw()
}

/// Sets real, effective and saved user id.
pub fn set_user(id: u32) -> Result<()> {
    // SAFETY: plain numbers.
    check(unsafe { libc::syscall(libc::SYS_setresuid, id, id, id) }).map(drop)
}

/// Sets real, effective and saved group id.
pub fn set_group(id: u32) -> Result<()> {
    // SAFETY: plain numbers.
    check(unsafe { libc::syscall(libc::SYS_setresgid, id, id, id) }).map(drop)
}

/// Replaces the supplementary groups.
pub fn set_groups(groups: &[u32]) -> Result<()> {
    // SAFETY: the slice outlives the call and its length is passed with it.
    check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}

/// Keeps the permitted capabilities over the next change of user id.
pub fn keep_capabilities(keep: bool) -> Result<()> {
    rustix::thread::set_keep_capabilities(keep)
}

/// Removes a capability from the bounding set; `EINVAL` for numbers that the kernel does not know.
pub fn drop_bounding(capability: u32) -> Result<()> {
    let zero: libc::c_ulong = 0;
    let number = libc::c_ulong::from(capability);
    // SAFETY: plain numbers.
    let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, zero, zero, zero) };
    check(libc::c_long::from(result)).map(drop)
}

/// Adds a capability to the ambient set; it must be permitted and inheritable, else `EPERM`.
pub fn raise_ambient(capability: u32) -> Result<()> {
    let zero: libc::c_ulong = 0;
    let raise = libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong;
    let number = libc::c_ulong::from(capability);
    // SAFETY: plain numbers.
    let result = unsafe { libc::prctl(libc::PR_CAP_AMBIENT, raise, number, zero, zero) };
    check(libc::c_long::from(result)).map(drop)
}

/// Empties the ambient set.
pub fn clear_ambient() -> Result<()> {
    rustix::thread::clear_ambient_capability_set()
}

const VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The sets that are in force for this thread.
pub fn capabilities() -> Result<Capabilities> {
    let header = Header {
        version: VERSION_3,
        pid: 0,
    };
    let mut data = [Data::default(); 2];
    // SAFETY: version 3 writes two data blocks, which is what is given.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) })?;
    let join = |low: u32, high: u32| u64::from(low) | (u64::from(high) << 32);
    Ok(Capabilities {
        effective: join(data[0].effective, data[1].effective),
        permitted: join(data[0].permitted, data[1].permitted),
        inheritable: join(data[0].inheritable, data[1].inheritable),
    })
}

/// Sets effective, permitted and inheritable capabilities in one call.
pub fn set_capabilities(sets: Capabilities) -> Result<()> {
    let header = Header {
        version: VERSION_3,
        pid: 0,
    };
    let half = |shift: u32| {
        let word = |set: u64| ((set >> shift) & 0xffff_ffff) as u32;
        Data {
            effective: word(sets.effective),
            permitted: word(sets.permitted),
            inheritable: word(sets.inheritable),
        }
    };
    let data = [half(0), half(32)];
    // SAFETY: version 3 reads two data blocks, which is what is given.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) }).map(drop)
}

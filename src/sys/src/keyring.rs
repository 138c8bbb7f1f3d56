//! Session keyrings of the kernel's key management, `keyctl(2)`.

use std::ffi::CStr;

use crate::{Result, check};

/// Leaves the session keyring for the one called `name`, made when absent; returns its serial number.
/// `ENOSYS` on kernels without key management.
pub fn join_session(name: &CStr) -> Result<i32> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: a terminated string that outlives the call.
    let serial =
        unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) };
    let serial = check(serial)?;
    i32::try_from(serial).map_err(|_| crate::Errno::OVERFLOW)
}

/// Replaces the permission bits of a key (possessor, user, group, other: one byte each from the top).
pub fn set_permissions(serial: i32, permissions: u32) -> Result<()> {
    const KEYCTL_SETPERM: libc::c_int = 5;
    // SAFETY: plain numbers.
    check(unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_SETPERM, serial, permissions) }).map(drop)
}

/// The permission bits of a key, as `KEYCTL_DESCRIBE` prints them.
pub fn permissions(serial: i32) -> Result<u32> {
    const KEYCTL_DESCRIBE: libc::c_int = 6;
    let mut text = [0_u8; 256];
    // SAFETY: the buffer outlives the call and its length is passed with it.
    let length = check(unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            KEYCTL_DESCRIBE,
            serial,
            text.as_mut_ptr(),
            text.len(),
        )
    })?;
    let length = usize::try_from(length).unwrap_or(0).min(text.len());
    let text = String::from_utf8_lossy(&text[..length]);
    let field = text.split(';').nth(3).ok_or(crate::Errno::INVAL)?;
    u32::from_str_radix(field, 16).map_err(|_| crate::Errno::INVAL)
}

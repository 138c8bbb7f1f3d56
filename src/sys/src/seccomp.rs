//! seccomp(2): loading a filter that somebody else compiled.

use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};

use crate::{Errno, Result, check};

/// One instruction of classic BPF, as `struct sock_filter`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// Operation, as in linux/bpf_common.h.
    pub code: u16,
    /// Instructions to skip when a comparison holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// Constant operand.
    pub k: u32,
}

/// `struct sock_fprog`.
#[repr(C)]
struct Program {
    length: u16,
    filter: *const Instruction,
}

/// `SECCOMP_FILTER_FLAG_TSYNC`: all threads get the filter (Linux 3.17).
pub const TSYNC: u32 = 1;
/// `SECCOMP_FILTER_FLAG_LOG`: everything but ALLOW is logged (Linux 4.14).
pub const LOG: u32 = 1 << 1;
/// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`: no speculation mitigation (Linux 4.17).
pub const SPEC_ALLOW: u32 = 1 << 2;
/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`: a descriptor for notifications comes back (Linux 5.0).
pub const NEW_LISTENER: u32 = 1 << 3;
/// `SECCOMP_FILTER_FLAG_TSYNC_ESRCH`: TSYNC beside a listener (Linux 5.7).
pub const TSYNC_ESRCH: u32 = 1 << 4;
/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV`: only fatal signals interrupt a notified call (Linux 5.19).
pub const WAIT_KILLABLE_RECV: u32 = 1 << 5;

/// Puts `program` in front of every further system call of this thread, by `SECCOMP_SET_MODE_FILTER`. Needs
/// `no_new_privs` or `CAP_SYS_ADMIN`. With [`NEW_LISTENER`] the notification descriptor comes back, close-on-exec.
///
/// # Errors
/// `EINVAL` for a program longer than 4096 instructions, a malformed one, or a flag the kernel does not know; `EACCES`
/// without the privilege; `EBUSY` where a listener exists already.
pub fn load(program: &[Instruction], flags: u32) -> Result<Option<OwnedFd>> {
    let length = u16::try_from(program.len()).map_err(|_| Errno::INVAL)?;
    let argument = Program {
        length,
        filter: program.as_ptr(),
    };
    // SAFETY: `argument` and the instructions it points to outlive the call, which only reads them; `Program` and
    // `Instruction` have the layout of sock_fprog and sock_filter.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const argument,
        )
    };
    let result = check(result)?;
    if flags & NEW_LISTENER == 0 {
        return if result == 0 {
            Ok(None)
        } else {
            Err(Errno::SRCH)
        };
    }
    let descriptor = RawFd::try_from(result).map_err(|_| Errno::BADF)?;
    // SAFETY: with NEW_LISTENER a result of zero or more is a descriptor the kernel just made for this caller.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(descriptor) }))
}

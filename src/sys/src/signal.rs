//! Signals: the mask, default actions, and waiting for them by descriptor.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::{Errno, Result, check};

/// Blocks every signal, so that those that come wait for [`descriptor`] or [`unblock_all`].
pub fn block_all() -> Result<()> {
    mask(!0)
}

/// Blocks none.
pub fn unblock_all() -> Result<()> {
    mask(0)
}

fn mask(set: u64) -> Result<()> {
    // SAFETY: a 64-bit set on the stack, whose size is passed with it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const set,
            std::ptr::null_mut::<u64>(),
            size_of::<u64>(),
        )
    };
    check(result).map(drop)
}

/// A descriptor from which all blocked signals are read.
pub fn descriptor() -> Result<OwnedFd> {
    let set: u64 = !0;
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: a 64-bit set on the stack, whose size is passed with it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_signalfd4,
            -1,
            &raw const set,
            size_of::<u64>(),
            flags,
        )
    };
    let number = i32::try_from(check(result)?).map_err(|_| Errno::OVERFLOW)?;
    // SAFETY: the kernel has just made it, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// The number of the next waiting signal and the process that sent it; `None` when none waits.
pub fn next(descriptor: BorrowedFd<'_>) -> Option<(i32, i32)> {
    let mut buffer = [0_u8; 128];
    let length = rustix::io::read(descriptor, &mut buffer).ok()?;
    let word = |at: usize| {
        buffer
            .get(at..at + 4)?
            .try_into()
            .ok()
            .map(i32::from_ne_bytes)
    };
    if length < 128 {
        return None;
    }
    Some((word(0)?, word(12)?))
}

/// Gives `signal` its default action again.
pub fn reset(signal: i32) -> Result<()> {
    // SAFETY: SIG_DFL installs no code.
    let old = unsafe { libc::signal(signal, libc::SIG_DFL) };
    if old == libc::SIG_ERR {
        return Err(Errno::INVAL);
    }
    Ok(())
}

/// Waits until one of `descriptors` can be read or has hung up, at most `milliseconds` (negative: for ever).
/// Returns for each whether it is so.
pub fn poll(descriptors: &[BorrowedFd<'_>], milliseconds: i32) -> Result<Vec<bool>> {
    let mut polls: Vec<libc::pollfd> = descriptors
        .iter()
        .map(|fd| libc::pollfd {
            fd: fd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        })
        .collect();
    let count = libc::nfds_t::try_from(polls.len()).map_err(|_| Errno::INVAL)?;
    loop {
        // SAFETY: the list outlives the call and its length is passed with it.
        match check(libc::c_long::from(unsafe {
            libc::poll(polls.as_mut_ptr(), count, milliseconds)
        })) {
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
            Ok(_) => return Ok(polls.iter().map(|poll| poll.revents != 0).collect()),
        }
    }
}

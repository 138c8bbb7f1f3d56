//! Waiting for what the kernel has to tell: eventfd(2), and poll(2) with urgent data, which cgroup files use.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::{Errno, Result};

/// A counter that the kernel or another process adds to; reading never blocks.
pub fn counter() -> Result<OwnedFd> {
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
}

/// Reads a counter back to zero; `EAGAIN` when it was.
pub fn take(counter: BorrowedFd<'_>) -> Result<()> {
    let mut value = [0; 8];
    rustix::io::read(counter, &mut value).map(drop)
}

/// Reads a file of sysfs or a cgroup from its beginning, which is how its news are acknowledged.
pub fn reread(file: BorrowedFd<'_>) -> Result<()> {
    let mut text = [0; 4096];
    rustix::io::pread(file, &mut text, 0).map(drop)
}

/// What kind of news a descriptor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Something to read: pipes, counters, pidfds.
    Data,
    /// Urgent data: cgroup files, whose ordinary data is always there.
    Urgent,
}

/// Waits until one of `descriptors` has news, at most `milliseconds`. Says of each whether it has.
pub fn wait(descriptors: &[(BorrowedFd<'_>, News)], milliseconds: u32) -> Result<Vec<bool>> {
    let mut polled = Vec::with_capacity(descriptors.len());
    for (fd, news) in descriptors {
        let flags = match news {
            News::Data => PollFlags::IN,
            News::Urgent => PollFlags::PRI,
        };
        polled.push(PollFd::from_borrowed_fd(*fd, flags));
    }
    let timeout = Timespec {
        tv_sec: i64::from(milliseconds / 1000),
        tv_nsec: i64::from(milliseconds % 1000 * 1_000_000),
    };
    match poll(&mut polled, Some(&timeout)) {
        // A signal that was handled: nothing has happened yet, the caller looks at its clock.
        Ok(_) | Err(Errno::INTR) => Ok(polled.iter().map(|p| !p.revents().is_empty()).collect()),
        Err(errno) => Err(errno),
    }
}

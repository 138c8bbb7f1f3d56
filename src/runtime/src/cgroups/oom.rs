//! Being told when the kernel kills for want of memory.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use sys::event::News;

use super::{Cgroup, dir, failed};
use crate::error::{Kernelize, Result};

/// A descriptor that becomes ready when the kernel has something to tell about memory in the cgroup.
#[derive(Debug)]
pub enum OomWatch {
    /// v2: `memory.events` itself, which polls as urgent after every change and is settled by reading it.
    File(File),
    /// v1: a counter that the kernel adds to (Documentation/admin-guide/cgroup-v1/memory.rst, "OOM Control"), and the
    /// file that it stands for, which must stay open.
    Counter(OwnedFd, File),
}

impl OomWatch {
    /// What to wait on, with `sys::event::wait`.
    pub fn descriptor(&self) -> (BorrowedFd<'_>, News) {
        match self {
            Self::File(file) => (file.as_fd(), News::Urgent),
            Self::Counter(counter, _) => (counter.as_fd(), News::Data),
        }
    }

    /// Takes note, so that the next wait is for something new.
    ///
    /// # Errors
    /// The kernel's, except that of a cgroup that is gone.
    pub fn settle(&self) -> Result<()> {
        let taken = match self {
            Self::File(file) => sys::event::reread(file.as_fd()),
            Self::Counter(counter, _) => sys::event::take(counter.as_fd()),
        };
        match taken {
            Ok(()) | Err(sys::Errno::NODEV | sys::Errno::AGAIN) => Ok(()),
            Err(errno) => Err(errno).step(|| "take note of a memory event".to_owned(), "read"),
        }
    }
}

impl Cgroup {
    /// Starts watching; `None` where the cgroup has no memory controller.
    ///
    /// # Errors
    /// The kernel's.
    pub fn watch_oom(&self) -> Result<Option<OomWatch>> {
        let Some(dir) = self.dir("memory") else {
            return Ok(None);
        };
        let file = if self.is_unified() {
            "memory.events"
        } else {
            "memory.oom_control"
        };
        let path = dir.join(file);
        let open = match File::open(&path) {
            Ok(open) => open,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let errno = sys::Errno::from_io_error(&error).unwrap_or(sys::Errno::IO);
                return Err(failed("watch memory events", "open", &path, errno));
            }
        };
        if self.is_unified() {
            let watch = OomWatch::File(open);
            watch.settle()?;
            return Ok(Some(watch));
        }
        let counter =
            sys::event::counter().step(|| "watch memory events".to_owned(), "eventfd2")?;
        let line = format!("{} {}", counter.as_raw_fd(), open.as_raw_fd());
        dir::write(dir, "cgroup.event_control", &line)
            .map_err(|errno| failed("watch memory events", "write", dir, errno))?;
        Ok(Some(OomWatch::Counter(counter, open)))
    }
}

//! One container's directory.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use sys::file::{self, Kind};
use sys::{Errno, process};

use super::Record;
use crate::compat;
use crate::error::{Error, Kernelize, Result};

const RECORD: &CStr = c"record.json";
/// Where a restore shows CRIU the root as a mount.
pub const CRIU_ROOT: &CStr = c"criu-root";
const NEXT: &CStr = c"record.next";
const GATE: &CStr = c"gate";
const ANSWER: &CStr = c"answer";

/// An opened container directory. Its lock, once taken, ends with it.
#[derive(Debug)]
pub struct Slot {
    /// The container's name.
    pub id: String,
    directory: OwnedFd,
}

impl Slot {
    pub(super) fn new(id: &str, directory: OwnedFd) -> Self {
        Self {
            id: id.to_owned(),
            directory,
        }
    }

    /// The directory itself.
    #[must_use]
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    fn step(&self) -> String {
        format!("state of {:?}", self.id)
    }

    /// Waits until nobody else changes the container, and keeps others from it.
    ///
    /// # Errors
    /// The kernel's.
    pub fn lock(&self) -> Result<()> {
        file::lock(self.directory.as_fd()).step(|| self.step(), "flock")
    }

    /// Whether somebody else is changing the container just now.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        file::try_lock(self.directory.as_fd()) == Err(Errno::AGAIN)
    }

    /// Reads the facts.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there are none (yet).
    pub fn record(&self) -> Result<Record> {
        const LIMIT: usize = 2 * crate::config::SIZE_LIMIT;
        let file = match file::open_read(self.directory.as_fd(), RECORD) {
            Err(Errno::NOENT) => {
                return Err(Error::NotFound(compat::CONTAINER_DOES_NOT_EXIST.to_owned()));
            }
            result => result.step(|| self.step(), "openat")?,
        };
        Record::parse(&file::read_file(file.as_fd(), LIMIT).step(|| self.step(), "read")?)
    }

    /// Writes the facts, in one piece for every reader.
    ///
    /// # Errors
    /// The kernel's.
    pub fn write(&self, record: &Record) -> Result<()> {
        let text = serde_json::to_vec(record).map_err(|error| Error::Bug(error.to_string()))?;
        match file::remove(self.directory.as_fd(), NEXT) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(Error::kernel(self.step(), "unlinkat", "", errno)),
        }
        let next =
            file::make_file(self.directory.as_fd(), NEXT, 0o600).step(|| self.step(), "openat")?;
        file::write_all(next.as_fd(), &text).step(|| self.step(), "write")?;
        file::rename(self.directory.as_fd(), NEXT, RECORD).step(|| self.step(), "renameat")
    }

    /// Makes the fifos through which `start` will speak; both ends open, so that neither side ever waits to open.
    ///
    /// # Errors
    /// The kernel's.
    pub fn make_gate(&self) -> Result<(OwnedFd, OwnedFd)> {
        let make = |name: &CStr| {
            file::make_node(self.directory.as_fd(), name, Kind::Fifo, 0o600, (0, 0))
                .step(|| self.step(), "mknodat")?;
            file::open_both(self.directory.as_fd(), name).step(|| self.step(), "openat")
        };
        Ok((make(GATE)?, make(ANSWER)?))
    }

    /// Opens the fifos of a created container: the one to write to, the one to read.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open_gate(&self) -> Result<(OwnedFd, OwnedFd)> {
        let gate = file::open_both(self.directory.as_fd(), GATE).step(|| self.step(), "openat")?;
        let answer = file::open_read_at_once(self.directory.as_fd(), ANSWER)
            .step(|| self.step(), "openat")?;
        Ok((gate, answer))
    }

    /// Whether the container still waits for `start`.
    #[must_use]
    pub fn has_gate(&self) -> bool {
        file::facts_at(self.directory.as_fd(), GATE).is_ok()
    }

    /// Removes the fifos: the container was started.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove_gate(&self) -> Result<()> {
        for name in [GATE, ANSWER] {
            match file::remove(self.directory.as_fd(), name) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(Error::kernel(self.step(), "unlinkat", "", errno)),
            }
        }
        Ok(())
    }

    /// Removes everything in the directory; what is missing is fine.
    ///
    /// # Errors
    /// The kernel's.
    pub fn clear(&self) -> Result<()> {
        let known = [NEXT, GATE, ANSWER, RECORD];
        for name in known {
            match file::remove(self.directory.as_fd(), name) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(Error::kernel(self.step(), "unlinkat", "", errno)),
            }
        }
        // Of a restore that was killed; what was mounted there went with its namespace.
        match file::remove_directory(self.directory.as_fd(), CRIU_ROOT) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(Error::kernel(self.step(), "unlinkat", "", errno)),
        }
    }
}

/// A process's state letter and start time, from `/proc/PID/stat`; `None` where there is no such process.
#[must_use]
pub fn process_facts(pid: i32) -> Option<(u8, u64)> {
    let path = std::ffi::CString::new(format!("/proc/{pid}/stat")).ok()?;
    let stat = file::open_read(file::here(), &path).ok()?;
    let text = file::read_all(stat.as_fd(), 4096).ok()?;
    // The name, in parentheses, may contain anything; what follows the last one is fixed (proc_pid_stat(5)).
    let rest = &text[text.iter().rposition(|byte| *byte == b')')? + 2..];
    let mut fields = rest.split(|byte| *byte == b' ');
    let letter = *fields.next()?.first()?;
    let start = std::str::from_utf8(fields.nth(18)?).ok()?.parse().ok()?;
    Some((letter, start))
}

/// A descriptor of the process `pid` that started at `start_time`; `None` when it is gone, even if its number is in use.
#[must_use]
pub fn open_process(pid: i32, start_time: u64) -> Option<OwnedFd> {
    let pidfd = process::open(pid).ok()?;
    let (letter, start) = process_facts(pid)?;
    (start == start_time && !matches!(letter, b'Z' | b'X')).then_some(pidfd)
}

//! Stopping all processes of a cgroup at once, and signalling them while none can fork away.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use sys::Errno;

use super::{Cgroup, dir, failed};
use crate::error::{Error, Result};

/// How long a freeze may take before it is undone. A process in uninterruptible sleep holds it up.
const TIME: Duration = Duration::from_secs(10);

/// The file of one version, what is written, and how its state reads.
struct Files<'a> {
    dir: &'a Path,
    control: &'static str,
    freeze: &'static str,
    thaw: &'static str,
}

impl Files<'_> {
    /// v2's `cgroup.freeze` (Linux 5.2), or v1's freezer.
    fn of(cgroup: &Cgroup) -> Result<Files<'_>> {
        let (found, control, freeze, thaw) = if cgroup.is_unified() {
            (cgroup.dir(""), "cgroup.freeze", "1", "0")
        } else {
            (cgroup.dir("freezer"), "freezer.state", "FROZEN", "THAWED")
        };
        let dir = found.ok_or_else(|| Error::Unsupported {
            feature: "pausing a container".to_owned(),
            missing: "it has no cgroup with a freezer".to_owned(),
        })?;
        Ok(Files {
            dir,
            control,
            freeze,
            thaw,
        })
    }

    fn write(&self, value: &str) -> Result<()> {
        dir::write(self.dir, self.control, value).map_err(|errno| self.refused(value, errno))
    }

    fn refused(&self, value: &str, errno: Errno) -> Error {
        if matches!(errno, Errno::NOENT | Errno::NODEV) && !self.dir.exists() {
            return Error::NotFound(crate::compat::CGROUP_NOT_EXIST.to_owned());
        }
        let step = format!("set {} to {value:?}", self.control);
        failed(step, "write", &self.dir.join(self.control), errno)
    }

    /// Whether every process has stopped. v1 says `FREEZING` until then, v2 tells it in `cgroup.events`.
    fn done(&self) -> Result<bool> {
        let v2 = self.control == "cgroup.freeze";
        let file = if v2 { "cgroup.events" } else { self.control };
        let text = dir::read(self.dir, file).map_err(|errno| self.refused(self.freeze, errno))?;
        Ok(if v2 {
            text.lines().any(|l| l == "frozen 1")
        } else {
            text == self.freeze
        })
    }
}

impl Cgroup {
    /// Stops every process, and returns when all have stopped. After ten seconds gives up and lets them go on.
    ///
    /// # Errors
    /// [`Error::Timeout`]; [`Error::Unsupported`] without a freezer; what the kernel says.
    pub fn freeze(&self) -> Result<()> {
        let files = Files::of(self)?;
        let deadline = Instant::now() + TIME;
        let mut pause = Duration::from_micros(50);
        let mut round = 0_u32;
        files.write(files.freeze)?;
        loop {
            match files.done() {
                Ok(true) => return Ok(()),
                Ok(false) if Instant::now() < deadline => {}
                Ok(false) => {
                    files.write(files.thaw)?;
                    let text = format!(
                        "unable to freeze {} within {} s",
                        files.dir.display(),
                        TIME.as_secs()
                    );
                    return Err(Error::Timeout(text));
                }
                Err(error) => {
                    files.write(files.thaw)?;
                    return Err(error);
                }
            }
            sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
            round += 1;
            if round.is_multiple_of(50) && !self.is_unified() {
                // v1 can miss a task that was just forked or sits in a vfork; going back once gets it (runc #2774).
                files.write(files.thaw)?;
                sleep(pause);
            }
            if !self.is_unified() {
                files.write(files.freeze)?;
            }
        }
    }

    /// Lets every process go on.
    ///
    /// # Errors
    /// As [`Self::freeze`], without the timeout.
    pub fn thaw(&self) -> Result<()> {
        let files = Files::of(self)?;
        files.write(files.thaw)
    }

    /// Whether the cgroup was told to stop. One without a freezer, or one that is gone, was not.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn frozen(&self) -> Result<bool> {
        let Ok(files) = Files::of(self) else {
            return Ok(false);
        };
        let read = || dir::read_optional(files.dir, files.control);
        let state =
            read().map_err(|errno| failed("read freezer state", "read", files.dir, errno))?;
        Ok(state.is_some_and(|s| s != files.thaw))
    }

    /// Sends `signal` to every process in the cgroup and below it, once, so that none escapes by forking: SIGKILL by
    /// `cgroup.kill` (Linux 5.14), else frozen first and let go afterwards, which a killed v1 cgroup needs to die.
    ///
    /// # Errors
    /// What the kernel says, for the first process that it refused.
    pub fn kill_all(&self, signal: i32) -> Result<()> {
        if signal == nix::libc::SIGKILL && self.kill_at_once()? {
            return Ok(());
        }
        // Nobody is there to fork: the usual case when init had a pid namespace of its own.
        if self.pids()?.is_empty() {
            return Ok(());
        }
        // Where there is no freezer, or it is stuck, signalling one by one is still better than not at all.
        let was_frozen = self.frozen()?;
        let stopped = was_frozen || self.freeze().is_ok();
        let sent = self.pids().and_then(|pids| {
            let mut first = Ok(());
            for pid in pids {
                first = first.and(send(pid, signal));
            }
            first
        });
        if stopped && (!was_frozen || signal == nix::libc::SIGKILL) {
            self.thaw()?;
        }
        sent
    }

    fn kill_at_once(&self) -> Result<bool> {
        let Some(dir) = self.unified_only() else {
            return Ok(false);
        };
        match dir::write(dir, "cgroup.kill", "1") {
            Ok(()) => Ok(true),
            // An older kernel, a threaded cgroup, or no cgroup any more: the long way tells.
            Err(Errno::NOENT | Errno::NODEV | Errno::OPNOTSUPP) => Ok(false),
            Err(errno) => Err(failed(
                "kill processes",
                "write",
                &dir.join("cgroup.kill"),
                errno,
            )),
        }
    }
}

/// Signals `pid`, which may have ended.
fn send(pid: i32, signal: i32) -> Result<()> {
    let sent = sys::process::open(pid).and_then(|process| {
        use std::os::fd::AsFd;
        sys::process::signal(process.as_fd(), signal)
    });
    match sent {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(errno) => Err(Error::kernel(
            "kill processes",
            "pidfd_send_signal",
            pid.to_string(),
            errno,
        )),
    }
}

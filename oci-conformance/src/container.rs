//! One container as the suite drives it: by the runtime's command line, its own init's pidfd and its stdout.

use crate::report::Report;
use crate::rig::Rig;
use crate::verdict::{Stop, Verdict, fail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, pidfd_open};
use serde_json::Value;
use std::fs;
use std::io::{PipeReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long anything may take before the case fails.
pub const LIMIT: Duration = Duration::from_secs(15);

/// A container that `create` has made.
pub struct Container {
    /// Its ID.
    pub id: String,
    /// Its init's pid as the host sees it.
    pub pid: i32,
    pidfd: OwnedFd,
    out: PipeReader,
    seen: Vec<u8>,
    errors: PathBuf,
    /// The exit status, once waited for.
    code: Option<i32>,
    ended: bool,
}

impl Container {
    /// Takes over what `create` left: the pid file's pid, the pipe that is the container's stdout.
    pub fn adopt(id: &str, pid_file: &std::path::Path, out: PipeReader, errors: PathBuf) -> Verdict<Self> {
        let text = fs::read_to_string(pid_file)?;
        let Ok(pid) = text.trim().parse::<i32>() else {
            return fail(format!("the pid file holds {text:?}"));
        };
        let Some(raw) = rustix::process::Pid::from_raw(pid) else {
            return fail("the pid file holds 0");
        };
        let pidfd =
            pidfd_open(raw, PidfdFlags::empty()).map_err(|error| Stop::Failed(format!("the container's process {pid} is not there: {error}")))?;
        Ok(Self { id: id.to_owned(), pid, pidfd, out, seen: Vec::new(), errors, code: None, ended: false })
    }

    /// Starts it.
    pub fn start(&mut self, rig: &Rig) -> Verdict {
        let ran = rig.operate(&["start", &self.id])?;
        require!(ran.ok, "start failed: {}{}", ran.text, self.errors());
        Ok(())
    }

    /// Its state as the runtime tells it.
    pub fn state(&self, rig: &Rig) -> Verdict<Value> {
        rig.state(&self.id)
    }

    /// What it and its runtime wrote to stderr.
    pub fn errors(&self) -> String {
        fs::read_to_string(&self.errors).unwrap_or_default()
    }

    /// Reads on until the probe says it is ready, or has ended.
    pub fn ready(&mut self) -> Verdict<Report> {
        let wanted = b"{\"at\":\"ready\"";
        self.read_until(|seen| seen.windows(wanted.len()).any(|w| w == wanted))?;
        let report = self.report();
        require!(report.has("ready"), "the probe ended before it was ready: {}", self.errors());
        Ok(report)
    }

    /// Waits for the container's end and returns all the probe saw.
    pub fn finish(&mut self) -> Verdict<Report> {
        self.read_until(|_| false)?;
        self.wait()?;
        Ok(self.report())
    }

    /// Waits until the container's init has exited, and reaps it where it is this process's child.
    pub fn wait(&mut self) -> Verdict<Option<i32>> {
        if !self.ended {
            if !readable(self.pidfd.as_fd(), Instant::now() + LIMIT)? {
                return fail(format!("the container did not end within {} s", LIMIT.as_secs()));
            }
            self.code = match waitpid(Pid::from_raw(self.pid), None) {
                Ok(WaitStatus::Exited(_, code)) => Some(code),
                Ok(WaitStatus::Signaled(_, signal, _)) => Some(128 + signal as i32),
                _ => None,
            };
            self.ended = true;
        }
        Ok(self.code)
    }

    fn read_until(&mut self, enough: impl Fn(&[u8]) -> bool) -> Verdict {
        let deadline = Instant::now() + LIMIT;
        let mut chunk = [0; 65536];
        while !enough(&self.seen) {
            if !readable(self.out.as_fd(), deadline)? {
                return fail(format!("no answer from inside within {} s: {}", LIMIT.as_secs(), self.errors()));
            }
            let count = self.out.read(&mut chunk)?;
            if count == 0 {
                break;
            }
            self.seen.extend_from_slice(&chunk[..count]);
        }
        Ok(())
    }

    fn report(&self) -> Report {
        Report::parse(&String::from_utf8_lossy(&self.seen), self.code)
    }
}

/// Waits until the descriptor can be read or has ended; false when the deadline comes first.
pub fn readable(fd: std::os::fd::BorrowedFd<'_>, deadline: Instant) -> Verdict<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Err(nix::errno::Errno::EINTR) => {}
            other => return Ok(other? > 0),
        }
    }
}

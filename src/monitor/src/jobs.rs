//! Runtime calls under way, and what each one's end means.

use std::path::PathBuf;

use crate::runtime::Call;

/// What a finished call leads to.
#[derive(Debug)]
pub enum Purpose {
    /// The container is created (or not).
    Create,
    /// It is started (or not); the client that asked waits.
    Start {
        /// Who asked.
        client: u64,
    },
    /// An exec session's process is made (or not).
    Exec {
        /// Its session.
        session: u64,
        /// Who asked.
        client: u64,
        /// Where the runtime writes its pid.
        pid_file: PathBuf,
    },
    /// The runtime forgets the container; the last call of all.
    Delete,
}

/// A call under way.
#[derive(Debug)]
pub struct Job {
    /// The call.
    pub call: Call,
    /// Its meaning.
    pub purpose: Purpose,
}

/// All of them, and the exits of processes nobody has claimed yet: an exec's process may end before the runtime that
/// made it does.
#[derive(Debug, Default)]
pub struct Jobs {
    running: Vec<Job>,
    unclaimed: Vec<(i32, i32)>,
    numbers: u64,
}

impl Jobs {
    /// A number no other call has.
    pub fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Remembers a call.
    pub fn add(&mut self, call: Call, purpose: Purpose) {
        self.running.push(Job { call, purpose });
    }

    /// The call whose process was `pid`, removed.
    pub fn take(&mut self, pid: i32) -> Option<Job> {
        let at = self.running.iter().position(|job| job.call.pid == pid)?;
        Some(self.running.swap_remove(at))
    }

    /// Keeps an exit nobody knows while a call could still claim it.
    pub fn keep(&mut self, pid: i32, code: i32) {
        if self
            .running
            .iter()
            .any(|job| matches!(job.purpose, Purpose::Create | Purpose::Exec { .. }))
        {
            self.unclaimed.push((pid, code));
        }
    }

    /// The exit code of a process that ended before it was known.
    pub fn claim(&mut self, pid: i32) -> Option<i32> {
        let at = self.unclaimed.iter().position(|(known, _)| *known == pid)?;
        Some(self.unclaimed.swap_remove(at).1)
    }

    /// Forgets unclaimed exits once nothing can claim them.
    pub fn settle(&mut self) {
        if self.running.is_empty() {
            self.unclaimed = Vec::new();
        }
    }
}

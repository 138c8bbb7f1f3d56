//! Standing by a program in the foreground: its signals, its terminal, its end.

use std::os::fd::{AsFd, OwnedFd};

use sys::process::{self, Child, Exit};
use sys::signal;

use super::make::Made;
use super::relay::Relay;
use super::teardown;
use crate::cli::LaunchFlags;
use crate::error::{Kernelize, Result};
use crate::state::{Record, Root};

const SIGCHLD: i32 = 17;
const SIGPIPE: i32 = 13;
const SIGURG: i32 = 23;
const SIGWINCH: i32 = 28;

/// What is made ready before the program runs, so that nothing is missed when it ends at once.
#[derive(Debug)]
pub struct Session {
    signals: OwnedFd,
    relay: Option<Relay>,
}

impl Session {
    /// Holds signals, becomes the parent of orphans, takes the terminal over.
    ///
    /// # Errors
    /// The kernel's.
    pub fn prepare(made: &Made, flags: &LaunchFlags) -> Result<Self> {
        if !flags.no_subreaper {
            process::set_subreaper()
                .step(|| "foreground".to_owned(), "prctl PR_SET_CHILD_SUBREAPER")?;
        }
        let master = made
            .dialogue
            .master
            .as_ref()
            .map(OwnedFd::try_clone)
            .transpose();
        let master = master
            .map_err(|_| crate::error::Error::kernel("terminal", "dup", "", sys::Errno::MFILE))?;
        Self::with_master(master)
    }

    /// The same for any process, with the master of its terminal.
    ///
    /// # Errors
    /// The kernel's.
    pub fn with_master(master: Option<OwnedFd>) -> Result<Self> {
        let signals = hold_signals()?;
        let relay = master.map(Relay::new).transpose()?;
        Ok(Self { signals, relay })
    }

    /// Waits for the program's end.
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait(mut self, child: &Child) -> Result<Exit> {
        let step = || "foreground".to_owned();
        loop {
            let mut watched = vec![child.pidfd.as_fd(), self.signals.as_fd()];
            if let Some(relay) = &self.relay {
                watched.extend(relay.watched());
            }
            let ready = signal::poll(&watched, -1).step(step, "poll")?;
            drop(watched);
            if ready[1] {
                self.forward(child);
            }
            if let Some(relay) = &mut self.relay {
                relay.pump(&ready[2..])?;
            }
            if ready[0] {
                break;
            }
        }
        if let Some(relay) = &mut self.relay {
            relay.drain()?;
        }
        process::wait(child.pidfd.as_fd()).step(step, "waitid")
    }

    fn forward(&self, child: &Child) {
        while let Some((number, _)) = signal::next(self.signals.as_fd()) {
            match number {
                SIGCHLD => while process::reap_but(child.pid).is_some() {},
                SIGPIPE | SIGURG => {}
                SIGWINCH => {
                    if let Some(relay) = &self.relay {
                        relay.resize();
                    }
                }
                // Gone meanwhile: its end is reported next.
                _ => drop(process::signal(child.pidfd.as_fd(), number)),
            }
        }
    }
}

/// Removes a container whose program has ended in the foreground.
///
/// # Errors
/// The first failure of all teardown steps.
pub fn clean_up(root: &Root, record: &Record) -> Result<()> {
    let Ok(slot) = root.find(&record.id) else {
        // Somebody has deleted it meanwhile.
        return Ok(());
    };
    slot.lock()?;
    let record = slot.record().unwrap_or_else(|_| record.clone());
    teardown::kill(&record)?;
    teardown::remove(root, &slot, Some(&record))?;
    teardown::poststop(&record);
    Ok(())
}

/// Signals wait for the foreground from here on.
fn hold_signals() -> Result<OwnedFd> {
    signal::block_all().step(|| "signals".to_owned(), "rt_sigprocmask")?;
    signal::descriptor().step(|| "signals".to_owned(), "signalfd4")
}

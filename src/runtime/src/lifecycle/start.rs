//! `start`: opens the gate and waits until the program runs.

use std::os::fd::{AsFd, BorrowedFd};

use sys::{Errno, file, signal};

use super::{Context, teardown};
use crate::cli::Start;
use crate::compat;
use crate::config::{Config, Point};
use crate::error::{Error, Kernelize, Result};
use crate::hooks::{self, Setting};
use crate::init::wire::{self, CONTINUE, Message, tag};
use crate::state::slot::open_process;
use crate::state::{Record, Status};

/// Lets a created container run its program.
///
/// # Errors
/// [`Error::WrongState`] for others; whatever keeps the program from starting, upon which the container is stopped.
pub fn start(context: &Context, verb: &Start) -> Result<()> {
    let root = context.root()?;
    let slot = root.find(&verb.id)?;
    slot.lock()?;
    let record = slot.record()?;
    match Status::of(&slot, &record) {
        Status::Created | Status::Creating => {}
        Status::Stopped => return Err(Error::WrongState(compat::START_STOPPED.to_owned())),
        Status::Running | Status::Paused => {
            return Err(Error::WrongState(compat::START_RUNNING.to_owned()));
        }
    }
    let (gate, answer) = slot.open_gate()?;
    let init = open_process(record.pid, record.start_time)
        .ok_or_else(|| Error::WrongState(compat::START_STOPPED.to_owned()))?;
    file::write_all(gate.as_fd(), &[CONTINUE]).step(|| "start gate".to_owned(), "write")?;
    drop(gate);
    let result = wait(answer.as_fd(), init.as_fd());
    slot.remove_gate()?;
    let config = record.config()?;
    result
        .and_then(|()| poststart(&config, &record))
        .inspect_err(|error| {
            let killed = teardown::kill(&record);
            // A failed hook ends the container's life altogether (runtime-spec `runtime.md`, lifecycle steps 7, 9, 12, 13).
            if matches!(error, Error::Hook(_))
                && let Err(left) =
                    killed.and_then(|()| teardown::remove(&root, &slot, Some(&record)))
            {
                tracing::warn!("{}: {left}", record.id);
            }
            if matches!(error, Error::Hook(_)) {
                teardown::poststop(&record);
            }
        })
}

/// The end of the answer fifo says that the program runs; words in it say what went wrong.
fn wait(answer: BorrowedFd<'_>, init: BorrowedFd<'_>) -> Result<()> {
    let step = || "start gate".to_owned();
    let mut said = Vec::new();
    loop {
        let ready = signal::poll(&[answer, init], -1).step(step, "poll")?;
        match file::read_some(answer) {
            Ok(bytes) if bytes.is_empty() => break,
            Ok(bytes) => said.extend(bytes),
            Err(Errno::AGAIN) if ready[1] => break,
            Err(Errno::AGAIN) => {}
            Err(errno) => return Err(Error::kernel(step(), "read", "", errno)),
        }
    }
    match said.split_first() {
        Some((&tag::FAILED, payload)) => Err(wire::decode(payload)),
        Some(_) => Err(Error::Bug("init said what it has no words for".to_owned())),
        None => Ok(()),
    }
}

/// The same over the channel of `run`.
///
/// # Errors
/// Whatever kept the program from starting.
pub fn outcome(channel: BorrowedFd<'_>) -> Result<()> {
    match wire::receive(channel)? {
        Message::Closed => Ok(()),
        Message::Failed(error) => Err(error),
        other => Err(Error::Bug(format!("init said {other:?} after the gate"))),
    }
}

/// Runs the poststart hooks.
///
/// # Errors
/// [`Error::Hook`]; the container is then to be stopped (runtime-spec `runtime.md`, lifecycle step 9).
pub fn poststart(config: &Config, record: &Record) -> Result<()> {
    let setting = Setting {
        state: teardown::hook_state(config, &record.id).json("running", Some(record.pid)),
        directory: Some(&record.bundle),
        environment: None,
    };
    hooks::run(
        Point::Poststart,
        config.hooks.at(Point::Poststart),
        &setting,
    )
}

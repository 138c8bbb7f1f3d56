//! The maker's side of the conversation with its child.

use std::os::fd::{AsFd, OwnedFd};

use sys::{Errno, process, socket};

use crate::error::{Error, Result};
use crate::init::wire::{self, CONTINUE, Message};
use crate::seccomp::{self, Listener};
use crate::state::HookState;

/// A child and the channel to it.
#[derive(Debug)]
pub struct Dialogue {
    /// Our end.
    pub channel: OwnedFd,
    /// The process that becomes the program; a second one when the first had to make it.
    pub child: process::Child,
    /// The terminal's master, once the child has sent it.
    pub master: Option<OwnedFd>,
    /// Who is told of system calls, if anybody.
    pub listener: Option<Listener>,
    /// What that one is told of the container.
    pub state: HookState,
}

impl Dialogue {
    /// A conversation that begins.
    #[must_use]
    pub fn new(
        channel: OwnedFd,
        child: process::Child,
        listener: Option<Listener>,
        state: HookState,
    ) -> Self {
        Self {
            channel,
            child,
            master: None,
            listener,
            state,
        }
    }

    /// Lets the child go on.
    ///
    /// # Errors
    /// The kernel's.
    pub fn say_continue(&self) -> Result<()> {
        match socket::send(self.channel.as_fd(), &[CONTINUE], &[]) {
            // It is gone; what it said last is still to be read.
            Ok(()) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(errno) => Err(Error::kernel("channel to the child", "sendmsg", "", errno)),
        }
    }

    /// Reads the child's messages until the one that `wanted` knows.
    ///
    /// # Errors
    /// What the child failed with.
    pub fn expect(&mut self, wanted: impl Fn(&Message) -> bool) -> Result<()> {
        loop {
            match wire::receive(self.channel.as_fd())? {
                message if wanted(&message) => return Ok(()),
                Message::Terminal(master) => self.master = Some(master),
                Message::Reborn(pidfd) => self.follow(pidfd).and_then(|()| self.say_continue())?,
                Message::Listener(number) => self.listen(number)?,
                Message::Failed(error) => return Err(error),
                Message::Closed => return Err(self.death()),
                other => return Err(Error::Bug(format!("the child said {other:?} out of turn"))),
            }
        }
    }

    /// The first child could enter its pid namespace only by a child of its own, which is ours by `CLONE_PARENT`.
    fn follow(&mut self, pidfd: OwnedFd) -> Result<()> {
        let failed = |errno| Error::kernel("init process", "waitid", "", errno);
        let pid = process::number(pidfd.as_fd()).map_err(failed)?;
        process::wait(self.child.pidfd.as_fd()).map_err(failed)?;
        self.child = process::Child { pid, pidfd };
        Ok(())
    }

    fn listen(&mut self, number: i32) -> Result<()> {
        let step = "seccomp listener";
        let descriptor = process::take_descriptor(self.child.pidfd.as_fd(), number)
            .map_err(|errno| Error::kernel(step, "pidfd_getfd", "", errno))?;
        let listener = self
            .listener
            .as_ref()
            .ok_or_else(|| Error::Bug("a listener nobody asked for".to_owned()))?;
        let state = self.state.json("creating", Some(self.child.pid));
        let state = String::from_utf8(state).map_err(|error| Error::Bug(error.to_string()))?;
        seccomp::notify(listener, descriptor.as_fd(), self.child.pid, &state)?;
        self.say_continue()
    }

    /// The child ended without a word: killed.
    fn death(&self) -> Error {
        let how = match process::wait(self.child.pidfd.as_fd()) {
            Ok(process::Exit::Signal(signal)) => format!("signal {signal}"),
            Ok(process::Exit::Status(status)) => format!("exit status {status}"),
            Err(errno) => sys::describe(errno),
        };
        Error::WrongState(format!("container init ended before its program: {how}"))
    }

    /// Ends a child that must not go on.
    pub fn end(&self) {
        const SIGKILL: i32 = 9;
        process::signal(self.child.pidfd.as_fd(), SIGKILL).ok();
        process::wait(self.child.pidfd.as_fd()).ok();
    }
}

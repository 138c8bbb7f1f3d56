//! Performs the child's list.

use std::os::fd::{AsFd, BorrowedFd};

use sys::{Errno, file, socket};

use super::wire::{self, CONTINUE, tag};
use super::{Birth, Gate, Receiver};
use crate::cgroups::Layout;
use crate::config::Point;
use crate::error::{Error, Kernelize, Result};
use crate::hooks::{self, Setting};
use crate::mounts::apply::{CgroupMount, Scene};
use crate::namespaces;
use crate::plan::ChildAction;
use crate::process::apply::Body;

/// Everything of the child's until it becomes the program; returns its exit status when that failed.
#[must_use]
pub fn perform(birth: &Birth<'_>) -> i32 {
    let mut child = Child {
        birth,
        scene: Scene {
            opened: Some(birth.sources),
            private_parent: birth.private_parent,
            cover: birth.cover.clone(),
            ..Scene::default()
        },
        body: Body {
            args: birth.args.clone(),
            env: birth.env.clone(),
            program: None,
            parent: birth.parent,
        },
        gate_open: false,
    };
    for step in birth.steps {
        if let Err(error) = child.step(&step.action) {
            child.report(&error);
            return 1;
        }
    }
    0
}

struct Child<'a> {
    birth: &'a Birth<'a>,
    scene: Scene<'a>,
    body: Body,
    gate_open: bool,
}

impl Child<'_> {
    fn step(&mut self, action: &ChildAction) -> Result<()> {
        match action {
            ChildAction::Namespace(order) => namespaces::apply(order, self.birth.namespaces),
            ChildAction::Mount(order) => self.scene.apply(order, cgroups),
            ChildAction::Process(order) => {
                let slave = self.scene.terminal.as_ref().map(|pair| pair.slave.as_fd());
                self.body.apply(order, slave)
            }
            ChildAction::Await => self.await_continue(),
            ChildAction::RuntimeHooks => self
                .say(&[tag::RUNTIME_HOOKS])
                .and_then(|()| self.await_continue()),
            ChildAction::Hooks(point) => self.hooks(*point),
            ChildAction::HandOverTerminal => self.hand_over_terminal(),
            ChildAction::Seccomp => Err(Error::Unsupported {
                feature: "linux.seccomp".to_owned(),
                missing: "no compiler in this build".to_owned(),
            }),
            ChildAction::HandOver => self
                .say(&[tag::HAND_OVER])
                .and_then(|()| self.await_continue()),
            ChildAction::Gate => self.gate(),
        }
    }

    /// With plain write(2): a seccomp filter that is in force already may know no sendmsg.
    fn say(&self, message: &[u8]) -> Result<()> {
        file::write_all(self.birth.channel.as_fd(), message)
            .step(|| "channel to the runtime".to_owned(), "write")
    }

    fn await_continue(&self) -> Result<()> {
        await_byte(self.birth.channel.as_fd(), "channel to the runtime")
    }

    fn hand_over_terminal(&mut self) -> Result<()> {
        let pair = self
            .scene
            .terminal
            .as_ref()
            .ok_or_else(|| Error::Bug("no terminal was opened".to_owned()))?;
        let master = [pair.master.as_fd()];
        let step = || "console socket".to_owned();
        match &self.birth.receiver {
            Receiver::Maker => socket::send(self.birth.channel.as_fd(), &[tag::TERMINAL], &master)
                .step(step, "sendmsg"),
            Receiver::Socket(socket) => {
                socket::send(socket.as_fd(), b"/dev/pts/ptmx", &master).step(step, "sendmsg")
            }
        }
    }

    fn hooks(&self, point: Point) -> Result<()> {
        let (status, environment) = match point {
            Point::StartContainer => ("created", self.environment()),
            _ => ("creating", Vec::new()),
        };
        let pid = sys::process::id();
        let setting = Setting {
            state: self.birth.state.json(status, Some(pid)),
            directory: (point == Point::CreateContainer).then_some(self.birth.rootfs.as_path()),
            environment: Some(environment),
        };
        hooks::run(point, self.birth.hooks.at(point), &setting)
    }

    fn environment(&self) -> Vec<(String, String)> {
        let pair = |entry: &std::ffi::CString| {
            let text = entry.to_string_lossy();
            text.split_once('=')
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        self.body.env.iter().filter_map(pair).collect()
    }

    fn gate(&mut self) -> Result<()> {
        self.say(&[tag::READY])?;
        match &self.birth.gate {
            Gate::Channel => self.await_continue()?,
            Gate::Fifos { gate, .. } => await_byte(gate.as_fd(), "start gate")?,
        }
        self.gate_open = true;
        Ok(())
    }

    /// Says what went wrong to whoever waits. Nobody may be left, and nothing can be done about that.
    fn report(&self, error: &Error) {
        let message = wire::encode(error);
        let to = match &self.birth.gate {
            Gate::Fifos { answer, .. } if self.gate_open => answer.as_fd(),
            _ => self.birth.channel.as_fd(),
        };
        file::write_all(to, &message).ok();
    }
}

fn await_byte(from: BorrowedFd<'_>, step: &str) -> Result<()> {
    match file::read_byte(from) {
        Ok(Some(CONTINUE)) => Ok(()),
        Ok(_) | Err(Errno::CONNRESET) => Err(Error::WrongState(
            "the runtime ended while it made the container".to_owned(),
        )),
        Err(errno) => Err(Error::kernel(step, "read", "", errno)),
    }
}

fn cgroups() -> Result<Vec<CgroupMount>> {
    let layout = Layout::probe()?;
    let mount = |hierarchy: crate::cgroups::Hierarchy| CgroupMount {
        controllers: hierarchy.controllers,
        mountpoint: hierarchy.mountpoint,
        own: hierarchy.own,
    };
    Ok(layout.hierarchies.into_iter().map(mount).collect())
}

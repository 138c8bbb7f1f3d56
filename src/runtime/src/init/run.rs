//! Performs the child's list.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use sys::{Errno, file, socket};

use super::wire::{self, CONTINUE, tag};
use super::{Birth, Gate, Receiver};
use crate::cgroups::Layout;
use crate::config::Point;
use crate::error::{Error, Kernelize, Result};
use crate::hooks::{self, Setting};
use crate::mounts::apply::{CgroupMount, Scene};
use crate::namespaces;
use crate::plan::{ChildAction, Step};
use crate::process::apply::Body;

const CLONE_PARENT: u64 = 0x8000;

/// Everything of the child's until it becomes the program; returns its exit status when that failed.
#[must_use]
pub fn perform(birth: &Birth<'_>) -> i32 {
    let mut child = Child {
        birth,
        scene: Scene {
            opened: Some(birth.sources),
            slave_root: birth.slave_root,
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
    child.perform(birth.steps)
}

struct Child<'a> {
    birth: &'a Birth<'a>,
    scene: Scene<'a>,
    body: Body,
    gate_open: bool,
}

impl Child<'_> {
    fn perform(&mut self, steps: &[Step<ChildAction>]) -> i32 {
        for (index, step) in steps.iter().enumerate() {
            let result = if step.action == ChildAction::Rebirth {
                match self.rebirth(&steps[index + 1..]) {
                    Ok(()) => return 0,
                    Err(error) => Err(error),
                }
            } else {
                self.step(&step.action)
            };
            if let Err(error) = result {
                self.report(&error);
                return 1;
            }
        }
        0
    }

    /// A sibling, born in the namespaces that only children enter, goes on with the rest of the list.
    fn rebirth(&mut self, rest: &[Step<ChildAction>]) -> Result<()> {
        let how = sys::process::Clone {
            flags: CLONE_PARENT,
            cgroup: None,
        };
        let channel = self.birth.channel.as_fd();
        let sibling = sys::process::clone(&how, || {
            // Not before the runtime knows whom it speaks to.
            match await_byte(channel, "channel to the runtime") {
                Ok(()) => self.perform(rest),
                Err(_) => 1,
            }
        })
        .step(|| "process in the pid namespace".to_owned(), "clone3")?;
        let step = || "channel to the runtime".to_owned();
        socket::send(channel, &[tag::REBORN], &[sibling.pidfd.as_fd()]).step(step, "sendmsg")
    }

    fn seccomp(&self) -> Result<()> {
        let filter = self
            .birth
            .filter
            .ok_or_else(|| Error::Bug("no filter was compiled".to_owned()))?;
        // An unprivileged maker may take the descriptor only out of a process that can be dumped. It is closed to others
        // again right away, where the filter leaves prctl(2) alone, and by its exec at the latest.
        let open = filter.listener.is_some() && !self.birth.privileged_maker;
        let step = || "seccomp listener".to_owned();
        if open {
            sys::process::set_dumpable(true).step(step, "prctl PR_SET_DUMPABLE")?;
        }
        let listener = filter
            .load()
            .step(|| "seccomp filter".to_owned(), "seccomp")?;
        let Some(listener) = listener else {
            return Ok(());
        };
        let mut message = vec![tag::LISTENER];
        message.extend(listener.as_raw_fd().to_ne_bytes());
        self.say(&message)?;
        self.await_continue()?;
        if open {
            sys::process::set_dumpable(false).ok();
        }
        Ok(())
    }

    fn label(&self, order: &crate::lsm::Order) -> Result<()> {
        let step = || "procfs of its own".to_owned();
        let proc =
            sys::procfs::private(|| file::place(file::here(), c"/proc")).step(step, "fsmount")?;
        order.apply(proc.as_fd(), sys::process::id())
    }

    fn open_terminal(&mut self, size: Option<(u16, u16)>, uid: u32) -> Result<()> {
        self.scene.terminal = Some(crate::mounts::console::open_here(size, uid)?);
        Ok(())
    }

    fn step(&mut self, action: &ChildAction) -> Result<()> {
        match action {
            ChildAction::Namespace(order) => {
                namespaces::apply(order, self.birth.namespaces, self.birth.container.as_ref())
            }
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
            ChildAction::Seccomp => self.seccomp(),
            ChildAction::Label(order) => self.label(order),
            ChildAction::Landlock(order) => order.apply(),
            ChildAction::CoreCookie => crate::coresched::apply(),
            ChildAction::OpenTerminal { size, uid } => self.open_terminal(*size, *uid),
            ChildAction::Rebirth => {
                Err(Error::Bug("a rebirth is not a step of its own".to_owned()))
            }
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

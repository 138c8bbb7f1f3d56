//! The child's side: it performs its list of steps between the clone and the exec, and speaks to its maker.
//!
//! One thread, no log, no environment of the caller, no look at the specification; it leaves by exec or `_exit`.

pub mod run;
pub mod wire;

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::config::{Hooks, Kind};
use crate::plan::{ChildAction, Step};

/// Where the signal to start comes from.
#[derive(Debug)]
pub enum Gate {
    /// From the maker itself, by the channel: `run` and `exec`.
    Channel,
    /// From another process, by two fifos in the state directory: `create` and `start`.
    Fifos {
        /// `start` writes one byte here.
        gate: OwnedFd,
        /// What goes wrong after it is said here; closed by the exec.
        answer: OwnedFd,
    },
}

/// Who gets the terminal's master.
#[derive(Debug)]
pub enum Receiver {
    /// The maker.
    Maker,
    /// The caller's console socket.
    Socket(OwnedFd),
}

/// All that the child needs; made by the parent, used by the child's copy.
#[derive(Debug)]
pub struct Birth<'a> {
    /// Its steps.
    pub steps: &'a [Step<ChildAction>],
    /// Its end of the channel.
    pub channel: OwnedFd,
    /// Namespaces that it joins.
    pub namespaces: &'a HashMap<Kind, OwnedFd>,
    /// The container's init, whose namespaces are entered.
    pub container: Option<OwnedFd>,
    /// The seccomp filter.
    pub filter: Option<&'a crate::seccomp::Filter>,
    /// Bind sources that the parent has opened.
    pub sources: &'a HashMap<usize, OwnedFd>,
    /// How it is started.
    pub gate: Gate,
    /// Who gets the terminal.
    pub receiver: Receiver,
    /// Hooks that run in it.
    pub hooks: &'a Hooks,
    /// The state for hooks, without status and pid.
    pub state: crate::state::HookState,
    /// Its program's arguments.
    pub args: Vec<CString>,
    /// Its program's environment.
    pub env: Vec<CString>,
    /// The root filesystem on the host, where createContainer hooks start.
    pub rootfs: PathBuf,
    /// The maker's process number as the child sees it.
    pub parent: i32,
    /// Whether the root's mount must be made a slave first.
    pub slave_root: bool,
    /// Whether its maker may look into it even while it cannot be dumped.
    pub privileged_maker: bool,
    /// Paths to hide where the root is moved.
    pub cover: Vec<CString>,
}

//! `Config` + `Host` → one ordered list of steps for the parent and one for the child. Pure.
//!
//! [`order`] is the only place that knows the sequence; each step says why it stands where it does. [`show`] prints it.

pub mod confinement;
pub mod exec;
mod maker;
pub mod order;
mod outside;
mod program;
pub mod show;
#[cfg(test)]
mod tests;

pub use confinement::Confinement;

use std::path::PathBuf;

use crate::config::process::Limit;
use crate::config::{Kind, Point};
use crate::{mounts, namespaces, netdev, process, rdt};

/// A step and why it stands where it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step<A> {
    /// What is done.
    pub action: A,
    /// Why here.
    pub reason: &'static str,
}

/// What the parent does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParentAction {
    /// Claims the container's name.
    ClaimState,
    /// Opens a namespace that is joined.
    OpenNamespace(Kind, PathBuf),
    /// Makes the cgroup with its limits.
    MakeCgroup,
    /// Opens the source of the bind mount of this index.
    OpenSource(usize),
    /// Makes the time namespace for its children and sets its clocks.
    MakeTimeNamespace,
    /// Enters, for its children, a pid or time namespace that is joined.
    EnterForChildren(Kind),
    /// Makes the child, with these `CLONE_NEW*` bits.
    Clone(u64),
    /// Returns to its own pid and time namespaces.
    ReturnFromNamespaces,
    /// Writes the id maps.
    WriteMaps(namespaces::maps::Way),
    /// Moves the child into the cgroup.
    AttachCgroup,
    /// Moves devices of the host into the container's network namespace.
    NetDevices(Vec<netdev::Order>),
    /// Puts the child into a class of resctrl.
    Rdt(rdt::Order),
    /// Sets the child's score for the out-of-memory killer.
    OomScore(i32),
    /// Sets the child's resource limits.
    Limits(Vec<Limit>),
    /// Lets the child go on.
    Release,
    /// Runs hooks in the runtime's namespaces.
    Hooks(Point),
    /// Waits until the child has done all but the last steps.
    AwaitHandOver,
    /// Writes the record of facts.
    WriteRecord,
    /// Waits until the child stands before its program.
    AwaitReady,
    /// Writes the pid file.
    WritePidFile,
}

/// What the child does between its birth and its program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChildAction {
    /// With namespaces.
    Namespace(namespaces::Order),
    /// With mounts.
    Mount(mounts::Order),
    /// With itself.
    Process(process::Order),
    /// Waits for the parent's [`ParentAction::Release`].
    Await,
    /// Lets the parent run its hooks, and waits.
    RuntimeHooks,
    /// Runs hooks itself.
    Hooks(Point),
    /// Sends the terminal to whom it is for.
    HandOverTerminal,
    /// A child of its own goes on: only children enter a pid or time namespace.
    Rebirth,
    /// Opens a terminal of the container that was entered.
    OpenTerminal {
        /// Rows and columns.
        size: Option<(u16, u16)>,
        /// Owner.
        uid: u32,
    },
    /// Takes on a label of a security module.
    Label(crate::lsm::Order),
    /// Gives up rights to files.
    Landlock(crate::landlock::Order),
    /// Shares no core with strangers.
    CoreCookie,
    /// Installs the seccomp filter.
    Seccomp,
    /// Lets the parent write the record, from which on the container belongs to nobody's process.
    HandOver,
    /// Says that all is ready and waits for `start`.
    Gate,
}

/// All that happens between a bundle and a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The parent's steps.
    pub parent: Vec<Step<ParentAction>>,
    /// The child's steps.
    pub child: Vec<Step<ChildAction>>,
}

/// What of the command line decides about the plan.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// The container's name.
    pub id: String,
    /// Change the root without `pivot_root(2)`.
    pub no_pivot: bool,
    /// Keep the caller's session keyring.
    pub no_new_keyring: bool,
    /// Descriptors from 3 on that the program gets.
    pub passed_descriptors: u32,
}

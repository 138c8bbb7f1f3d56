//! The process itself: limits, identity, capabilities, scheduling, and the program that it becomes.

pub mod apply;
pub mod identity;
pub mod plan;
pub mod program;

use std::ffi::CString;

use sys::scheduling::Policy;

use crate::config::process::{Capabilities, IoPriority};

/// Who the process becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups; `None` where they cannot be set and must stay (`setgroups` denied, or kept on purpose).
    pub groups: Option<Vec<u32>>,
    /// Capability sets after the change.
    pub capabilities: Capabilities,
}

/// One step of the child with the process itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// No stranger may trace it or read its descriptors from here on.
    NotDumpable,
    /// It dies with its parent.
    DieWithParent,
    /// It survives its parent again.
    SurviveParent,
    /// It leads a session of its own.
    Session,
    /// It gets a keyring of its own.
    Keyring {
        /// The keyring's name.
        name: CString,
        /// SELinux label to be given to it.
        label: Option<String>,
    },
    /// The terminal becomes its controlling terminal and standard streams.
    Terminal,
    /// Mask for new files.
    Umask(u32),
    /// `PR_SET_NO_NEW_PRIVS`.
    NoNewPrivileges,
    /// Scheduler.
    Scheduler(Policy),
    /// I/O priority.
    IoPriority(IoPriority),
    /// Execution domain.
    Personality(u64),
    /// Memory policy, mode with flags and nodes.
    MemoryPolicy(i32, Vec<u64>),
    /// Descriptors from this number on do not survive the exec.
    CloseFrom(u32),
    /// First attempt to enter the working directory; one that only the user may enter is left for later.
    EnterEarly(CString),
    /// `HOME` is looked up where the environment has none.
    Home(u32),
    /// The limit of what capabilities can be gained is lowered to these.
    Bounding(u64),
    /// Pipes and terminals on 0 to 2 are given to the user.
    OwnStreams(u32),
    /// Who it becomes.
    Identity(Identity),
    /// The working directory is entered, and must lie in the root.
    Enter(CString),
    /// The program is looked for.
    Resolve(CString),
    /// The program takes over.
    Execute,
}

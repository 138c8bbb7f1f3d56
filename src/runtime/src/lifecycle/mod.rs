//! The parent's half of each verb.
//!
//! Undo is armed at the first acquisition and disarmed on the last line; teardown tries every step, is idempotent, and is
//! the same for `delete` and for a `create` that failed.

mod checkpoint;
mod create;
mod delete;
mod dialogue;
mod events;
mod exec;
mod foreground;
mod idmap;
mod kill;
mod make;
mod mounts;
mod notify;
mod outside;
mod pause;
mod ps;
mod query;
mod relay;
mod restore;
mod seal;
mod spaces;
mod start;
mod teardown;
mod update;

use std::path::PathBuf;

use crate::cgroups::Manager;
use crate::cli::{CgroupManager, Command, GlobalFlags, Invocation, Rootless};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::state::{Root, root};

pub use checkpoint::checkpoint;
pub use create::{create, run};
pub use delete::delete;
pub use events::events;
pub use exec::exec;
pub use kill::kill;
pub use mounts::mounts;
pub use pause::{pause, resume};
pub use ps::ps;
pub use query::{list, plan, state};
pub use restore::restore;
pub use start::start;
pub use update::update;

/// Carries out a command that concerns containers; returns the exit code.
///
/// # Errors
/// Whatever the command says of itself.
pub fn perform(invocation: &Invocation) -> Result<i32> {
    let context = Context {
        program: invocation.program,
        global: invocation.global.clone(),
    };
    match &invocation.command {
        Command::Run(verb) => return run(&context, verb),
        Command::Restore(verb) => return restore(&context, verb),
        Command::Checkpoint(verb) => checkpoint(&context, verb)?,
        Command::Exec(verb) => return exec(&context, verb),
        Command::Create(verb) => create(&context, verb)?,
        Command::Start(verb) => start(&context, verb)?,
        Command::Kill(verb) => kill(&context, verb)?,
        Command::Delete(verb) => delete(&context, verb)?,
        Command::State(verb) => state(&context, verb)?,
        Command::List(verb) => list(&context, verb)?,
        Command::Mounts(verb) => mounts(&context, verb)?,
        Command::Update(verb) => update(&context, verb)?,
        Command::Pause(verb) => pause(&context, verb)?,
        Command::Resume(verb) => resume(&context, verb)?,
        Command::Ps(verb) => ps(&context, verb)?,
        Command::Events(verb) => events(&context, verb)?,
        Command::Plan(verb) => plan(verb)?,
        other => return Err(unsupported(other)),
    }
    Ok(0)
}

fn unsupported(command: &Command) -> Error {
    let name = format!("{command:?}");
    let name = name
        .split(['(', ' ', '{'])
        .next()
        .unwrap_or_default()
        .to_lowercase();
    Error::Unsupported {
        feature: name,
        missing: "this build does not have it yet".to_owned(),
    }
}

/// What holds for every verb of this invocation.
#[derive(Debug, Clone)]
pub struct Context {
    /// What the program is called.
    pub program: &'static str,
    /// The flags before the verb.
    pub global: GlobalFlags,
}

impl Context {
    /// Where the state root is.
    #[must_use]
    pub fn root_path(&self) -> PathBuf {
        match &self.global.root {
            Some(path) => std::path::absolute(path).unwrap_or_else(|_| path.clone()),
            None => root::default_path(self.program),
        }
    }

    /// The state root, made where missing.
    ///
    /// # Errors
    /// The kernel's.
    pub fn root(&self) -> Result<Root> {
        Root::make(&self.root_path())
    }

    /// The cgroup manager that a new container gets.
    #[must_use]
    pub fn manager(&self) -> Manager {
        match self.global.manager() {
            CgroupManager::Cgroupfs => Manager::Cgroupfs,
            CgroupManager::Systemd => Manager::Systemd,
            CgroupManager::Disabled => Manager::Disabled,
        }
    }

    /// Whether cgroup errors are forgiven where nothing was asked for.
    #[must_use]
    pub fn rootless(&self, host: &Host) -> bool {
        match self.global.rootless {
            Rootless::True => true,
            Rootless::False => false,
            Rootless::Auto => host.is_rootless(),
        }
    }
}

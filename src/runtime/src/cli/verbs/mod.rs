//! One struct per command: the flags and arguments a user gave, typed, nothing decided yet. The clap attributes are the
//! only definition; help, man page and completions are made from them.

mod checkpoint;
mod exec;
mod lifecycle;
mod query;
mod update;

pub use checkpoint::{CgroupsMode, Checkpoint, CriuFlags, LsmProfile, NetworkLock, Restore};
pub use exec::Exec;
pub use lifecycle::{
    Create, Delete, Events, Kill, LaunchFlags, Mounts, MountsAction, Pause, Plan, Resume, Run,
    Start,
};
pub use query::{Completion, Features, Format, List, Man, Ps, Spec, State, Version};
pub use update::Update;

/// A command with what was given to it.
#[derive(Debug, Clone, PartialEq, clap::Subcommand)]
pub enum Command {
    /// save the state of a running container to disk
    Checkpoint(Checkpoint),
    /// create a container
    Create(Create),
    /// remove a container and what it holds
    Delete(Delete),
    /// show memory, cpu and i/o statistics and out-of-memory events
    Events(Events),
    /// run a further process in a container
    Exec(Exec),
    /// send a signal to a container's init process
    Kill(Kill),
    /// list the containers below the state root
    List(List),
    /// add mounts to or remove mounts from a running container
    Mounts(Mounts),
    /// suspend all processes of a container
    Pause(Pause),
    /// show what create would do, step by step, without doing it
    Plan(Plan),
    /// show the processes of a container
    Ps(Ps),
    /// bring back a container from a checkpoint
    Restore(Restore),
    /// let the processes of a paused container go on
    Resume(Resume),
    /// create a container and run it
    Run(Run),
    /// write a config.json to begin with
    Spec(Spec),
    /// run the process of a created container
    Start(Start),
    /// show the state of a container
    State(State),
    /// change the resource limits of a container
    Update(Update),
    /// show what this build knows of the runtime specification
    Features(Features),
    /// write a completion script for a shell
    Completion(Completion),
    /// show the version
    Version(Version),
    /// write the manual page keel.8
    #[command(hide = true)]
    Man(Man),
    /// Text that was asked for by `help`, `-h` or no command at all.
    #[command(skip)]
    Help(String),
}

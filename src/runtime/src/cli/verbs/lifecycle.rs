//! Commands that change a container.

use std::path::PathBuf;
use std::time::Duration;

use super::super::value;

/// Flags that create and run share.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
pub struct LaunchFlags {
    /// path of the bundle (default: the current directory)
    #[arg(short, long, value_name = "value")]
    pub bundle: Option<PathBuf>,
    /// name of the configuration file, relative to the bundle (default: config.json)
    #[arg(short = 'f', long, value_name = "value")]
    pub config: Option<PathBuf>,
    /// path of a unix socket that receives the master end of the terminal
    #[arg(long, value_name = "value")]
    pub console_socket: Option<PathBuf>,
    /// path of a unix socket that receives a pidfd of the init process
    #[arg(long, value_name = "value")]
    pub pidfd_socket: Option<PathBuf>,
    /// file to write the pid of the init process to
    #[arg(long, value_name = "value")]
    pub pid_file: Option<PathBuf>,
    /// change the root by moving mounts instead of pivot_root(2), for a root file system on ramfs
    #[arg(long)]
    pub no_pivot: bool,
    /// keep the caller's session keyring
    #[arg(long)]
    pub no_new_keyring: bool,
    /// pass this many further file descriptors, behind stdio and $LISTEN_FDS
    #[arg(long, value_name = "value", value_parser = value::count, default_value = "0")]
    pub preserve_fds: u32,
    /// do not become the subreaper of orphaned processes
    #[arg(long)]
    pub no_subreaper: bool,
}

/// `create ID`: build everything, stop before the user's program.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
pub struct Create {
    /// How it is launched.
    #[command(flatten)]
    pub launch: LaunchFlags,
    /// name of the new container
    #[arg(value_name = "container-id")]
    pub id: String,
}

/// `run ID`: create and start, in the foreground unless detached.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
pub struct Run {
    /// How it is launched.
    #[command(flatten)]
    pub launch: LaunchFlags,
    /// return once the process runs
    #[arg(short, long)]
    pub detach: bool,
    /// keep the container when its process has exited
    #[arg(long)]
    pub keep: bool,
    /// name of the new container
    #[arg(value_name = "container-id")]
    pub id: String,
}

/// `start ID`: let a created container run its program.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
pub struct Start {
    /// name of the container
    #[arg(value_name = "container-id")]
    pub id: String,
}

/// `kill ID [SIGNAL]`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Kill {
    /// signal every process of the container
    #[arg(short, long)]
    pub all: bool,
    /// read the container id as a regular expression
    #[arg(short, long)]
    pub regex: bool,
    /// name of the container
    #[arg(value_name = "container-id")]
    pub id: String,
    /// number or name of the signal
    #[arg(value_name = "signal", value_parser = value::signal, default_value = "SIGTERM")]
    pub signal: i32,
}

/// `delete ID`.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
pub struct Delete {
    /// kill the container first when it runs; say nothing when it does not exist
    #[arg(short, long)]
    pub force: bool,
    /// read the container id as a regular expression
    #[arg(short, long)]
    pub regex: bool,
    /// name of the container
    #[arg(value_name = "container-id")]
    pub id: String,
}

/// `pause ID`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Pause {
    /// name of the container
    #[arg(value_name = "container-id")]
    pub id: String,
}

/// `resume ID`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Resume {
    /// name of the container
    #[arg(value_name = "container-id")]
    pub id: String,
}

/// `events ID`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Events {
    /// time between two statistics, as 5s or 500ms
    #[arg(long, value_name = "value", value_parser = value::duration, default_value = "5s")]
    pub interval: Duration,
    /// show the statistics once
    #[arg(long)]
    pub stats: bool,
    /// name of the container
    #[arg(value_name = "container-id")]
    pub id: String,
}

/// What `mounts` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum MountsAction {
    /// Attach what the file lists.
    Add,
    /// Detach what the file lists.
    Remove,
}

/// `mounts add|remove ID FILE`, FILE being a JSON array of mounts as in config.json.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Mounts {
    /// add or remove
    #[arg(value_name = "add|remove", value_enum)]
    pub action: MountsAction,
    /// name of the container
    #[arg(value_name = "container-id")]
    pub id: String,
    /// file with a JSON array of mounts as in config.json
    #[arg(value_name = "file")]
    pub file: PathBuf,
}

/// `plan [BUNDLE]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
pub struct Plan {
    /// print JSON
    #[arg(long)]
    pub json: bool,
    /// name of the configuration file, relative to the bundle (default: config.json)
    #[arg(short = 'f', long, value_name = "value")]
    pub config: Option<PathBuf>,
    /// plan for moving mounts instead of pivot_root(2)
    #[arg(long)]
    pub no_pivot: bool,
    /// plan without a session keyring of the container's own
    #[arg(long)]
    pub no_new_keyring: bool,
    /// name the container would have
    #[arg(long, value_name = "value", default_value = "plan")]
    pub id: String,
    /// path of the bundle (default: the current directory)
    #[arg(value_name = "bundle")]
    pub bundle: Option<PathBuf>,
}

//! `exec`.

use std::path::PathBuf;

use super::super::value::{self, UserSpec};

/// `exec ID COMMAND…` or `exec --process FILE ID`.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
pub struct Exec {
    /// path of a unix socket that receives the master end of the terminal
    #[arg(long, value_name = "value")]
    pub console_socket: Option<PathBuf>,
    /// path of a unix socket that receives a pidfd of the process
    #[arg(long, value_name = "value")]
    pub pidfd_socket: Option<PathBuf>,
    /// working directory in the container
    #[arg(long, value_name = "value")]
    pub cwd: Option<String>,
    /// set an environment variable, NAME=VALUE; may be repeated
    #[arg(short, long, value_name = "value")]
    pub env: Vec<String>,
    /// give the process a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// run as UID or UID:GID
    #[arg(short, long, value_name = "value")]
    pub user: Option<UserSpec>,
    /// a further group id; may be repeated
    #[arg(short = 'g', long, value_name = "value", value_parser = value::count)]
    pub additional_gids: Vec<u32>,
    /// file with the process as in config.json, in place of all the other flags about it
    #[arg(short, long, value_name = "value")]
    pub process: Option<PathBuf>,
    /// return once the process runs
    #[arg(short, long)]
    pub detach: bool,
    /// file to write the pid of the process to
    #[arg(long, value_name = "value")]
    pub pid_file: Option<PathBuf>,
    /// SELinux label of the process
    #[arg(long, value_name = "value")]
    pub process_label: Option<String>,
    /// AppArmor profile of the process
    #[arg(long, value_name = "value")]
    pub apparmor: Option<String>,
    /// set no_new_privs
    #[arg(long)]
    pub no_new_privs: bool,
    /// add a capability; may be repeated
    #[arg(short, long, value_name = "value")]
    pub cap: Vec<String>,
    /// pass this many further file descriptors, behind stdio and $LISTEN_FDS
    #[arg(long, value_name = "value", value_parser = value::count, default_value = "0")]
    pub preserve_fds: u32,
    /// run in an existing sub-cgroup, [CONTROLLER:]PATH; may be repeated
    #[arg(long, value_name = "value")]
    pub cgroup: Vec<String>,
    /// also run in a paused container
    #[arg(long)]
    pub ignore_paused: bool,
    /// name of the container
    #[arg(value_name = "container-id")]
    pub id: String,
    /// program and its arguments
    #[arg(value_name = "command")]
    pub args: Vec<String>,
}

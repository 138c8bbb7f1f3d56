//! `checkpoint` and `restore`.

use std::path::PathBuf;
use std::str::FromStr;

use super::super::value::FlagError;

/// How CRIU treats cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum CgroupsMode {
    /// Restore properties of cgroups that CRIU made.
    #[default]
    Soft,
    /// Restore all properties.
    Full,
    /// Restore all and fail where that cannot be.
    Strict,
    /// Leave cgroups alone.
    Ignore,
}

/// How CRIU keeps the network still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum NetworkLock {
    /// By iptables-restore.
    Iptables,
    /// By nftables.
    Nftables,
    /// Not at all.
    Skip,
}

/// `TYPE:NAME` of `--lsm-profile`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LsmProfile {
    /// `apparmor` or `selinux`.
    pub kind: String,
    /// Profile or label.
    pub name: String,
}

impl FromStr for LsmProfile {
    type Err = FlagError;

    fn from_str(text: &str) -> Result<Self, FlagError> {
        match text.split_once(':') {
            Some((kind @ ("apparmor" | "selinux"), name)) if !name.is_empty() => Ok(Self {
                kind: kind.to_owned(),
                name: name.to_owned(),
            }),
            _ => Err(FlagError::Plain(format!(
                "invalid lsm-profile: {text:?} (accepted: apparmor:PROFILE or selinux:LABEL)"
            ))),
        }
    }
}

/// Flags for CRIU that both directions share.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of runc's")]
pub struct CriuFlags {
    /// directory of the images (default: ./checkpoint)
    #[arg(long, value_name = "value")]
    pub image_path: Option<PathBuf>,
    /// directory of logs and working files
    #[arg(long, value_name = "value")]
    pub work_path: Option<PathBuf>,
    /// allow open tcp connections
    #[arg(long)]
    pub tcp_established: bool,
    /// allow unix sockets that lead outside
    #[arg(long)]
    pub ext_unix_sk: bool,
    /// allow shell jobs
    #[arg(long)]
    pub shell_job: bool,
    /// allow file locks
    #[arg(long)]
    pub file_locks: bool,
    /// load memory pages when they are first used
    #[arg(long)]
    pub lazy_pages: bool,
    /// soft, full, strict or ignore
    #[arg(long, value_name = "value", value_enum, default_value = "soft")]
    pub manage_cgroups_mode: CgroupsMode,
    /// make a namespace (network) without bringing back what was in it
    #[arg(long, value_name = "value")]
    pub empty_ns: Vec<String>,
    /// drop double pages from memory images
    #[arg(long)]
    pub auto_dedup: bool,
    /// keep the network still by iptables, nftables or not at all (skip)
    #[arg(long, value_name = "value", value_enum)]
    pub network_lock: Option<NetworkLock>,
}

/// `checkpoint ID`.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of runc's")]
pub struct Checkpoint {
    /// How CRIU works.
    #[command(flatten)]
    pub criu: CriuFlags,
    /// directory of an earlier pre-dump, relative to the image path
    #[arg(long, value_name = "value")]
    pub parent_path: Option<PathBuf>,
    /// let the container run on
    #[arg(long)]
    pub leave_running: bool,
    /// leave out tcp connections that are being made
    #[arg(long)]
    pub tcp_skip_in_flight: bool,
    /// bring back files that were unlinked while open
    #[arg(long)]
    pub link_remap: bool,
    /// file descriptor that tells when lazy pages can be asked for
    #[arg(
        long,
        value_name = "value",
        allow_negative_numbers = true,
        default_value = "-1"
    )]
    pub status_fd: i32,
    /// ADDRESS:PORT of a page server
    #[arg(long, value_name = "value")]
    pub page_server: Option<String>,
    /// save only memory and let the container run on
    #[arg(long)]
    pub pre_dump: bool,
    /// name of the container
    #[arg(value_name = "container-id")]
    pub id: String,
}

/// `restore ID`.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of runc's")]
pub struct Restore {
    /// How CRIU works.
    #[command(flatten)]
    pub criu: CriuFlags,
    /// path of the bundle (default: the current directory)
    #[arg(short, long, value_name = "value")]
    pub bundle: Option<PathBuf>,
    /// path of a unix socket that receives the master end of the terminal
    #[arg(long, value_name = "value")]
    pub console_socket: Option<PathBuf>,
    /// return once the container runs
    #[arg(short, long)]
    pub detach: bool,
    /// file to write the pid of the init process to
    #[arg(long, value_name = "value")]
    pub pid_file: Option<PathBuf>,
    /// do not become the subreaper of orphaned processes
    #[arg(long)]
    pub no_subreaper: bool,
    /// change the root by moving mounts instead of pivot_root(2)
    #[arg(long)]
    pub no_pivot: bool,
    /// apparmor:PROFILE or selinux:LABEL in place of the saved one
    #[arg(long, value_name = "value")]
    pub lsm_profile: Option<LsmProfile>,
    /// SELinux mount context in place of the saved one
    #[arg(long, value_name = "value")]
    pub lsm_mount_context: Option<String>,
    /// close tcp connections that were open
    #[arg(long)]
    pub tcp_close: bool,
    /// name of the new container
    #[arg(value_name = "container-id")]
    pub id: String,
}

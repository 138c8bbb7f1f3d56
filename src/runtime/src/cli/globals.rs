//! The flags that stand before the command (and, as in runc, also after it): union of runc's and crun's.

use std::ffi::OsStr;
use std::path::PathBuf;

use super::scan::{Given, flag};
use super::value::FlagError;

/// Shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// logrus text: `time="…" level=error msg="…"`.
    #[default]
    Text,
    /// logrus JSON: one `{"level":…,"msg":…,"time":…}` per line.
    Json,
}

/// The least severe level that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum LogLevel {
    /// Failures only.
    Error,
    /// Also what was tolerated.
    #[value(alias = "warn")]
    Warning,
    /// Also what was done.
    Info,
    /// Everything.
    #[value(alias = "trace")]
    Debug,
}

/// Who makes the container's cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum CgroupManager {
    /// Directories made by keel itself.
    Cgroupfs,
    /// A scope asked of systemd over D-Bus.
    Systemd,
    /// No cgroup is made and no limit set (podman `--cgroups=disabled`).
    Disabled,
}

/// Whether cgroup permission errors are tolerated where no limit was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Rootless {
    /// Tolerated.
    True,
    /// Never tolerated.
    False,
    /// Decided by the user and its user namespace.
    #[default]
    Auto,
}

/// Flags common to all commands.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
pub struct GlobalFlags {
    /// log everything, down to debug messages
    #[arg(long)]
    pub debug: bool,
    /// append log lines to a file (also file:PATH, journald:ID, syslog:ID) instead of stderr
    #[arg(long, value_name = "value")]
    pub log: Option<String>,
    /// shape of log lines: text or json
    #[arg(long, value_name = "value", value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// least severe level that is logged: error, warning, info or debug
    #[arg(long, value_name = "value", value_enum)]
    pub log_level: Option<LogLevel>,
    /// directory for the state of containers, on a tmpfs (default: /run/<name>, or below $XDG_RUNTIME_DIR)
    #[arg(short, long, value_name = "value")]
    pub root: Option<PathBuf>,
    /// let systemd make the cgroup; cgroupsPath then reads slice:prefix:name
    #[arg(short, long)]
    pub systemd_cgroup: bool,
    /// who makes the cgroup: cgroupfs, systemd or disabled
    #[arg(long, value_name = "value", value_enum)]
    pub cgroup_manager: Option<CgroupManager>,
    /// tolerate cgroup permission errors: true, false or auto
    #[arg(long, value_name = "value", value_enum, default_value = "auto")]
    pub rootless: Rootless,
}

/// The same flags for the scanner; a test holds both together.
pub(super) const FLAGS: &[super::scan::Flag<'static>] = &[
    flag("debug", None, false),
    flag("log", None, true),
    flag("log-format", None, true),
    flag("log-level", None, true),
    flag("root", Some('r'), true),
    flag("systemd-cgroup", Some('s'), false),
    flag("cgroup-manager", None, true),
    flag("rootless", None, true),
];

impl GlobalFlags {
    /// The cgroup manager asked for: `--cgroup-manager` where given, else what `--systemd-cgroup` says.
    #[must_use]
    pub fn manager(&self) -> CgroupManager {
        self.cgroup_manager.unwrap_or(if self.systemd_cgroup {
            CgroupManager::Systemd
        } else {
            CgroupManager::Cgroupfs
        })
    }

    pub(super) fn set(&mut self, long: &str, given: &Given) -> Result<(), FlagError> {
        match long {
            "debug" => self.debug = given.on(),
            "systemd-cgroup" => self.systemd_cgroup = given.on(),
            "log" => self.log = given.string()?,
            "root" => self.root = given.path(),
            "log-format" => self.log_format = choice("log-format", given.text())?,
            "log-level" => self.log_level = Some(choice("log-level", given.text())?),
            "cgroup-manager" => self.cgroup_manager = Some(choice("cgroup-manager", given.text())?),
            "rootless" => self.rootless = choice("rootless", given.text())?,
            _ => return Err(FlagError::Undefined),
        }
        Ok(())
    }
}

fn choice<T: clap::ValueEnum>(flag: &str, text: &OsStr) -> Result<T, FlagError> {
    let text = text.to_string_lossy();
    T::from_str(&text, false).map_err(|_| {
        let accepted: Vec<String> = T::value_variants()
            .iter()
            .filter_map(|v| Some(v.to_possible_value()?.get_name().to_owned()))
            .collect();
        FlagError::Plain(format!(
            "invalid {flag}: {text} (accepted: {})",
            accepted.join(", ")
        ))
    })
}

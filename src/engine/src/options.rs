//! What the engine is told at its start: dockerd's flags, and daemon.json below them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Parser;
use serde::Deserialize;

use crate::error::{Error, Result};

/// The engine of gantry: containers, images, networks and volumes behind the Docker Engine API.
#[derive(Debug, Clone, Parser)]
#[command(name = "gantryd", version)]
pub struct Flags {
    /// Socket to listen on, unix:// or tcp://; may be repeated.
    #[arg(short = 'H', long = "host", value_name = "ADDRESS")]
    pub hosts: Vec<String>,
    /// Directory of everything that lasts.
    #[arg(long, alias = "graph", value_name = "DIRECTORY")]
    pub data_root: Option<PathBuf>,
    /// Directory of what ends with the machine.
    #[arg(long, value_name = "DIRECTORY")]
    pub exec_root: Option<PathBuf>,
    /// File for the process id.
    #[arg(short = 'p', long, value_name = "FILE")]
    pub pidfile: Option<PathBuf>,
    /// An OCI runtime, NAME=PATH; may be repeated.
    #[arg(long, value_name = "NAME=PATH")]
    pub add_runtime: Vec<String>,
    /// The runtime of containers that name none.
    #[arg(long, value_name = "NAME")]
    pub default_runtime: Option<String>,
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// Group that owns the unix sockets.
    #[arg(short = 'G', long, value_name = "GROUP")]
    pub group: Option<String>,
    /// Log driver of containers that name none.
    #[arg(long, value_name = "DRIVER")]
    pub log_driver: Option<String>,
    /// Log options of such containers, KEY=VALUE; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub log_opt: Vec<String>,
    /// Labels of this engine, KEY=VALUE; may be repeated.
    #[arg(long, value_name = "KEY=VALUE")]
    pub label: Vec<String>,
    /// Cgroup that containers' groups are made in.
    #[arg(long, value_name = "PATH")]
    pub cgroup_parent: Option<String>,
    /// Registry spoken to without TLS; may be repeated.
    #[arg(long, value_name = "HOST")]
    pub insecure_registry: Vec<String>,
    /// Mirror of docker.io; may be repeated.
    #[arg(long, value_name = "URL")]
    pub registry_mirror: Vec<String>,
    /// Address of the default bridge with its prefix length.
    #[arg(long, value_name = "ADDRESS")]
    pub bip: Option<String>,
    /// DNS server of containers that name none; may be repeated.
    #[arg(long, value_name = "ADDRESS")]
    pub dns: Vec<String>,
    /// The program of `--init`.
    #[arg(long, value_name = "PATH")]
    pub init_path: Option<PathBuf>,
    /// The monitor's program.
    #[arg(long, value_name = "PATH")]
    pub monitor: Option<PathBuf>,
    /// Leave after this many seconds in which no container ran and nobody asked.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "60")]
    pub idle_exit: Option<u64>,
    /// Log more.
    #[arg(short = 'D', long)]
    pub debug: bool,
    /// Containers outlive the engine always; accepted for dockerd's sake.
    #[arg(long)]
    pub live_restore: bool,
    /// Check flags and configuration file, then leave.
    #[arg(long)]
    pub validate: bool,
}

/// daemon.json; a key it does not know is refused, as dockerd does.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct File {
    hosts: Vec<String>,
    data_root: Option<PathBuf>,
    exec_root: Option<PathBuf>,
    pidfile: Option<PathBuf>,
    runtimes: BTreeMap<String, FileRuntime>,
    default_runtime: Option<String>,
    group: Option<String>,
    log_driver: Option<String>,
    log_opts: BTreeMap<String, String>,
    labels: Vec<String>,
    cgroup_parent: Option<String>,
    insecure_registries: Vec<String>,
    registry_mirrors: Vec<String>,
    bip: Option<String>,
    dns: Vec<String>,
    init_path: Option<PathBuf>,
    debug: bool,
    live_restore: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct FileRuntime {
    path: PathBuf,
    runtime_args: Vec<String>,
}

/// A runtime to exec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// Its program.
    pub path: PathBuf,
    /// Its arguments before the verb.
    pub arguments: Vec<String>,
}

/// The settled options.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub struct Options {
    pub hosts: Vec<String>,
    pub data_root: PathBuf,
    pub exec_root: PathBuf,
    pub pidfile: Option<PathBuf>,
    pub runtimes: BTreeMap<String, Runtime>,
    pub default_runtime: String,
    pub group: Option<String>,
    pub log_driver: String,
    pub log_options: BTreeMap<String, String>,
    pub labels: Vec<String>,
    pub cgroup_parent: String,
    pub insecure_registries: Vec<String>,
    pub registry_mirrors: Vec<String>,
    pub bip: Option<String>,
    pub dns: Vec<String>,
    pub init_path: Option<PathBuf>,
    pub monitor: PathBuf,
    pub idle_exit: Option<u64>,
    pub debug: bool,
}

/// Where the file is looked for when no flag names one; it may be absent there.
const CONFIG_FILE: &str = "/etc/gantry/daemon.json";

impl Options {
    /// Flags over file over defaults. As in dockerd, the same thing in both places is refused where it is one value.
    ///
    /// # Errors
    /// An unreadable file, an unknown key, a value in both places, a runtime that is not `NAME=PATH`, no runtime at all.
    pub fn settle(flags: Flags) -> Result<Self> {
        let file = read_file(flags.config_file.as_deref())?;
        let (runtimes, default_runtime) = settle_runtimes(&flags, &file)?;
        let mut log_options = file.log_opts;
        log_options.extend(pairs("--log-opt", &flags.log_opt)?);
        pairs("--label", &flags.label)?;
        let hosts = if flags.hosts.is_empty() {
            file.hosts
        } else {
            flags.hosts
        };
        Ok(Self {
            hosts: if hosts.is_empty() { vec!["unix:///var/run/docker.sock".into()] } else { hosts },
            data_root: one("data-root", flags.data_root, file.data_root)?.unwrap_or_else(|| "/var/lib/gantry".into()),
            exec_root: one("exec-root", flags.exec_root, file.exec_root)?.unwrap_or_else(|| "/run/gantry".into()),
            pidfile: one("pidfile", flags.pidfile, file.pidfile)?,
            runtimes,
            default_runtime,
            group: one("group", flags.group, file.group)?,
            log_driver: one("log-driver", flags.log_driver, file.log_driver)?.unwrap_or_else(|| "json-file".into()),
            log_options,
            labels: [file.labels, flags.label].concat(),
            cgroup_parent: one("cgroup-parent", flags.cgroup_parent, file.cgroup_parent)?.unwrap_or_default(),
            insecure_registries: [file.insecure_registries, flags.insecure_registry].concat(),
            registry_mirrors: [file.registry_mirrors, flags.registry_mirror].concat(),
            bip: one("bip", flags.bip, file.bip)?,
            dns: [file.dns, flags.dns].concat(),
            init_path: one("init-path", flags.init_path, file.init_path)?,
            monitor: flags.monitor.or_else(|| program("gantry-monitor")).ok_or_else(|| {
                Error::invalid("gantry-monitor: not found beside gantryd nor in $PATH; name it with --monitor")
            })?,
            idle_exit: flags.idle_exit,
            debug: flags.debug || file.debug,
        })
    }
}

/// The runtimes there are and which one is the default.
fn settle_runtimes(flags: &Flags, file: &File) -> Result<(BTreeMap<String, Runtime>, String)> {
    let mut runtimes = builtin_runtimes();
    let found: Option<String> = ["keel", "runc"]
        .into_iter()
        .find(|name| runtimes.contains_key(*name))
        .map(Into::into);
    for (name, runtime) in &file.runtimes {
        runtimes.insert(
            name.clone(),
            Runtime {
                path: runtime.path.clone(),
                arguments: runtime.runtime_args.clone(),
            },
        );
    }
    for text in &flags.add_runtime {
        let (name, path) = text
            .split_once('=')
            .filter(|(name, path)| !name.is_empty() && !path.is_empty())
            .ok_or_else(|| Error::invalid(format!("--add-runtime {text:?}: expected NAME=PATH")))?;
        runtimes.insert(
            name.to_owned(),
            Runtime {
                path: path.into(),
                arguments: Vec::new(),
            },
        );
    }
    let default_runtime = one(
        "default-runtime",
        flags.default_runtime.clone(),
        file.default_runtime.clone(),
    )?
    .or(found)
    .or_else(|| runtimes.keys().next().cloned())
    .ok_or_else(|| {
        Error::invalid(
            "no OCI runtime found: put keel or runc in $PATH or name one with --add-runtime",
        )
    })?;
    if !runtimes.contains_key(&default_runtime) {
        return Err(Error::invalid(format!(
            "specified default runtime '{default_runtime}' does not exist"
        )));
    }
    Ok((runtimes, default_runtime))
}

fn read_file(named: Option<&Path>) -> Result<File> {
    let path = named.unwrap_or(Path::new(CONFIG_FILE));
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => {
            return Ok(File::default());
        }
        Err(error) => return Err(Error::kernel(format!("configuration file {path:?}"), error)),
    };
    if text.iter().all(u8::is_ascii_whitespace) {
        return Ok(File::default());
    }
    serde_json::from_slice(&text)
        .map_err(|e| Error::invalid(format!("configuration file {path:?}: {e}")))
}

fn one<T>(name: &str, flag: Option<T>, file: Option<T>) -> Result<Option<T>> {
    if flag.is_some() && file.is_some() {
        return Err(Error::invalid(format!(
            "{name}: given both as a flag and in the configuration file, expected in one place"
        )));
    }
    Ok(flag.or(file))
}

fn pairs(flag: &str, texts: &[String]) -> Result<BTreeMap<String, String>> {
    let pair = |text: &String| {
        let (key, value) = text.split_once('=')?;
        (!key.is_empty()).then(|| (key.to_owned(), value.to_owned()))
    };
    texts
        .iter()
        .map(|text| {
            pair(text).ok_or_else(|| Error::invalid(format!("{flag} {text:?}: expected KEY=VALUE")))
        })
        .collect()
}

/// keel and runc, where they are on this machine.
fn builtin_runtimes() -> BTreeMap<String, Runtime> {
    ["keel", "runc", "crun"]
        .into_iter()
        .filter_map(|name| {
            Some((
                name.to_owned(),
                Runtime {
                    path: program(name)?,
                    arguments: Vec::new(),
                },
            ))
        })
        .collect()
}

/// A program beside this one, else in `$PATH`.
#[must_use]
pub fn program(name: &str) -> Option<PathBuf> {
    let beside = std::env::current_exe()
        .ok()
        .and_then(|own| Some(own.parent()?.join(name)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    beside
        .into_iter()
        .chain(std::env::split_paths(&path).map(|dir| dir.join(name)))
        .find(|file| file.is_file())
}

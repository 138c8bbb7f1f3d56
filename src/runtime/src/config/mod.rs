//! config.json → [`Config`]: one typed value with no question left open.
//!
//! Pure: no kernel, no clock, no environment. Every refusal names the field by its path in the file and says what would
//! be accepted. Rests on runtime-spec 1.3.0, `config.md` and `config-linux.md`.

pub mod devices;
mod document;
pub mod hooks;
pub mod mounts;
pub mod namespaces;
pub mod process;
pub mod resources;
mod sysctl;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxIntelRdt;
use serde_json::value::RawValue;

pub use devices::Device;
pub use hooks::{Hook, Hooks, Point};
pub use mounts::{Mount, Propagation};
pub use namespaces::{IdMap, Kind, Namespaces, Origin};
pub use process::Process;

use crate::error::{Error, Result};

/// A config.json is read to this size; the largest that engines write are some hundred KiB.
pub const SIZE_LIMIT: usize = 16 << 20;

/// A memory policy, `set_mempolicy(2)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryPolicy {
    /// `MPOL_*` mode with its flags.
    pub mode: i32,
    /// Bit mask of nodes.
    pub nodes: Vec<u64>,
}

/// What config.json asks for.
#[derive(Debug, Clone)]
pub struct Config {
    /// The version that the file claims.
    pub version: String,
    /// Absolute path of the bundle.
    pub bundle: PathBuf,
    /// Absolute path of the root filesystem.
    pub rootfs: PathBuf,
    /// The root is mounted read-only.
    pub readonly_root: bool,
    /// `linux.rootfsPropagation`.
    pub root_propagation: Option<Propagation>,
    /// The program; may be absent until `start`.
    pub process: Option<Process>,
    /// Host name.
    pub hostname: Option<String>,
    /// NIS domain name.
    pub domainname: Option<String>,
    /// Namespaces, id maps and clock offsets.
    pub namespaces: Namespaces,
    /// Mounts in order.
    pub mounts: Vec<Mount>,
    /// Device nodes, the default ones included.
    pub devices: Vec<Device>,
    /// Paths to be hidden.
    pub masked_paths: Vec<PathBuf>,
    /// Paths to be made read-only.
    pub readonly_paths: Vec<PathBuf>,
    /// Kernel parameters, key with dots or slashes as given, and value.
    pub sysctl: Vec<(String, String)>,
    /// Hooks.
    pub hooks: Hooks,
    /// `linux.cgroupsPath` as given.
    pub cgroups_path: Option<String>,
    /// `linux.resources` as given.
    pub resources: Option<Box<RawValue>>,
    /// `linux.seccomp` as given.
    pub seccomp: Option<Box<RawValue>>,
    /// SELinux label of the mounts.
    pub mount_label: Option<String>,
    /// Cache and memory bandwidth class.
    pub intel_rdt: Option<LinuxIntelRdt>,
    /// Execution domain, `PER_*`.
    pub personality: Option<u64>,
    /// Memory policy.
    pub memory_policy: Option<MemoryPolicy>,
    /// Network devices to be moved in: host name and name inside.
    pub net_devices: Vec<(String, Option<String>)>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

impl Config {
    /// Reads the bytes of a config.json; `bundle` is the absolute path of its bundle.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] with the field's path.
    pub fn parse(bytes: &[u8], bundle: &Path) -> Result<Self> {
        let document: document::Document = parse(bytes, "config.json")?;
        if let Some(annotations) = &document.annotations {
            crate::annotations::check(annotations)?;
        }
        Self::read(document, bundle)
    }

    fn read(document: document::Document, bundle: &Path) -> Result<Self> {
        let version = document.oci_version.unwrap_or_default();
        check_version(&version)?;
        let linux = document.linux.unwrap_or_default();
        let namespaces = Namespaces::read(&linux)?;
        let root = document.root.unwrap_or_default();
        let rootfs = root
            .path
            .filter(|path| !path.is_empty() && !path.contains('\0'));
        let rootfs = rootfs.ok_or_else(|| {
            Error::config(
                "root.path",
                "required: the directory of the root filesystem",
            )
        })?;
        let read_mount = |(index, mount)| Mount::read(mount, index, bundle);
        let process = document
            .process
            .as_ref()
            .map(|it| Process::read(it, "process"))
            .transpose()?;
        let config = Self {
            version,
            bundle: bundle.to_owned(),
            rootfs: bundle.join(rootfs),
            readonly_root: root.readonly.unwrap_or(false),
            root_propagation: mounts::root_propagation(linux.rootfs_propagation.as_deref())?,
            process,
            hostname: document.hostname.filter(|name| !name.is_empty()),
            domainname: document.domainname.filter(|name| !name.is_empty()),
            mounts: document
                .mounts
                .iter()
                .flatten()
                .enumerate()
                .map(read_mount)
                .collect::<Result<_>>()?,
            devices: devices::read(linux.devices.as_deref())?,
            masked_paths: paths(linux.masked_paths.as_deref(), "linux.maskedPaths")?,
            readonly_paths: paths(linux.readonly_paths.as_deref(), "linux.readonlyPaths")?,
            sysctl: sysctl::read(linux.sysctl.as_ref(), &namespaces)?,
            hooks: hooks(document.hooks.as_ref(), document.annotations.as_ref())?,
            cgroups_path: linux.cgroups_path.filter(|path| !path.is_empty()),
            resources: linux.resources,
            seccomp: linux.seccomp.filter(|raw| raw.get() != "null"),
            mount_label: linux.mount_label.filter(|label| !label.is_empty()),
            personality: linux.personality.as_ref().map(personality).transpose()?,
            memory_policy: linux
                .memory_policy
                .as_ref()
                .map(memory_policy)
                .transpose()?,
            intel_rdt: linux.intel_rdt,
            net_devices: net_devices(linux.net_devices.as_ref(), &namespaces)?,
            annotations: document.annotations.unwrap_or_default(),
            namespaces,
        };
        config.check()?;
        Ok(config)
    }

    /// Contradictions between fields.
    fn check(&self) -> Result<()> {
        if self.annotations.contains_key("") {
            return Err(Error::config("annotations", "a key is empty"));
        }
        let has = |kind| self.namespaces.has(kind);
        if self.hostname.is_some() && !has(Kind::Uts) {
            return Err(Error::config(
                "hostname",
                "unable to set hostname without a private UTS namespace",
            ));
        }
        if self.domainname.is_some() && !has(Kind::Uts) {
            return Err(Error::config(
                "domainname",
                "unable to set domainname without a private UTS namespace",
            ));
        }
        if !has(Kind::Mount) {
            // Without a mount namespace these would change the host's mounts, or silently not be done.
            let asked = [
                ("linux.maskedPaths", !self.masked_paths.is_empty()),
                ("linux.readonlyPaths", !self.readonly_paths.is_empty()),
                ("root.readonly", self.readonly_root),
                ("mounts", !self.mounts.is_empty()),
            ];
            if let Some((path, _)) = asked.into_iter().find(|(_, asked)| *asked) {
                return Err(Error::config(
                    path,
                    "needs a private mount namespace in linux.namespaces",
                ));
            }
        }
        Ok(())
    }
}

/// Parses the JSON of a process, as `exec --process` takes it.
///
/// # Errors
/// [`Error::InvalidConfig`] with the field's path.
pub fn parse_process(bytes: &[u8]) -> Result<Process> {
    Process::read(&parse(bytes, "process file")?, "process")
}

fn parse<'bytes, T: serde::Deserialize<'bytes>>(bytes: &'bytes [u8], name: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Error::config(name, error.to_string()))
}

fn check_version(version: &str) -> Result<()> {
    let mut numbers = version.split(['.', '-', '+']);
    let plain = numbers
        .by_ref()
        .take(3)
        .all(|part| part.parse::<u32>().is_ok());
    if plain && version.starts_with("1.") {
        return Ok(());
    }
    Err(Error::config(
        "ociVersion",
        format!("{version:?} is not supported, accepted: 1.x.y"),
    ))
}

fn paths(list: Option<&[String]>, field: &str) -> Result<Vec<PathBuf>> {
    let read = |(index, path): (usize, &String)| {
        if path.starts_with('/') && !path.contains('\0') {
            return Ok(PathBuf::from(path));
        }
        Err(Error::config(
            format!("{field}[{index}]"),
            format!("{path:?} is not an absolute path"),
        ))
    };
    list.unwrap_or_default()
        .iter()
        .enumerate()
        .map(read)
        .collect()
}

fn personality(document: &oci_spec::runtime::LinuxPersonality) -> Result<u64> {
    use oci_spec::runtime::LinuxPersonalityDomain;
    if document
        .flags()
        .as_ref()
        .is_some_and(|flags| !flags.is_empty())
    {
        return Err(Error::config(
            "linux.personality.flags",
            "no flags are defined, accepted: none",
        ));
    }
    Ok(match document.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    })
}

fn memory_policy(document: &document::MemoryPolicy) -> Result<MemoryPolicy> {
    const MODES: [(&str, i32); 7] = [
        ("MPOL_DEFAULT", 0),
        ("MPOL_PREFERRED", 1),
        ("MPOL_BIND", 2),
        ("MPOL_INTERLEAVE", 3),
        ("MPOL_LOCAL", 4),
        ("MPOL_PREFERRED_MANY", 5),
        ("MPOL_WEIGHTED_INTERLEAVE", 6),
    ];
    const FLAGS: [(&str, i32); 3] = [
        ("MPOL_F_STATIC_NODES", 1 << 15),
        ("MPOL_F_RELATIVE_NODES", 1 << 14),
        ("MPOL_F_NUMA_BALANCING", 1 << 13),
    ];
    let name = document.mode.as_deref().unwrap_or_default();
    let mut mode = process::named(&MODES, name, "linux.memoryPolicy.mode".to_owned())?;
    for flag in document.flags.iter().flatten() {
        mode |= process::named(&FLAGS, flag, "linux.memoryPolicy.flags".to_owned())?;
    }
    let text = document.nodes.as_deref().unwrap_or_default();
    let nodes = if text.is_empty() {
        Some(Vec::new())
    } else {
        process::number_list(text)
    };
    let nodes = nodes.ok_or_else(|| {
        Error::config(
            "linux.memoryPolicy.nodes",
            format!("{text:?} is no list of nodes like 0-1,3"),
        )
    })?;
    Ok(MemoryPolicy { mode, nodes })
}

fn hooks(
    document: Option<&document::Hooks>,
    annotations: Option<&BTreeMap<String, String>>,
) -> Result<Hooks> {
    use crate::annotations::{HOOKS_STDERR, HOOKS_STDOUT, path};
    let mut hooks = Hooks::read(document)?;
    if let Some(annotations) = annotations {
        let [out, err] = [HOOKS_STDOUT, HOOKS_STDERR].map(|name| path(annotations, name));
        hooks.redirect(out.as_ref(), err.as_ref());
    }
    Ok(hooks)
}

fn net_devices(
    document: Option<&BTreeMap<String, document::NetDevice>>,
    namespaces: &Namespaces,
) -> Result<Vec<(String, Option<String>)>> {
    let mut devices: Vec<(String, Option<String>)> = Vec::new();
    for (host, device) in document.into_iter().flatten() {
        let path = format!("linux.netDevices.{host}");
        if !namespaces.has(Kind::Network) {
            return Err(Error::config(
                path,
                "unable to move network devices without a private NET namespace",
            ));
        }
        let inside = device.name.clone().filter(|name| !name.is_empty());
        for name in [Some(host), inside.as_ref()].into_iter().flatten() {
            let forbidden = |letter: char| letter == '/' || letter == ':' || letter.is_whitespace();
            if name.is_empty()
                || name.len() > 15
                || name == "."
                || name == ".."
                || name.contains(forbidden)
            {
                let reason =
                    format!("{name:?} is no device name: 1 to 15 bytes without /, : and space");
                return Err(Error::config(path, reason));
            }
        }
        devices.push((host.clone(), inside));
    }
    Ok(devices)
}

//! The OCI configuration of a container, equal in effect to the one dockerd would write.
//!
//! No time namespace is made, as docker makes none: a container's clocks are the host's.

pub mod capabilities;
pub mod resources;
pub mod seccomp;
pub mod users;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::record::Record;
use crate::error::{Error, Result};
use users::User;

/// What a start has found out for the specification.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// The mounted root.
    pub root: PathBuf,
    /// The network namespace: none makes a fresh one, the empty path shares the host's.
    pub network: Option<PathBuf>,
    /// Namespaces of other containers to join: type and path.
    pub joined: Vec<(&'static str, PathBuf)>,
    /// Mounts beyond the fixed ones, in order.
    pub mounts: Vec<Value>,
    /// Variables that tell of linked containers; the container's own override them.
    pub environment: Vec<String>,
    /// The program of `--init` on the host.
    pub init: Option<PathBuf>,
    /// The cgroup of the container.
    pub cgroup: String,
    /// Whether the host has cgroup v2 only.
    pub unified: bool,
}

/// docker's masked paths.
pub const MASKED: [&str; 11] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
/// docker's read-only paths.
pub const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Where `--init` finds its program in the container.
const INIT: &str = "/sbin/docker-init";

/// Writes the configuration of `record`.
///
/// # Errors
/// Invalid for what the record asks and cannot be had: a user, a device, a profile.
pub fn write(record: &Record, around: &Surroundings) -> Result<Value> {
    let (config, host) = (&record.config, &record.host);
    let user = users::find(
        &around.root,
        &config.user,
        host.group_add.as_deref().unwrap_or_default(),
    )?;
    let capabilities = capabilities::wanted(host)?;
    let security = Security::read(record, &capabilities)?;
    let mut args: Vec<String> = std::iter::once(record.path.clone())
        .chain(record.args.iter().cloned())
        .collect();
    if around.init.is_some() {
        args.splice(0..0, [INIT.to_owned(), "--".to_owned()]);
    }
    let mut process = process(
        &user,
        &args,
        &variables(record, &around.environment),
        &config.working_dir,
        &capabilities,
    );
    process["terminal"] = json!(config.tty);
    process["noNewPrivileges"] = json!(security.no_new_privileges);
    if host.oom_score_adj != 0 {
        process["oomScoreAdj"] = json!(host.oom_score_adj);
    } else {
        process["oomScoreAdj"] = json!(0);
    }
    if let Some(profile) = &security.apparmor {
        process["apparmorProfile"] = json!(profile);
    }
    let rlimits: Vec<Value> = host.resources.ulimits.iter().flatten().map(|limit| {
        json!({"type": format!("RLIMIT_{}", limit.name.to_uppercase()), "hard": limit.hard, "soft": limit.soft})
    }).collect();
    process["rlimits"] = Value::Array(rlimits);
    let mut spec = json!({
        "ociVersion": "1.2.0",
        "process": process,
        "root": {"path": around.root, "readonly": host.readonly_rootfs},
        "mounts": mounts(record, around),
        "linux": linux(record, around, security)?,
        "annotations": host.annotations,
    });
    if host.uts_mode != "host" {
        spec["hostname"] = json!(config.hostname);
        if !config.domainname.is_empty() {
            spec["domainname"] = json!(config.domainname);
        }
    }
    Ok(spec)
}

/// An OCI process without terminal, profiles and limits.
#[must_use]
pub fn process(
    user: &User,
    args: &[String],
    env: &[String],
    cwd: &str,
    capabilities: &[String],
) -> Value {
    // A user other than root gets its capabilities through files only, as docker does.
    let held: &[String] = if user.uid == 0 { capabilities } else { &[] };
    json!({
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": user.groups},
        "args": args,
        "env": env,
        "cwd": if cwd.is_empty() { "/" } else { cwd },
        "capabilities": {"bounding": capabilities, "effective": held, "permitted": held},
    })
}

/// The container's environment with what tells of linked containers, which its own variables override.
fn variables(record: &Record, linked: &[String]) -> Vec<String> {
    let mut all = environment(record);
    let name = |entry: &String| entry.split('=').next().map(str::to_owned);
    let new: Vec<String> = linked
        .iter()
        .filter(|entry| !all.iter().any(|own| name(own) == name(entry)))
        .cloned()
        .collect();
    all.extend(new);
    all
}

/// docker's order: its own variables first, the container's replace or follow.
#[must_use]
pub fn environment(record: &Record) -> Vec<String> {
    let mut all =
        vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()];
    all.push(format!("HOSTNAME={}", record.config.hostname));
    if record.config.tty {
        all.push("TERM=xterm".to_owned());
    }
    override_environment(&mut all, record.config.env.iter().flatten());
    all
}

/// Replaces variables of the same name, appends others; a name without `=` takes the variable away.
pub fn override_environment<'a>(all: &mut Vec<String>, more: impl Iterator<Item = &'a String>) {
    for entry in more {
        let name = entry.split('=').next().unwrap_or_default().to_owned();
        let same = |known: &String| known.split('=').next() == Some(&name);
        match (all.iter().position(same), entry.contains('=')) {
            (Some(at), true) => all[at].clone_from(entry),
            (Some(at), false) => drop(all.remove(at)),
            (None, true) => all.push(entry.clone()),
            (None, false) => {}
        }
    }
}

/// What `--security-opt` and `--privileged` decide.
struct Security {
    no_new_privileges: bool,
    apparmor: Option<String>,
    seccomp: Option<Value>,
    selinux: Option<String>,
}

impl Security {
    fn read(record: &Record, capabilities: &[String]) -> Result<Self> {
        let host = &record.host;
        let mut security = Self {
            no_new_privileges: false,
            apparmor: None,
            seccomp: None,
            selinux: None,
        };
        if !host.privileged {
            security.seccomp = Some(seccomp::default_profile(capabilities));
        }
        for option in host.security_opt.iter().flatten() {
            let (key, value) = option
                .split_once('=')
                .or_else(|| option.split_once(':'))
                .unwrap_or((option, ""));
            match (key, value) {
                ("no-new-privileges", "" | "true") => security.no_new_privileges = true,
                ("no-new-privileges", "false") => security.no_new_privileges = false,
                ("apparmor", "unconfined") => security.apparmor = None,
                ("apparmor", profile) => security.apparmor = Some(profile.to_owned()),
                ("seccomp", "unconfined") => security.seccomp = None,
                ("seccomp", "builtin") => {
                    security.seccomp = Some(seccomp::default_profile(capabilities))
                }
                ("seccomp", profile) => {
                    security.seccomp = Some(seccomp::user_profile(profile, capabilities)?)
                }
                ("label", "disable") => security.selinux = None,
                ("label", _) => {
                    return Err(Error::unsupported(format!(
                        "security option {option:?}: this engine sets no SELinux labels"
                    )));
                }
                ("systempaths", "unconfined") => {}
                _ => {
                    return Err(Error::invalid(format!(
                        "invalid --security-opt 2: \"{option}\""
                    )));
                }
            }
        }
        Ok(security)
    }
}

fn default_mounts(record: &Record) -> Vec<Value> {
    let host = &record.host;
    let ro = if host.privileged { "rw" } else { "ro" };
    let mount = |destination: &str, kind: &str, source: &str, options: &[&str]| json!({"destination": destination, "type": kind, "source": source, "options": options});
    let mut all = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount(
            "/dev",
            "tmpfs",
            "tmpfs",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        ),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5",
            ],
        ),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", ro]),
        mount(
            "/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            &[ro, "nosuid", "noexec", "nodev"],
        ),
        mount(
            "/dev/mqueue",
            "mqueue",
            "mqueue",
            &["nosuid", "noexec", "nodev"],
        ),
    ];
    if host.ipc_mode == "host" {
        all.pop();
        all.push(mount(
            "/dev/mqueue",
            "bind",
            "/dev/mqueue",
            &["rbind", "nosuid", "noexec", "nodev"],
        ));
    }
    all
}

fn mounts(record: &Record, around: &Surroundings) -> Vec<Value> {
    let mut all = default_mounts(record);
    // What the user mounts at one of these places takes it over.
    let taken = |entry: &Value| {
        around
            .mounts
            .iter()
            .any(|own| own["destination"] == entry["destination"])
    };
    all.retain(|entry| !taken(entry));
    all.extend(around.mounts.iter().cloned());
    if let Some(init) = &around.init {
        all.push(
            json!({"destination": INIT, "type": "bind", "source": init, "options": ["bind", "ro"]}),
        );
    }
    all
}

fn linux(record: &Record, around: &Surroundings, security: Security) -> Result<Value> {
    let host = &record.host;
    let (devices, rules) = resources::devices(host)?;
    let mut limits = resources::limits(host)?;
    limits.insert("devices".into(), Value::Array(rules));
    let mut linux = json!({
        "resources": limits,
        "cgroupsPath": around.cgroup,
        "namespaces": namespaces(record, around),
        "maskedPaths": host.masked_paths.clone().unwrap_or_default(),
        "readonlyPaths": host.readonly_paths.clone().unwrap_or_default(),
        "devices": devices,
    });
    if let Some(label) = security.selinux {
        linux["mountLabel"] = json!(label);
    }
    if let Some(profile) = security.seccomp {
        linux["seccomp"] = profile;
    }
    let mut sysctl = host.sysctls.clone();
    let own_network = around.network.as_deref() != Some(Path::new(""));
    if own_network && !host.network_mode.starts_with("container:") {
        sysctl
            .entry("net.ipv4.ip_unprivileged_port_start".into())
            .or_insert_with(|| "0".into());
        sysctl
            .entry("net.ipv4.ping_group_range".into())
            .or_insert_with(|| "0 2147483647".into());
    }
    linux["sysctl"] = json!(sysctl);
    let shared = record
        .mounts
        .iter()
        .map(|mount| mount.point.propagation.as_str());
    linux["rootfsPropagation"] = json!(if shared.clone().any(|kind| kind.ends_with("shared")) {
        "shared"
    } else if shared.clone().any(|kind| kind.ends_with("slave")) {
        "slave"
    } else {
        ""
    });
    Ok(linux)
}

fn namespaces(record: &Record, around: &Surroundings) -> Vec<Value> {
    let host = &record.host;
    let mut all = vec![json!({"type": "mount"})];
    match &around.network {
        None => all.push(json!({"type": "network"})),
        Some(path) if path.as_os_str().is_empty() => {}
        Some(path) => all.push(json!({"type": "network", "path": path})),
    }
    let joined = |kind: &str| {
        around
            .joined
            .iter()
            .find(|(name, _)| *name == kind)
            .map(|(_, path)| path)
    };
    for (kind, mode) in [
        ("uts", &host.uts_mode),
        ("pid", &host.pid_mode),
        ("ipc", &host.ipc_mode),
    ] {
        match joined(kind) {
            Some(path) => all.push(json!({"type": kind, "path": path})),
            None if mode == "host" => {}
            None => all.push(json!({"type": kind})),
        }
    }
    if host.cgroupns_mode == "private" || (host.cgroupns_mode.is_empty() && around.unified) {
        all.push(json!({"type": "cgroup"}));
    }
    all
}

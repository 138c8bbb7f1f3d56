//! `keel spec`: a config.json to begin with, as runc writes it: tab-indented, no newline at the end, the version apart.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use serde::Serialize;

use crate::cli::SPEC_VERSION;
use crate::compat;
use crate::error::{Error, Result};

/// What the document depends on beyond its purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances<'a> {
    /// The host name in the container: the program's own.
    pub hostname: &'a str,
    /// User and group id that become the container's root, where there are no privileges.
    pub rootless: Option<(u32, u32)>,
    /// Whether cgroups are unified, so that a cgroup namespace makes sense.
    pub unified: bool,
}

/// Writes the document to `directory` under `name`.
///
/// # Errors
/// [`Error::AlreadyExists`] where there is one, or what the kernel says.
pub fn write(
    directory: Option<&Path>,
    name: &Path,
    circumstances: Circumstances<'_>,
) -> Result<()> {
    let path = directory.map_or_else(|| name.to_owned(), |directory| directory.join(name));
    let file = OpenOptions::new().write(true).create_new(true).open(&path);
    let failed = |call, error: std::io::Error| {
        let errno = error
            .raw_os_error()
            .map_or(sys::Errno::IO, sys::Errno::from_raw_os_error);
        Error::kernel(format!("{}", path.display()), call, "", errno)
    };
    let mut file = match file {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let text = compat::SPEC_EXISTS.replace("config.json", &name.to_string_lossy());
            return Err(Error::AlreadyExists(text));
        }
        other => other.map_err(|error| failed("open", error))?,
    };
    let written = document(circumstances)?;
    file.write_all(&written)
        .map_err(|error| failed("write", error))
}

/// The document itself.
///
/// # Errors
/// Only where memory cannot be written.
pub fn document(circumstances: Circumstances<'_>) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(3072);
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
    let spec = spec(circumstances);
    spec.serialize(&mut serializer)
        .map_err(|error| Error::Bug(format!("config.json: {error}")))?;
    Ok(out)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    oci_version: &'a str,
    process: Process,
    root: Root,
    hostname: &'a str,
    mounts: Vec<Mount>,
    linux: Linux,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Process {
    terminal: bool,
    user: User,
    args: [&'static str; 1],
    env: [&'static str; 2],
    cwd: &'static str,
    capabilities: Capabilities,
    rlimits: [Limit; 1],
    no_new_privileges: bool,
}

#[derive(Serialize)]
struct User {
    uid: u32,
    gid: u32,
}

#[derive(Serialize)]
struct Capabilities {
    bounding: [&'static str; 3],
    effective: [&'static str; 3],
    permitted: [&'static str; 3],
}

#[derive(Serialize)]
struct Limit {
    r#type: &'static str,
    hard: u64,
    soft: u64,
}

#[derive(Serialize)]
struct Root {
    path: &'static str,
    readonly: bool,
}

#[derive(Serialize)]
struct Mount {
    destination: &'static str,
    r#type: &'static str,
    source: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    options: Vec<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Linux {
    #[serde(skip_serializing_if = "Option::is_none")]
    uid_mappings: Option<[Mapping; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid_mappings: Option<[Mapping; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<Resources>,
    namespaces: Vec<Namespace>,
    masked_paths: [&'static str; 10],
    readonly_paths: [&'static str; 5],
}

#[derive(Serialize)]
struct Mapping {
    #[serde(rename = "containerID")]
    container: u32,
    #[serde(rename = "hostID")]
    host: u32,
    size: u32,
}

#[derive(Serialize)]
struct Resources {
    devices: [DeviceRule; 1],
}

#[derive(Serialize)]
struct DeviceRule {
    allow: bool,
    access: &'static str,
}

#[derive(Serialize)]
struct Namespace {
    r#type: &'static str,
}

fn spec(circumstances: Circumstances<'_>) -> Spec<'_> {
    const KEPT: [&str; 3] = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    Spec {
        oci_version: SPEC_VERSION,
        process: Process {
            terminal: true,
            user: User { uid: 0, gid: 0 },
            args: ["sh"],
            env: [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "TERM=xterm",
            ],
            cwd: "/",
            capabilities: Capabilities {
                bounding: KEPT,
                effective: KEPT,
                permitted: KEPT,
            },
            rlimits: [Limit {
                r#type: "RLIMIT_NOFILE",
                hard: 1024,
                soft: 1024,
            }],
            no_new_privileges: true,
        },
        root: Root {
            path: "rootfs",
            readonly: true,
        },
        hostname: circumstances.hostname,
        mounts: mounts(circumstances.rootless.is_some()),
        linux: linux(circumstances),
    }
}

fn mount(
    destination: &'static str,
    r#type: &'static str,
    source: &'static str,
    options: &[&'static str],
) -> Mount {
    Mount {
        destination,
        r#type,
        source,
        options: options.to_vec(),
    }
}

fn mounts(rootless: bool) -> Vec<Mount> {
    let mut pts = vec![
        "nosuid",
        "noexec",
        "newinstance",
        "ptmxmode=0666",
        "mode=0620",
    ];
    // Group 5 has no id in a map of one line, and sysfs belongs to whoever owns the network.
    let sys = if rootless {
        mount(
            "/sys",
            "none",
            "/sys",
            &["rbind", "nosuid", "noexec", "nodev", "ro"],
        )
    } else {
        pts.push("gid=5");
        mount(
            "/sys",
            "sysfs",
            "sysfs",
            &["nosuid", "noexec", "nodev", "ro"],
        )
    };
    vec![
        mount("/proc", "proc", "proc", &[]),
        mount(
            "/dev",
            "tmpfs",
            "tmpfs",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        ),
        mount("/dev/pts", "devpts", "devpts", &pts),
        mount(
            "/dev/shm",
            "tmpfs",
            "shm",
            &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
        ),
        mount(
            "/dev/mqueue",
            "mqueue",
            "mqueue",
            &["nosuid", "noexec", "nodev"],
        ),
        sys,
        mount(
            "/sys/fs/cgroup",
            "cgroup",
            "cgroup",
            &["nosuid", "noexec", "nodev", "relatime", "ro"],
        ),
    ]
}

fn linux(circumstances: Circumstances<'_>) -> Linux {
    let mapping = |host| {
        [Mapping {
            container: 0,
            host,
            size: 1,
        }]
    };
    let mut types = vec!["pid", "network", "ipc", "uts", "mount"];
    if circumstances.unified {
        types.push("cgroup");
    }
    if circumstances.rootless.is_some() {
        types.retain(|kind| *kind != "network");
        types.push("user");
    }
    Linux {
        uid_mappings: circumstances.rootless.map(|(uid, _)| mapping(uid)),
        gid_mappings: circumstances.rootless.map(|(_, gid)| mapping(gid)),
        resources: circumstances.rootless.is_none().then_some(Resources {
            devices: [DeviceRule {
                allow: false,
                access: "rwm",
            }],
        }),
        namespaces: types
            .into_iter()
            .map(|r#type| Namespace { r#type })
            .collect(),
        masked_paths: [
            "/proc/acpi",
            "/proc/asound",
            "/proc/kcore",
            "/proc/keys",
            "/proc/latency_stats",
            "/proc/timer_list",
            "/proc/timer_stats",
            "/proc/sched_debug",
            "/sys/firmware",
            "/proc/scsi",
        ],
        readonly_paths: [
            "/proc/bus",
            "/proc/fs",
            "/proc/irq",
            "/proc/sys",
            "/proc/sysrq-trigger",
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(circumstances: Circumstances<'_>) -> (String, crate::config::Config) {
        let bytes = document(circumstances).unwrap();
        let config = crate::config::Config::parse(&bytes, Path::new("/bundle")).unwrap();
        (String::from_utf8(bytes).unwrap(), config)
    }

    #[test]
    fn what_it_writes_is_a_config() {
        let (text, config) = read(Circumstances {
            hostname: "keel",
            rootless: None,
            unified: false,
        });
        assert!(text.starts_with(
            "{\n\t\"ociVersion\": \"1.3.0\",\n\t\"process\": {\n\t\t\"terminal\": true,"
        ));
        assert!(text.ends_with("\n}") && !text.contains("mode=0620\"\n"));
        assert_eq!(config.hostname.as_deref(), Some("keel"));
        let (text, _) = read(Circumstances {
            hostname: "keel",
            rootless: Some((1000, 100)),
            unified: true,
        });
        assert!(text.contains("\"hostID\": 1000") && text.contains("\"hostID\": 100,"));
        assert!(
            !text.contains("network") && !text.contains("gid=5") && !text.contains("resources")
        );
    }
}

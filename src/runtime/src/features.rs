//! `keel features`: what this build knows of the runtime specification (features.md and features-linux.md), not what this
//! machine can do. containerd, CRI-O and dockerd gate id-mapped and recursive read-only mounts on it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::SPEC_VERSION;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Features {
    oci_version_min: &'static str,
    oci_version_max: &'static str,
    hooks: [&'static str; 6],
    mount_options: Vec<&'static str>,
    linux: Linux,
    annotations: BTreeMap<&'static str, String>,
    potentially_unsafe_config_annotations: [&'static str; 4],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Linux {
    namespaces: [&'static str; 8],
    capabilities: Vec<String>,
    cgroup: Cgroup,
    seccomp: Seccomp,
    apparmor: Enabled,
    selinux: Enabled,
    intel_rdt: IntelRdt,
    memory_policy: MemoryPolicy,
    mount_extensions: MountExtensions,
    net_devices: Enabled,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the specification's own shape"
)]
struct Cgroup {
    v1: bool,
    v2: bool,
    systemd: bool,
    systemd_user: bool,
    rdma: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Seccomp {
    enabled: bool,
    actions: [&'static str; 9],
    operators: [&'static str; 7],
    archs: Vec<String>,
    known_flags: [&'static str; 4],
    supported_flags: [&'static str; 4],
}

#[derive(Serialize)]
struct Enabled {
    enabled: bool,
}

#[derive(Serialize)]
struct IntelRdt {
    enabled: bool,
    schemata: bool,
    monitoring: bool,
}

#[derive(Serialize)]
struct MemoryPolicy {
    modes: [&'static str; 7],
    flags: [&'static str; 3],
}

#[derive(Serialize)]
struct MountExtensions {
    idmap: Enabled,
}

/// Mount options besides those of a filesystem: attributes, their recursive forms, propagation, superblock flags, keel's own.
const MOUNT_OPTIONS: &str = "async atime bind defaults dev diratime dirsync exec idmap iversion lazytime loud mand noatime \
    nodev nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev \
    rdiratime relatime remount rexec ridmap rnoatime rnodev rnodiratime rnoexec rnorelatime rnostrictatime rnosuid \
    rnosymfollow ro rprivate rrelatime rro rrw rshared rslave rstrictatime rsuid rsymfollow runbindable rw shared silent slave \
    strictatime suid symfollow sync tmpcopyup unbindable";

/// The document, indented by four spaces and with a newline at its end, as runc prints it.
///
/// # Errors
/// Only where memory cannot be written.
pub fn document() -> serde_json::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(6144);
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    features().serialize(&mut serde_json::Serializer::with_formatter(
        &mut out, formatter,
    ))?;
    out.push(b'\n');
    Ok(out)
}

fn features() -> Features {
    let commit = option_env!("KEEL_COMMIT").unwrap_or("unknown");
    Features {
        oci_version_min: "1.0.0",
        oci_version_max: SPEC_VERSION,
        hooks: [
            "prestart",
            "createRuntime",
            "createContainer",
            "startContainer",
            "poststart",
            "poststop",
        ],
        mount_options: MOUNT_OPTIONS.split_whitespace().collect(),
        linux: linux(),
        annotations: BTreeMap::from([
            (
                "org.opencontainers.runc.checkpoint.enabled",
                crate::cli::CAN_CHECKPOINT.to_string(),
            ),
            (
                "io.github.keel.version",
                env!("CARGO_PKG_VERSION").to_owned(),
            ),
            ("io.github.keel.commit", commit.to_owned()),
        ]),
        potentially_unsafe_config_annotations: [
            "bundle",
            "org.systemd.property.",
            "org.criu.config",
            "run.oci.",
        ],
    }
}

fn linux() -> Linux {
    let mut capabilities: Vec<caps::Capability> = caps::all().into_iter().collect();
    capabilities.sort_by_key(|capability| capability.index());
    let yes = || Enabled { enabled: true };
    Linux {
        namespaces: [
            "cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts",
        ],
        capabilities: capabilities.iter().map(ToString::to_string).collect(),
        cgroup: Cgroup {
            v1: true,
            v2: true,
            systemd: true,
            systemd_user: true,
            rdma: true,
        },
        seccomp: seccomp(),
        apparmor: yes(),
        selinux: yes(),
        intel_rdt: IntelRdt {
            enabled: true,
            schemata: true,
            monitoring: true,
        },
        memory_policy: MemoryPolicy {
            modes: [
                "MPOL_DEFAULT",
                "MPOL_BIND",
                "MPOL_INTERLEAVE",
                "MPOL_WEIGHTED_INTERLEAVE",
                "MPOL_PREFERRED",
                "MPOL_PREFERRED_MANY",
                "MPOL_LOCAL",
            ],
            flags: [
                "MPOL_F_NUMA_BALANCING",
                "MPOL_F_RELATIVE_NODES",
                "MPOL_F_STATIC_NODES",
            ],
        },
        mount_extensions: MountExtensions { idmap: yes() },
        net_devices: yes(),
    }
}

fn seccomp() -> Seccomp {
    const FLAGS: [&str; 4] = [
        "SECCOMP_FILTER_FLAG_TSYNC",
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        "SECCOMP_FILTER_FLAG_LOG",
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    ];
    Seccomp {
        enabled: true,
        actions: [
            "SCMP_ACT_ALLOW",
            "SCMP_ACT_ERRNO",
            "SCMP_ACT_KILL",
            "SCMP_ACT_KILL_PROCESS",
            "SCMP_ACT_KILL_THREAD",
            "SCMP_ACT_LOG",
            "SCMP_ACT_NOTIFY",
            "SCMP_ACT_TRACE",
            "SCMP_ACT_TRAP",
        ],
        operators: [
            "SCMP_CMP_EQ",
            "SCMP_CMP_GE",
            "SCMP_CMP_GT",
            "SCMP_CMP_LE",
            "SCMP_CMP_LT",
            "SCMP_CMP_MASKED_EQ",
            "SCMP_CMP_NE",
        ],
        archs: crate::seccomp::architectures(),
        known_flags: FLAGS,
        supported_flags: FLAGS,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn callers_find_what_they_gate_on() {
        let document: serde_json::Value =
            serde_json::from_slice(&super::document().unwrap()).unwrap();
        let options = document["mountOptions"].as_array().unwrap();
        assert!(options.iter().any(|option| option == "rro"));
        assert!(
            document["linux"]["namespaces"]
                .as_array()
                .unwrap()
                .iter()
                .any(|kind| kind == "user")
        );
        assert_eq!(
            document["linux"]["mountExtensions"]["idmap"]["enabled"],
            true
        );
        assert_eq!(document["linux"]["capabilities"][0], "CAP_CHOWN");
        assert_eq!(
            document["linux"]["capabilities"].as_array().unwrap().len(),
            41
        );
        assert_eq!(
            (&document["ociVersionMin"], &document["ociVersionMax"]),
            (&"1.0.0".into(), &"1.3.0".into())
        );
    }

    /// Every option that is offered is taken by the reader of config.json as a flag, not as data of the filesystem.
    #[test]
    fn offered_mount_options_are_known() {
        for option in super::MOUNT_OPTIONS
            .split_whitespace()
            .filter(|option| !matches!(*option, "idmap" | "ridmap" | "tmpcopyup"))
        {
            let json = format!(
                r#"{{"ociVersion":"1.3.0","root":{{"path":"r"}},"linux":{{"namespaces":[{{"type":"mount"}}]}},"mounts":[{{"destination":"/x","source":"/y","options":["bind","{option}"]}}]}}"#
            );
            crate::config::Config::parse(json.as_bytes(), std::path::Path::new("/b"))
                .unwrap_or_else(|e| panic!("{option}: {e}"));
        }
    }
}

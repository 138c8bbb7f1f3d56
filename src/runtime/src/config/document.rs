//! config.json as it stands in the file: every field optional, `null` as good as absent, unknown fields ignored
//! (runtime-spec 1.3.0). Only [`super`] reads these types.
//!
//! oci-spec's types are used where they are as lenient as the specification; where they refuse what a runtime must accept
//! (unknown capabilities, flags of newer kernels) the field is text here and judged in [`super`].

use std::collections::{BTreeMap, HashMap};

use oci_spec::runtime::{LinuxIdMapping, LinuxIntelRdt, LinuxPersonality};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    pub oci_version: Option<String>,
    pub process: Option<Process>,
    pub root: Option<Root>,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    pub mounts: Option<Vec<Mount>>,
    pub hooks: Option<Hooks>,
    pub annotations: Option<BTreeMap<String, String>>,
    pub linux: Option<Linux>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Root {
    pub path: Option<String>,
    pub readonly: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Process {
    pub terminal: Option<bool>,
    pub console_size: Option<ConsoleSize>,
    pub user: Option<User>,
    pub args: Option<Vec<String>>,
    pub env: Option<Vec<String>>,
    pub cwd: Option<String>,
    pub capabilities: Option<Capabilities>,
    pub rlimits: Option<Vec<Rlimit>>,
    pub no_new_privileges: Option<bool>,
    pub apparmor_profile: Option<String>,
    pub oom_score_adj: Option<i32>,
    pub selinux_label: Option<String>,
    pub scheduler: Option<Scheduler>,
    pub io_priority: Option<IoPriority>,
    #[serde(rename = "execCPUAffinity")]
    pub exec_cpu_affinity: Option<Affinity>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct ConsoleSize {
    pub height: u64,
    pub width: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct User {
    pub uid: Option<i64>,
    pub gid: Option<i64>,
    pub umask: Option<u32>,
    pub additional_gids: Option<Vec<i64>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Capabilities {
    pub bounding: Option<Vec<String>>,
    pub effective: Option<Vec<String>>,
    pub inheritable: Option<Vec<String>>,
    pub permitted: Option<Vec<String>>,
    pub ambient: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Rlimit {
    #[serde(rename = "type")]
    pub kind: String,
    pub soft: u64,
    pub hard: u64,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Scheduler {
    pub policy: Option<String>,
    pub nice: Option<i32>,
    pub priority: Option<i32>,
    pub flags: Option<Vec<String>>,
    pub runtime: Option<u64>,
    pub deadline: Option<u64>,
    pub period: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct IoPriority {
    pub class: Option<String>,
    pub priority: Option<i32>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Affinity {
    pub initial: Option<String>,
    #[serde(rename = "final")]
    pub last: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Mount {
    pub destination: Option<String>,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub source: Option<String>,
    pub options: Option<Vec<String>>,
    pub uid_mappings: Option<Vec<LinuxIdMapping>>,
    pub gid_mappings: Option<Vec<LinuxIdMapping>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Hooks {
    pub prestart: Option<Vec<Hook>>,
    pub create_runtime: Option<Vec<Hook>>,
    pub create_container: Option<Vec<Hook>>,
    pub start_container: Option<Vec<Hook>>,
    pub poststart: Option<Vec<Hook>>,
    pub poststop: Option<Vec<Hook>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Hook {
    pub path: Option<String>,
    pub args: Option<Vec<String>>,
    pub env: Option<Vec<String>>,
    pub timeout: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Linux {
    pub devices: Option<Vec<Device>>,
    pub uid_mappings: Option<Vec<LinuxIdMapping>>,
    pub gid_mappings: Option<Vec<LinuxIdMapping>>,
    pub namespaces: Option<Vec<Namespace>>,
    pub time_offsets: Option<HashMap<String, TimeOffset>>,
    pub sysctl: Option<BTreeMap<String, String>>,
    pub cgroups_path: Option<String>,
    pub resources: Option<Box<RawValue>>,
    pub rootfs_propagation: Option<String>,
    pub seccomp: Option<Box<RawValue>>,
    pub masked_paths: Option<Vec<String>>,
    pub readonly_paths: Option<Vec<String>>,
    pub mount_label: Option<String>,
    pub intel_rdt: Option<LinuxIntelRdt>,
    pub personality: Option<LinuxPersonality>,
    pub memory_policy: Option<MemoryPolicy>,
    pub net_devices: Option<BTreeMap<String, NetDevice>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Namespace {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub path: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct TimeOffset {
    pub secs: Option<i64>,
    pub nanosecs: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Device {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub path: Option<String>,
    pub major: Option<i64>,
    pub minor: Option<i64>,
    pub file_mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct MemoryPolicy {
    pub mode: Option<String>,
    pub nodes: Option<String>,
    pub flags: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct NetDevice {
    pub name: Option<String>,
}

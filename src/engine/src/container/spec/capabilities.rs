//! Which capabilities a container gets.

use gantry_api::container::HostConfig;

use crate::error::{Error, Result};

/// All the kernel has, in the order of their numbers (capability.h, Linux 5.9).
const ALL: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// docker's default set.
const DEFAULT: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// What this process may pass on: its own bounding set.
#[must_use]
pub fn available() -> Vec<String> {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("CapBnd:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(u64::MAX);
    let known = ALL
        .iter()
        .enumerate()
        .filter(|(number, _)| mask & (1 << number) != 0);
    known.map(|(_, name)| (*name).to_owned()).collect()
}

/// The set `host` asks for.
///
/// # Errors
/// Invalid for a name the kernel does not have.
pub fn wanted(host: &HostConfig) -> Result<Vec<String>> {
    let available = available();
    if host.privileged {
        return Ok(available);
    }
    let add = names(host.cap_add.as_deref())?;
    let drop = names(host.cap_drop.as_deref())?;
    let all = "ALL".to_owned();
    let base: Vec<String> = match (add.contains(&all), drop.contains(&all)) {
        (true, _) => available,
        (false, true) => Vec::new(),
        (false, false) => DEFAULT.iter().map(|name| (*name).to_owned()).collect(),
    };
    let mut set: Vec<String> = base
        .into_iter()
        .filter(|name| !drop.contains(name))
        .collect();
    for name in add {
        if name != all && !set.contains(&name) {
            set.push(name);
        }
    }
    Ok(set)
}

/// Names as users write them: any case, with or without `CAP_`.
fn names(given: Option<&[String]>) -> Result<Vec<String>> {
    let name = |text: &String| {
        let upper = text.to_uppercase();
        let full = if upper == "ALL" || upper.starts_with("CAP_") {
            upper
        } else {
            format!("CAP_{upper}")
        };
        if full == "ALL" || ALL.contains(&full.as_str()) {
            return Ok(full);
        }
        Err(Error::invalid(format!(
            "invalid capability: \"{text}\": unknown capability: \"{full}\""
        )))
    };
    given.unwrap_or_default().iter().map(name).collect()
}

//! Limits and devices of `HostConfig` as the OCI spec's `linux.resources` and `linux.devices`.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use gantry_api::container::HostConfig;
use gantry_api::container::host_config::ThrottleDevice;
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};

/// Limits alone, as `update` takes them too.
///
/// # Errors
/// Invalid for a block device that is not there.
pub fn limits(host: &HostConfig) -> Result<Map<String, Value>> {
    let limits = &host.resources;
    let mut all = Map::new();
    let set = |section: &mut Map<String, Value>, key: &str, value: i64| {
        if value != 0 {
            section.insert(key.into(), json!(value));
        }
    };
    let mut memory = Map::new();
    set(&mut memory, "limit", limits.memory);
    set(&mut memory, "reservation", limits.memory_reservation);
    set(&mut memory, "swap", limits.memory_swap);
    set(&mut memory, "kernelTCP", limits.kernel_memory_tcp);
    if let Some(swappiness) = limits.memory_swappiness.filter(|value| *value >= 0) {
        memory.insert("swappiness".into(), json!(swappiness));
    }
    if let Some(disable) = limits.oom_kill_disable {
        memory.insert("disableOOMKiller".into(), json!(disable));
    }
    let mut cpu = Map::new();
    set(&mut cpu, "shares", limits.cpu_shares);
    set(&mut cpu, "quota", limits.cpu_quota);
    set(&mut cpu, "period", limits.cpu_period);
    set(&mut cpu, "realtimePeriod", limits.cpu_realtime_period);
    set(&mut cpu, "realtimeRuntime", limits.cpu_realtime_runtime);
    if limits.nano_cpus > 0 {
        // A tenth of a second is the kernel's default period; quota in microseconds.
        cpu.insert("period".into(), json!(100_000));
        cpu.insert("quota".into(), json!(limits.nano_cpus / 10_000));
    }
    for (key, value) in [("cpus", &limits.cpuset_cpus), ("mems", &limits.cpuset_mems)] {
        if !value.is_empty() {
            cpu.insert(key.into(), json!(value));
        }
    }
    all.insert("memory".into(), Value::Object(memory));
    all.insert("cpu".into(), Value::Object(cpu));
    if let Some(pids) = limits.pids_limit.filter(|limit| *limit != 0) {
        all.insert("pids".into(), json!({"limit": pids}));
    }
    all.insert("blockIO".into(), Value::Object(block_io(host)?));
    Ok(all)
}

fn block_io(host: &HostConfig) -> Result<Map<String, Value>> {
    let limits = &host.resources;
    let mut section = Map::new();
    if limits.blkio_weight > 0 {
        section.insert("weight".into(), json!(limits.blkio_weight));
    }
    let weights: Vec<Value> = limits
        .blkio_weight_device
        .iter()
        .flatten()
        .map(|device| {
            let (major, minor) = numbers(&device.path)?;
            Ok(json!({"major": major, "minor": minor, "weight": device.weight}))
        })
        .collect::<Result<_>>()?;
    if !weights.is_empty() {
        section.insert("weightDevice".into(), Value::Array(weights));
    }
    for (key, devices) in [
        ("throttleReadBpsDevice", &limits.blkio_device_read_bps),
        ("throttleWriteBpsDevice", &limits.blkio_device_write_bps),
        ("throttleReadIOPSDevice", &limits.blkio_device_read_iops),
        ("throttleWriteIOPSDevice", &limits.blkio_device_write_iops),
    ] {
        let rule = |device: &ThrottleDevice| {
            let (major, minor) = numbers(&device.path)?;
            Ok(json!({"major": major, "minor": minor, "rate": device.rate}))
        };
        let rules: Vec<Value> = devices.iter().flatten().map(rule).collect::<Result<_>>()?;
        if !rules.is_empty() {
            section.insert(key.into(), Value::Array(rules));
        }
    }
    Ok(section)
}

fn numbers(path: &str) -> Result<(u64, u64)> {
    let metadata = std::fs::metadata(path).map_err(|e| Error::kernel(path, e))?;
    Ok((
        nix::sys::stat::major(metadata.rdev()),
        nix::sys::stat::minor(metadata.rdev()),
    ))
}

/// The devices and the rules of their cgroup.
///
/// # Errors
/// Invalid for a host device that is not there, or a rule that is none.
pub fn devices(host: &HostConfig) -> Result<(Vec<Value>, Vec<Value>)> {
    if host.privileged {
        let mut devices = Vec::new();
        collect(Path::new("/dev"), Path::new("/dev"), &mut devices)?;
        return Ok((devices, vec![json!({"allow": true, "access": "rwm"})]));
    }
    let rule = |allow: bool, major: u64, minor: u64| json!({"allow": allow, "type": "c", "major": major, "minor": minor, "access": "rwm"});
    let mut rules = vec![json!({"allow": false, "access": "rwm"})];
    for (major, minor) in [(1, 5), (1, 3), (1, 9), (1, 8), (5, 0), (5, 1)] {
        rules.push(rule(true, major, minor));
    }
    rules.push(rule(false, 10, 229));
    let mut devices = Vec::new();
    for mapping in host.resources.devices.iter().flatten() {
        let inside = if mapping.path_in_container.is_empty() {
            &mapping.path_on_host
        } else {
            &mapping.path_in_container
        };
        let before = devices.len();
        let source = Path::new(&mapping.path_on_host);
        let gone = |e: std::io::Error| {
            let text = crate::error::describe(&e);
            Error::internal(format!(
                "error gathering device information while adding custom device \"{}\": {text}",
                mapping.path_on_host
            ))
        };
        let real = std::fs::canonicalize(source).map_err(gone)?;
        if real.is_dir() {
            collect(&real, Path::new(inside), &mut devices)?;
        } else {
            devices.extend(node(&real, inside)?);
        }
        if devices.len() == before {
            return Err(Error::internal(format!(
                "error gathering device information while adding custom device \"{}\": not a device node",
                mapping.path_on_host
            )));
        }
        let access = if mapping.cgroup_permissions.is_empty() {
            "rwm"
        } else {
            &mapping.cgroup_permissions
        };
        for device in &devices[before..] {
            rules.push(json!({
                "allow": true, "type": device["type"], "major": device["major"], "minor": device["minor"], "access": access,
            }));
        }
    }
    for text in host.resources.device_cgroup_rules.iter().flatten() {
        rules.push(user_rule(text)?);
    }
    Ok((devices, rules))
}

/// `c 13:* rwm`.
fn user_rule(text: &str) -> Result<Value> {
    let refuse = || Error::invalid(format!("invalid device cgroup rule format: '{text}'"));
    let parts: Vec<&str> = text.split(' ').collect();
    let [kind @ ("a" | "b" | "c"), numbers, access] = parts[..] else {
        return Err(refuse());
    };
    let (major, minor) = numbers.split_once(':').ok_or_else(refuse)?;
    let number = |text: &str| {
        if text == "*" {
            Ok(-1)
        } else {
            text.parse::<i64>().map_err(|_| refuse())
        }
    };
    if access.is_empty() || !access.chars().all(|letter| "rwm".contains(letter)) {
        return Err(refuse());
    }
    Ok(
        json!({"allow": true, "type": kind, "major": number(major)?, "minor": number(minor)?, "access": access}),
    )
}

/// Device nodes below a directory; what docker leaves out of privileged containers stays out.
fn collect(directory: &Path, inside: &Path, devices: &mut Vec<Value>) -> Result<()> {
    let entries =
        std::fs::read_dir(directory).map_err(|e| Error::kernel(directory.display(), e))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let path = inside.join(&name);
        if kind.is_dir() {
            if !["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"]
                .iter()
                .any(|skip| name == *skip)
            {
                collect(&entry.path(), &path, devices)?;
            }
        } else if name != "console" && (kind.is_char_device() || kind.is_block_device()) {
            devices.extend(node(&entry.path(), &path.to_string_lossy())?);
        }
    }
    Ok(())
}

fn node(source: &Path, inside: &str) -> Result<Option<Value>> {
    let metadata = std::fs::metadata(source).map_err(|e| Error::kernel(source.display(), e))?;
    let kind = metadata.file_type();
    let letter = match (kind.is_char_device(), kind.is_block_device()) {
        (true, _) => "c",
        (_, true) => "b",
        _ => return Ok(None),
    };
    Ok(Some(json!({
        "path": inside, "type": letter,
        "major": nix::sys::stat::major(metadata.rdev()), "minor": nix::sys::stat::minor(metadata.rdev()),
        "fileMode": metadata.mode() & 0o7777, "uid": metadata.uid(), "gid": metadata.gid(),
    })))
}

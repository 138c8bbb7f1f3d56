//! What a container may be asked to be limited to: docker's checks, docker's texts.

use gantry_api::container::HostConfig;
use gantry_api::container::host_config::{Resources, RestartPolicy};

use crate::error::{Error, Result};

/// The least memory a container may have, bytes.
const LEAST_MEMORY: i64 = 6 << 20;

/// Checks limits and settles what follows from them (`--memory` doubles into `--memory-swap`).
///
/// # Errors
/// Invalid, docker's text.
pub fn check(limits: &mut Resources, update: bool) -> Result<()> {
    let refuse = |text: &str| Err(Error::invalid(text));
    if limits.memory != 0 && limits.memory < LEAST_MEMORY {
        return refuse("Minimum memory limit allowed is 6MB");
    }
    if limits.memory > 0 && limits.memory_swap > 0 && limits.memory_swap < limits.memory {
        return refuse("Minimum memoryswap limit should be larger than memory limit, see usage");
    }
    if limits.memory == 0 && limits.memory_swap > 0 && !update {
        return refuse(
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        );
    }
    if limits
        .memory_swappiness
        .is_some_and(|value| !(-1..=100).contains(&value))
    {
        let value = limits.memory_swappiness.unwrap_or_default();
        return Err(Error::invalid(format!(
            "Invalid value: {value}, valid memory swappiness range is 0-100"
        )));
    }
    if limits.memory_reservation != 0 && limits.memory_reservation < LEAST_MEMORY {
        return refuse("Minimum memory reservation allowed is 6MB");
    }
    if limits.memory > 0
        && limits.memory_reservation > 0
        && limits.memory < limits.memory_reservation
    {
        return refuse(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        );
    }
    if limits.kernel_memory > 0 {
        return refuse("kernel memory limits are not supported: use --memory");
    }
    check_cpu(limits)?;
    if limits.blkio_weight > 0 && !(10..=1000).contains(&limits.blkio_weight) {
        return refuse("Range of blkio weight is from 10 to 1000");
    }
    if limits.io_maximum_bandwidth != 0 || limits.io_maximum_iops != 0 {
        return refuse("Invalid QoS settings: Linux does not support Maximum IO limits");
    }
    if limits.device_requests.iter().flatten().next().is_some() {
        return refuse("could not select device driver \"\" with capabilities: [[gpu]]");
    }
    if limits.memory > 0 && limits.memory_swap == 0 && !update {
        limits.memory_swap = limits.memory.saturating_mul(2);
    }
    Ok(())
}

fn check_cpu(limits: &Resources) -> Result<()> {
    let refuse = |text: &str| Err(Error::invalid(text));
    let cpus =
        i64::try_from(std::thread::available_parallelism().map_or(1, usize::from)).unwrap_or(1);
    if limits.nano_cpus != 0 {
        if limits.cpu_period > 0 {
            return refuse("Conflicting options: Nano CPUs and CPU Period cannot both be set");
        }
        if limits.cpu_quota > 0 {
            return refuse("Conflicting options: Nano CPUs and CPU Quota cannot both be set");
        }
        if limits.nano_cpus < 0 || limits.nano_cpus > cpus * 1_000_000_000 {
            return Err(Error::invalid(format!(
                "range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"
            )));
        }
    }
    if limits.cpu_shares < 0 {
        return Err(Error::invalid(format!(
            "invalid CPU shares ({}): value must be a positive integer",
            limits.cpu_shares
        )));
    }
    if limits.cpu_period != 0 && !(1000..=1_000_000).contains(&limits.cpu_period) {
        return refuse(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        );
    }
    if limits.cpu_quota > 0 && limits.cpu_quota < 1000 {
        return refuse("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    let online = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    for (list, name) in [(&limits.cpuset_cpus, "cpus"), (&limits.cpuset_mems, "mems")] {
        let Some(wanted) = parse_set(list) else {
            return Err(Error::invalid(format!(
                "Invalid value {list} for cpuset {name}"
            )));
        };
        let here = if name == "cpus" {
            parse_set(online.trim()).unwrap_or_default()
        } else {
            Vec::new()
        };
        if name == "cpus" && !wanted.iter().all(|cpu| here.contains(cpu)) {
            return Err(Error::invalid(format!(
                "Requested CPUs are not available - requested {list}, available: {}",
                online.trim()
            )));
        }
    }
    Ok(())
}

/// `0-2,4` as numbers.
fn parse_set(text: &str) -> Option<Vec<u32>> {
    let mut all = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        if last < first || last > 8192 {
            return None;
        }
        all.extend(first..=last);
    }
    Some(all)
}

/// Checks a restart policy.
///
/// # Errors
/// Invalid, docker's text.
pub fn check_restart(policy: &RestartPolicy, auto_remove: bool) -> Result<()> {
    let count = policy.maximum_retry_count;
    match policy.name.as_str() {
        "always" | "unless-stopped" | "no" if count != 0 => Err(Error::invalid(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        )),
        "on-failure" if count < 0 => Err(Error::invalid(
            "invalid restart policy: maximum retry count cannot be negative",
        )),
        "always" | "unless-stopped" | "on-failure" if auto_remove => Err(Error::invalid(
            "can't create 'AutoRemove' container with restart policy",
        )),
        "" | "no" | "always" | "unless-stopped" | "on-failure" => Ok(()),
        other => Err(Error::invalid(format!(
            "invalid restart policy: unknown policy '{other}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        ))),
    }
}

/// Checks what of the host's part is no limit.
///
/// # Errors
/// Invalid, docker's text.
pub fn check_host(host: &HostConfig) -> Result<()> {
    check_restart(&host.restart_policy, host.auto_remove)?;
    for entry in host.extra_hosts.iter().flatten() {
        let (name, address) = entry.split_once(':').unwrap_or((entry, ""));
        let bare = address.trim_start_matches('[').trim_end_matches(']');
        if name.is_empty() || (bare != "host-gateway" && bare.parse::<std::net::IpAddr>().is_err())
        {
            return Err(Error::invalid(format!(
                "bad format for add-host: \"{entry}\""
            )));
        }
    }
    if host.shm_size < 0 {
        return Err(Error::invalid("SHM size can not be less than 0"));
    }
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        return Err(Error::invalid(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            host.oom_score_adj
        )));
    }
    check_modes(host)?;
    if !host.storage_opt.is_empty() {
        return Err(Error::invalid(
            "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
        ));
    }
    if !["", "default"].contains(&host.isolation.as_str()) {
        return Err(Error::invalid(format!(
            "invalid isolation '{}' on linux",
            host.isolation
        )));
    }
    Ok(())
}

/// Checks the namespace modes.
fn check_modes(host: &HostConfig) -> Result<()> {
    if !host.pid_mode.is_empty()
        && host.pid_mode != "host"
        && !host.pid_mode.starts_with("container:")
    {
        return Err(Error::invalid(format!(
            "invalid PID mode: {}",
            host.pid_mode
        )));
    }
    if !["", "none", "private", "shareable", "host"].contains(&host.ipc_mode.as_str())
        && !host.ipc_mode.starts_with("container:")
    {
        return Err(Error::invalid(format!(
            "invalid IPC mode: {}",
            host.ipc_mode
        )));
    }
    if !["", "host"].contains(&host.uts_mode.as_str()) {
        return Err(Error::invalid(format!(
            "invalid UTS mode: {}",
            host.uts_mode
        )));
    }
    if !["", "host"].contains(&host.userns_mode.as_str()) {
        return Err(Error::invalid(format!(
            "invalid user namespace mode: {}",
            host.userns_mode
        )));
    }
    if !["", "private", "host"].contains(&host.cgroupns_mode.as_str()) {
        return Err(Error::invalid(format!(
            "invalid cgroup namespace mode: {}",
            host.cgroupns_mode
        )));
    }
    Ok(())
}

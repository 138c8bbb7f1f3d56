//! Limits.

use gantry_api::container::host_config::{Resources, RestartPolicy, Ulimit};

use super::{devices, refuse, some};
use crate::failure::Outcome;
use crate::grammar::Parsed;

/// Reads `type=soft[:hard]`.
///
/// # Errors
/// Docker's words for text that is no ulimit.
pub fn parse_ulimit(text: &str) -> Result<Ulimit, String> {
    const NAMES: &[&str] = &[
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("invalid ulimit argument: {text}"))?;
    if !NAMES.contains(&name) {
        return Err(format!("invalid ulimit type: {name}"));
    }
    let parts: Vec<&str> = value.split(':').collect();
    let number = |text: &str| {
        text.parse::<i64>().map_err(|_| {
            format!(
                "strconv.ParseInt: parsing {}: invalid syntax",
                crate::grammar::checks::quoted(text)
            )
        })
    };
    let (soft, hard) = match parts.as_slice() {
        [soft] => (number(soft)?, number(soft)?),
        [soft, hard] => (number(soft)?, number(hard)?),
        _ => {
            return Err(format!(
                "too many limit value arguments - {value}, can only have up to two, `soft[:hard]`"
            ));
        }
    };
    if hard != -1 && (soft == -1 || soft > hard) {
        return Err(format!(
            "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
        ));
    }
    Ok(Ulimit {
        name: name.to_owned(),
        hard,
        soft,
    })
}

/// Reads `name[:count]`.
///
/// # Errors
/// Docker's words for text that is no policy.
pub fn restart_policy(text: &str) -> Outcome<RestartPolicy> {
    if text.is_empty() {
        return Ok(RestartPolicy::default());
    }
    let (name, count) = text
        .split_once(':')
        .map_or((text, None), |(name, count)| (name, Some(count)));
    if count.is_some() && name.is_empty() {
        return Err(refuse(
            "invalid restart policy format: no policy provided before colon",
        ));
    }
    let count = match count {
        Some(count) => count.parse().map_err(|_| {
            refuse("invalid restart policy format: maximum retry count must be an integer")
        })?,
        None => 0,
    };
    Ok(RestartPolicy {
        name: name.to_owned(),
        maximum_retry_count: count,
    })
}

/// The limits of a command line.
///
/// # Errors
/// For values that do not fit together.
pub fn resources(parsed: &Parsed) -> Outcome<Resources> {
    let swappiness = parsed.number("memory-swappiness");
    if !(-1..=100).contains(&swappiness) {
        return Err(refuse(format!(
            "invalid value: {swappiness}. Valid memory swappiness range is 0-100"
        )));
    }
    let cpus = parsed
        .last("cpus")
        .and_then(|text| crate::format::units::parse_cpus(text).ok())
        .unwrap_or(0);
    let ulimits: Vec<Ulimit> = parsed
        .list("ulimit")
        .iter()
        .filter_map(|text| parse_ulimit(text).ok())
        .collect();
    Ok(Resources {
        cpu_shares: parsed.number("cpu-shares"),
        memory: parsed.bytes("memory"),
        nano_cpus: cpus,
        cgroup_parent: parsed.text("cgroup-parent").to_owned(),
        blkio_weight: u16::try_from(parsed.number("blkio-weight")).unwrap_or(0),
        blkio_weight_device: Some(each(parsed, "blkio-weight-device", devices::parse_weight)),
        blkio_device_read_bps: some(&each(parsed, "device-read-bps", devices::parse_bps)),
        blkio_device_write_bps: some(&each(parsed, "device-write-bps", devices::parse_bps)),
        blkio_device_read_iops: some(&each(parsed, "device-read-iops", devices::parse_iops)),
        blkio_device_write_iops: some(&each(parsed, "device-write-iops", devices::parse_iops)),
        cpu_period: parsed.number("cpu-period"),
        cpu_quota: parsed.number("cpu-quota"),
        cpu_realtime_period: parsed.number("cpu-rt-period"),
        cpu_realtime_runtime: parsed.number("cpu-rt-runtime"),
        cpuset_cpus: parsed.text("cpuset-cpus").to_owned(),
        cpuset_mems: parsed.text("cpuset-mems").to_owned(),
        devices: Some(devices::mappings(parsed.list("device"))?),
        device_cgroup_rules: some(parsed.list("device-cgroup-rule")),
        device_requests: devices::requests(parsed),
        kernel_memory: parsed.bytes("kernel-memory"),
        memory_reservation: parsed.bytes("memory-reservation"),
        memory_swap: parsed.bytes("memory-swap"),
        memory_swappiness: Some(swappiness),
        oom_kill_disable: Some(parsed.is("oom-kill-disable")),
        pids_limit: Some(parsed.number("pids-limit")),
        ulimits: some(&ulimits),
        cpu_count: parsed.number("cpu-count"),
        cpu_percent: parsed.number("cpu-percent"),
        io_maximum_iops: u64::try_from(parsed.number("io-maxiops")).unwrap_or(0),
        io_maximum_bandwidth: u64::try_from(parsed.bytes("io-maxbandwidth")).unwrap_or(0),
        kernel_memory_tcp: 0,
    })
}

/// Every value of a flag, read; the flag's check has refused what cannot be.
fn each<T>(parsed: &Parsed, flag: &str, read: fn(&str) -> Result<T, String>) -> Vec<T> {
    parsed
        .list(flag)
        .iter()
        .filter_map(|text| read(text).ok())
        .collect()
}

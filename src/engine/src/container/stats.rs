//! Use of resources: the container's cgroups read directly, v1 or v2, in docker's JSON.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::record::Record;
use crate::Engine;
use crate::clock;

/// Where the groups of a process are: controller to directory; the empty name is v2's.
fn groups(pid: i32) -> BTreeMap<String, PathBuf> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let mut all = BTreeMap::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let path = path.trim_start_matches('/');
        if controllers.is_empty() {
            let root = if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
                "/sys/fs/cgroup"
            } else {
                "/sys/fs/cgroup/unified"
            };
            all.insert(String::new(), Path::new(root).join(path));
        }
        for name in controllers.split(',').filter(|name| !name.is_empty()) {
            let mounted = [controllers, name]
                .into_iter()
                .map(|mount| Path::new("/sys/fs/cgroup").join(mount))
                .find(|mount| mount.is_dir());
            if let Some(mounted) = mounted {
                all.insert(name.to_owned(), mounted.join(path));
            }
        }
    }
    all
}

fn number(directory: Option<&PathBuf>, file: &str) -> Option<u64> {
    fs::read_to_string(directory?.join(file))
        .ok()?
        .trim()
        .parse()
        .ok()
}

/// `key value` lines.
fn table(directory: Option<&PathBuf>, file: &str) -> BTreeMap<String, u64> {
    let text = directory
        .and_then(|directory| fs::read_to_string(directory.join(file)).ok())
        .unwrap_or_default();
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

/// One reading.
#[derive(Debug, Clone)]
pub struct Sample {
    read: String,
    cpu: Value,
    pids: Value,
    memory: Value,
    blkio: Value,
    networks: Value,
}

impl Engine {
    /// Reads a living container's groups. Blocking, and never longer than the kernel takes for its files.
    #[must_use]
    pub fn sample(&self, record: &Record) -> Sample {
        let groups = groups(record.state.pid);
        let unified = groups.get("").filter(|_| self.machine.unified);
        let (cpu, memory, pids) = match unified {
            Some(group) => (
                cpu_v2(group),
                memory_v2(group, self.machine.memory),
                pids(Some(group)),
            ),
            None => (
                cpu_v1(&groups),
                memory_v1(groups.get("memory"), self.machine.memory),
                pids(groups.get("pids")),
            ),
        };
        let blkio = unified.map_or_else(|| blkio_v1(groups.get("blkio")), |group| blkio_v2(group));
        let networks = if record.host.network_mode == "host" {
            Value::Null
        } else {
            networks(record.state.pid)
        };
        let cpu = json!({
            "cpu_usage": cpu.0, "system_cpu_usage": system_cpu(), "online_cpus": self.machine.cpus, "throttling_data": cpu.1,
        });
        Sample {
            read: clock::now(),
            cpu,
            pids,
            memory,
            blkio,
            networks,
        }
    }
}

/// docker's object out of a reading and the one before it.
#[must_use]
pub fn object(record: &Record, now: Option<&Sample>, before: Option<&Sample>) -> Value {
    let empty = json!({"cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0}, "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0}});
    let part = |sample: Option<&Sample>, pick: fn(&Sample) -> &Value, none: &Value| {
        sample.map_or_else(|| none.clone(), |sample| pick(sample).clone())
    };
    let blank = json!({});
    let no_blkio = json!({
        "io_service_bytes_recursive": null, "io_serviced_recursive": null, "io_queue_recursive": null, "io_service_time_recursive": null,
        "io_wait_time_recursive": null, "io_merged_recursive": null, "io_time_recursive": null, "sectors_recursive": null,
    });
    let mut all = json!({
        "read": now.map_or(clock::NEVER, |sample| &sample.read),
        "preread": before.map_or(clock::NEVER, |sample| &sample.read),
        "pids_stats": part(now, |sample| &sample.pids, &blank),
        "blkio_stats": part(now, |sample| &sample.blkio, &no_blkio),
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": part(now, |sample| &sample.cpu, &empty),
        "precpu_stats": part(before, |sample| &sample.cpu, &empty),
        "memory_stats": part(now, |sample| &sample.memory, &blank),
        "name": record.name,
        "id": record.id,
    });
    if let Some(networks) = now
        .map(|sample| &sample.networks)
        .filter(|networks| networks.as_object().is_some_and(|all| !all.is_empty()))
    {
        all["networks"] = networks.clone();
    }
    all
}

fn pids(group: Option<&PathBuf>) -> Value {
    let mut all = json!({});
    if let Some(current) = number(group, "pids.current") {
        all["current"] = json!(current);
    }
    if let Some(limit) = number(group, "pids.max") {
        all["limit"] = json!(limit);
    }
    all
}

fn cpu_v1(groups: &BTreeMap<String, PathBuf>) -> (Value, Value) {
    let account = groups.get("cpuacct");
    let each: Vec<u64> = account
        .and_then(|group| fs::read_to_string(group.join("cpuacct.usage_percpu")).ok())
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|text| text.parse().ok())
        .collect();
    let split = table(account, "cpuacct.stat");
    // The kernel counts in hundredths of a second there.
    let nanos = |key: &str| split.get(key).copied().unwrap_or(0) * 10_000_000;
    let usage = json!({
        "total_usage": number(account, "cpuacct.usage").unwrap_or(0), "percpu_usage": each,
        "usage_in_kernelmode": nanos("system"), "usage_in_usermode": nanos("user"),
    });
    let throttled = table(groups.get("cpu"), "cpu.stat");
    let of = |key: &str| throttled.get(key).copied().unwrap_or(0);
    (
        usage,
        json!({"periods": of("nr_periods"), "throttled_periods": of("nr_throttled"), "throttled_time": of("throttled_time")}),
    )
}

fn cpu_v2(group: &PathBuf) -> (Value, Value) {
    let all = table(Some(group), "cpu.stat");
    let micros = |key: &str| all.get(key).copied().unwrap_or(0) * 1000;
    let of = |key: &str| all.get(key).copied().unwrap_or(0);
    (
        json!({"total_usage": micros("usage_usec"), "usage_in_kernelmode": micros("system_usec"), "usage_in_usermode": micros("user_usec")}),
        json!({"periods": of("nr_periods"), "throttled_periods": of("nr_throttled"), "throttled_time": micros("throttled_usec")}),
    )
}

fn memory_v1(group: Option<&PathBuf>, machine: i64) -> Value {
    let machine = u64::try_from(machine).unwrap_or(u64::MAX);
    let limit = number(group, "memory.limit_in_bytes")
        .unwrap_or(machine)
        .min(machine);
    let mut all = json!({
        "usage": number(group, "memory.usage_in_bytes").unwrap_or(0),
        "max_usage": number(group, "memory.max_usage_in_bytes").unwrap_or(0),
        "stats": table(group, "memory.stat"),
        "limit": limit,
    });
    if let Some(fails) = number(group, "memory.failcnt").filter(|fails| *fails > 0) {
        all["failcnt"] = json!(fails);
    }
    all
}

fn memory_v2(group: &PathBuf, machine: i64) -> Value {
    let machine = u64::try_from(machine).unwrap_or(u64::MAX);
    let limit = number(Some(group), "memory.max")
        .unwrap_or(machine)
        .min(machine);
    json!({"usage": number(Some(group), "memory.current").unwrap_or(0), "stats": table(Some(group), "memory.stat"), "limit": limit})
}

fn blkio_v1(group: Option<&PathBuf>) -> Value {
    let read = |file: &str| -> Vec<Value> {
        let text = group
            .and_then(|group| fs::read_to_string(group.join(file)).ok())
            .unwrap_or_default();
        text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let (major, minor) = words.next()?.split_once(':')?;
            let (op, value) = (words.next()?, words.next()?);
            Some(json!({"major": major.parse::<u64>().ok()?, "minor": minor.parse::<u64>().ok()?, "op": op, "value": value.parse::<u64>().ok()?}))
        }).collect()
    };
    json!({
        "io_service_bytes_recursive": read("blkio.throttle.io_service_bytes_recursive"), "io_serviced_recursive": read("blkio.throttle.io_serviced_recursive"),
        "io_queue_recursive": [], "io_service_time_recursive": [], "io_wait_time_recursive": [], "io_merged_recursive": [],
        "io_time_recursive": [], "sectors_recursive": [],
    })
}

fn blkio_v2(group: &Path) -> Value {
    let text = fs::read_to_string(group.join("io.stat")).unwrap_or_default();
    let mut bytes = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some((major, minor)) = words.next().and_then(|device| device.split_once(':')) else {
            continue;
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let op = match key {
                "rbytes" => "read",
                "wbytes" => "write",
                _ => continue,
            };
            bytes.push(json!({"major": major.parse::<u64>().unwrap_or(0), "minor": minor.parse::<u64>().unwrap_or(0), "op": op, "value": value.parse::<u64>().unwrap_or(0)}));
        }
    }
    json!({
        "io_service_bytes_recursive": bytes, "io_serviced_recursive": null, "io_queue_recursive": null, "io_service_time_recursive": null,
        "io_wait_time_recursive": null, "io_merged_recursive": null, "io_time_recursive": null, "sectors_recursive": null,
    })
}

/// The machine's CPU time in nanoseconds: the first seven numbers of /proc/stat, hundredths of a second each.
fn system_cpu() -> u64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let numbers = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .take(7);
    numbers
        .filter_map(|text| text.parse::<u64>().ok())
        .sum::<u64>()
        * 10_000_000
}

/// The interfaces of the process' network namespace.
fn networks(pid: i32) -> Value {
    let text = fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default();
    let mut all = serde_json::Map::new();
    for line in text.lines().skip(2) {
        let Some((name, rest)) = line.split_once(':') else {
            continue;
        };
        let counts: Vec<u64> = rest
            .split_whitespace()
            .filter_map(|text| text.parse().ok())
            .collect();
        if name.trim() != "lo" && counts.len() >= 16 {
            all.insert(name.trim().to_owned(), json!({
                "rx_bytes": counts[0], "rx_packets": counts[1], "rx_errors": counts[2], "rx_dropped": counts[3],
                "tx_bytes": counts[8], "tx_packets": counts[9], "tx_errors": counts[10], "tx_dropped": counts[11],
            }));
        }
    }
    Value::Object(all)
}

//! `linux.resources`: from the spec's many options to what a cgroup can be told.
//!
//! Pure. Refuses, by its path in config.json, what no kernel accepts and what contradicts itself; what depends on the
//! machine (which cgroup version, which controllers) is judged by the cgroups room.

mod devices;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxHugepageLimit, LinuxMemory, LinuxNetwork, LinuxResources,
    LinuxThrottleDevice,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use self::devices::{default_devices, device};
use super::process::number_list;
use crate::cgroups::DeviceRule;
use crate::error::{Error, Result};

/// Everything `linux.resources` asks for; what is `None` or empty is left as the kernel has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources {
    /// Processor time and placement.
    pub cpu: Cpu,
    /// Memory and swap.
    pub memory: Memory,
    /// Largest number of tasks; negative is no limit, zero is a limit (runtime-spec 1.3) and holds as one.
    pub pids: Option<i64>,
    /// Block devices.
    pub block_io: BlockIo,
    /// Huge pages, by page size.
    pub hugepages: Vec<Hugepage>,
    /// Packet marks of cgroup v1.
    pub network: Network,
    /// RDMA limits by device.
    pub rdma: BTreeMap<String, Rdma>,
    /// Files of cgroup v2 and what to write into them.
    pub unified: BTreeMap<String, String>,
    /// The device filter, in order; the rules every container gets stand last. Empty means: leave it alone (update).
    pub devices: Vec<DeviceRule>,
}

/// `linux.resources.cpu`; times in microseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cpu {
    /// Relative weight in cgroup v1's scale, 2 to 262144.
    pub shares: Option<u64>,
    /// Time per period; negative is no limit.
    pub quota: Option<i64>,
    /// Length of a period.
    pub period: Option<u64>,
    /// Unused time that may be saved up.
    pub burst: Option<u64>,
    /// Real-time budget per real-time period, v1 only.
    pub realtime_runtime: Option<i64>,
    /// Real-time period, v1 only.
    pub realtime_period: Option<u64>,
    /// List of CPUs (`0-2,7`).
    pub cpus: Option<String>,
    /// List of memory nodes.
    pub mems: Option<String>,
    /// 1: run only where nobody else wants to.
    pub idle: Option<i64>,
}

/// `linux.resources.memory`; bytes, negative is no limit. Zero was refused or dropped: it asks for nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// Hard limit.
    pub limit: Option<i64>,
    /// Soft limit.
    pub reservation: Option<i64>,
    /// Limit of memory and swap together.
    pub swap: Option<i64>,
    /// 0 to 100, v1 only.
    pub swappiness: Option<u64>,
    /// Whether tasks wait instead of being killed, v1 only.
    pub disable_oom_killer: bool,
    /// Whether a limit at or below the present usage is refused.
    pub check_before_update: bool,
}

/// `linux.resources.blockIO`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlockIo {
    /// Relative weight, 10 to 1000.
    pub weight: Option<u16>,
    /// Weight against child cgroups, v1 only.
    pub leaf_weight: Option<u16>,
    /// Weights per device.
    pub weight_device: Vec<WeightDevice>,
    /// Bytes read per second.
    pub read_bps: Vec<Throttle>,
    /// Bytes written per second.
    pub write_bps: Vec<Throttle>,
    /// Reads per second.
    pub read_iops: Vec<Throttle>,
    /// Writes per second.
    pub write_iops: Vec<Throttle>,
}

/// The weight of one block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightDevice {
    /// Device number, major part.
    pub major: i64,
    /// Device number, minor part.
    pub minor: i64,
    /// Relative weight, 10 to 1000.
    pub weight: Option<u16>,
    /// Weight against child cgroups, v1 only.
    pub leaf_weight: Option<u16>,
}

/// The limit of one block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// Device number, major part.
    pub major: i64,
    /// Device number, minor part.
    pub minor: i64,
    /// Per second; zero is no limit.
    pub rate: u64,
}

/// The limit of one size of huge pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hugepage {
    /// As the kernel names it: `2MB`, `1GB`.
    pub size: String,
    /// Bytes; negative is no limit.
    pub limit: i64,
}

/// `linux.resources.network`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Network {
    /// Mark of every packet, net_cls.
    pub class_id: Option<u32>,
    /// Priority per interface, net_prio.
    pub priorities: Vec<(String, u32)>,
}

/// Limits of one RDMA device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rdma {
    /// Open handles.
    pub hca_handles: Option<u32>,
    /// Objects.
    pub hca_objects: Option<u32>,
}

/// What the spec's Rust types read otherwise than its Go types: a pids object without a limit is nothing, and the size
/// of huge pages was spelled `pagesize` in the spec until 1.0, as Go still takes it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Given {
    pids: Option<Limit>,
    hugepage_limits: Option<Vec<Page>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    #[serde(default, alias = "pagesize")]
    page_size: String,
    #[serde(default)]
    limit: i64,
}

#[derive(Default, Deserialize)]
struct Limit {
    limit: Option<i64>,
}

impl Resources {
    /// What a new container gets: the text of `linux.resources`, and the devices that every container may use.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] with the field's path.
    pub fn parse(text: Option<&RawValue>) -> Result<Self> {
        let Some(text) = text.map(RawValue::get).filter(|t| *t != "null") else {
            return Self::for_create(None);
        };
        let (spec, pids) = Self::read(text)?;
        Ok(Self {
            pids,
            ..Self::for_create(Some(&spec))?
        })
    }

    /// What `update` sets: as [`Self::parse`], but the device filter stays as it is.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] with the field's path.
    pub fn parse_update(text: &str) -> Result<Self> {
        let (spec, pids) = Self::read(text)?;
        Ok(Self {
            pids,
            ..Self::for_update(&spec)?
        })
    }

    fn read(text: &str) -> Result<(LinuxResources, Option<i64>)> {
        let unreadable = |e: serde_json::Error| Error::config("linux.resources", e.to_string());
        let given: Given = serde_json::from_str(text).map_err(unreadable)?;
        let pids = given.pids.and_then(|p| p.limit);
        let mut spec: LinuxResources = serde_json::from_str(text).map_err(unreadable)?;
        if let Some(pages) = given.hugepage_limits {
            let page = |page: Page| {
                let mut limit = LinuxHugepageLimit::default();
                limit.set_page_size(page.page_size).set_limit(page.limit);
                limit
            };
            spec.set_hugepage_limits(Some(pages.into_iter().map(page).collect()));
        }
        Ok((spec, pids))
    }

    /// What a new container gets: `spec` and the devices that every container may use.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] with the field's path.
    pub fn for_create(spec: Option<&LinuxResources>) -> Result<Self> {
        let mut all = match spec {
            Some(spec) => Self::for_update(spec)?,
            None => Self::default(),
        };
        let given = spec
            .and_then(|s| s.devices().as_deref())
            .unwrap_or_default();
        for (index, rule) in given.iter().enumerate() {
            all.devices.extend(device(index, rule)?);
        }
        all.devices.extend(default_devices());
        Ok(all)
    }

    /// What `update` sets: as [`Self::for_create`], but the device filter stays as it is.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] with the field's path.
    pub fn for_update(spec: &LinuxResources) -> Result<Self> {
        let rdma = spec.rdma().iter().flatten().map(|(name, limit)| {
            let limit = Rdma {
                hca_handles: limit.hca_handles(),
                hca_objects: limit.hca_objects(),
            };
            (name.clone(), limit)
        });
        Ok(Self {
            cpu: spec
                .cpu()
                .as_ref()
                .map(cpu)
                .transpose()?
                .unwrap_or_default(),
            memory: spec
                .memory()
                .as_ref()
                .map(memory)
                .transpose()?
                .unwrap_or_default(),
            pids: spec.pids().as_ref().map(|p| p.limit()),
            block_io: spec
                .block_io()
                .as_ref()
                .map(block_io)
                .transpose()?
                .unwrap_or_default(),
            hugepages: hugepages(spec.hugepage_limits().as_deref().unwrap_or_default())?,
            network: spec.network().as_ref().map(network).unwrap_or_default(),
            rdma: rdma.collect(),
            unified: unified(spec)?,
            devices: Vec::new(),
        })
    }
}

fn cpu(spec: &LinuxCpu) -> Result<Cpu> {
    let at = |field: &str| format!("linux.resources.cpu.{field}");
    if let Some(idle) = spec.idle().filter(|i| !(0..=1).contains(i)) {
        return Err(Error::config(at("idle"), format!("{idle} is not 0 or 1")));
    }
    for (field, list) in [("cpus", spec.cpus()), ("mems", spec.mems())] {
        if let Some(list) = list
            .as_ref()
            .filter(|l| !l.is_empty() && number_list(l).is_none())
        {
            let what = format!("{list:?} is not a list of numbers and ranges such as \"0-3,7\"");
            return Err(Error::config(at(field), what));
        }
    }
    let some = |list: &Option<String>| list.clone().filter(|l| !l.is_empty());
    Ok(Cpu {
        shares: spec.shares().filter(|s| *s != 0),
        quota: spec.quota().filter(|q| *q != 0),
        period: spec.period().filter(|p| *p != 0),
        burst: spec.burst(),
        realtime_runtime: spec.realtime_runtime().filter(|r| *r != 0),
        realtime_period: spec.realtime_period().filter(|p| *p != 0),
        cpus: some(spec.cpus()),
        mems: some(spec.mems()),
        idle: spec.idle(),
    })
}

fn memory(spec: &LinuxMemory) -> Result<Memory> {
    let at = |field: &str| format!("linux.resources.memory.{field}");
    let given = |field: &str, value: Option<i64>| match value {
        Some(v) if v < -1 => Err(Error::config(
            at(field),
            format!("{v} is neither a number of bytes nor -1 for no limit"),
        )),
        other => Ok(other.filter(|v| *v != 0)),
    };
    let found = Memory {
        limit: given("limit", spec.limit())?,
        reservation: given("reservation", spec.reservation())?,
        swap: given("swap", spec.swap())?,
        // All ones is how old engines said "not set".
        swappiness: spec.swappiness().filter(|s| *s != u64::MAX),
        disable_oom_killer: spec.disable_oom_killer().unwrap_or(false),
        check_before_update: spec.check_before_update().unwrap_or(false),
    };
    if let Some(value) = found.swappiness.filter(|s| *s > 100) {
        let what = format!("invalid memory swappiness value: {value} (valid range is 0-100)");
        return Err(Error::config(at("swappiness"), what));
    }
    match (found.limit, found.swap) {
        (Some(limit), Some(swap)) if limit > 0 && swap > 0 && swap < limit => Err(Error::config(
            at("swap"),
            format!("memory+swap limit should be >= memory limit: {swap} is below {limit}"),
        )),
        _ => Ok(found),
    }
}

fn block_io(spec: &LinuxBlockIo) -> Result<BlockIo> {
    let weight = |field: &str, value: Option<u16>| match value.filter(|w| *w != 0) {
        Some(w) if !(10..=1000).contains(&w) => Err(Error::config(
            format!("linux.resources.blockIO.{field}"),
            format!("{w} is not a weight from 10 to 1000"),
        )),
        other => Ok(other),
    };
    let mut weight_device = Vec::new();
    for (index, device) in spec.weight_device().iter().flatten().enumerate() {
        weight_device.push(WeightDevice {
            major: device.major(),
            minor: device.minor(),
            weight: weight(&format!("weightDevice[{index}].weight"), device.weight())?,
            leaf_weight: weight(
                &format!("weightDevice[{index}].leafWeight"),
                device.leaf_weight(),
            )?,
        });
    }
    let throttle = |list: &Option<Vec<LinuxThrottleDevice>>| {
        let one = |d: &LinuxThrottleDevice| Throttle {
            major: d.major(),
            minor: d.minor(),
            rate: d.rate(),
        };
        list.iter().flatten().map(one).collect()
    };
    Ok(BlockIo {
        weight: weight("weight", spec.weight())?,
        leaf_weight: weight("leafWeight", spec.leaf_weight())?,
        weight_device,
        read_bps: throttle(spec.throttle_read_bps_device()),
        write_bps: throttle(spec.throttle_write_bps_device()),
        read_iops: throttle(spec.throttle_read_iops_device()),
        write_iops: throttle(spec.throttle_write_iops_device()),
    })
}

fn hugepages(spec: &[LinuxHugepageLimit]) -> Result<Vec<Hugepage>> {
    let mut found: Vec<Hugepage> = Vec::new();
    for (index, limit) in spec.iter().enumerate() {
        let at = format!("linux.resources.hugepageLimits[{index}].pageSize");
        let size = limit.page_size();
        let digits = size.trim_end_matches(|c: char| !c.is_ascii_digit());
        let known = !digits.is_empty()
            && digits.bytes().all(|b| b.is_ascii_digit())
            && matches!(&size[digits.len()..], "KB" | "MB" | "GB");
        if !known {
            let what = format!("{size:?} is not a page size such as \"64KB\", \"2MB\" or \"1GB\"");
            return Err(Error::config(at, what));
        }
        if found.iter().any(|f| f.size == *size) {
            return Err(Error::config(at, format!("{size:?} is limited twice")));
        }
        found.push(Hugepage {
            size: size.clone(),
            limit: limit.limit(),
        });
    }
    Ok(found)
}

fn network(spec: &LinuxNetwork) -> Network {
    let priorities = spec.priorities().iter().flatten();
    Network {
        class_id: spec.class_id(),
        priorities: priorities
            .map(|p| (p.name().clone(), p.priority()))
            .collect(),
    }
}

fn unified(spec: &LinuxResources) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for (key, value) in spec.unified().iter().flatten() {
        let refuse = |what: &str| {
            let at = format!("linux.resources.unified[{key:?}]");
            Err(Error::config(
                at,
                format!("unified resource {key:?} {what}"),
            ))
        };
        if key.contains('/') {
            return refuse("must be a file name (no slashes)");
        }
        if !key.contains('.') || key.starts_with('.') {
            return refuse("must be in the form CONTROLLER.PARAMETER");
        }
        if key.contains('\0') || value.contains('\0') {
            return refuse("must not contain NUL bytes");
        }
        found.insert(key.clone(), value.clone());
    }
    Ok(found)
}

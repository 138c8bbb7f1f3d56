//! `linux.resources`: from the spec's many options to what a cgroup can be told.
//!
//! Pure. Refuses, by its path in config.json, what no kernel accepts and what contradicts itself; what depends on the
//! machine (which cgroup version, which controllers) is judged by the cgroups room.

use std::collections::BTreeMap;

use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxDeviceCgroup, LinuxDeviceType, LinuxHugepageLimit, LinuxMemory,
    LinuxNetwork, LinuxResources, LinuxThrottleDevice,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::process::number_list;
use crate::cgroups::{Access, DeviceClass, DeviceRule};
use crate::error::{Error, Result};

/// Everything `linux.resources` asks for; what is `None` or empty is left as the kernel has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources {
    /// Processor time and placement.
    pub cpu: Cpu,
    /// Memory and swap.
    pub memory: Memory,
    /// Largest number of tasks; negative is no limit, zero is a limit (runtime-spec 1.3).
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

/// The one part of the spec that its Rust types cannot tell from nothing: a pids object without a limit.
#[derive(Default, Deserialize)]
struct PidsGiven {
    pids: Option<Limit>,
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
        let given: PidsGiven = serde_json::from_str(text).map_err(unreadable)?;
        let pids = given.pids.and_then(|p| p.limit);
        Ok((serde_json::from_str(text).map_err(unreadable)?, pids))
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

fn device(index: usize, spec: &LinuxDeviceCgroup) -> Result<Vec<DeviceRule>> {
    let at = |field: &str| format!("linux.resources.devices[{index}].{field}");
    let number = |field: &str, value: Option<i64>| match value {
        None | Some(-1) => Ok(None),
        Some(n) => u32::try_from(n).map(Some).map_err(|_| {
            Error::config(
                at(field),
                format!("{n} is neither a device number nor -1 for any"),
            )
        }),
    };
    let text = spec.access().as_deref().unwrap_or_default();
    if text.is_empty() {
        let what =
            format!("device access at {index} field cannot be empty; give any of r, w and m");
        return Err(Error::config(at("access"), what));
    }
    let access = Access::parse(text).ok_or_else(|| {
        Error::config(
            at("access"),
            format!("{text:?} has letters other than r, w and m"),
        )
    })?;
    let classes: &[DeviceClass] = match spec.typ().unwrap_or(LinuxDeviceType::A) {
        LinuxDeviceType::A => &[DeviceClass::Char, DeviceClass::Block],
        LinuxDeviceType::C | LinuxDeviceType::U => &[DeviceClass::Char],
        LinuxDeviceType::B => &[DeviceClass::Block],
        LinuxDeviceType::P => {
            return Err(Error::config(
                at("type"),
                "a FIFO has no device number; give a, b or c",
            ));
        }
    };
    let (major, minor) = (
        number("major", spec.major())?,
        number("minor", spec.minor())?,
    );
    let rule = |class: &DeviceClass| DeviceRule {
        allow: spec.allow(),
        class: *class,
        major,
        minor,
        access,
    };
    Ok(classes.iter().map(rule).collect())
}

/// What every container may do: make any node, and use those that runtime-spec "Default Devices" lists, the console,
/// pseudo-terminals and /dev/net/tun.
fn default_devices() -> impl Iterator<Item = DeviceRule> {
    const MEM: [u32; 5] = [3, 5, 7, 8, 9];
    let make = [DeviceClass::Char, DeviceClass::Block].map(|class| DeviceRule {
        allow: true,
        class,
        major: None,
        minor: None,
        access: Access::MAKE,
    });
    let numbers = MEM.iter().map(|minor| (1, Some(*minor)));
    let rest = [
        (5, Some(0)),
        (5, Some(1)),
        (5, Some(2)),
        (136, None),
        (10, Some(200)),
    ];
    let used = numbers.chain(rest).map(|(major, minor)| DeviceRule {
        allow: true,
        class: DeviceClass::Char,
        major: Some(major),
        minor,
        access: Access::ALL,
    });
    make.into_iter().chain(used)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Resources> {
        Resources::parse(Some(&RawValue::from_string(text.to_owned()).unwrap()))
    }

    #[test]
    fn what_asks_for_nothing_is_nothing() {
        let text = r#"{"memory":{"limit":0,"swap":0},"cpu":{"shares":0,"quota":0,"cpus":""},"pids":{},"blockIO":{"weight":0}}"#;
        let found = read(text).unwrap();
        let bare = Resources::parse(None).unwrap();
        assert_eq!(found, bare);
        assert_eq!(bare.devices.len(), 12);
        assert_eq!(read(r#"{"pids":{"limit":0}}"#).unwrap().pids, Some(0));
    }

    #[test]
    fn a_rule_for_all_devices_is_one_for_each_class() {
        let found = read(
            r#"{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":10,"minor":-1,"access":"r"}]}"#,
        );
        let devices = found.unwrap().devices;
        assert_eq!(devices.len(), 12 + 3);
        assert_eq!(
            (devices[0].class, devices[1].class),
            (DeviceClass::Char, DeviceClass::Block)
        );
        let third = (devices[2].major, devices[2].minor, devices[2].access);
        assert_eq!(third, (Some(10), None, Access::READ));
    }

    #[test]
    fn refusals_name_the_field() {
        for (text, field) in [
            (r#"{"memory":{"limit":-2}}"#, "memory.limit"),
            (r#"{"memory":{"limit":9,"swap":8}}"#, "memory.swap"),
            (r#"{"memory":{"swappiness":101}}"#, "memory.swappiness"),
            (r#"{"cpu":{"cpus":"0-"}}"#, "cpu.cpus"),
            (r#"{"cpu":{"mems":"x"}}"#, "cpu.mems"),
            (r#"{"cpu":{"idle":2}}"#, "cpu.idle"),
            (r#"{"blockIO":{"weight":5}}"#, "blockIO.weight"),
            (
                r#"{"blockIO":{"weightDevice":[{"major":8,"minor":0,"weight":1001}]}}"#,
                "blockIO.weightDevice[0].weight",
            ),
            (
                r#"{"hugepageLimits":[{"pageSize":"2M","limit":1}]}"#,
                "hugepageLimits[0].pageSize",
            ),
            (
                r#"{"hugepageLimits":[{"pageSize":"2MB","limit":1},{"pageSize":"2MB","limit":2}]}"#,
                "hugepageLimits[1].pageSize",
            ),
            (r#"{"unified":{"a/b.c":"1"}}"#, "unified[\"a/b.c\"]"),
            (r#"{"unified":{"memory":"1"}}"#, "unified[\"memory\"]"),
            (r#"{"devices":[{"allow":true}]}"#, "devices[0].access"),
            (
                r#"{"devices":[{"allow":true,"access":"x"}]}"#,
                "devices[0].access",
            ),
            (
                r#"{"devices":[{"allow":true,"access":"r","major":-5}]}"#,
                "devices[0].major",
            ),
            (
                r#"{"devices":[{"allow":true,"access":"r","type":"p"}]}"#,
                "devices[0].type",
            ),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("linux.resources.{field}: ")),
                "{text}: {error}"
            );
        }
    }
}

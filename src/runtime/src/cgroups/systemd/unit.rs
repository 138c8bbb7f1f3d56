//! Names, places and properties of a container's unit, pure (systemd.resource-control(5), org.freedesktop.systemd1(5)).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::wire::Value;
use super::{gvariant, list};
use crate::cgroups::plan::{self, weight_of_shares};
use crate::cgroups::{DeviceClass, DeviceRule, Request};
use crate::config::process::number_list;
use crate::config::resources::{Cpu, Resources};
use crate::error::{Error, Result};

/// A property as systemd takes it.
pub type Property = (String, Value);

/// The prefix of annotations that become properties.
const ANNOTATION: &str = "org.systemd.property.";

/// A unit's name and the slice it lies in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// With its suffix, `.scope` or `.slice`.
    pub name: String,
    /// The slice's name.
    pub slice: String,
}

impl Unit {
    /// From `linux.cgroupsPath`, `slice:prefix:name`.
    pub fn of(request: &Request<'_>) -> Result<Self> {
        let default_slice = if request.rootless {
            "user.slice"
        } else {
            "system.slice"
        };
        let path = request.path.filter(|p| !p.is_empty());
        let text = path.map_or_else(|| format!(":keel:{}", request.id), str::to_owned);
        let parts: Vec<&str> = text.split(':').collect();
        let &[slice, prefix, name] = parts.as_slice() else {
            let what = format!(
                "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {text:?} instead"
            );
            return Err(Error::config("linux.cgroupsPath", what));
        };
        if name.is_empty() || name.contains('/') || prefix.contains('/') {
            let what = format!("{text:?} does not end in the name of a unit");
            return Err(Error::config("linux.cgroupsPath", what));
        }
        let full = match prefix {
            _ if name.ends_with(".slice") => name.to_owned(),
            "" => format!("{name}.scope"),
            prefix => format!("{prefix}-{name}.scope"),
        };
        let slice = if slice.is_empty() {
            default_slice
        } else {
            slice
        };
        expand(slice)?;
        Ok(Self {
            name: full,
            slice: slice.to_owned(),
        })
    }

    /// Whether the unit is a slice: one that holds other units and takes no process when it is made.
    pub fn is_slice(&self) -> bool {
        self.name.ends_with(".slice")
    }

    /// Its cgroup, relative to the cgroup of the systemd that makes it.
    pub fn place(&self) -> Result<PathBuf> {
        if self.is_slice() {
            // A slice's name says where it lies.
            return expand(&self.name);
        }
        Ok(expand(&self.slice)?.join(&self.name))
    }

    /// Everything for StartTransientUnit: what it is, what is counted, whose process, then the limits, then what the
    /// annotations say, which have the last word.
    pub fn properties(
        &self,
        request: &Request<'_>,
        pid: i32,
        v2: bool,
        devices: &dyn DeviceNames,
    ) -> Result<Vec<Property>> {
        let mut all = vec![property(
            "Description",
            Value::Text(format!("keel container {}", request.id)),
        )];
        if self.is_slice() {
            all.push(property("Wants", Value::texts([self.slice.as_str()])));
        } else {
            all.push(property("Slice", Value::text(&self.slice)));
            all.push(property("Delegate", Value::Bool(true)));
            let pid = Value::U32(pid.unsigned_abs());
            all.push(property("PIDs", Value::Array("u".to_owned(), vec![pid])));
        }
        let io = if v2 {
            "IOAccounting"
        } else {
            "BlockIOAccounting"
        };
        for name in ["MemoryAccounting", "CPUAccounting", io, "TasksAccounting"] {
            all.push(property(name, Value::Bool(true)));
        }
        all.push(property("DefaultDependencies", Value::Bool(false)));
        all.extend(limits(request.resources, v2, devices)?);
        for given in annotated(request.properties)? {
            all.retain(|(name, _)| *name != given.0);
            all.push(given);
        }
        Ok(all)
    }
}

fn property(name: &str, value: Value) -> Property {
    (name.to_owned(), value)
}

/// The properties as one argument, `a(sv)`.
pub fn argument(properties: Vec<Property>) -> Value {
    let one =
        |(name, value)| Value::Tuple(vec![Value::Text(name), Value::Variant(Box::new(value))]);
    Value::Array("(sv)".to_owned(), properties.into_iter().map(one).collect())
}

/// The directory of a slice: `a-b.slice` lies in `a.slice` (systemd.slice(5)).
pub fn expand(slice: &str) -> Result<PathBuf> {
    let refuse = || {
        let what = format!(
            "invalid slice name: {slice:?}; expected parts joined by \"-\" and \".slice\" behind them"
        );
        Err(Error::config("linux.cgroupsPath", what))
    };
    let Some(stem) = slice.strip_suffix(".slice").filter(|s| !s.contains('/')) else {
        return refuse();
    };
    if stem == "-" {
        return Ok(PathBuf::new());
    }
    let mut path = PathBuf::new();
    let mut prefix = String::new();
    for part in stem.split('-') {
        if part.is_empty() || part == ".." || part == "." {
            return refuse();
        }
        prefix.push_str(part);
        path.push(format!("{prefix}.slice"));
        prefix.push('-');
    }
    Ok(path)
}

/// What systemd calls the drivers of device numbers, `/proc/devices`.
pub trait DeviceNames {
    /// The name of a major number, which systemd takes as `char-NAME` or `block-NAME`.
    fn driver(&self, class: DeviceClass, major: u32) -> Option<String>;
}

/// The limits in systemd's words: the same values go to the files afterwards, but without these a reload of systemd
/// would put its own back.
pub fn limits(resources: &Resources, v2: bool, devices: &dyn DeviceNames) -> Result<Vec<Property>> {
    let mut all = device_policy(&resources.devices, devices)?;
    let memory = &resources.memory;
    let bytes = |limit: i64| Value::U64(u64::try_from(limit).unwrap_or(u64::MAX));
    if v2 {
        let swap = plan::swap_alone(memory.limit, memory.swap)?;
        all.extend(memory.limit.map(|n| property("MemoryMax", bytes(n))));
        all.extend(memory.reservation.map(|n| property("MemoryLow", bytes(n))));
        all.extend(swap.map(|n| property("MemorySwapMax", bytes(n))));
    } else {
        all.extend(memory.limit.map(|n| property("MemoryLimit", bytes(n))));
    }
    all.extend(processor(&resources.cpu, v2));
    if let Some(limit) = resources.pids {
        // systemd refuses a limit of no task at all.
        all.push(property(
            "TasksMax",
            if limit == 0 {
                Value::U64(1)
            } else {
                bytes(limit)
            },
        ));
    }
    if let Some(weight) = resources.block_io.weight {
        let (name, value) = if v2 {
            ("IOWeight", plan::io_weight(weight))
        } else {
            ("BlockIOWeight", weight.into())
        };
        all.push(property(name, Value::U64(value)));
    }
    if v2 {
        for (key, value) in &resources.unified {
            for found in unified(key, value)? {
                all.retain(|(name, _)| *name != found.0);
                all.push(found);
            }
        }
    }
    Ok(all)
}

fn processor(cpu: &Cpu, v2: bool) -> Vec<Property> {
    let mut all = Vec::new();
    if let Some(shares) = cpu.shares {
        let (name, value) = if v2 {
            ("CPUWeight", weight_of_shares(shares))
        } else {
            ("CPUShares", shares)
        };
        if cpu.idle != Some(1) {
            all.push(property(name, Value::U64(value)));
        }
    }
    if cpu.quota.is_some() || cpu.period.is_some() {
        all.extend(quota(cpu.quota.unwrap_or(-1), cpu.period));
    }
    if v2 {
        let mask = |list: &Option<String>| list.as_deref().and_then(number_list).map(bytes_of);
        all.extend(mask(&cpu.cpus).map(|m| property("AllowedCPUs", m)));
        all.extend(mask(&cpu.mems).map(|m| property("AllowedMemoryNodes", m)));
    }
    all
}

/// systemd counts the quota per second, in steps of ten milliseconds, rounded up.
fn quota(quota: i64, period: Option<u64>) -> Vec<Property> {
    const STEP: u64 = 10_000;
    let length = period.unwrap_or(100_000).max(1);
    let per_second = match u64::try_from(quota) {
        Ok(quota) if quota > 0 => {
            let exact = u128::from(quota) * 1_000_000 / u128::from(length);
            u64::try_from(exact)
                .unwrap_or(u64::MAX - STEP)
                .next_multiple_of(STEP)
        }
        _ => u64::MAX,
    };
    let mut all = Vec::new();
    all.extend(period.map(|p| property("CPUQuotaPeriodUSec", Value::U64(p))));
    all.push(property("CPUQuotaPerSecUSec", Value::U64(per_second)));
    all
}

/// A bit mask, least byte first, without zero bytes at the end.
fn bytes_of(mask: Vec<u64>) -> Value {
    let mut bytes: Vec<u8> = mask.iter().flat_map(|word| word.to_le_bytes()).collect();
    let used = bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at + 1);
    bytes.truncate(used);
    Value::Array("y".to_owned(), bytes.into_iter().map(Value::Byte).collect())
}

/// The property for a file of cgroup v2; files that systemd has no word for only go to the file.
fn unified(key: &str, value: &str) -> Result<Vec<Property>> {
    let refuse = |what: &str| {
        let at = format!("linux.resources.unified[{key:?}]");
        Error::config(at, format!("{value:?} is not {what}"))
    };
    let number = || match value.trim() {
        "max" => Ok(Value::U64(u64::MAX)),
        digits => digits
            .parse()
            .map(Value::U64)
            .map_err(|_| refuse("a number or \"max\"")),
    };
    let mask = || {
        number_list(value)
            .map(bytes_of)
            .ok_or_else(|| refuse("a list of numbers such as \"0-3,7\""))
    };
    let one = |name: &str, value: Value| vec![property(name, value)];
    Ok(match key {
        "memory.max" => one("MemoryMax", number()?),
        "memory.high" => one("MemoryHigh", number()?),
        "memory.low" => one("MemoryLow", number()?),
        "memory.min" => one("MemoryMin", number()?),
        "memory.swap.max" => one("MemorySwapMax", number()?),
        "pids.max" => one("TasksMax", number()?),
        "cpu.weight" => one("CPUWeight", number()?),
        "cpuset.cpus" => one("AllowedCPUs", mask()?),
        "cpuset.mems" => one("AllowedMemoryNodes", mask()?),
        "memory.oom.group" => match value.trim() {
            "0" => one("OOMPolicy", Value::text("continue")),
            "1" => one("OOMPolicy", Value::text("kill")),
            _ => return Err(refuse("0 or 1")),
        },
        "cpu.max" => {
            let mut words = value.split_whitespace();
            let wrong = || refuse("\"QUOTA PERIOD\" or \"max PERIOD\"");
            let limit = match words.next() {
                Some("max") => -1,
                Some(digits) => digits.parse().map_err(|_| wrong())?,
                None => return Err(wrong()),
            };
            let period = words
                .next()
                .map(|w| w.parse().map_err(|_| wrong()))
                .transpose()?;
            quota(limit, period)
        }
        _ => Vec::new(),
    })
}

/// The device filter in systemd's words. What it cannot say (a filter that allows by default) is left to ours.
fn device_policy(rules: &[DeviceRule], names: &dyn DeviceNames) -> Result<Vec<Property>> {
    if rules.is_empty() {
        return Ok(Vec::new());
    }
    let list = list::List::of(rules)?;
    if list.allows_by_default() {
        return Ok(vec![property("DevicePolicy", Value::text("auto"))]);
    }
    let mut entries = Vec::new();
    for ((class, major, minor), access) in list.exceptions() {
        let class_name = match class {
            DeviceClass::Char => "char",
            DeviceClass::Block => "block",
        };
        let place = match (major, minor) {
            (None, _) => format!("{class_name}-*"),
            (Some(major), Some(minor)) => format!("/dev/{class_name}/{major}:{minor}"),
            (Some(major), None) => match names.driver(class, major) {
                Some(driver) => format!("{class_name}-{driver}"),
                // No driver on this host has the number, so there is nothing to allow.
                None => continue,
            },
        };
        entries.push(Value::Tuple(vec![
            Value::Text(place),
            Value::Text(access.to_string()),
        ]));
    }
    let none = Value::Array("(ss)".to_owned(), Vec::new());
    Ok(vec![
        property("DevicePolicy", Value::text("strict")),
        // An empty list first: it takes back what systemd had.
        property("DeviceAllow", none),
        property("DeviceAllow", Value::Array("(ss)".to_owned(), entries)),
    ])
}

/// The properties that annotations name.
pub fn annotated(annotations: &BTreeMap<String, String>) -> Result<Vec<Property>> {
    let mut all = Vec::new();
    for (key, text) in annotations {
        let Some(name) = key.strip_prefix(ANNOTATION) else {
            continue;
        };
        let at = || format!("annotations[{key:?}]");
        if name.len() < 3 || !name.bytes().all(|b| b.is_ascii_alphabetic()) {
            let what = "property name incorrect: expected three letters or more and nothing else";
            return Err(Error::config(at(), what));
        }
        let value = gvariant::parse(text)
            .map_err(|what| Error::config(at(), format!("value incorrect: {what}")))?;
        all.push(
            match name.strip_suffix("Sec").filter(|_| !name.ends_with("USec")) {
                Some(stem) => {
                    let value = microseconds(&value).ok_or_else(|| {
                        Error::config(
                            at(),
                            "value incorrect: expected a number of seconds, not negative",
                        )
                    })?;
                    (format!("{stem}USec"), value)
                }
                None => (name.to_owned(), value),
            },
        );
    }
    Ok(all)
}

/// Seconds as systemd's bus wants them.
fn microseconds(value: &Value) -> Option<Value> {
    const SECOND: u64 = 1_000_000;
    let whole = |n: i64| u64::try_from(n).ok()?.checked_mul(SECOND);
    let number = match *value {
        Value::Byte(n) => u64::from(n) * SECOND,
        Value::U16(n) => u64::from(n) * SECOND,
        Value::U32(n) => u64::from(n) * SECOND,
        Value::U64(n) => n.checked_mul(SECOND)?,
        Value::I16(n) => whole(n.into())?,
        Value::I32(n) => whole(n.into())?,
        Value::I64(n) => whole(n)?,
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range is checked"
        )]
        Value::F64(n) if (0.0..1e12).contains(&n) => (n * SECOND as f64) as u64,
        _ => return None,
    };
    Some(Value::U64(number))
}

/// `/proc/devices` of this machine.
pub struct ProcDevices(String);

impl ProcDevices {
    /// Reads it; a file that cannot be read names nothing.
    pub fn read() -> Self {
        Self(crate::cgroups::dir::read_whole(Path::new("/proc"), "devices").unwrap_or_default())
    }
}

impl DeviceNames for ProcDevices {
    fn driver(&self, class: DeviceClass, major: u32) -> Option<String> {
        let (chars, blocks) = self.0.split_once("Block devices:")?;
        let section = if class == DeviceClass::Char {
            chars
        } else {
            blocks
        };
        section.lines().find_map(|line| {
            let (number, name) = line.trim().split_once(' ')?;
            (number.parse() == Ok(major)).then(|| name.trim().to_owned())
        })
    }
}

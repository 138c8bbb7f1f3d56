//! Carrying out a plan of writes on a cgroup, and taking it back where one of them fails on a running container.

use std::path::Path;

use sys::Errno;

use super::plan::{self, Absent, Write};
use super::{Cgroup, dir, failed};
use crate::config::resources::{Memory, Resources};
use crate::error::{Error, Result};

/// Writes every value of `resources`, then replaces the device filter if it names one.
pub fn set(cgroup: &Cgroup, resources: &Resources) -> Result<()> {
    let writes = writes(cgroup, resources)?;
    each(cgroup, &writes, &mut |_, _, _| {})?;
    super::device::set(cgroup, &resources.devices)
}

fn writes(cgroup: &Cgroup, resources: &Resources) -> Result<Vec<Write>> {
    if resources.memory.check_before_update {
        check_usage(cgroup, &resources.memory)?;
    }
    if cgroup.is_unified() {
        plan::v2(resources)
    } else {
        plan::v1(resources)
    }
}

/// Does the writes, controller by controller; before each, `note` is told the directory, the file and the value. One
/// that the kernel calls invalid is tried again after the others of its controller: limits bound each other (memory and
/// memory+swap, quota, period and burst), and which goes first depends on the values they have.
fn each(cgroup: &Cgroup, writes: &[Write], note: &mut dyn FnMut(&Path, &str, &str)) -> Result<()> {
    for group in writes.chunk_by(|a, b| a.controller == b.controller) {
        let name = &group[0].controller;
        let Some(dir) = cgroup.dir(name) else {
            return Err(unjoined(name));
        };
        let mut again = Vec::new();
        for write in group {
            match one(dir, write, note) {
                Err(Errno::INVAL) if group.len() > 1 => again.push(write),
                other => other.map_err(|errno| refused(dir, write, errno))?,
            }
        }
        for write in again {
            one(dir, write, note).map_err(|errno| refused(dir, write, errno))?;
        }
    }
    Ok(())
}

fn one(dir: &Path, write: &Write, note: &mut dyn FnMut(&Path, &str, &str)) -> sys::Result<()> {
    note(dir, &write.file, &write.value);
    match (dir::write(dir, &write.file, &write.value), &write.absent) {
        (Err(Errno::NOENT), Absent::Skip) => Ok(()),
        (Err(Errno::NOENT), Absent::Use { file, value }) => {
            note(dir, file, value);
            dir::write(dir, file, value)
        }
        (other, _) => other,
    }
}

/// The hierarchy is not mounted, or a rootless caller could not make its cgroup there.
fn unjoined(controller: &str) -> Error {
    Error::Unsupported {
        feature: format!("cannot set {controller} limit"),
        missing: "container could not join or create cgroup".to_owned(),
    }
}

/// The failure of a write, with what only the cgroup itself can tell.
fn refused(dir: &Path, write: &Write, errno: Errno) -> Error {
    let Write {
        controller,
        file,
        value,
        ..
    } = write;
    if errno == Errno::BUSY && file == "memory.limit_in_bytes" {
        let read = |file| dir::read(dir, file).unwrap_or_default();
        return Error::WrongState(format!(
            "unable to set memory limit to {value} (current usage: {}, peak usage: {})",
            read("memory.usage_in_bytes"),
            read("memory.max_usage_in_bytes"),
        ));
    }
    if matches!(errno, Errno::NOENT | Errno::PERM | Errno::ACCESS) {
        let available = dir::read(dir, "cgroup.controllers");
        if available.is_ok_and(|text| !text.split_whitespace().any(|c| c == controller)) {
            return Error::Unsupported {
                feature: format!("cannot set {file} to {value:?}"),
                missing: format!(
                    "controller {controller:?} not available in {}",
                    dir.display()
                ),
            };
        }
    }
    failed(
        format!("set {file} to {value:?}"),
        "write",
        &dir.join(file.as_ref()),
        errno,
    )
}

/// `checkBeforeUpdate`: v2 would kill for a limit below the usage, v1 would refuse it. Best effort, as the spec says:
/// a usage that cannot be read refuses nothing.
fn check_usage(cgroup: &Cgroup, memory: &Memory) -> Result<()> {
    let file = if cgroup.is_unified() {
        "memory.current"
    } else {
        "memory.usage_in_bytes"
    };
    let usage = cgroup
        .dir("memory")
        .and_then(|dir| dir::read(dir, file).ok());
    let Some(usage) = usage.and_then(|text| text.parse::<i64>().ok()) else {
        return Ok(());
    };
    for (name, limit) in [("memory+swap", memory.swap), ("memory", memory.limit)] {
        if let Some(limit) = limit.filter(|l| (0..=usage).contains(l)) {
            return Err(Error::WrongState(format!(
                "rejecting {name} limit {limit} <= usage {usage}"
            )));
        }
    }
    Ok(())
}

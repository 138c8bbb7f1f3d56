//! Carrying out a plan of writes on a cgroup, and taking it back where one of them fails on a running container.

use std::path::{Path, PathBuf};

use sys::Errno;

use super::layout::Layout;
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
        return plan::v2(resources);
    }
    let mut writes = plan::v1(resources)?;
    if cgroup.record.paths.contains_key("") {
        // Hybrid: the controllers that v1 has not taken are v2's.
        let theirs =
            |w: &Write| LEFT_TO_V2.contains(&&*w.controller) && cgroup.dir(&w.controller).is_none();
        if writes.iter().any(theirs) {
            writes.retain(|w| !theirs(w));
            writes.extend(plan::v2(&left_to_v2(resources))?.into_iter().filter(theirs));
        }
    }
    Ok(writes)
}

/// Controllers that a hybrid machine may have in v2, with files that need no conversion.
const LEFT_TO_V2: [&str; 2] = ["hugetlb", "rdma"];

fn left_to_v2(resources: &Resources) -> Resources {
    Resources {
        hugepages: resources.hugepages.clone(),
        rdma: resources.rdma.clone(),
        ..Resources::default()
    }
}

/// Whether on a hybrid machine `resources` ask for something that only v2 has.
pub fn needs_unified(resources: &Resources, layout: &Layout) -> bool {
    let asked = [!resources.hugepages.is_empty(), !resources.rdma.is_empty()];
    let without = |name: &&str| layout.hierarchy(name).is_none();
    LEFT_TO_V2
        .iter()
        .zip(asked)
        .any(|(name, asked)| asked && without(name))
}

/// Does the writes, controller by controller; before each, `note` is told the directory, the file and the value. One
/// that the kernel calls invalid is tried again after the others of its controller: limits bound each other (memory and
/// memory+swap, quota, period and burst), and which goes first depends on the values they have.
fn each(cgroup: &Cgroup, writes: &[Write], note: &mut dyn FnMut(&Path, &str, &str)) -> Result<()> {
    for group in writes.chunk_by(|a, b| a.controller == b.controller) {
        let name = &group[0].controller;
        let left = || {
            cgroup
                .record
                .paths
                .get("")
                .filter(|_| LEFT_TO_V2.contains(&&**name))
        };
        let Some(dir) = cgroup.dir(name).or_else(|| left().map(PathBuf::as_path)) else {
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
    Error::Denied(crate::compat::not_joined(controller))
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

/// As [`set`] for a running container, without devices: where one write fails, those before it are taken back.
pub fn update(cgroup: &Cgroup, resources: &Resources) -> Result<()> {
    let writes = writes(cgroup, resources)?;
    let mut before: Vec<(PathBuf, String, String)> = Vec::new();
    let result = each(cgroup, &writes, &mut |dir, file, value| {
        if let Ok(text) = dir::read(dir, file) {
            let old = previous(&text, file, value);
            before.push((dir.to_owned(), file.to_owned(), old));
        }
    });
    if result.is_err() {
        for (dir, file, old) in before.iter().rev() {
            // The first failure is told; the value that could not be brought back is the one that is in force.
            if let Err(errno) = dir::write(dir, file, old) {
                tracing::debug!("{file} stays changed, {old:?} was refused: {errno}");
            }
        }
    }
    result
}

/// The command that undoes writing `value` into a file that reads as `text`: files with a line per device take a line.
fn previous(text: &str, file: &str, value: &str) -> String {
    const DEVICES: [(&str, &str); 6] = [
        ("io.max", "rbps=max wbps=max riops=max wiops=max"),
        ("io.weight", "default"),
        ("io.bfq.weight", "0"),
        ("rdma.max", "hca_handle=max hca_object=max"),
        ("net_prio.ifpriomap", "0"),
        ("blkio.", "0"),
    ];
    let Some((key, _)) = value.split_once(' ').filter(|_| file != "cpu.max") else {
        // Of a weight file with lines, the first is the one that a bare number sets.
        let first = text.lines().next().unwrap_or_default();
        return if text.contains('\n') {
            first.to_owned()
        } else {
            text.to_owned()
        };
    };
    let line = text.lines().find(|l| l.split(' ').next() == Some(key));
    let none = DEVICES
        .iter()
        .find(|(name, _)| file.starts_with(name))
        .map_or("", |(_, none)| none);
    line.map_or_else(|| format!("{key} {none}"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::previous;

    #[test]
    fn what_undoes_a_write() {
        assert_eq!(previous("max", "memory.max", "5"), "max");
        assert_eq!(previous("max 100000", "cpu.max", "5 7"), "max 100000");
        let io = "8:0 rbps=1 wbps=max riops=max wiops=max";
        assert_eq!(previous(io, "io.max", "8:0 rbps=9"), io);
        assert_eq!(
            previous(io, "io.max", "8:16 rbps=9"),
            "8:16 rbps=max wbps=max riops=max wiops=max"
        );
        assert_eq!(
            previous("", "blkio.throttle.read_bps_device", "8:0 5"),
            "8:0 0"
        );
        assert_eq!(
            previous("default 100\n8:0 7", "io.weight", "50"),
            "default 100"
        );
    }
}

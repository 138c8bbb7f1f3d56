//! Cgroups made by systemd, asked over D-Bus: the container's process becomes a transient scope of its own, and the
//! files get what the scope got (systemd's "Control Group APIs and Delegation").

mod bus;
#[cfg(test)]
mod fake;
mod gvariant;
#[cfg(test)]
mod tests;
mod unit;
mod wire;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::device::list;
use super::layout::{Layout, Mode, below, has};
use super::{Cgroup, Request, dir, failed, v1, v2};
use crate::config::resources::Resources;
use crate::error::{Error, Result};
use bus::{Answer, Bus, Failure};
use unit::{ProcDevices, Unit};
use wire::Value;

const UNIT_EXISTS: &str = "org.freedesktop.systemd1.UnitExists";
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";

/// A unit that is to be started once its process is known.
#[derive(Clone, Debug)]
pub struct Pending {
    properties: Vec<unit::Property>,
    fragments: Vec<(String, PathBuf, PathBuf)>,
    resources: Resources,
    owner: Option<u32>,
}

/// The unit of `request`, the directories that it will have, and refusals of what is there already. Nothing is made.
pub fn prepare(
    request: &Request<'_>,
    layout: &Layout,
) -> Result<(String, BTreeMap<String, PathBuf>, Pending)> {
    let unit = Unit::of(request)?;
    let v2 = layout.mode == Mode::Unified;
    // Of a user's systemd, units lie below its own cgroup.
    let base = if request.rootless {
        with_bus(true, control_group)?
    } else {
        PathBuf::from("/")
    };
    let place = base.join(unit.place()?);
    let mut paths = BTreeMap::new();
    let mut fragments = Vec::new();
    for hierarchy in &layout.hierarchies {
        let dir = below(&hierarchy.mountpoint, &place);
        if paths.is_empty() || has(&hierarchy.controllers, "devices") {
            v1::refuse_occupied(&dir)?;
        }
        fragments.push((
            hierarchy.controllers.clone(),
            hierarchy.mountpoint.clone(),
            dir.clone(),
        ));
        paths.insert(hierarchy.controllers.clone(), dir);
    }
    let properties = unit.properties(request, 0, v2, &ProcDevices::read())?;
    let pending = Pending {
        properties,
        fragments,
        resources: request.resources.clone(),
        owner: request.owner,
    };
    Ok((unit.name, paths, pending))
}

/// Starts `unit` with `pid` in it, joins the hierarchies that systemd does not manage and sets every limit.
pub fn start(cgroup: &Cgroup, unit: &str, pending: &Pending, pid: i32) -> Result<()> {
    let mut properties = pending.properties.clone();
    for (name, value) in &mut properties {
        if name == "PIDs" {
            *value = Value::Array("u".to_owned(), vec![Value::U32(pid.unsigned_abs())]);
        }
    }
    with_bus(cgroup.record.rootless, |bus| {
        start_unit(bus, unit, &properties)
    })?;
    for (controllers, mountpoint, dir) in &pending.fragments {
        let new = dir::make(dir).map_err(|e| failed("create cgroup", "mkdir", dir, e))?;
        if has(controllers, "cpuset") {
            v1::seed(dir, mountpoint, new)?;
        }
        if controllers.is_empty() {
            v2::enable(mountpoint, dir);
        }
        super::join(dir, pid).map_err(|errno| v2::explain(dir, errno))?;
    }
    super::apply::set(cgroup, &pending.resources)?;
    match (cgroup.unified_only(), pending.owner) {
        (Some(dir), Some(uid)) => super::delegation::give(dir, uid),
        _ => Ok(()),
    }
}

fn start_unit(bus: &mut Bus, unit: &str, properties: &[unit::Property]) -> Answer<()> {
    let arguments = [
        Value::text(unit),
        Value::text("replace"),
        unit::argument(properties.to_vec()),
        Value::Array("(sa(sv))".to_owned(), Vec::new()),
    ];
    let mut result = bus.job("StartTransientUnit", &arguments);
    // What an earlier container of this name left behind as failed stands in the way once.
    if matches!(&result, Err(Failure::Refused(name, _)) if name == UNIT_EXISTS) {
        reset(bus, unit)?;
        result = bus.job("StartTransientUnit", &arguments);
    }
    let result = result?;
    if result == "done" {
        return Ok(());
    }
    reset(bus, unit)?;
    Err(Failure::Refused(
        "job".to_owned(),
        format!("unable to start unit {unit:?}: its job ended as {result:?}"),
    ))
}

/// Tells systemd the limits that `resources` name, so that it does not undo what the files get.
pub fn update(cgroup: &Cgroup, unit: &str, resources: &Resources) -> Result<()> {
    let properties = unit::limits(resources, cgroup.is_unified(), &ProcDevices::read())?;
    if properties.is_empty() {
        return Ok(());
    }
    with_bus(cgroup.record.rootless, |bus| {
        let arguments = [
            Value::text(unit),
            Value::Bool(true),
            unit::argument(properties.clone()),
        ];
        bus.manager("SetUnitProperties", &arguments).map(drop)
    })
}

/// Stops `unit` and forgets that it failed, if it did. One that is gone is fine.
pub fn stop(unit: &str, user: bool) -> Result<()> {
    with_bus(user, |bus| {
        match bus.job("StopUnit", &[Value::text(unit), Value::text("replace")]) {
            Ok(_) => {}
            Err(Failure::Refused(name, _)) if name == NO_SUCH_UNIT => {}
            Err(failure) => return Err(failure),
        }
        reset(bus, unit)
    })
}

/// Makes systemd forget a failed unit. That it knows none is the usual case.
fn reset(bus: &mut Bus, unit: &str) -> Answer<()> {
    match bus.manager("ResetFailedUnit", &[Value::text(unit)]) {
        Ok(_) | Err(Failure::Refused(..)) => Ok(()),
        Err(failure) => Err(failure),
    }
}

fn control_group(bus: &mut Bus) -> Answer<PathBuf> {
    match bus.property("ControlGroup")? {
        Some(Value::Text(path)) => Ok(Path::new("/").join(path)),
        _ => Err(Failure::Broken(
            "systemd does not tell its own cgroup".to_owned(),
        )),
    }
}

/// Runs `ask` on a connection, and once more on a new one where the first broke: the broker may have been restarted.
fn with_bus<T>(user: bool, mut ask: impl FnMut(&mut Bus) -> Answer<T>) -> Result<T> {
    let mut attempt = || Bus::open(user).and_then(|mut bus| ask(&mut bus));
    let answer = match attempt() {
        Err(Failure::Broken(why)) => {
            tracing::debug!("systemd: {why}; trying again");
            attempt()
        }
        other => other,
    };
    answer.map_err(|failure| match failure {
        Failure::Refused(name, text) if name == "job" => Error::WrongState(text),
        Failure::Refused(name, text) => Error::Denied(format!("systemd: {text} ({name})")),
        Failure::Broken(why) => Error::Unsupported {
            feature: "systemd cgroup manager".to_owned(),
            missing: format!("{why}; without systemd use --cgroup-manager=cgroupfs"),
        },
        Failure::Late => Error::Timeout(format!(
            "systemd did not answer within {} s",
            bus::TIME.as_secs()
        )),
    })
}

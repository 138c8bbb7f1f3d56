//! cgroups: where a container's processes are counted, limited, frozen and found again.
//!
//! One [`Cgroup`] is the container's directory in every mounted hierarchy: all of v1's, one by one or joint, and
//! v2's (cgroups(7), Documentation/admin-guide/cgroup-v2.rst). [`Layout::probe`] says what is mounted,
//! [`Cgroup::create`] makes the directories and, where the manager allows it, sets every limit before a process is
//! in them; [`Record`] is what the state file keeps, so that later commands need neither flags nor probing.

mod apply;
mod delegation;
mod device;
mod dir;
mod freezer;
mod layout;
mod oom;
mod path;
mod place;
mod plan;
mod removal;
mod stats;
mod systemd;
#[cfg(test)]
mod tests;
mod v1;
mod v2;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sys::Errno;

use crate::config::resources::Resources;
use crate::error::{Error, Result};

pub use device::{Access, DeviceClass, DeviceRule};
pub use layout::{Hierarchy, Layout, Mode};
pub use oom::OomWatch;
pub use place::Place;
pub use stats::Stats;

/// Who makes the cgroup and writes its limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Manager {
    /// This process, by the files of the hierarchy.
    #[default]
    Cgroupfs,
    /// systemd, as a transient unit; the files get the same values afterwards.
    Systemd,
    /// Nobody: the container stays in its caller's cgroup without limits.
    Disabled,
}

/// What a container asks of the cgroups.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The container's name: the last part of the path where the config names none.
    pub id: &'a str,
    /// `linux.cgroupsPath`: absolute or relative, or `slice:prefix:name` for systemd. Empty counts as absent.
    pub path: Option<&'a str>,
    /// Who makes it.
    pub manager: Manager,
    /// Whether lack of permission is forgiven where nothing was asked for.
    pub rootless: bool,
    /// Whom the cgroup is given to: the host's uid of the container's user, where the container gets a cgroup
    /// namespace of its own and a writable cgroup2 mount (contract of Documentation/admin-guide/cgroup-v2.rst
    /// "Delegation Containment"). v2 only.
    pub owner: Option<u32>,
    /// The limits.
    pub resources: &'a Resources,
    /// The annotations whose name begins with `org.systemd.property.`, whole names; only systemd heeds them.
    pub properties: &'a BTreeMap<String, String>,
}

/// What the state file keeps of a cgroup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Who made it.
    pub manager: Manager,
    /// Its directory per hierarchy; the key is the hierarchy's controllers (`memory`, `cpu,cpuacct`, empty for v2).
    pub paths: BTreeMap<String, PathBuf>,
    /// Whether it was made under the rootless rules.
    #[serde(default)]
    pub rootless: bool,
    /// The systemd unit, where systemd made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
}

/// A container's cgroup.
#[derive(Debug)]
pub struct Cgroup {
    record: Record,
    target: Option<OwnedFd>,
    pending: Option<systemd::Pending>,
    /// Made by this process just now: nothing in it is anybody else's.
    fresh: bool,
}

impl Cgroup {
    /// What [`Self::create`] is about to make: for the record of a maker that may be killed meanwhile. Without paths for
    /// systemd, which keeps its unit itself.
    #[must_use]
    pub fn planned(request: &Request<'_>, layout: &Layout) -> Record {
        let mut record = Record {
            manager: request.manager,
            rootless: request.rootless,
            ..Record::default()
        };
        if request.manager != Manager::Cgroupfs {
            return record;
        }
        let unified = layout.mode == Mode::Unified;
        for hierarchy in &layout.hierarchies {
            let place = if unified {
                path::v2(request, hierarchy)
            } else {
                path::v1(request, hierarchy)
            };
            record.paths.insert(hierarchy.controllers.clone(), place);
        }
        record
    }

    /// Makes the cgroup and sets its limits. Refuses a cgroup that has processes or is frozen. What it made is removed
    /// again when it fails.
    pub fn create(request: &Request<'_>, layout: &Layout) -> Result<Self> {
        let record = Record {
            manager: request.manager,
            paths: BTreeMap::new(),
            rootless: request.rootless,
            unit: None,
        };
        let mut cgroup = Self {
            record,
            target: None,
            pending: None,
            fresh: false,
        };
        match request.manager {
            Manager::Disabled => return Ok(cgroup),
            Manager::Systemd => {
                layout.mounted()?;
                let (unit, paths, pending) = systemd::prepare(request, layout)?;
                cgroup.record.unit = Some(unit);
                cgroup.record.paths = paths;
                cgroup.pending = Some(pending);
                return Ok(cgroup);
            }
            Manager::Cgroupfs => layout.mounted()?,
        }
        let mut made = Vec::new();
        match cgroup.build(request, layout, &mut made) {
            Ok(()) => Ok(cgroup),
            Err(error) => {
                for dir in made.iter().rev() {
                    if let Err(errno) = dir::remove(dir) {
                        tracing::debug!("cgroup {} stays: {errno}", dir.display());
                    }
                }
                Err(error)
            }
        }
    }

    fn build(
        &mut self,
        request: &Request<'_>,
        layout: &Layout,
        made: &mut Vec<PathBuf>,
    ) -> Result<()> {
        if layout.mode == Mode::Unified {
            let dir = v2::make(request, layout, made)?;
            self.record.paths.extend(dir.map(|d| (String::new(), d)));
        } else {
            self.record.paths = v1::make(request, layout, made)?;
        }
        self.fresh = self.main().is_some_and(|dir| made.iter().any(|m| m == dir));
        self.set(request.resources)?;
        if let Some(dir) = self.unified_only() {
            if let Some(uid) = request.owner {
                delegation::give(dir, uid)?;
            }
            self.target = Some(v2::open(dir)?);
        }
        Ok(())
    }

    /// The cgroup that `record` tells of, whether it still exists or not.
    pub fn from_record(record: &Record) -> Self {
        Self {
            record: record.clone(),
            target: None,
            pending: None,
            fresh: false,
        }
    }

    /// What the state file is to keep. Complete once [`Self::attach`] returned.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The directory for `clone3` with `CLONE_INTO_CGROUP` (Linux 5.7), where this machine and manager allow it. A
    /// process made in it needs no [`Self::attach`].
    pub fn clone_target(&self) -> Option<BorrowedFd<'_>> {
        self.target.as_ref().map(AsFd::as_fd)
    }

    /// Why `clone3` into [`Self::clone_target`] failed, where that is the cgroup's doing.
    pub fn refusal(&self, errno: Errno) -> Option<Error> {
        v2::refusal(self.unified_only()?, errno)
    }

    /// Moves process `pid` of the host's pid namespace in, into every hierarchy. With systemd, this is what starts the
    /// unit and sets the limits: a scope cannot be without a process.
    pub fn attach(&self, pid: i32) -> Result<()> {
        if let (Some(unit), Some(pending)) = (&self.record.unit, &self.pending) {
            return systemd::start(self, unit, pending, pid);
        }
        let unified = self.is_unified();
        for (controllers, dir) in &self.record.paths {
            match join(dir, pid) {
                Ok(()) => {}
                // Not delegated, nothing asked for: the process stays where it is, as create promised.
                Err(Errno::PERM | Errno::ACCESS | Errno::ROFS)
                    if self.record.rootless && !unified =>
                {
                    tracing::debug!(controllers, "rootless: cannot join the cgroup");
                }
                Err(errno) => return Err(v2::explain(dir, errno)),
            }
        }
        Ok(())
    }

    /// Sets every value that `resources` names.
    pub fn set(&self, resources: &Resources) -> Result<()> {
        if self.record.manager == Manager::Disabled {
            return Ok(());
        }
        if let Some(unit) = &self.record.unit {
            systemd::update(self, unit, resources)?;
        }
        apply::set(self, resources)
    }

    /// Changes the limits of a running container to what `new` names; the device filter stays. Where something is
    /// refused, everything is put back: `old` is what was in force.
    ///
    /// # Errors
    /// The first refusal; [`Error::NotFound`] where the cgroup is gone.
    pub fn update(&self, new: &Resources, old: &Resources) -> Result<()> {
        if self.record.manager == Manager::Disabled {
            let missing = "it was created with --cgroup-manager=disabled".to_owned();
            let feature = "updating limits".to_owned();
            return Err(Error::Unsupported { feature, missing });
        }
        if !self.exists() {
            return Err(Error::NotFound(crate::compat::CGROUP_NOT_EXIST.to_owned()));
        }
        let Some(unit) = &self.record.unit else {
            return apply::update(self, new);
        };
        systemd::update(self, unit, new)?;
        apply::update(self, new).inspect_err(|_| {
            let old = Resources {
                devices: Vec::new(),
                ..old.clone()
            };
            if let Err(error) = systemd::update(self, unit, &old) {
                tracing::debug!("unit {unit} keeps the refused limits: {error}");
            }
        })
    }

    /// The processes in the cgroup and all below it, as the host's pids, each once.
    pub fn pids(&self) -> Result<Vec<i32>> {
        let Some(dir) = self.main() else {
            return Ok(Vec::new());
        };
        let mut pids =
            dir::pids(dir, true).map_err(|e| failed("list processes", "read", dir, e))?;
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }

    /// Whether the cgroup is there.
    pub fn exists(&self) -> bool {
        self.main().is_some_and(Path::exists)
    }

    /// Removes the cgroup and all below it, in every hierarchy; those that are gone are fine. Every hierarchy is
    /// tried, the first failure is told.
    pub fn remove(&self) -> Result<()> {
        let stopped = match &self.record.unit {
            Some(unit) => systemd::stop(unit, self.record.rootless),
            None => Ok(()),
        };
        removal::remove(self.record.paths.values()).and(stopped)
    }

    /// The cgroup's directory in the hierarchy of `controller`; the empty name is v2's. In a unified layout every
    /// controller is there.
    pub fn dir(&self, controller: &str) -> Option<&Path> {
        if let Some(dir) = self.unified_only() {
            return Some(dir);
        }
        let mut paths = self.record.paths.iter();
        paths
            .find(|(names, _)| layout::has(names, controller))
            .map(|(_, dir)| dir.as_path())
    }

    fn is_unified(&self) -> bool {
        self.unified_only().is_some()
    }

    /// The directory of a cgroup that has no v1 part.
    fn unified_only(&self) -> Option<&Path> {
        let only = self.record.paths.len() == 1;
        only.then(|| self.record.paths.get(""))
            .flatten()
            .map(PathBuf::as_path)
    }

    /// The directory that stands for the whole cgroup: v2's alone, else that of `devices`, else the first.
    fn main(&self) -> Option<&Path> {
        self.dir("devices")
            .or_else(|| self.record.paths.values().next().map(PathBuf::as_path))
    }
}

/// Moves `pid` into `dir`. A task that is being born or dying gives EINVAL for a moment.
fn join(dir: &Path, pid: i32) -> sys::Result<()> {
    const PAUSE: Duration = Duration::from_millis(30);
    let text = pid.to_string();
    for _ in 0..4 {
        match dir::write(dir, "cgroup.procs", &text) {
            Err(Errno::INVAL) => std::thread::sleep(PAUSE),
            other => return other,
        }
    }
    dir::write(dir, "cgroup.procs", &text)
}

/// The failure of `call` on `path`. ENOENT is reworded: callers read the kernel's phrase as "no such command".
fn failed(step: impl Into<String>, call: &str, path: &Path, errno: Errno) -> Error {
    if errno == Errno::NOENT {
        return Error::Unsupported {
            feature: step.into(),
            missing: format!("{} is absent", path.display()),
        };
    }
    Error::kernel(step, call, path.display().to_string(), errno)
}

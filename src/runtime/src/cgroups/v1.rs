//! Making a cgroup in every v1 hierarchy, and in v2's beside them where the machine is hybrid.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sys::Errno;

use super::layout::{Layout, has};
use super::{Request, apply, dir, failed, path, v2};
use crate::compat;
use crate::error::{Error, Result};

/// Makes the directories and lists them by hierarchy. New ones are added to `made` at once.
pub fn make(
    request: &Request<'_>,
    layout: &Layout,
    made: &mut Vec<PathBuf>,
) -> Result<BTreeMap<String, PathBuf>> {
    let mut paths = BTreeMap::new();
    // The one hierarchy that every container joins goes first: where it is new, nobody can be in the cgroup, and
    // the question costs nothing.
    let (first, rest): (Vec<_>, Vec<_>) = layout
        .hierarchies
        .iter()
        .partition(|h| has(&h.controllers, "devices"));
    for hierarchy in first.into_iter().chain(rest) {
        let dir = path::v1(request, hierarchy);
        let new = match dir::make(&dir) {
            Ok(new) => new,
            Err(Errno::PERM | Errno::ACCESS | Errno::ROFS)
                if request.rootless && no_path(request) =>
            {
                continue;
            }
            Err(errno) => return Err(failed("create cgroup", "mkdir", &dir, errno)),
        };
        if new {
            made.push(dir.clone());
        } else if paths.is_empty() {
            refuse_occupied(&dir)?;
        }
        if has(&hierarchy.controllers, "freezer") && !new {
            refuse_frozen(&dir)?;
        }
        if has(&hierarchy.controllers, "cpuset") {
            seed(&dir, &hierarchy.mountpoint, new)?;
        }
        if hierarchy.controllers.is_empty() && apply::needs_unified(request.resources, layout) {
            v2::enable(&hierarchy.mountpoint, &dir);
        }
        paths.insert(hierarchy.controllers.clone(), dir);
    }
    Ok(paths)
}

/// Whether the config leaves the place of the cgroup to the runtime; only then may it be done without.
pub fn no_path(request: &Request<'_>) -> bool {
    request.path.is_none_or(str::is_empty)
}

/// An error where processes are in `dir` or below it: they would share limits and signals with the container.
pub fn refuse_occupied(dir: &Path) -> Result<()> {
    let pids = dir::pids(dir, true).map_err(|e| failed("list processes", "read", dir, e))?;
    if pids.is_empty() {
        return Ok(());
    }
    Err(Error::WrongState(compat::cgroup_not_empty(pids.len())))
}

fn refuse_frozen(dir: &Path) -> Result<()> {
    let state = dir::read_optional(dir, "freezer.state")
        .map_err(|e| failed("read freezer.state", "read", dir, e))?;
    match state.as_deref() {
        None | Some("THAWED") => Ok(()),
        Some(_) => Err(Error::WrongState(
            "container's cgroup unexpectedly frozen".to_owned(),
        )),
    }
}

/// A v1 cpuset is born empty, and an empty one takes no process: fills it, and those above it, from their parents.
pub fn seed(dir: &Path, mountpoint: &Path, new: bool) -> Result<()> {
    let at_root = dir == mountpoint;
    let Some(parent) = dir.parent().filter(|_| !at_root) else {
        return Ok(());
    };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let read = |dir: &Path| {
            dir::read(dir, file).map_err(|e| failed(format!("read {file}"), "read", dir, e))
        };
        if !new && !read(dir)?.is_empty() {
            continue;
        }
        let mut value = read(parent)?;
        if value.is_empty() {
            seed(parent, mountpoint, false)?;
            value = read(parent)?;
        }
        dir::write(dir, file, &value)
            .map_err(|e| failed(format!("set {file} to {value:?}"), "write", dir, e))?;
    }
    Ok(())
}

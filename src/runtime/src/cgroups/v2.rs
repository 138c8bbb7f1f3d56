//! Making a cgroup in the v2 hierarchy.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use sys::Errno;

use super::layout::Layout;
use super::{Request, dir, failed, path, v1};
use crate::error::{Error, Result};

/// Makes the directory, with every controller of the hierarchy if the way there allows it; `None` where a rootless
/// caller may not and needs none. What is new is added to `made` at once.
pub fn make(
    request: &Request<'_>,
    layout: &Layout,
    made: &mut Vec<PathBuf>,
) -> Result<Option<PathBuf>> {
    let hierarchy = &layout.hierarchies[0];
    let dir = path::v2(request, hierarchy);
    match dir::make(&dir) {
        Ok(true) => made.push(dir.clone()),
        Ok(false) => {
            v1::refuse_occupied(&dir)?;
            refuse_frozen(&dir)?;
        }
        Err(Errno::PERM | Errno::ACCESS | Errno::ROFS)
            if request.rootless && v1::no_path(request) =>
        {
            return Ok(None);
        }
        Err(errno) => return Err(failed("create cgroup", "mkdir", &dir, errno)),
    }
    enable(&hierarchy.mountpoint, &dir);
    Ok(Some(dir))
}

fn refuse_frozen(dir: &Path) -> Result<()> {
    let state = dir::read_optional(dir, "cgroup.freeze")
        .map_err(|e| failed("read cgroup.freeze", "read", dir, e))?;
    match state.as_deref() {
        Some("1") => Err(Error::WrongState(
            "container's cgroup unexpectedly frozen".to_owned(),
        )),
        _ => Ok(()),
    }
}

/// Gives `dir` the controllers that its hierarchy has, from the top down. A controller that cannot be enabled (an
/// ancestor is not ours, is threaded, or has real-time tasks) is missed only by a limit that needs it, and told there.
pub fn enable(root: &Path, dir: &Path) {
    let Some(parent) = dir.parent().filter(|_| dir != root) else {
        return;
    };
    let words = |dir: &Path, file: &str| -> Vec<String> {
        let text = dir::read(dir, file).unwrap_or_default();
        text.split_whitespace().map(str::to_owned).collect()
    };
    let wanted = words(root, "cgroup.controllers");
    if wanted.is_empty() {
        return;
    }
    let enabled = words(parent, "cgroup.subtree_control");
    if wanted.iter().all(|w| enabled.contains(w)) {
        return;
    }
    let mut above: Vec<&Path> = parent
        .ancestors()
        .take_while(|a| a.starts_with(root))
        .collect();
    above.reverse();
    let one = |name: &String| format!("+{name}");
    let all = wanted.iter().map(one).collect::<Vec<_>>().join(" ");
    for ancestor in above {
        if dir::write(ancestor, "cgroup.subtree_control", &all).is_ok() {
            continue;
        }
        for name in wanted.iter().map(one) {
            if let Err(errno) = dir::write(ancestor, "cgroup.subtree_control", &name) {
                tracing::debug!(
                    "cgroup controller {name} not enabled in {}: {errno}",
                    ancestor.display()
                );
            }
        }
    }
}

/// The directory as `CLONE_INTO_CGROUP` and bpf(2) take it.
pub fn open(dir: &Path) -> Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    nix::fcntl::open(dir, flags, Mode::empty()).map_err(|e| {
        failed(
            "open cgroup",
            "open",
            dir,
            Errno::from_raw_os_error(e as i32),
        )
    })
}

/// Why a process could not enter `dir`.
pub fn explain(dir: &Path, errno: Errno) -> Error {
    refusal(dir, errno)
        .unwrap_or_else(|| failed("join cgroup", "write", &dir.join("cgroup.procs"), errno))
}

/// What the state of `dir` makes of `errno`: threaded cgroups take no processes, and neither do those whose children
/// have controllers ("Threads" and "No Internal Process Constraint" of cgroup-v2.rst).
pub fn refusal(dir: &Path, errno: Errno) -> Option<Error> {
    let read = |file| dir::read(dir, file).unwrap_or_default();
    let refuse = |what: String| {
        let text = format!("cannot enter cgroup {}: {what}", dir.display());
        Some(Error::WrongState(text))
    };
    match (errno, read("cgroup.type").as_str()) {
        (Errno::OPNOTSUPP, kind) if kind != "domain" && !kind.is_empty() => refuse(format!(
            "it is in {kind:?} mode; choose a cgroupsPath below a \"domain\" cgroup"
        )),
        (Errno::BUSY, _) if !read("cgroup.subtree_control").is_empty() => {
            refuse("its children have controllers; choose another cgroupsPath".to_owned())
        }
        _ => None,
    }
}

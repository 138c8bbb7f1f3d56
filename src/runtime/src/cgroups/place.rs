//! Where in a container's cgroup an exec'd process goes: `exec --cgroup`, or with nothing asked the cgroup itself.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use super::layout::has;
use super::{Cgroup, dir, join, v2};
use crate::compat;
use crate::error::{Error, Result};

/// The directories that a process is to be put into.
#[derive(Debug)]
pub struct Place {
    dirs: Vec<PathBuf>,
    target: Option<OwnedFd>,
    rootless: bool,
}

impl Place {
    /// The directory for `clone3` with `CLONE_INTO_CGROUP`, on a machine with v2 alone.
    pub fn clone_target(&self) -> Option<BorrowedFd<'_>> {
        self.target.as_ref().map(AsFd::as_fd)
    }

    /// Moves `pid` in.
    ///
    /// # Errors
    /// The kernel's.
    pub fn attach(&self, pid: i32) -> Result<()> {
        for dir in &self.dirs {
            match join(dir, pid) {
                Err(sys::Errno::PERM | sys::Errno::ACCESS | sys::Errno::ROFS) if self.rootless => {}
                other => other.map_err(|errno| v2::explain(dir, errno))?,
            }
        }
        Ok(())
    }
}

impl Cgroup {
    /// Where a process that is exec'd beside `init` goes. `wanted` are the values of `--cgroup`: `PATH`, or on v1
    /// `CONTROLLER[,CONTROLLER]:PATH`, each a cgroup below the container's that exists.
    ///
    /// # Errors
    /// [`Error::Usage`] for a value that is none of these.
    pub fn place(&self, wanted: &[String], init: i32) -> Result<Place> {
        let mut paths = self.record.paths.clone();
        let asked = parse(wanted)?;
        let v2_only = self.is_unified();
        for (controller, below) in &asked {
            let mut found = false;
            for (names, path) in &mut paths {
                if controller.is_empty() || (!v2_only && has(names, controller)) {
                    *path = sub_path(path, below)?;
                    found = true;
                }
            }
            if !found {
                let what = format!("invalid --cgroup argument: unknown controller {controller:?}");
                return Err(Error::Usage(what));
            }
        }
        let mut dirs: Vec<PathBuf> = paths.into_values().collect();
        let mut target = None;
        if let ([only], true) = (dirs.as_mut_slice(), v2_only) {
            if asked.is_empty() && takes_no_process(only) {
                *only = cgroup_of(init).unwrap_or_else(|| only.clone());
            }
            target = Some(v2::open(only)?);
        }
        Ok(Place {
            dirs,
            target,
            rootless: self.record.rootless,
        })
    }
}

/// Whether the cgroup gives controllers to its children (EBUSY: a systemd in the container has moved even init further
/// down), or is gone because init has moved elsewhere.
fn takes_no_process(dir: &Path) -> bool {
    dir::read(dir, "cgroup.subtree_control").map_or(true, |text| !text.is_empty())
}

/// The cgroup that `init` is in now.
fn cgroup_of(init: i32) -> Option<PathBuf> {
    let text = dir::read_whole(&Path::new("/proc").join(init.to_string()), "cgroup").ok()?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(super::layout::below(
        Path::new(super::layout::ROOT),
        Path::new(own),
    ))
}

/// The values of `--cgroup` by controller; the empty name is all of them.
fn parse(wanted: &[String]) -> Result<BTreeMap<String, String>> {
    let refuse = |what: String| Err(Error::Usage(format!("invalid --cgroup argument{what}")));
    let mut paths = BTreeMap::new();
    for value in wanted {
        let Some((controllers, path)) = value.split_once(':') else {
            if wanted.len() > 1 {
                return refuse(format!(": {value} (missing <controller>: prefix)"));
            }
            paths.insert(String::new(), value.clone());
            continue;
        };
        for controller in controllers.split(',') {
            if controller.is_empty() {
                return refuse(format!(": {value} (empty <controller> prefix)"));
            }
            if paths
                .insert(controller.to_owned(), path.to_owned())
                .is_some()
            {
                return refuse(format!(
                    "(s): controller {controller} specified multiple times"
                ));
            }
        }
    }
    Ok(paths)
}

/// `below` under `base`, which must exist and may not lead out of it.
fn sub_path(base: &Path, below: &str) -> Result<PathBuf> {
    let mut path = base.to_owned();
    for part in Path::new(below).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => {
                return Err(Error::Usage(compat::bad_sub_cgroup(below)));
            }
            _ => {}
        }
    }
    if !path.join("cgroup.procs").exists() {
        return Err(Error::Usage(compat::no_sub_cgroup(&path)));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let read =
            |values: &[&str]| parse(&values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            read(&["sub"]).unwrap(),
            [(String::new(), "sub".to_owned())].into()
        );
        let two = read(&["cpu,cpuacct:/a", "memory:b"]).unwrap();
        assert_eq!(two.keys().collect::<Vec<_>>(), ["cpu", "cpuacct", "memory"]);
        for values in [&["a", "b"][..], &[":a"], &["cpu:a", "cpu:b"], &["cpu,:a"]] {
            assert!(read(values).is_err(), "{values:?}");
        }
    }

    #[test]
    fn no_way_out() {
        assert!(sub_path(Path::new("/sys/fs/cgroup"), "../x").is_err());
        assert!(sub_path(Path::new("/sys/fs/cgroup"), "a/../../x").is_err());
    }
}

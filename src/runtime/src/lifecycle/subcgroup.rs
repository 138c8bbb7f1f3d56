//! Cgroups below the container's own, for `exec`.

use std::path::{Component, Path};

use sys::Errno;

use crate::cgroups::Cgroup;
use crate::error::{Error, Result};

fn attach(directory: &Path, pid: i32) -> Result<()> {
    std::fs::write(directory.join("cgroup.procs"), pid.to_string()).map_err(|error| {
        let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
        Error::kernel(
            format!("cgroup {:?}", directory.display()),
            "write cgroup.procs",
            "",
            errno,
        )
    })
}

/// Joins the cgroup that the container's init is in now (v2).
///
/// # Errors
/// The kernel's.
pub fn join_init(cgroup: &Cgroup, init: i32, pid: i32) -> Result<()> {
    let missing = || Error::NotFound(crate::compat::CGROUP_NOT_EXIST.to_owned());
    let text = std::fs::read_to_string(format!("/proc/{init}/cgroup")).map_err(|_| missing())?;
    let path = text
        .lines()
        .find_map(|line| line.strip_prefix("0::/"))
        .ok_or_else(missing)?;
    let own = cgroup.dir("").ok_or_else(missing)?;
    let mount = own
        .ancestors()
        .find(|above| above.join(path).is_dir())
        .ok_or_else(missing)?;
    attach(&mount.join(path), pid)
}

/// Joins what `--cgroup [CONTROLLERS:]PATH` names: existing cgroups below the container's.
///
/// # Errors
/// [`Error::Usage`] for paths that lead out; the kernel's where there is no such cgroup.
pub fn join_named(cgroup: &Cgroup, names: &[String], pid: i32) -> Result<()> {
    for name in names {
        let (controllers, path) = name.split_once(':').unwrap_or(("", name));
        let path = Path::new(path.trim_start_matches('/'));
        if path
            .components()
            .any(|part| !matches!(part, Component::Normal(_) | Component::CurDir))
        {
            return Err(Error::Usage(format!(
                "--cgroup {name:?} is not a sub cgroup path, accepted: [CONTROLLER:]PATH without .."
            )));
        }
        if controllers.is_empty() {
            cgroup.attach(pid)?;
            for directory in cgroup.record().paths.values() {
                let below = directory.join(path);
                if cgroup.record().paths.len() == 1 || below.is_dir() {
                    attach(&below, pid)?;
                }
            }
            continue;
        }
        cgroup.attach(pid)?;
        for controller in controllers.split(',') {
            let directory = cgroup.dir(controller).ok_or_else(|| {
                Error::Usage(format!(
                    "--cgroup {name:?}: unknown controller {controller:?}"
                ))
            })?;
            attach(&directory.join(path), pid)?;
        }
    }
    Ok(())
}

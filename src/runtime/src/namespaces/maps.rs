//! Id maps of a new user namespace, written by the parent: directly where it may, else through `newuidmap` and
//! `newgidmap`, which ask `/etc/subuid` and `/etc/subgid`.

use std::os::fd::AsFd;
use std::process::Command;

use sys::{Errno, file};

use crate::config::IdMap;
use crate::error::{Error, Kernelize, Result};

/// How the maps can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// With `CAP_SETUID` and `CAP_SETGID` over the ids.
    Direct,
    /// One id, the caller's own; the kernel then wants `setgroups` denied.
    Single,
    /// By the set-uid programs.
    Programs,
}

/// The way for these maps and this caller.
#[must_use]
pub fn way(uid_map: &[IdMap], gid_map: &[IdMap], privileged: bool, uid: u32, gid: u32) -> Way {
    let own =
        |map: &[IdMap], id: u32| matches!(map, [line] if line.size == 1 && line.outside == id);
    if privileged {
        Way::Direct
    } else if own(uid_map, uid) && own(gid_map, gid) {
        Way::Single
    } else {
        Way::Programs
    }
}

/// Gives the user namespace of the child `pid` its maps.
///
/// # Errors
/// The kernel's; [`Error::Unsupported`] where the programs are missing; their own words where they refuse.
pub fn write(pid: i32, uid_map: &[IdMap], gid_map: &[IdMap], way: Way) -> Result<()> {
    match way {
        Way::Programs => {
            run("newuidmap", pid, uid_map)?;
            run("newgidmap", pid, gid_map)
        }
        Way::Direct | Way::Single => {
            if way == Way::Single {
                write_file(pid, "setgroups", "deny")?;
            }
            write_file(pid, "uid_map", &text(uid_map))?;
            write_file(pid, "gid_map", &text(gid_map))
        }
    }
}

fn text(map: &[IdMap]) -> String {
    let line = |line: &IdMap| format!("{} {} {}\n", line.inside, line.outside, line.size);
    map.iter().map(line).collect()
}

fn write_file(pid: i32, name: &str, content: &str) -> Result<()> {
    let path = format!("/proc/{pid}/{name}");
    let step = || format!("id map {path}");
    let c_path = crate::mounts::place::c_path(&path)?;
    let file = file::open_both(file::here(), &c_path).step(step, "open")?;
    file::write_all(file.as_fd(), content.as_bytes()).step(step, "write")
}

fn run(program: &str, pid: i32, map: &[IdMap]) -> Result<()> {
    let numbers = map
        .iter()
        .flat_map(|line| [line.inside, line.outside, line.size]);
    let output = Command::new(program)
        .arg(pid.to_string())
        .args(numbers.map(|number| number.to_string()))
        .output();
    let output = output.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::NOENT) => Error::Unsupported {
            feature: "id maps with more than the caller's own id".to_owned(),
            missing: format!("{program} was not found in $PATH (Debian: package uidmap)"),
        },
        errno => Error::kernel(program, "execve", "", errno.unwrap_or(Errno::IO)),
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::Denied(format!(
        "{program}: {}",
        said.trim().replace('\n', "; ")
    )))
}

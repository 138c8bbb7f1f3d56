//! What the maker does to its child and around it from outside: score, pid file, mounts to be covered.

use std::ffi::CString;
use std::os::fd::AsFd;
use std::path::Path;

use sys::{Errno, file};

use crate::config::Config;
use crate::error::{Error, Kernelize, Result};
use crate::mounts::place::c_path;

/// Sets the score of `pid` for the out-of-memory killer.
///
/// # Errors
/// The kernel's. Lowering it needs `CAP_SYS_RESOURCE`; without it the inherited score stays when `rootless`, as in runc.
pub fn set_oom_score(pid: i32, score: i32, rootless: bool) -> Result<()> {
    let step = || format!("process.oomScoreAdj {score}");
    let file = file::open_both(file::here(), &c_path(format!("/proc/{pid}/oom_score_adj"))?)
        .step(step, "open")?;
    match file::write_all(file.as_fd(), score.to_string().as_bytes()) {
        Err(Errno::ACCESS | Errno::PERM) if rootless => Ok(()),
        result => result.step(step, "write"),
    }
}

/// Writes the number without a newline, in one piece for every reader.
///
/// # Errors
/// The kernel's.
pub fn write_pid_file(path: &Path, pid: i32) -> Result<()> {
    let step = || format!("pid file {:?}", path.display());
    let name = path
        .file_name()
        .ok_or_else(|| Error::Usage(format!("{}: not the name of a file", step())))?;
    let mut next = std::ffi::OsString::from(".");
    next.push(name);
    next.push(format!(".{pid}"));
    let next = path.with_file_name(next);
    let failed = |call: &'static str| {
        move |error: std::io::Error| {
            Error::kernel(
                step(),
                call,
                "",
                Errno::from_io_error(&error).unwrap_or(Errno::IO),
            )
        }
    };
    std::fs::write(&next, pid.to_string()).map_err(failed("open"))?;
    std::fs::rename(&next, path).map_err(failed("rename"))
}

/// Without `pivot_root(2)` the mounts of proc and sysfs that lie outside the root stay reachable unless they are covered.
///
/// # Errors
/// The kernel's.
pub fn cover(no_pivot: bool, config: &Config) -> Result<Vec<CString>> {
    if !no_pivot {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string("/proc/self/mountinfo").map_err(|error| {
        Error::kernel(
            "mounts of the host",
            "read",
            "/proc/self/mountinfo",
            Errno::from_io_error(&error).unwrap_or(Errno::IO),
        )
    })?;
    let mut found: Vec<CString> = Vec::new();
    for line in text.lines() {
        let Some((head, tail)) = line.split_once(" - ") else {
            continue;
        };
        let Some(point) = head.split(' ').nth(4) else {
            continue;
        };
        let full = matches!(tail.split(' ').next(), Some("proc" | "sysfs"));
        if full && !Path::new(point).starts_with(&config.rootfs) {
            found.push(c_path(point)?);
        }
    }
    found.reverse();
    Ok(found)
}

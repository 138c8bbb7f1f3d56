//! The program: where it is, where it starts, and the home of its user.

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use sys::Errno;
use sys::file::{self, Kind};

use crate::error::{Error, Kernelize, Result};

/// A passwd file is read to this size: an image may bring a huge one.
const PASSWD_LIMIT: usize = 4 << 20;

/// Finds the program `name` as Go's `exec.LookPath` does: by itself when it has a slash, else along `path`.
///
/// # Errors
/// [`Error::NotFound`] and [`Error::Denied`] in the words that engines look for.
pub fn resolve(name: &CStr, path: &[u8]) -> Result<CString> {
    let text = name.to_string_lossy();
    if name.to_bytes().contains(&b'/') {
        return match executable(name) {
            Ok(()) => Ok(name.to_owned()),
            Err(Errno::NOENT | Errno::NOTDIR) => Err(Error::NotFound(format!(
                "exec: {text:?}: stat {text}: no such file or directory"
            ))),
            Err(errno) => Err(Error::Denied(format!(
                "exec: {text:?}: {}",
                sys::describe(errno)
            ))),
        };
    }
    let mut denied = false;
    for directory in path.split(|byte| *byte == b':') {
        let directory = if directory.is_empty() {
            b"."
        } else {
            directory
        };
        let candidate =
            Path::new(OsStr::from_bytes(directory)).join(OsStr::from_bytes(name.to_bytes()));
        let candidate = crate::mounts::place::c_path(candidate)?;
        match executable(&candidate) {
            Ok(()) if !name.is_empty() => return Ok(candidate),
            Err(Errno::ACCESS) => denied = true,
            _ => {}
        }
    }
    if denied {
        return Err(Error::Denied(format!("exec: {text:?}: permission denied")));
    }
    Err(Error::NotFound(format!(
        "exec: {text:?}: executable file not found in $PATH"
    )))
}

fn executable(path: &CStr) -> sys::Result<()> {
    let place = file::place(file::here(), path)?;
    if file::facts(place.as_fd())?.kind == Kind::Directory {
        return Err(Errno::ISDIR);
    }
    file::may_execute(path)
}

/// Enters the working directory and makes sure that it lies in the root: a descriptor left open by somebody must not
/// serve as a door to the host (CVE-2024-21626).
///
/// # Errors
/// The kernel's; [`Error::Denied`] outside the root.
pub fn enter(path: &CStr) -> Result<()> {
    let step = || format!("working directory {path:?}");
    file::enter_path(path).step(step, "chdir")?;
    match file::working_directory() {
        Ok(at) if at.starts_with(b"/") => Ok(()),
        Ok(_) | Err(Errno::NOENT) => Err(Error::Denied(
            "current working directory is outside of container mount namespace root -- possible container breakout detected"
                .to_owned(),
        )),
        Err(errno) => Err(Error::kernel(step(), "getcwd", "", errno)),
    }
}

/// The home of the user `uid` by the container's `/etc/passwd`; `/` where it says nothing.
#[must_use]
pub fn home(uid: u32) -> Vec<u8> {
    let found = || {
        let passwd = file::read_here(c"/etc/passwd").ok()?;
        if file::facts(passwd.as_fd()).ok()?.kind != Kind::Regular {
            return None;
        }
        let text = file::read_file(passwd.as_fd(), PASSWD_LIMIT).ok()?;
        text.split(|byte| *byte == b'\n').find_map(|line| {
            let mut fields = line.split(|byte| *byte == b':');
            let number = fields
                .nth(2)
                .and_then(|field| std::str::from_utf8(field).ok())?;
            if number.parse() != Ok(uid) {
                return None;
            }
            fields
                .nth(2)
                .filter(|home| !home.is_empty())
                .map(<[u8]>::to_vec)
        })
    };
    found().unwrap_or_else(|| b"/".to_vec())
}

//! Finding and making places below the container's root without ever leaving it.
//!
//! A place is opened with `RESOLVE_IN_ROOT` once and used by its descriptor. Missing components are made one at a time on
//! the descriptor of their parent, never by a path that could have been swapped (CVE-2024-45310).

use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use sys::Errno;
use sys::file;

use crate::error::{Error, Result};

/// A path as the kernel's calls take it.
///
/// # Errors
/// [`Error::Denied`] where it contains a NUL.
pub fn c_path(path: impl AsRef<OsStr>) -> Result<CString> {
    let path = path.as_ref();
    CString::new(path.as_bytes()).map_err(|_| Error::Denied(format!("{path:?} contains a NUL")))
}

/// Opens the place `path` below `root`; `None` where nothing is there.
///
/// # Errors
/// What the kernel says, but for absence.
pub fn find(root: BorrowedFd<'_>, path: &Path, step: &str) -> Result<Option<OwnedFd>> {
    match file::place_within(root, &relative(path)?) {
        Ok(place) => Ok(Some(place)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(Error::kernel(
            step,
            "openat2",
            format!("{:?}", path.display()),
            errno,
        )),
    }
}

/// Opens the place `path` below `root`, made with its parents where missing: as an empty file or as a directory.
///
/// # Errors
/// What the kernel says.
pub fn ensure(root: BorrowedFd<'_>, path: &Path, directory: bool, step: &str) -> Result<OwnedFd> {
    // A dangling link or a rename in between sends us round again; an attacker could keep that up.
    for _ in 0..16 {
        if let Some(place) = find(root, path, step)? {
            return Ok(place);
        }
        make(root, path, directory, step)?;
    }
    Err(Error::Denied(format!(
        "{step}: {:?} keeps changing below the root",
        path.display()
    )))
}

/// The descriptor of the directory that holds `path`, made where missing, and the last name of `path`.
///
/// # Errors
/// What the kernel says.
pub fn parent(root: BorrowedFd<'_>, path: &Path, step: &str) -> Result<(OwnedFd, CString)> {
    let name = path
        .file_name()
        .ok_or_else(|| Error::Denied(format!("{step}: the root has no name")))?;
    let above = path.parent().unwrap_or(Path::new("/"));
    Ok((ensure(root, above, true, step)?, c_path(name)?))
}

fn relative(path: &Path) -> Result<CString> {
    let rest = path.strip_prefix("/").unwrap_or(path);
    if rest.as_os_str().is_empty() {
        Ok(c".".to_owned())
    } else {
        c_path(rest)
    }
}

/// Makes the missing part of `path`: goes down as far as things exist, then makes each name on its parent's descriptor.
fn make(root: BorrowedFd<'_>, path: &Path, directory: bool, step: &str) -> Result<()> {
    let names: Vec<&OsStr> = path
        .components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str())
        .collect();
    let failed = |errno, call| Error::kernel(step, call, format!("{:?}", path.display()), errno);
    let prefix = |depth: usize| names[..depth].iter().collect::<PathBuf>();
    let mut depth = names.len();
    let mut at = loop {
        depth = depth.saturating_sub(1);
        match file::place_within(root, &relative(&prefix(depth))?) {
            Ok(place) => break place,
            Err(Errno::NOENT) if depth > 0 => {}
            Err(errno) => return Err(failed(errno, "openat2")),
        }
    };
    for (index, name) in names.iter().enumerate().skip(depth) {
        let last = index + 1 == names.len();
        let name = c_path(name)?;
        let made = if last && !directory {
            file::make_file(at.as_fd(), &name, 0o644).map(drop)
        } else {
            file::make_directory(at.as_fd(), &name, 0o755)
        };
        match made {
            Ok(()) if last => return Ok(()),
            Ok(()) => {
                at = file::place_strictly(at.as_fd(), &name)
                    .map_err(|errno| failed(errno, "openat2"))?
            }
            Err(Errno::EXIST) => {
                let Some(target) = dangling(at.as_fd(), &name) else {
                    return Ok(());
                };
                // The target takes the link's place; how deep links may lead is the kernel's limit of 40.
                let rest: PathBuf = names[index + 1..].iter().collect();
                let target = prefix(index).join(target);
                return if rest.as_os_str().is_empty() {
                    make(root, &target, directory, step)
                } else {
                    make(root, &target, true, step)
                };
            }
            Err(errno) => {
                return Err(failed(
                    errno,
                    if last && !directory {
                        "openat"
                    } else {
                        "mkdirat"
                    },
                ));
            }
        }
    }
    Ok(())
}

/// Where the name leads, when it is a symbolic link (whose target was found missing).
fn dangling(at: BorrowedFd<'_>, name: &CStr) -> Option<PathBuf> {
    let link = file::read_link(at, name).ok()?;
    Some(PathBuf::from(OsStr::from_bytes(&link)))
}

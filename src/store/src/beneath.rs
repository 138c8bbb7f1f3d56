//! Paths of archives and of containers resolved within a directory that somebody else may be writing to. Every path
//! is opened with openat2 (Linux 5.6), RESOLVE_IN_ROOT or RESOLVE_BENEATH: neither `..`, an absolute name nor a symlink,
//! even one swapped in at that moment, leads outside.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// Splits a path from an archive into its components: no empty ones, no `.`, `..` applied.
///
/// # Errors
/// A path that climbs above its root.
pub(crate) fn components(path: &[u8]) -> Result<Vec<&[u8]>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                if parts.pop().is_none() {
                    return Err(outside(path));
                }
            }
            _ => parts.push(part),
        }
    }
    Ok(parts)
}

/// The refusal of a path that leads outside.
pub(crate) fn outside(path: &[u8]) -> Error {
    Error::Invalid(format!(
        "path {:?} is outside of its root",
        String::from_utf8_lossy(path)
    ))
}

/// Joins components with slashes; `.` for none.
pub(crate) fn join(parts: &[&[u8]]) -> Vec<u8> {
    if parts.is_empty() {
        b".".to_vec()
    } else {
        parts.join(&b"/"[..])
    }
}

/// How symlinks on the way are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// Followed within the root, an absolute target meaning the root.
    InRoot,
    /// Refused with ELOOP.
    Refused,
}

/// Opens a path below a directory.
pub(crate) fn open(
    root: impl AsFd,
    path: &[u8],
    flags: OFlags,
    links: Links,
) -> rustix::io::Result<OwnedFd> {
    let resolve = match links {
        Links::InRoot => ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        Links::Refused => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
    };
    let path = if path.is_empty() { &b"."[..] } else { path };
    // The kernel answers EAGAIN when a rename elsewhere in the tree raced with the walk (openat2(2), ERRORS).
    for _ in 0..128 {
        match rustix::fs::openat2(&root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

/// Opens a directory below a directory for reading its names.
pub(crate) fn open_dir(root: impl AsFd, path: &[u8], links: Links) -> rustix::io::Result<OwnedFd> {
    open(root, path, OFlags::RDONLY | OFlags::DIRECTORY, links)
}

/// The path by which /proc shows an open file: for calls that have no form with a file descriptor.
pub(crate) fn proc_path(fd: impl AsFd) -> String {
    use std::os::fd::AsRawFd;
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn climbing_is_refused() {
        assert!(components(b"../x").is_err());
        assert!(components(b"a/../../x").is_err());
        assert_eq!(join(&components(b"/a/./b//../c/").unwrap()), b"a/c");
        assert_eq!(join(&components(b"./").unwrap()), b".");
    }

    proptest! {
        #[test]
        fn what_is_left_never_climbs(path in proptest::collection::vec(proptest::sample::select(b"a./".to_vec()), 0..20)) {
            if let Ok(parts) = components(&path) {
                prop_assert!(parts.iter().all(|p| !p.is_empty() && *p != b"." && *p != b".."));
            }
        }
    }
}

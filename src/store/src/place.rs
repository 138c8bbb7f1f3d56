//! Makes one entry of an archive in a directory held open: the object first, exclusively, then owner, mode, extended
//! attributes and times, each through the object itself and never through a name somebody could swap.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags,
};
use rustix::io::Errno;

use crate::beneath::proc_path;
use crate::error::{Error, Result};
use crate::tar::{Entry, Kind};

/// Whose numbers owners get: as they are, or all one owner (docker cp into a container's directory).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner(pub Option<(u32, u32)>);

impl Owner {
    fn of(self, entry: &Entry) -> (Uid, Gid) {
        let (uid, gid) = self.0.unwrap_or((entry.uid, entry.gid));
        (Uid::from_raw(uid), Gid::from_raw(gid))
    }
}

/// Names the entry in an error of the kernel.
pub(crate) fn failed(step: &'static str, entry: &Entry) -> impl FnOnce(Errno) -> Error {
    let path = std::path::PathBuf::from(String::from_utf8_lossy(&entry.path).into_owned());
    move |errno| Error::Io {
        step,
        path,
        source: errno.into(),
    }
}

/// Makes an empty regular file, exclusively.
pub(crate) fn create_file(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o600)).map(File::from)
}

/// Makes a directory if there is none and opens it, never through a symlink.
pub(crate) fn create_dir(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    match rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(e),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty())
}

/// Owner, mode and extended attributes of a file or directory held open; times by [`set_times`].
pub(crate) fn set_attributes(fd: BorrowedFd<'_>, entry: &Entry, owner: Owner) -> Result<()> {
    let (uid, gid) = owner.of(entry);
    rustix::fs::fchown(fd, Some(uid), Some(gid)).map_err(failed("set owner of", entry))?;
    // After the owner: chown clears setuid and setgid (chown(2)) and the file capabilities.
    rustix::fs::fchmod(fd, Mode::from_raw_mode(entry.mode))
        .map_err(failed("set mode of", entry))?;
    for (name, value) in kept_xattrs(entry) {
        let set = rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty());
        take_xattr(set, name, entry)?;
    }
    Ok(())
}

/// Modification time of a file or directory held open; access time likewise.
pub(crate) fn set_times(fd: BorrowedFd<'_>, entry: &Entry) -> Result<()> {
    rustix::fs::futimens(fd, &times(entry)).map_err(failed("set times of", entry))
}

/// Makes a symlink, device or pipe with everything that belongs to it. The name must be free.
pub(crate) fn create_special(
    dir: BorrowedFd<'_>,
    name: &[u8],
    entry: &Entry,
    owner: Owner,
) -> std::result::Result<Result<()>, Errno> {
    let kind = match entry.kind {
        Kind::Symlink => {
            rustix::fs::symlinkat(&entry.link[..], dir, name)?;
            return Ok(finish_symlink(dir, name, entry, owner));
        }
        Kind::Char => FileType::CharacterDevice,
        Kind::Block => FileType::BlockDevice,
        _ => FileType::Fifo,
    };
    let device = rustix::fs::makedev(entry.device.0, entry.device.1);
    let device = if kind == FileType::Fifo { 0 } else { device };
    rustix::fs::mknodat(dir, name, kind, Mode::from_raw_mode(0o600), device)?;
    Ok(finish_node(dir, name, entry, owner))
}

fn finish_symlink(dir: BorrowedFd<'_>, name: &[u8], entry: &Entry, owner: Owner) -> Result<()> {
    let (uid, gid) = owner.of(entry);
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(dir, name, Some(uid), Some(gid), flags)
        .map_err(failed("set owner of", entry))?;
    if entry.xattrs.iter().any(|(name, _)| keeps_xattr(name)) {
        let mut path = proc_path(dir).into_bytes();
        path.push(b'/');
        path.extend_from_slice(name);
        for (xattr, value) in kept_xattrs(entry) {
            let set = rustix::fs::lsetxattr(&path[..], xattr, value, XattrFlags::empty());
            take_xattr(set, xattr, entry)?;
        }
    }
    rustix::fs::utimensat(dir, name, &times(entry), flags).map_err(failed("set times of", entry))
}

fn finish_node(dir: BorrowedFd<'_>, name: &[u8], entry: &Entry, owner: Owner) -> Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, name, flags, Mode::empty()).map_err(failed("open", entry))?;
    let (uid, gid) = owner.of(entry);
    rustix::fs::chownat(fd.as_fd(), "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)
        .map_err(failed("set owner of", entry))?;
    let path = proc_path(&fd);
    rustix::fs::chmod(&path, Mode::from_raw_mode(entry.mode))
        .map_err(failed("set mode of", entry))?;
    for (name, value) in kept_xattrs(entry) {
        take_xattr(
            rustix::fs::setxattr(&path, name, value, XattrFlags::empty()),
            name,
            entry,
        )?;
    }
    rustix::fs::utimensat(rustix::fs::CWD, &path, &times(entry), AtFlags::empty())
        .map_err(failed("set times of", entry))
}

fn times(entry: &Entry) -> Timestamps {
    let time = Timespec {
        tv_sec: entry.mtime,
        tv_nsec: entry.mtime_nsec.into(),
    };
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: time,
    }
}

/// `trusted.` would forge overlayfs's own marks, and a SELinux label belongs to the host's policy.
pub(crate) fn keeps_xattr(name: &[u8]) -> bool {
    !name.starts_with(b"trusted.")
        && !name.starts_with(b"user.overlay.")
        && name != b"security.selinux"
}

fn kept_xattrs(entry: &Entry) -> impl Iterator<Item = (&[u8], &[u8])> {
    entry
        .xattrs
        .iter()
        .filter(|(name, _)| keeps_xattr(name))
        .map(|(name, value)| (&name[..], &value[..]))
}

/// A filesystem without extended attributes is no reason to refuse an image; docker warns likewise.
fn take_xattr(set: rustix::io::Result<()>, name: &[u8], entry: &Entry) -> Result<()> {
    match set {
        Err(Errno::OPNOTSUPP) => {
            let (name, path) = (
                String::from_utf8_lossy(name),
                String::from_utf8_lossy(&entry.path),
            );
            tracing::warn!(
                "extended attribute {name} of {path:?} dropped: the filesystem has none"
            );
            Ok(())
        }
        other => other.map_err(failed("set extended attribute of", entry)),
    }
}

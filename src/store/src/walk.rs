//! Reads a filesystem object's attributes into an archive entry, and a directory's names in order.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::beneath::proc_path;
use crate::place::keeps_xattr;
use crate::tar::{Entry, Kind};

/// The kind of an object; `None` for sockets, which no archive holds.
pub(crate) fn kind(stat: &Stat) -> Option<Kind> {
    Some(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Dir,
        FileType::Symlink => Kind::Symlink,
        FileType::CharacterDevice => Kind::Char,
        FileType::BlockDevice => Kind::Block,
        FileType::Fifo => Kind::Fifo,
        _ => return None,
    })
}

/// An entry with a stat's facts; links and extended attributes not yet.
pub(crate) fn entry_of_stat(stat: &Stat, kind: Kind, path: Vec<u8>) -> Entry {
    let mut entry = Entry::new(kind, path);
    entry.mode = stat.st_mode & 0o7777;
    (entry.uid, entry.gid) = (stat.st_uid, stat.st_gid);
    entry.mtime = stat.st_mtime;
    entry.mtime_nsec = stat.st_mtime_nsec as u32;
    if kind == Kind::File {
        entry.size = stat.st_size.unsigned_abs();
    }
    if matches!(kind, Kind::Char | Kind::Block) {
        entry.device = (
            rustix::fs::major(stat.st_rdev),
            rustix::fs::minor(stat.st_rdev),
        );
    }
    entry
}

/// The entry of a file or directory held open.
pub(crate) fn entry_of_fd(fd: BorrowedFd<'_>, path: Vec<u8>) -> rustix::io::Result<Entry> {
    let stat = rustix::fs::fstat(fd)?;
    let mut entry = entry_of_stat(&stat, kind(&stat).ok_or(Errno::INVAL)?, path);
    entry.xattrs = xattrs(&proc_path(fd), false)?;
    Ok(entry)
}

/// The entry of a name in a directory, symlinks not followed. Sockets answer EINVAL.
pub(crate) fn entry_in(
    dir: BorrowedFd<'_>,
    name: &[u8],
    path: Vec<u8>,
) -> rustix::io::Result<Entry> {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    complete(
        dir,
        name,
        entry_of_stat(&stat, kind(&stat).ok_or(Errno::INVAL)?, path),
    )
}

/// Adds link target and extended attributes.
pub(crate) fn complete(
    dir: BorrowedFd<'_>,
    name: &[u8],
    mut entry: Entry,
) -> rustix::io::Result<Entry> {
    if entry.kind == Kind::Symlink {
        entry.link = rustix::fs::readlinkat(dir, name, Vec::new())?.into_bytes();
    }
    let mut at = proc_path(dir).into_bytes();
    at.push(b'/');
    at.extend_from_slice(name);
    entry.xattrs = xattrs(&at[..], true)?;
    Ok(entry)
}

/// Extended attributes an archive carries, sorted by name.
fn xattrs<P: rustix::path::Arg + Copy>(
    path: P,
    link: bool,
) -> rustix::io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut names = vec![0u8; 1024];
    let length = loop {
        let listed = if link {
            rustix::fs::llistxattr(path, &mut names[..])
        } else {
            rustix::fs::listxattr(path, &mut names[..])
        };
        match listed {
            Ok(length) => break length,
            Err(Errno::RANGE) => names.resize(names.len() * 4, 0),
            Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
            Err(e) => return Err(e),
        }
    };
    let mut all = Vec::new();
    for name in names[..length]
        .split(|b| *b == 0)
        .filter(|name| !name.is_empty() && keeps_xattr(name))
    {
        let mut value = vec![0u8; 64 * 1024];
        let got = if link {
            rustix::fs::lgetxattr(path, name, &mut value[..])
        } else {
            rustix::fs::getxattr(path, name, &mut value[..])
        };
        match got {
            Ok(length) => value.truncate(length),
            Err(Errno::NODATA) => continue,
            Err(e) => return Err(e),
        }
        all.push((name.to_vec(), value));
    }
    all.sort();
    Ok(all)
}

/// The names in a directory, sorted by byte, without `.` and `..`.
pub(crate) fn names(dir: impl AsFd) -> rustix::io::Result<Vec<Vec<u8>>> {
    // A directory read once is at its end: open it anew instead of sharing the offset.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fresh = rustix::fs::openat(dir, ".", flags, Mode::empty())?;
    let mut names = Vec::new();
    for entry in Dir::new(fresh)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

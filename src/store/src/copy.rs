//! Copies one object of a filesystem with all that belongs to it: reflinked where the filesystem can, holes kept
//! otherwise. Used where a layer must hold a file of a lower one, and by the driver for machines without overlayfs.

use std::fs::File;
use std::os::fd::BorrowedFd;

use rustix::fs::{Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use crate::error::Result;
use crate::place::{self, Owner, failed};
use crate::tar::{Entry, Kind};
use crate::walk;

/// Copies what `name` is in `from` (not a directory) to a free name in `to`.
pub(crate) fn object(
    from: BorrowedFd<'_>,
    name: &[u8],
    to: BorrowedFd<'_>,
    new: &[u8],
) -> Result<()> {
    let shown = Entry::new(Kind::File, name);
    let entry = walk::entry_in(from, name, name.to_vec()).map_err(failed("read", &shown))?;
    match entry.kind {
        Kind::File => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let source: File = rustix::fs::openat(from, name, flags, Mode::empty())
                .map_err(failed("open", &entry))?
                .into();
            let target = place::create_file(to, new).map_err(failed("create", &entry))?;
            content(&source, &target, entry.size).map_err(failed("copy", &entry))?;
            use std::os::fd::AsFd;
            place::set_attributes(target.as_fd(), &entry, Owner::default())?;
            place::set_times(target.as_fd(), &entry)
        }
        _ => place::create_special(to, new, &entry, Owner::default())
            .map_err(failed("create", &entry))?,
    }
}

/// Copies a file's content.
pub(crate) fn content(from: &File, to: &File, length: u64) -> rustix::io::Result<()> {
    match rustix::fs::ioctl_ficlone(to, from) {
        Ok(()) => return Ok(()),
        Err(Errno::OPNOTSUPP | Errno::XDEV | Errno::INVAL | Errno::NOTTY | Errno::NOSYS) => {}
        Err(e) => return Err(e),
    }
    let mut at = 0;
    while at < length {
        let start = match rustix::fs::seek(from, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(e) => return Err(e),
        };
        let end = rustix::fs::seek(from, SeekFrom::Hole(start))?;
        run(from, to, start, end)?;
        at = end;
    }
    rustix::fs::ftruncate(to, length)
}

fn run(from: &File, to: &File, start: u64, end: u64) -> rustix::io::Result<()> {
    let (mut source, mut target) = (start, start);
    while source < end {
        let left = usize::try_from(end - source).unwrap_or(usize::MAX);
        if rustix::fs::copy_file_range(from, Some(&mut source), to, Some(&mut target), left)? == 0 {
            break;
        }
    }
    Ok(())
}

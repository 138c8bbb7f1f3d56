//! An archive may bring a name twice; the last one wins, and what it replaces stays aside for the frame.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use super::Unpack;
use crate::beneath;
use crate::error::Result;
use crate::overlay;
use crate::place::failed;
use crate::tar::Entry;

impl Unpack<'_> {
    /// Where the name was taken, frees it and answers `None`: the last entry of a name wins.
    pub(super) fn retry_cleared<T>(
        &mut self,
        made: rustix::io::Result<T>,
        dir: BorrowedFd<'_>,
        name: &[u8],
        entry: &Entry,
    ) -> Result<Option<T>> {
        match made {
            Ok(made) => Ok(Some(made)),
            Err(Errno::EXIST) => self.clear(dir, name, entry).map(|()| None),
            Err(e) => Err(failed("create", entry)(e)),
        }
    }

    /// Frees a name. Files named by the frame are kept aside, for the archive must come out whole again.
    pub(super) fn clear(&mut self, dir: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> Result<()> {
        let Some(stat) = overlay::stat_in(dir, name).map_err(failed("stat", entry))? else {
            return Ok(());
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile | FileType::Directory => {
                let real =
                    real_path(dir, &self.root, name).map_err(failed("read path of", entry))?;
                let number = self.retired.to_string();
                self.retired += 1;
                rustix::fs::renameat(dir, name, &self.old, number.as_str())
                    .map_err(failed("replace", entry))?;
                self.parent = None;
                for (record, path) in &mut self.files {
                    let rest = path
                        .strip_prefix(&real[..])
                        .filter(|r| r.is_empty() || r.starts_with(b"/"));
                    if let Some(rest) = rest {
                        let now = [b"old/", number.as_bytes(), rest].concat();
                        self.moved.insert(*record, now);
                        path.clear();
                        path.push(0);
                    }
                }
                self.dirs.retain(|path, _| {
                    path.strip_prefix(&real[..])
                        .is_none_or(|r| !r.is_empty() && !r.starts_with(b"/"))
                });
                Ok(())
            }
            _ => {
                rustix::fs::unlinkat(dir, name, AtFlags::empty()).map_err(failed("replace", entry))
            }
        }
    }
}

/// The path, from the root, of a name in a directory that may have been reached through symlinks.
fn real_path(dir: BorrowedFd<'_>, root: &OwnedFd, name: &[u8]) -> rustix::io::Result<Vec<u8>> {
    let path = own_path(dir, root)?;
    Ok(if path.is_empty() {
        name.to_vec()
    } else {
        [&path[..], b"/", name].concat()
    })
}

/// The path, from the root, of an open file.
pub(super) fn own_path(fd: BorrowedFd<'_>, root: &OwnedFd) -> rustix::io::Result<Vec<u8>> {
    let read = |fd: BorrowedFd<'_>| rustix::fs::readlink(beneath::proc_path(fd), Vec::new());
    let (path, root) = (read(fd)?.into_bytes(), read(root.as_fd())?.into_bytes());
    let rest = path.strip_prefix(&root[..]).ok_or(Errno::XDEV)?;
    Ok(rest.strip_prefix(b"/").unwrap_or(rest).to_vec())
}

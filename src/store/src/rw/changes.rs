//! `docker diff`: what a container changed, as docker tells it. A file counts as changed when its mode, owner, device,
//! size, time or capabilities differ; a directory when its mode or owner differ or anything in it changed.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{FileType, Stat};

use super::RwLayer;
use crate::beneath::{self, Links};
use crate::error::{At, Result};
use crate::overlay;
use crate::stack::Stack;
use crate::store::Driver;
use crate::walk;

/// What happened to a path; the numbers are docker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// `C`.
    Modified = 0,
    /// `A`.
    Added = 1,
    /// `D`.
    Deleted = 2,
}

/// One changed path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Absolute, within the container.
    pub path: Vec<u8>,
    /// What happened.
    pub kind: ChangeKind,
}

impl RwLayer {
    /// What the container changed, by path.
    ///
    /// # Errors
    /// The disk's.
    pub fn changes(&self) -> Result<Vec<Change>> {
        let lower = self.lower()?;
        let directories = self.directories()?;
        let overlay = self.store.driver() == Driver::Overlay;
        let top = if overlay {
            directories.upper
        } else {
            directories.merged
        };
        let mut walk = Walk {
            lower: &lower,
            overlay,
            changes: Vec::new(),
        };
        let root = File::open(&top).at("open", &top)?;
        walk.directory(root.as_fd(), &[], true)?;
        walk.changes.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(walk.changes)
    }
}

struct Walk<'a> {
    lower: &'a Stack,
    overlay: bool,
    changes: Vec<Change>,
}

fn absolute(parts: &[&[u8]]) -> Vec<u8> {
    [b"/", &parts.join(&b"/"[..])[..]].concat()
}

impl Walk<'_> {
    fn push(&mut self, parts: &[&[u8]], kind: ChangeKind) {
        self.changes.push(Change {
            path: absolute(parts),
            kind,
        });
    }

    /// `below`: the directory exists in a lower layer too.
    fn directory(&mut self, dir: BorrowedFd<'_>, parts: &[&[u8]], below: bool) -> Result<()> {
        let shown = String::from_utf8_lossy(&absolute(parts)).into_owned();
        let names = walk::names(dir).at("read directory", &shown)?;
        for name in &names {
            let here: Vec<&[u8]> = parts.iter().copied().chain([&name[..]]).collect();
            let Some(stat) = overlay::stat_in(dir, name).at("stat", &shown)? else {
                continue;
            };
            let old = if below { self.lower.find(&here)? } else { None };
            if self.overlay && overlay::is_whiteout(&stat) {
                if old.is_some() {
                    self.push(&here, ChangeKind::Deleted);
                }
                continue;
            }
            let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            let before = self.changes.len();
            let old_dir = old.as_ref().is_some_and(|old| old.is_dir());
            let differs = match &old {
                None => Some(ChangeKind::Added),
                Some(old)
                    if different(&old.stat, &stat)
                        || self.capability_differs(old.layer, dir, &here)? =>
                {
                    Some(ChangeKind::Modified)
                }
                Some(_) => None,
            };
            if is_dir {
                let fd = beneath::open_dir(dir, name, Links::Refused).at("open", &shown)?;
                self.directory(fd.as_fd(), &here, old_dir)?;
            }
            let inside = is_dir && self.changes.len() > before;
            if let Some(kind) = differs.or(inside.then_some(ChangeKind::Modified)) {
                self.push(&here, kind);
            }
        }
        if below && (!self.overlay || overlay::is_opaque(dir).at("read opaque mark of", &shown)?) {
            self.hidden(parts, &names)?;
        }
        Ok(())
    }

    /// Names below that are not here any more, where here hides all that is below.
    fn hidden(&mut self, parts: &[&[u8]], names: &[Vec<u8>]) -> Result<()> {
        for name in self.lower.names(parts)? {
            if names.binary_search(&name).is_err() {
                let here: Vec<&[u8]> = parts.iter().copied().chain([&name[..]]).collect();
                self.push(&here, ChangeKind::Deleted);
            }
        }
        Ok(())
    }

    fn capability_differs(
        &self,
        layer: usize,
        dir: BorrowedFd<'_>,
        parts: &[&[u8]],
    ) -> Result<bool> {
        let Some((name, above)) = parts.split_last() else {
            return Ok(false);
        };
        let shown = Path::new("lower layer");
        let old = beneath::open_dir(
            self.lower.layer(layer),
            &beneath::join(above),
            Links::Refused,
        )
        .at("open directory of", shown)?;
        Ok(capability(old.as_fd(), name) != capability(dir, name))
    }
}

fn capability(dir: BorrowedFd<'_>, name: &[u8]) -> Option<Vec<u8>> {
    let path = [beneath::proc_path(dir).as_bytes(), b"/", name].concat();
    let mut value = [0u8; 64];
    let n = rustix::fs::lgetxattr(&path[..], "security.capability", &mut value[..]).ok()?;
    Some(value[..n].to_vec())
}

fn different(old: &Stat, new: &Stat) -> bool {
    let facts = |s: &Stat| (s.st_mode, s.st_uid, s.st_gid, s.st_rdev);
    let dir = FileType::from_raw_mode(old.st_mode) == FileType::Directory;
    let content = |s: &Stat| (s.st_size, s.st_mtime, s.st_mtime_nsec);
    facts(old) != facts(new) || (!dir && content(old) != content(new))
}

//! What a path means in a stack of layers, by overlayfs's rules, without mounting anything: needed where a layer's
//! archive speaks of things below it (a hard link into a lower layer, a directory it has no entry for).

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use crate::beneath::{self, Links};
use crate::error::{At, Result};
use crate::overlay;

/// Unpacked layers, topmost first.
#[derive(Debug, Default)]
pub(crate) struct Stack {
    layers: Vec<(PathBuf, OwnedFd)>,
}

/// Something found in a stack.
#[derive(Debug)]
pub(crate) struct Found {
    /// Which layer, 0 = topmost.
    pub layer: usize,
    /// Its stat.
    pub stat: Stat,
}

impl Found {
    /// True for a directory.
    pub(crate) fn is_dir(&self) -> bool {
        FileType::from_raw_mode(self.stat.st_mode) == FileType::Directory
    }
}

impl Stack {
    /// Opens the layers' directories, topmost first.
    pub(crate) fn open<P: AsRef<Path>>(dirs: impl IntoIterator<Item = P>) -> Result<Stack> {
        let layers = dirs
            .into_iter()
            .map(|dir| {
                let path = dir.as_ref().to_owned();
                let fd = File::open(&path).at("open layer", &path)?;
                Ok((path, fd.into()))
            })
            .collect::<Result<_>>()?;
        Ok(Stack { layers })
    }

    /// The directory of one layer, open.
    pub(crate) fn layer(&self, index: usize) -> &OwnedFd {
        &self.layers[index].1
    }

    /// Finds a path; symlinks are not followed.
    pub(crate) fn find(&self, parts: &[&[u8]]) -> Result<Option<Found>> {
        let mut here: Vec<usize> = (0..self.layers.len()).collect();
        let mut found = None;
        for depth in 0..=parts.len() {
            let path = beneath::join(&parts[..depth]);
            let mut next = Vec::new();
            found = None;
            for index in here {
                let Some(stat) = self.stat(index, &path)? else {
                    continue;
                };
                if overlay::is_whiteout(&stat) {
                    break;
                }
                let entry = Found { layer: index, stat };
                let dir = entry.is_dir();
                if dir {
                    next.push(index);
                }
                found.get_or_insert(entry);
                if !dir || self.opaque(index, &path)? {
                    break;
                }
            }
            // A file above directories of the same name hides them, and ends the walk.
            if found
                .as_ref()
                .is_none_or(|f: &Found| depth < parts.len() && !f.is_dir())
            {
                return Ok(None);
            }
            here = next;
        }
        Ok(found)
    }

    /// The names a directory shows, sorted.
    pub(crate) fn names(&self, parts: &[&[u8]]) -> Result<Vec<Vec<u8>>> {
        let path = beneath::join(parts);
        let mut all = std::collections::BTreeSet::new();
        for (root, fd) in &self.layers {
            match beneath::open_dir(fd, &path, Links::Refused) {
                Ok(dir) => {
                    all.extend(crate::walk::names(&dir).at("read directory in layer", root)?)
                }
                Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(e) => return Err(e).at("open in layer", root),
            }
        }
        let mut shown = Vec::new();
        for name in all {
            let below: Vec<&[u8]> = parts.iter().copied().chain([&name[..]]).collect();
            if self.find(&below)?.is_some() {
                shown.push(name);
            }
        }
        Ok(shown)
    }

    fn stat(&self, index: usize, path: &[u8]) -> Result<Option<Stat>> {
        let (root, fd) = &self.layers[index];
        overlay::stat_in(fd.as_fd(), path).at("stat in layer", root)
    }

    fn opaque(&self, index: usize, path: &[u8]) -> Result<bool> {
        let (root, fd) = &self.layers[index];
        let dir = beneath::open_dir(fd, path, Links::Refused).at("open in layer", root)?;
        overlay::is_opaque(&dir).at("read opaque mark in layer", root)
    }
}

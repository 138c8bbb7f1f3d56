//! The places a container's mounts go, where an image lacks them: `/dev/{console,pts,shm}`, `/proc`, `/sys`,
//! `/etc/{hosts,hostname,resolv.conf,mtab}`, `/.dockerenv`. One tree per stack of layers, between it and every
//! container's own layer, so that they are no change of the container's.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::beneath::{self, Links};
use crate::digest::Digest;
use crate::durable::{self, Scratch};
use crate::error::{At, Result};
use crate::place::{self, Owner};
use crate::stack::Stack;
use crate::store::Store;
use crate::walk;

const DIRS: [&str; 4] = ["dev/pts", "dev/shm", "proc", "sys"];
const FILES: [&str; 5] = [
    ".dockerenv",
    "dev/console",
    "etc/hosts",
    "etc/hostname",
    "etc/resolv.conf",
];
const LINKS: [(&str, &str); 1] = [("etc/mtab", "/proc/mounts")];

/// Its tree's name.
pub(crate) fn init_tree(chain: Option<&Digest>) -> String {
    format!("init-{}", chain.map_or("none", Digest::hex))
}

impl Store {
    /// Makes the tree if it is not there.
    pub(crate) fn make_init(&self, chain: Option<&Digest>, lower: &Stack) -> Result<()> {
        let name = init_tree(chain);
        if self.tree_fs(&name).exists() {
            return Ok(());
        }
        let scratch = Scratch::new(&self.path("tmp"), "init")?;
        let fs = scratch.path().join("fs");
        durable::make_dir(&fs, 0o755)?;
        inherit_root(lower, &fs)?;
        for path in DIRS {
            make_dirs(lower, &fs, path)?;
        }
        for path in FILES {
            if make_parent(lower, &fs, path)? {
                let path = fs.join(path);
                let file = File::create(&path).at("create", &path)?;
                file.set_permissions(fs::Permissions::from_mode(0o755))
                    .at("set mode of", &path)?;
            }
        }
        for (path, target) in LINKS {
            if make_parent(lower, &fs, path)? {
                symlink(target, fs.join(path)).at("link", fs.join(path))?;
            }
        }
        // Not synced: names and empty files only, which a journal keeps in order with the rename below.
        let guard = self.state();
        let placed = self.place_tree(scratch, &name);
        drop(guard);
        placed
    }
}

/// Makes the directories of a path that are directories or nothing below; false where something else is in the way.
fn make_dirs(lower: &Stack, fs: &Path, path: &str) -> Result<bool> {
    let parts: Vec<&[u8]> = path.split('/').map(str::as_bytes).collect();
    for depth in 1..=parts.len() {
        let found = lower.find(&parts[..depth])?;
        let made = fs.join(String::from_utf8_lossy(&beneath::join(&parts[..depth])).as_ref());
        match found {
            Some(found) if !found.is_dir() => return Ok(false),
            _ if made.exists() => {}
            Some(found) => {
                durable::make_dir(&made, 0o755)?;
                copy_attributes(lower, found.layer, &beneath::join(&parts[..depth]), &made)?;
            }
            None => durable::make_dir(&made, 0o755)?,
        }
    }
    Ok(true)
}

/// As [`make_dirs`] for the directory of a path; true where the path itself is free.
fn make_parent(lower: &Stack, fs: &Path, path: &str) -> Result<bool> {
    let parts: Vec<&[u8]> = path.split('/').map(str::as_bytes).collect();
    if lower.find(&parts)?.is_some() {
        return Ok(false);
    }
    path.rsplit_once('/')
        .map_or(Ok(true), |(dir, _)| make_dirs(lower, fs, dir))
}

/// Gives a directory the root's attributes from below.
pub(crate) fn inherit_root(lower: &Stack, to: &Path) -> Result<()> {
    match lower.find(&[])? {
        Some(found) => copy_attributes(lower, found.layer, b".", to),
        None => fs::set_permissions(to, fs::Permissions::from_mode(0o755)).at("set mode of", to),
    }
}

fn copy_attributes(lower: &Stack, layer: usize, path: &[u8], to: &Path) -> Result<()> {
    let from =
        beneath::open_dir(lower.layer(layer), path, Links::Refused).at("open lower of", to)?;
    let entry = walk::entry_of_fd(from.as_fd(), path.to_vec()).at("read lower of", to)?;
    let dir = File::open(to).at("open", to)?;
    place::set_attributes(dir.as_fd(), &entry, Owner::default())?;
    place::set_times(dir.as_fd(), &entry)
}

//! Files that survive power loss: data reaches the disk before the name that leads to it, and the name is made by one
//! rename followed by an fsync of its directory. ext4, xfs and btrfs promise no more than fsync asks for.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{At, Error, Result};

/// Makes a directory and its parents, mode 0700 for `mode` 0o700; an existing one is left alone.
pub(crate) fn make_dir(path: &Path, mode: u32) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .at("create directory", path)
}

/// Puts the names within a directory on disk.
pub(crate) fn sync_dir(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|dir| dir.sync_all())
        .at("sync directory", path)
}

/// Replaces `path` by these bytes, atomically and durably.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let tmp = dir.join(format!(".{}", unique("write")));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&tmp)
        .at("create file", &tmp)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_data())
        .and_then(|()| fs::rename(&tmp, path));
    if let Err(source) = written {
        fs::remove_file(&tmp).or_else(absent).at("remove", &tmp)?;
        return Err(Error::Io {
            step: "write file",
            path: path.to_owned(),
            source,
        });
    }
    sync_dir(dir)
}

/// Replaces `path` by this value as JSON, atomically and durably.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let bytes = serde_json::to_vec(value)
        .map_err(|e| Error::Corrupt(format!("record {} cannot be written: {e}", path.display())))?;
    write_file(path, &bytes)
}

/// Replaces `path` by this value as JSON, atomically but not durably: a process killed leaves the old or the new one, a
/// power cut may take both.
pub(crate) fn write_json_unsynced<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let bytes = serde_json::to_vec(value)
        .map_err(|e| Error::Corrupt(format!("record {} cannot be written: {e}", path.display())))?;
    let dir = path.parent().unwrap_or(Path::new("/"));
    let tmp = dir.join(format!(".{}", unique("write")));
    fs::write(&tmp, bytes)
        .and_then(|()| fs::rename(&tmp, path))
        .at("write file", path)
}

/// Reads a JSON record; absent is `None`, unreadable is an error.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| Error::Corrupt(format!("record {} is unreadable: {e}", path.display()))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).at("read", path),
    }
}

/// Removes a file; one that is not there is fine. Durable.
pub(crate) fn remove_file(path: &Path) -> Result<()> {
    fs::remove_file(path).or_else(absent).at("remove", path)?;
    sync_dir(path.parent().unwrap_or(Path::new("/")))
}

/// Removes a tree; one that is not there is fine.
pub(crate) fn remove_tree(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if !meta.is_dir() => fs::remove_file(path).or_else(absent).at("remove", path),
        Ok(_) => fs::remove_dir_all(path)
            .or_else(absent)
            .at("remove tree", path),
        Err(e) => absent(e).at("stat", path),
    }
}

/// Turns "no such file" into success.
pub(crate) fn absent(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound {
        Ok(())
    } else {
        Err(error)
    }
}

/// A name no other call of this process or of a process before it has made: pid, nanoseconds and a counter.
pub(crate) fn unique(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |d| d.as_nanos() as u64);
    format!(
        "{prefix}-{:x}-{now:x}-{:x}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// A directory for work in progress, removed when dropped unless [`Scratch::keep`] was called.
#[derive(Debug)]
pub(crate) struct Scratch(Option<PathBuf>);

impl Scratch {
    /// Makes it below `dir`.
    pub(crate) fn new(dir: &Path, prefix: &str) -> Result<Scratch> {
        let path = dir.join(unique(prefix));
        make_dir(&path, 0o700)?;
        Ok(Scratch(Some(path)))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(""))
    }

    /// It has been renamed away: nothing to remove.
    pub(crate) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(path) = &self.0
            && let Err(error) = remove_tree(path)
        {
            tracing::warn!("work directory left behind: {error}");
        }
    }
}

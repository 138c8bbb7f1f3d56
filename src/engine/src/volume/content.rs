//! What is in a volume: its first content from an image, and its size.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use gantry_store::archive::{self, PutOptions};

use crate::error::{Error, Result};

/// Copies the directory at `destination` of `root` into the empty directory `data`, with its owner and mode; a volume with
/// content, and a place the image does not have, are left alone. Links in `root` never lead out of it.
///
/// # Errors
/// The disk's.
pub fn fill(root: &Path, destination: &str, data: &Path) -> Result<()> {
    let fail = |e| Error::kernel(data.display(), e);
    if fs::read_dir(data).map_err(fail)?.next().is_some() {
        return Ok(());
    }
    let path = std::ffi::CString::new(destination)
        .map_err(|_| Error::invalid("mount path holds a zero byte"))?;
    let place = fs::File::open(root).map_err(|e| Error::kernel(root.display(), e))?;
    let place = std::os::fd::AsFd::as_fd(&place);
    let Ok(source) = sys::file::place_within(place, &path) else {
        return Ok(());
    };
    let facts = fs::File::from(source)
        .metadata()
        .map_err(|e| Error::kernel(destination, e))?;
    if !facts.is_dir() {
        return Ok(());
    }
    let (mut reader, writer) = std::io::pipe().map_err(|e| Error::kernel("pipe", e))?;
    std::thread::scope(|scope| {
        let read = scope.spawn(move || {
            archive::get(
                root,
                &format!("{}/.", destination.trim_end_matches('/')),
                writer,
            )
        });
        let mut written = archive::put(data, "/", &mut reader, PutOptions::default());
        if written.is_ok() {
            // The end of the archive may come before the end of the pipe.
            written = reader
                .read_to_end(&mut Vec::new())
                .map(drop)
                .map_err(gantry_store::error::Error::Stream);
        }
        drop(reader);
        let read = read
            .join()
            .map_err(|_| Error::internal("copying into a volume: reader died"))?;
        read.and(written).map_err(Error::from)
    })?;
    chown(data, Some(facts.uid()), Some(facts.gid())).map_err(fail)?;
    fs::set_permissions(data, fs::Permissions::from_mode(facts.mode() & 0o7777)).map_err(fail)
}

/// Bytes of all files in a directory, each counted once.
///
/// # Errors
/// The disk's.
pub fn size(data: &Path) -> Result<u64> {
    let mut seen = std::collections::HashSet::new();
    let mut waiting = vec![data.to_path_buf()];
    let mut total = 0;
    while let Some(path) = waiting.pop() {
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            // Removed meanwhile by a container.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(Error::kernel(path.display(), e)),
        };
        for entry in entries.flatten() {
            let Ok(facts) = entry.metadata() else {
                continue;
            };
            if facts.is_dir() {
                waiting.push(entry.path());
            } else if seen.insert((facts.dev(), facts.ino())) {
                total += facts.len();
            }
        }
    }
    Ok(total)
}

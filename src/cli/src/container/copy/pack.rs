//! Packs files of this host into a tar archive (POSIX, long names by PAX).

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use tar_core::{EntryBuilder, EntryType};

use crate::failure::{Failure, Outcome, os_text};

/// An archive of `path`, its topmost entry called `name`, or its contents alone without one, in an unlinked file.
///
/// # Errors
/// When something cannot be read.
pub fn to_file(path: &Path, name: Option<&str>, follow: bool) -> Outcome<File> {
    let place = std::env::temp_dir().join(format!("gantry-cp-{}", std::process::id()));
    let mut file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&place)?;
    fs::remove_file(&place)?;
    let mut packer = Packer {
        out: &mut file,
        seen: HashMap::new(),
    };
    match name {
        Some(name) => packer.add(path, name, follow)?,
        None => packer.contents(path, "")?,
    }
    file.write_all(&[0; 1024])?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// An archive of one file with its folders left to be made by whoever unpacks it.
///
/// # Errors
/// For a name no archive can hold.
pub fn one(name: &str, contents: &[u8], mode: u32) -> Outcome<Vec<u8>> {
    let mut entry = EntryBuilder::new_ustar();
    entry.path(name).entry_type(EntryType::Regular);
    let made = entry
        .mode(mode)
        .and_then(|entry| entry.size(contents.len() as u64))
        .map(|entry| entry.finish_bytes());
    let mut bytes = made.map_err(|error| Failure::new(error.to_string()))?;
    bytes.extend_from_slice(contents);
    bytes.resize(bytes.len().next_multiple_of(512) + 1024, 0);
    Ok(bytes)
}

struct Packer<'a> {
    out: &'a mut File,
    /// Files with several names, by device and number, with the name they were packed as.
    seen: HashMap<(u64, u64), String>,
}

fn cannot(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{}: {}", path.display(), os_text(error)))
}

impl Packer<'_> {
    fn contents(&mut self, path: &Path, name: &str) -> Outcome {
        let mut entries: Vec<_> = fs::read_dir(path)
            .and_then(Iterator::collect)
            .map_err(|error| cannot(path, &error))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let own = entry.file_name();
            let own = own.to_string_lossy();
            let inner = if name.is_empty() {
                own.into_owned()
            } else {
                format!("{name}/{own}")
            };
            self.add(&entry.path(), &inner, false)?;
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, name: &str, follow: bool) -> Outcome {
        let meta = if follow {
            path.metadata()
        } else {
            path.symlink_metadata()
        }
        .map_err(|error| cannot(path, &error))?;
        let kind = meta.file_type();
        if kind.is_socket() {
            return Ok(());
        }
        if kind.is_dir() {
            self.entry(&meta, &format!("{name}/"), EntryType::Directory, None, 0)?;
            return self.contents(path, name);
        }
        if kind.is_symlink() {
            let target = fs::read_link(path).map_err(|error| cannot(path, &error))?;
            return self.entry(
                &meta,
                name,
                EntryType::Symlink,
                Some(target.as_os_str().as_bytes()),
                0,
            );
        }
        if kind.is_fifo() {
            return self.entry(&meta, name, EntryType::Fifo, None, 0);
        }
        if kind.is_char_device() || kind.is_block_device() {
            let kind = if kind.is_char_device() {
                EntryType::Char
            } else {
                EntryType::Block
            };
            return self.entry(&meta, name, kind, None, 0);
        }
        if meta.nlink() > 1 {
            if let Some(first) = self.seen.get(&(meta.dev(), meta.ino())).cloned() {
                return self.entry(&meta, name, EntryType::Link, Some(first.as_bytes()), 0);
            }
            self.seen.insert((meta.dev(), meta.ino()), name.to_owned());
        }
        let mut file = File::open(path).map_err(|error| cannot(path, &error))?;
        self.entry(&meta, name, EntryType::Regular, None, meta.len())?;
        let copied = io::copy(&mut Read::by_ref(&mut file).take(meta.len()), self.out)
            .map_err(|error| cannot(path, &error))?;
        // A file that shrinks meanwhile is filled up with zeros: the archive has promised its length.
        let padding = meta.len().next_multiple_of(512) - copied;
        io::copy(&mut io::repeat(0).take(padding), self.out)?;
        Ok(())
    }

    fn entry(
        &mut self,
        meta: &Metadata,
        name: &str,
        kind: EntryType,
        link: Option<&[u8]>,
        size: u64,
    ) -> Outcome {
        let mut entry = EntryBuilder::new_ustar();
        entry.path(name).entry_type(kind);
        if let Some(link) = link {
            entry.link_name(link);
        }
        let mtime = u64::try_from(meta.mtime()).unwrap_or(0);
        let made = entry
            .mode(meta.mode() & 0o7777)
            .and_then(|entry| entry.uid(u64::from(meta.uid())))
            .and_then(|entry| entry.gid(u64::from(meta.gid())))
            .and_then(|entry| entry.mtime(mtime))
            .and_then(|entry| entry.size(size))
            .and_then(|entry| match kind {
                EntryType::Char | EntryType::Block => {
                    let number = meta.rdev();
                    let part = |number: u64| u32::try_from(number).unwrap_or(0);
                    entry.device(
                        part(nix::sys::stat::major(number)),
                        part(nix::sys::stat::minor(number)),
                    )
                }
                _ => Ok(entry),
            })
            .map(|entry| entry.finish_bytes())
            .map_err(|error| Failure::new(format!("{name}: {error}")))?;
        Ok(self.out.write_all(&made)?)
    }
}

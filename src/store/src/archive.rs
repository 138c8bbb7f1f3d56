//! `docker cp`: archives out of and into the tree of a container, by docker's rules. Works on any root: the merged layer
//! of a stopped container, `/proc/PID/root` of a running one. Nothing outside of the root is read or written, whatever
//! symlinks the container makes meanwhile.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, OFlags, Stat};
use rustix::io::Errno;

use crate::beneath::{self, Links};
use crate::compress;
use crate::error::{At, Error, Result};
use crate::overlay;
pub use crate::place::Owner;
use crate::place::{self, failed};
use crate::tar::read::Reader;
use crate::tar::{Entry, Kind};
use crate::tree::{Form, TreeWriter};
use crate::unpack::Room;

/// docker's `X-Docker-Container-Path-Stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathStat {
    /// Last element of the path asked for.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Bits of Go's `os.FileMode`.
    pub mode: u32,
    /// RFC 3339 with nanoseconds.
    pub mtime: String,
    /// Where a symlink leads, as a path in the container.
    pub link_target: String,
}

/// How to unpack into a container.
#[derive(Clone, Copy, Debug, Default)]
pub struct PutOptions {
    /// Refuse to replace a directory by something else and the reverse.
    pub no_overwrite_dir_non_dir: bool,
    /// Owner of everything instead of the archive's.
    pub owner: Owner,
    /// Refuse devices and pipes, and more than fits the disk: for archives that are data, not a tree.
    pub content_only: bool,
}

/// A path split for lookup: the directory, with symlinks followed, and the name in it, not followed. A trailing slash or
/// `/.` asks for what a symlink leads to.
struct Target {
    dir: Vec<u8>,
    name: Option<Vec<u8>>,
    /// Name of the top entry in an archive.
    base: Vec<u8>,
}

fn target(path: &str) -> Target {
    let parts = clean(path.as_bytes());
    let follows = path.ends_with('/') || path.ends_with("/.") || path == ".";
    let base = parts
        .last()
        .map_or_else(|| b".".to_vec(), |last| last.to_vec());
    match parts.split_last() {
        Some((name, above)) if !follows => Target {
            dir: beneath::join(above),
            name: Some(name.to_vec()),
            base,
        },
        _ => Target {
            dir: beneath::join(&parts),
            name: None,
            base,
        },
    }
}

/// Components with `..` applied; at the root it stays there, as a path in a container does.
fn clean(path: &[u8]) -> Vec<&[u8]> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts
}

fn open_root(root: &Path) -> Result<OwnedFd> {
    File::open(root).map(OwnedFd::from).at("open", root)
}

fn lost(path: &str) -> Error {
    Error::NotFound(format!("no such file or directory: {path}"))
}

/// Not there is "not found", a file on the way too.
fn found<T>(result: rustix::io::Result<T>, path: &str) -> Result<T> {
    match result {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Err(lost(path)),
        other => other.at("open", path),
    }
}

/// What is at a path.
///
/// # Errors
/// Not found; the kernel's.
pub fn stat(root: &Path, path: &str) -> Result<PathStat> {
    let root = open_root(root)?;
    let target = target(path);
    let dir = found(
        beneath::open(&root, &target.dir, OFlags::PATH, Links::InRoot),
        path,
    )?;
    let (stat, link) = match &target.name {
        None => (rustix::fs::fstat(&dir).at("stat", path)?, Vec::new()),
        Some(name) => {
            let stat = overlay::stat_in(dir.as_fd(), name)
                .at("stat", path)?
                .ok_or_else(|| lost(path))?;
            let link = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Symlink => rustix::fs::readlinkat(&dir, &name[..], Vec::new())
                    .at("read link", path)?
                    .into_bytes(),
                _ => Vec::new(),
            };
            (stat, link)
        }
    };
    let link_target = match (&target.name, link.is_empty()) {
        (Some(_), false) => {
            let base = if link.starts_with(b"/") {
                Vec::new()
            } else {
                [&target.dir[..], b"/"].concat()
            };
            let whole = [&base[..], &link[..]].concat();
            format!(
                "/{}",
                String::from_utf8_lossy(&clean(&whole).join(&b"/"[..]))
            )
        }
        _ => String::new(),
    };
    let time = jiff::Timestamp::new(stat.st_mtime, stat.st_mtime_nsec as i32).unwrap_or_default();
    let name = if target.base == b"." {
        "/".to_owned()
    } else {
        String::from_utf8_lossy(&target.base).into_owned()
    };
    Ok(PathStat {
        name,
        size: stat.st_size.unsigned_abs(),
        mode: go_mode(&stat),
        mtime: time.to_string(),
        link_target,
    })
}

/// Go's os.FileMode: permission bits below, kind and setuid, setgid, sticky from the top (package os, FileMode).
fn go_mode(stat: &Stat) -> u32 {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => 1 << 31,
        FileType::Symlink => 1 << 27,
        FileType::BlockDevice => 1 << 26,
        FileType::CharacterDevice => 1 << 26 | 1 << 21,
        FileType::Fifo => 1 << 25,
        FileType::Socket => 1 << 24,
        _ => 0,
    };
    let bit = |from: u32, to: u32| if stat.st_mode & from == 0 { 0 } else { to };
    kind | stat.st_mode & 0o777 | bit(0o4000, 1 << 23) | bit(0o2000, 1 << 22) | bit(0o1000, 1 << 20)
}

/// Writes the object at a path, with all in it, as an archive whose names begin with the path's last element.
///
/// # Errors
/// Not found; the kernel's; the stream's.
pub fn get(root: &Path, path: &str, to: impl Write) -> Result<()> {
    let root = open_root(root)?;
    let target = target(path);
    let dir = found(beneath::open_dir(&root, &target.dir, Links::InRoot), path)?;
    let mut writer = TreeWriter::new(to, Form::Plain);
    match &target.name {
        Some(name) => {
            if overlay::stat_in(dir.as_fd(), name)
                .at("stat", path)?
                .is_none()
            {
                return Err(lost(path));
            }
            writer.object(dir.as_fd(), name, target.base)?;
        }
        None => {
            let prefix = if path.ends_with("/.") || target.base == b"." {
                writer.directory(dir.as_fd(), b"./".to_vec())?;
                Vec::new()
            } else {
                let prefix = [&target.base[..], b"/"].concat();
                writer.directory(dir.as_fd(), prefix.clone())?;
                prefix
            };
            writer.contents(dir.as_fd(), &prefix)?;
        }
    }
    writer.finish()?;
    Ok(())
}

/// Unpacks an archive, plain, gzip or zstd, into the directory at a path.
///
/// # Errors
/// Not found; `extraction point is not a directory`; docker's refusals to replace a directory; a damaged archive.
pub fn put(root: &Path, path: &str, from: impl Read, options: PutOptions) -> Result<()> {
    let root = open_root(root)?;
    let base = beneath::join(&clean(path.as_bytes()));
    let point = found(
        beneath::open(&root, &base, OFlags::PATH, Links::InRoot),
        path,
    )?;
    let stat = rustix::fs::fstat(&point).at("stat", path)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        return Err(Error::Invalid(
            "extraction point is not a directory".to_owned(),
        ));
    }
    let mut reader = Reader::new(compress::open(from)?);
    let mut put = Put {
        root,
        base,
        options,
        dirs: Vec::new(),
    };
    let mut room = Room::of(Path::new(&beneath::proc_path(&put.root)))?;
    while let Some(entry) = reader.next(&mut ())? {
        if options.content_only {
            content_only(&entry, &mut room)?;
        }
        put.entry(&entry, &mut reader)?;
    }
    for (path, entry) in put.dirs.iter().rev() {
        let dir =
            beneath::open_dir(&put.root, path, Links::InRoot).map_err(failed("open", entry))?;
        place::set_times(dir.as_fd(), entry)?;
    }
    Ok(())
}

fn content_only(entry: &Entry, room: &mut Room) -> Result<()> {
    let shown = || String::from_utf8_lossy(&entry.path).into_owned();
    if matches!(entry.kind, Kind::Char | Kind::Block | Kind::Fifo) {
        return Err(Error::Invalid(format!(
            "{:?} of the archive is a device or pipe: expected files",
            shown()
        )));
    }
    let left = (
        room.bytes.checked_sub(entry.size),
        room.entries.checked_sub(1),
    );
    let (Some(bytes), Some(entries)) = left else {
        return Err(Error::Invalid(format!(
            "archive: {:?} and what came before it would fill the disk",
            shown()
        )));
    };
    *room = Room { bytes, entries };
    Ok(())
}

struct Put {
    root: OwnedFd,
    base: Vec<u8>,
    options: PutOptions,
    dirs: Vec<(Vec<u8>, Entry)>,
}

impl Put {
    fn path(&self, parts: &[&[u8]]) -> Vec<u8> {
        [&self.base[..], b"/", &beneath::join(parts)[..]].concat()
    }

    fn entry<R: Read>(&mut self, entry: &Entry, from: &mut Reader<R>) -> Result<()> {
        let parts = beneath::components(&entry.path)?;
        let Some((name, above)) = parts.split_last() else {
            return Ok(());
        };
        let dir = self.enter(above, entry)?;
        self.make_way(&dir, name, entry)?;
        let owner = self.options.owner;
        match entry.kind {
            Kind::Dir => {
                let made = place::create_dir(dir.as_fd(), name).map_err(failed("create", entry))?;
                place::set_attributes(made.as_fd(), entry, owner)?;
                self.dirs.push((self.path(&parts), entry.clone()));
                Ok(())
            }
            Kind::File => {
                let mut file =
                    place::create_file(dir.as_fd(), name).map_err(failed("create", entry))?;
                write_content(&mut file, entry, from)?;
                place::set_attributes(file.as_fd(), entry, owner)?;
                place::set_times(file.as_fd(), entry)
            }
            Kind::HardLink => self.hard_link(&dir, name, entry),
            _ => place::create_special(dir.as_fd(), name, entry, owner)
                .map_err(failed("create", entry))?,
        }
    }

    fn enter(&self, above: &[&[u8]], entry: &Entry) -> Result<OwnedFd> {
        match beneath::open_dir(&self.root, &self.path(above), Links::InRoot) {
            Err(Errno::NOENT) => {}
            other => return other.map_err(failed("open directory of", entry)),
        }
        let mut dir = beneath::open_dir(&self.root, &self.path(&[]), Links::InRoot)
            .map_err(failed("open directory of", entry))?;
        for depth in 1..=above.len() {
            let path = self.path(&above[..depth]);
            dir = match beneath::open_dir(&self.root, &path, Links::InRoot) {
                Err(Errno::NOENT) => place::create_dir(dir.as_fd(), above[depth - 1]),
                other => other,
            }
            .map_err(failed("make directory of", entry))?;
        }
        Ok(dir)
    }

    /// Frees the name where something else has it.
    fn make_way(&self, dir: &OwnedFd, name: &[u8], entry: &Entry) -> Result<()> {
        let Some(stat) = overlay::stat_in(dir.as_fd(), name).map_err(failed("stat", entry))? else {
            return Ok(());
        };
        let was_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let is_dir = entry.kind == Kind::Dir;
        if self.options.no_overwrite_dir_non_dir && was_dir != is_dir {
            let (old, new) = if was_dir {
                ("directory", "non-directory")
            } else {
                ("non-directory", "directory")
            };
            let there = self.path(&beneath::components(&entry.path)?);
            let there = format!(
                "/{}",
                String::from_utf8_lossy(&there).trim_start_matches("./")
            );
            let brought = String::from_utf8_lossy(&entry.path);
            return Err(Error::Invalid(format!(
                "cannot overwrite {old} {there:?} with {new} {brought:?}"
            )));
        }
        if was_dir && is_dir {
            return Ok(());
        }
        if was_dir {
            remove_dir(dir, name).map_err(failed("replace", entry))
        } else {
            rustix::fs::unlinkat(dir, name, AtFlags::empty()).map_err(failed("replace", entry))
        }
    }

    fn hard_link(&self, dir: &OwnedFd, name: &[u8], entry: &Entry) -> Result<()> {
        let target = beneath::components(&entry.link)?;
        let Some((last, above)) = target.split_last() else {
            return Err(Error::Invalid(
                "hard link to the root of the archive".to_owned(),
            ));
        };
        let from = beneath::open_dir(&self.root, &self.path(above), Links::InRoot)
            .map_err(failed("open target of", entry))?;
        rustix::fs::linkat(&from, *last, dir, name, AtFlags::empty()).map_err(failed("link", entry))
    }
}

fn write_content<R: Read>(file: &mut File, entry: &Entry, from: &mut Reader<R>) -> Result<()> {
    let shown = Path::new(OsStr::from_bytes(&entry.path)).to_owned();
    let whole = [(0, entry.size)];
    for (offset, length) in entry
        .sparse
        .as_ref()
        .map_or(&whole[..], |sparse| &sparse.runs)
    {
        std::io::Seek::seek(file, std::io::SeekFrom::Start(*offset)).at("seek in", &shown)?;
        let copied = std::io::copy(&mut (&mut *from).take(*length), file).at("write", &shown)?;
        if copied != *length {
            return Err(Error::Invalid("unexpected EOF".to_owned()));
        }
    }
    file.set_len(entry.file_length())
        .at("set length of", &shown)
}

/// Removes a directory and all in it, by descriptors: nothing behind a symlink is touched.
fn remove_dir(parent: &OwnedFd, name: &[u8]) -> rustix::io::Result<()> {
    let dir = beneath::open_dir(parent, name, Links::Refused)?;
    for below in crate::walk::names(&dir)? {
        match rustix::fs::unlinkat(&dir, &below[..], AtFlags::empty()) {
            Err(Errno::ISDIR) => remove_dir(&dir, &below)?,
            other => other?,
        }
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
}

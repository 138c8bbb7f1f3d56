//! Unpacks what a container sent. The archive is the container's word and not to be believed: nothing is written outside
//! the destination, no link the archive made is ever followed.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, lchown, symlink};
use std::path::{Component, Path, PathBuf};

use tar_core::EntryType;
use tar_core::parse::{Limits, ParseEvent, ParsedEntry, Parser};

use crate::failure::{Failure, Outcome, os_text};

/// Where an archive goes.
pub struct Place {
    /// The directory, which is there.
    pub folder: PathBuf,
    /// What the topmost entry is to be called; none leaves it out and unpacks its contents.
    pub name: Option<String>,
}

struct Entry {
    path: PathBuf,
    kind: EntryType,
    link: Option<PathBuf>,
    mode: u32,
    owner: (u32, u32),
    mtime: u64,
    size: u64,
}

/// Unpacks an archive whose topmost entry is called `top`.
///
/// # Errors
/// For an archive that is broken or reaches outside, or files that cannot be written.
pub fn unpack(from: &mut impl Read, top: &str, place: &Place, owners: bool) -> Outcome {
    let mut archive = Archive {
        from,
        parser: Parser::new(Limits::default()),
        buffer: Vec::new(),
    };
    let mut folders: Vec<(PathBuf, u32)> = Vec::new();
    while let Some(entry) = archive.next()? {
        let padding = entry.size.next_multiple_of(512) - entry.size;
        let mut contents = archive.contents(entry.size);
        if let Some(path) = resolve(&entry.path, top, place)? {
            let target = Target {
                entry: &entry,
                path: &path,
                top,
                place,
                owners,
            };
            let written = target.write(&mut contents, &mut folders);
            written.map_err(|error| {
                Failure::new(format!("{}: {}", path.display(), os_text(&error)))
            })?;
        }
        io::copy(&mut contents, &mut io::sink())?;
        archive.skip(padding)?;
    }
    // A directory that may not be written to gets its mode when everything is in it.
    for (path, mode) in folders.into_iter().rev() {
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
    }
    io::copy(archive.from, &mut io::sink())?;
    Ok(())
}

/// An archive being read: bytes already taken from the stream, then the stream.
struct Archive<'a, R> {
    from: &'a mut R,
    parser: Parser,
    buffer: Vec<u8>,
}

fn broken(why: impl std::fmt::Display) -> Failure {
    Failure::new(format!("archive of the container: {why}"))
}

impl<R: Read> Archive<'_, R> {
    /// The next entry's header; its contents come next.
    fn next(&mut self) -> Outcome<Option<Entry>> {
        loop {
            let (consumed, entry) = match self.parser.parse(&self.buffer).map_err(broken)? {
                ParseEvent::NeedData { min_bytes } => {
                    let wanted = min_bytes.max(self.buffer.len() + 512);
                    let missing = (wanted - self.buffer.len()) as u64;
                    if self
                        .from
                        .by_ref()
                        .take(missing)
                        .read_to_end(&mut self.buffer)?
                        == 0
                    {
                        return Err(broken("ends too early"));
                    }
                    continue;
                }
                ParseEvent::GlobalExtensions { consumed, .. } => (consumed, None),
                ParseEvent::SparseEntry { entry, .. } => {
                    return Err(broken(format!(
                        "{}: sparse entries are not supported",
                        entry.path_lossy()
                    )));
                }
                ParseEvent::End { .. } => return Ok(None),
                ParseEvent::Entry { consumed, entry } => (consumed, Some(Entry::of(&entry))),
            };
            self.buffer.drain(..consumed);
            if entry.is_some() {
                return Ok(entry);
            }
        }
    }

    /// Moves on by so many bytes.
    fn skip(&mut self, bytes: u64) -> Outcome {
        io::copy(&mut self.contents(bytes), &mut io::sink())?;
        Ok(())
    }

    /// The next so many bytes.
    fn contents(&mut self, bytes: u64) -> io::Take<Taken<'_, R>> {
        Taken {
            from: &mut *self.from,
            buffer: &mut self.buffer,
        }
        .take(bytes)
    }
}

/// Reads what is in the buffer, then the stream.
struct Taken<'a, R> {
    from: &'a mut R,
    buffer: &'a mut Vec<u8>,
}

impl<R: Read> Read for Taken<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.buffer.is_empty() {
            return self.from.read(into);
        }
        let count = self.buffer.len().min(into.len());
        into[..count].copy_from_slice(&self.buffer[..count]);
        self.buffer.drain(..count);
        Ok(count)
    }
}

impl Entry {
    fn of(entry: &ParsedEntry<'_>) -> Self {
        let path = |bytes: &[u8]| PathBuf::from(std::ffi::OsStr::from_bytes(bytes));
        let number = |id: u64| u32::try_from(id).unwrap_or(0);
        Self {
            path: path(&entry.path),
            kind: entry.entry_type,
            link: entry.link_target.as_deref().map(path),
            mode: entry.mode & 0o7777,
            owner: (number(entry.uid), number(entry.gid)),
            mtime: entry.mtime,
            size: entry.size,
        }
    }
}

/// The path an entry goes to; none for the topmost entry itself when only its contents are wanted.
fn resolve(path: &Path, top: &str, place: &Place) -> Outcome<Option<PathBuf>> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => parts.push(part),
            Component::CurDir | Component::RootDir => {}
            _ => {
                return Err(Failure::new(format!(
                    "archive of the container: {}: reaches outside",
                    path.display()
                )));
            }
        }
    }
    let below = if parts
        .first()
        .is_some_and(|first| first.as_bytes() == top.as_bytes())
    {
        &parts[1..]
    } else {
        &parts[..]
    };
    let mut target = place.folder.clone();
    if let Some(name) = &place.name {
        target.push(name);
    } else if below.is_empty() {
        return Ok(None);
    }
    let mut walked = target.clone();
    for part in below {
        // A link among the parents, the archive's own or one that was there, would lead elsewhere.
        if walked != place.folder
            && walked
                .symlink_metadata()
                .is_ok_and(|meta| meta.is_symlink())
        {
            return Err(Failure::new(format!(
                "archive of the container: {}: below a symbolic link",
                path.display()
            )));
        }
        walked.push(part);
    }
    Ok(Some(walked))
}

/// One entry and where it goes.
struct Target<'a> {
    entry: &'a Entry,
    path: &'a Path,
    top: &'a str,
    place: &'a Place,
    owners: bool,
}

impl Target<'_> {
    fn write(&self, contents: &mut impl Read, folders: &mut Vec<(PathBuf, u32)>) -> io::Result<()> {
        let (entry, path) = (self.entry, self.path);

        let there = path.symlink_metadata().ok();
        let folder = there.as_ref().is_some_and(fs::Metadata::is_dir);
        if entry.kind == EntryType::Directory {
            if !folder {
                fs::create_dir(path)?;
            }
            folders.push((path.to_owned(), entry.mode));
        } else {
            if folder {
                return Err(io::Error::other(
                    "cannot overwrite directory with non-directory",
                ));
            }
            if there.is_some()
                && !(entry.kind.is_file() && there.as_ref().is_some_and(fs::Metadata::is_file))
            {
                fs::remove_file(path)?;
            }
            let link = entry.link.clone().unwrap_or_default();
            match entry.kind {
                EntryType::Symlink => symlink(link, path)?,
                EntryType::Link => {
                    let first = resolve(&link, self.top, self.place)
                        .map_err(|error| io::Error::other(error.text))?;
                    fs::hard_link(first.unwrap_or_default(), path)?;
                    return Ok(());
                }
                EntryType::Regular | EntryType::Continuous => write_file(entry, path, contents)?,
                EntryType::Fifo => {
                    nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(entry.mode))?
                }
                _ => {
                    return Err(io::Error::other(
                        "a device cannot be copied out of a container",
                    ));
                }
            }
        }
        if self.owners {
            lchown(path, Some(entry.owner.0), Some(entry.owner.1))?;
        }
        Ok(())
    }
}

fn write_file(entry: &Entry, path: &Path, contents: &mut impl Read) -> io::Result<()> {
    let flags = nix::fcntl::OFlag::O_NOFOLLOW.bits();
    let mut file = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(flags)
        .open(path)?;
    io::copy(contents, &mut file)?;
    file.flush()?;
    file.set_permissions(Permissions::from_mode(entry.mode))?;
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(entry.mtime))
}

//! Unpacks one layer's archive into a directory in overlayfs's form, keeping its frame. image-spec "layer.md",
//! Applying Changesets. Hostile archives are the normal case: every name is resolved beneath the tree's root by openat2,
//! so that traversal, absolute names, writing through symlinks and hard links to elsewhere end inside or are refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::beneath::{self, Links};
use crate::durable;
use crate::error::{At, Error, Result};
use crate::overlay;
use crate::place::{self, Owner, failed};
use crate::split;
use crate::stack::Stack;
use crate::tar::read::Reader;
use crate::tar::{Entry, Kind};

mod replace;

use replace::own_path;

/// What came out of an archive.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unpacked {
    /// Bytes of all regular files, as docker counts a layer's size.
    pub size: u64,
    /// Entries in the archive.
    pub entries: u64,
    /// True where the result depends on the layers below and cannot be shared with another stack.
    pub bound: bool,
}

/// What is left of the disk bounds a layer: an archive bomb must not take the last block or inode.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Bytes of file content.
    pub bytes: u64,
    /// Objects made.
    pub entries: u64,
}

impl Room {
    /// 95 % of what is free where `dir` is.
    pub(crate) fn of(dir: &Path) -> Result<Room> {
        let fs = rustix::fs::statvfs(dir).at("stat filesystem of", dir)?;
        let part = |n: u64| n / 100 * 95;
        let entries = if fs.f_files == 0 {
            u64::MAX
        } else {
            part(fs.f_favail)
        };
        Ok(Room {
            bytes: part(fs.f_bavail.saturating_mul(fs.f_frsize)),
            entries,
        })
    }
}

struct Unpack<'a> {
    tree: &'a Path,
    root: OwnedFd,
    old: OwnedFd,
    lower: &'a Stack,
    frame: split::Writer,
    room: Room,
    out: Unpacked,
    /// The directory of the entry before: most entries share it.
    parent: Option<(Vec<u8>, OwnedFd)>,
    /// Real path of each regular file, by number of its first record, to find it again when it is replaced.
    files: Vec<(u32, Vec<u8>)>,
    moved: BTreeMap<u32, Vec<u8>>,
    retired: u32,
    /// Times of directories, set last: making something in one changes them.
    dirs: BTreeMap<Vec<u8>, Entry>,
    /// Names hidden below before something of that name came.
    hidden: BTreeSet<Vec<u8>>,
}

/// Unpacks into `tree`/fs; the frame goes beside it. Nothing is synced but the frame.
///
/// # Errors
/// A damaged or escaping archive, one larger than the room, the kernel's errors. The tree is then half made.
pub(crate) fn unpack<R: Read>(
    tree: &Path,
    lower: &Stack,
    room: Room,
    from: &mut Reader<R>,
) -> Result<Unpacked> {
    let (fs, old) = (tree.join("fs"), tree.join("old"));
    durable::make_dir(&fs, 0o755)?;
    durable::make_dir(&old, 0o700)?;
    let mut unpack = Unpack {
        tree,
        root: File::open(&fs).at("open", &fs)?.into(),
        old: File::open(&old).at("open", &old)?.into(),
        lower,
        frame: split::Writer::create(tree)?,
        room,
        out: Unpacked::default(),
        parent: None,
        files: Vec::new(),
        moved: BTreeMap::new(),
        retired: 0,
        dirs: BTreeMap::new(),
        hidden: BTreeSet::new(),
    };
    unpack.inherit_root()?;
    while let Some(entry) = from.next(&mut unpack.frame)? {
        unpack.entry(&entry, from)?;
    }
    unpack.finish()
}

impl Unpack<'_> {
    /// Without an entry for the root itself the layer takes on the root below it.
    fn inherit_root(&mut self) -> Result<()> {
        rustix::fs::fchmod(&self.root, Mode::from_raw_mode(0o755)).at("set mode of", self.tree)?;
        let Some(below) = self.lower.find(&[])? else {
            return Ok(());
        };
        let stat = below.stat;
        if (stat.st_mode & 0o7777, stat.st_uid, stat.st_gid) != (0o755, 0, 0) {
            self.out.bound = true;
            self.copy_dir(&[], below.layer)?;
        }
        Ok(())
    }

    fn entry<R: Read>(&mut self, entry: &Entry, from: &mut Reader<R>) -> Result<()> {
        self.out.entries += 1;
        self.out.size = self.out.size.saturating_add(if entry.kind == Kind::File {
            entry.file_length()
        } else {
            0
        });
        let stored = if entry.kind == Kind::File {
            entry.size
        } else {
            0
        };
        self.room.bytes = self
            .room
            .bytes
            .checked_sub(stored)
            .ok_or_else(|| self.full(entry))?;
        self.room.entries = self
            .room
            .entries
            .checked_sub(1)
            .ok_or_else(|| self.full(entry))?;
        let parts = beneath::components(&entry.path)?;
        let Some((name, above)) = parts.split_last() else {
            if entry.kind != Kind::Dir {
                return Err(Error::Invalid(
                    "the root of an archive must be a directory".to_owned(),
                ));
            }
            place::set_attributes(self.root.as_fd(), entry, Owner::default())?;
            self.dirs.insert(b".".to_vec(), entry.clone());
            return Ok(());
        };
        let parent = self.enter(above)?;
        let made = match name.strip_prefix(overlay::WHITEOUT) {
            Some(_) if *name == overlay::OPAQUE => {
                overlay::set_opaque(&parent).map_err(failed("make opaque", entry))
            }
            Some(_) if name.starts_with(overlay::AUFS_OWN) => Ok(()),
            Some(b"" | b"." | b"..") => Err(Error::Invalid(format!(
                "archive: whiteout {:?} names nothing",
                String::from_utf8_lossy(&entry.path)
            ))),
            Some(gone) => self.whiteout(parent.as_fd(), above, gone, entry),
            None => self.object(parent.as_fd(), above, name, entry, from),
        };
        self.parent = Some((beneath::join(above), parent));
        made
    }

    fn full(&self, entry: &Entry) -> Error {
        Error::Invalid(format!(
            "archive: {:?} and what came before it would fill the disk below {}",
            String::from_utf8_lossy(&entry.path),
            self.tree.display()
        ))
    }

    /// Opens an entry's directory, making what is missing of the way as it is below.
    fn enter(&mut self, above: &[&[u8]]) -> Result<OwnedFd> {
        let path = beneath::join(above);
        if let Some((cached, fd)) = self.parent.take()
            && cached == path
        {
            return Ok(fd);
        }
        match beneath::open_dir(&self.root, &path, Links::InRoot) {
            Err(Errno::NOENT) => {}
            Err(Errno::NOTDIR) => self.clear_way(above)?,
            other => {
                return other.at(
                    "open directory of layer",
                    String::from_utf8_lossy(&path).as_ref(),
                );
            }
        }
        for depth in 1..=above.len() {
            let part = beneath::join(&above[..depth]);
            match beneath::open_dir(&self.root, &part, Links::InRoot) {
                Ok(_) => {}
                Err(Errno::NOENT) => self.make_missing(&above[..depth])?,
                Err(e) => {
                    return Err(e).at(
                        "open directory of layer",
                        String::from_utf8_lossy(&part).as_ref(),
                    );
                }
            }
        }
        beneath::open_dir(&self.root, &path, Links::InRoot).at(
            "open directory of layer",
            String::from_utf8_lossy(&path).as_ref(),
        )
    }

    /// A whiteout on the way becomes a directory that hides what is below; a file there is an error.
    fn clear_way(&mut self, above: &[&[u8]]) -> Result<()> {
        for depth in 1..=above.len() {
            let (name, dir) = (above[depth - 1], beneath::join(&above[..depth - 1]));
            let Ok(parent) = beneath::open_dir(&self.root, &dir, Links::InRoot) else {
                continue;
            };
            let stat = overlay::stat_in(parent.as_fd(), name).at("stat", self.tree)?;
            if stat.is_some_and(|stat| overlay::is_whiteout(&stat)) {
                rustix::fs::unlinkat(&parent, name, AtFlags::empty())
                    .at("remove whiteout in", self.tree)?;
                let made =
                    place::create_dir(parent.as_fd(), name).at("make directory in", self.tree)?;
                overlay::set_opaque(&made).at("make opaque in", self.tree)?;
            }
        }
        Ok(())
    }

    fn make_missing(&mut self, parts: &[&[u8]]) -> Result<()> {
        let Some((name, above)) = parts.split_last() else {
            return Ok(());
        };
        let dir = beneath::join(above);
        let shown = String::from_utf8_lossy(&dir).into_owned();
        let parent = beneath::open_dir(&self.root, &dir, Links::InRoot)
            .at("open directory of layer", &shown)?;
        place::create_dir(parent.as_fd(), name).at("make directory of layer", &shown)?;
        if let Some(below) = self.lower.find(parts)?
            && below.is_dir()
        {
            self.out.bound = true;
            self.copy_dir(parts, below.layer)?;
        }
        Ok(())
    }

    /// Gives a directory the attributes it has in a lower layer.
    fn copy_dir(&mut self, parts: &[&[u8]], layer: usize) -> Result<()> {
        let path = beneath::join(parts);
        let shown = String::from_utf8_lossy(&path).into_owned();
        let from = beneath::open_dir(self.lower.layer(layer), &path, Links::Refused)
            .at("open lower", &shown)?;
        let to = beneath::open_dir(&self.root, &path, Links::InRoot)
            .at("open directory of layer", &shown)?;
        let entry =
            crate::walk::entry_of_fd(from.as_fd(), path.clone()).at("read lower", &shown)?;
        place::set_attributes(to.as_fd(), &entry, Owner::default())?;
        self.dirs.insert(path, entry);
        Ok(())
    }

    /// A whiteout hides what is below, never what the same layer brings (layer.md, Whiteouts).
    fn whiteout(
        &mut self,
        dir: BorrowedFd<'_>,
        above: &[&[u8]],
        gone: &[u8],
        entry: &Entry,
    ) -> Result<()> {
        match overlay::stat_in(dir, gone).map_err(failed("stat", entry))? {
            None => {
                overlay::make_whiteout(dir, gone).map_err(failed("make whiteout", entry))?;
                self.hidden
                    .insert(beneath::join(&[above, &[gone]].concat()));
                Ok(())
            }
            Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                let made = place::create_dir(dir, gone).map_err(failed("open", entry))?;
                overlay::set_opaque(&made).map_err(failed("make opaque", entry))
            }
            Some(_) => Ok(()),
        }
    }

    fn object<R: Read>(
        &mut self,
        dir: BorrowedFd<'_>,
        above: &[&[u8]],
        name: &[u8],
        entry: &Entry,
        from: &mut Reader<R>,
    ) -> Result<()> {
        let path = beneath::join(&[above, &[name]].concat());
        match entry.kind {
            Kind::Dir => self.directory(dir, name, path, entry),
            Kind::File => {
                let made = place::create_file(dir, name);
                let file = match self.retry_cleared(made, dir, name, entry)? {
                    Some(file) => file,
                    None => place::create_file(dir, name).map_err(failed("create", entry))?,
                };
                self.content(file, path, entry, from)
            }
            Kind::HardLink => self.hard_link(dir, name, entry),
            _ => {
                let made = place::create_special(dir, name, entry, Owner::default());
                match self.retry_cleared(made, dir, name, entry)? {
                    Some(done) => done,
                    None => place::create_special(dir, name, entry, Owner::default())
                        .map_err(failed("create", entry))?,
                }
            }
        }
    }

    fn directory(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &[u8],
        path: Vec<u8>,
        entry: &Entry,
    ) -> Result<()> {
        let fd = match place::create_dir(dir, name) {
            Ok(fd) => fd,
            Err(Errno::NOTDIR | Errno::LOOP) => {
                self.clear(dir, name, entry)?;
                place::create_dir(dir, name).map_err(failed("create", entry))?
            }
            Err(e) => return Err(failed("create", entry)(e)),
        };
        if self.hidden.contains(&path) {
            overlay::set_opaque(&fd).map_err(failed("make opaque", entry))?;
        }
        place::set_attributes(fd.as_fd(), entry, Owner::default())?;
        self.dirs.insert(path, entry.clone());
        Ok(())
    }

    fn content<R: Read>(
        &mut self,
        mut file: File,
        path: Vec<u8>,
        entry: &Entry,
        from: &mut Reader<R>,
    ) -> Result<()> {
        let shown = String::from_utf8_lossy(&entry.path).into_owned();
        let real = match beneath::open(
            &self.root,
            &path,
            OFlags::PATH | OFlags::NOFOLLOW,
            Links::Refused,
        ) {
            Ok(_) => path,
            Err(Errno::LOOP) => own_path(file.as_fd(), &self.root).at("read path of", &shown)?,
            Err(e) => return Err(e).at("open", &shown),
        };
        let whole = [(0, entry.size)];
        let runs = entry
            .sparse
            .as_ref()
            .map_or(&whole[..], |sparse| &sparse.runs);
        for (offset, length) in runs.iter().filter(|(_, length)| *length > 0) {
            if *offset > 0 {
                file.seek(SeekFrom::Start(*offset)).at("seek in", &shown)?;
            }
            let copied =
                std::io::copy(&mut (&mut *from).take(*length), &mut file).at("write", &shown)?;
            if copied != *length {
                return Err(Error::Invalid("unexpected EOF".to_owned()));
            }
            let record = self.frame.content(&real, *offset, *length)?;
            self.files.push((record, real.clone()));
        }
        if let Some(sparse) = &entry.sparse {
            file.set_len(sparse.length).at("set length of", &shown)?;
        }
        file.flush().at("write", &shown)?;
        place::set_attributes(file.as_fd(), entry, Owner::default())?;
        place::set_times(file.as_fd(), entry)
    }

    /// The target may be a symlink itself, may lie in a lower layer, never outside.
    fn hard_link(&mut self, dir: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> Result<()> {
        let target = beneath::components(&entry.link)?;
        let Some((last, above)) = target.split_last() else {
            return Err(Error::Invalid(
                "hard link to the root of the archive".to_owned(),
            ));
        };
        let found = beneath::open_dir(&self.root, &beneath::join(above), Links::InRoot).ok();
        let here = match &found {
            Some(fd) => {
                overlay::stat_in(fd.as_fd(), last).map_err(failed("stat target of", entry))?
            }
            None => None,
        };
        let from = match (found, here) {
            (Some(fd), Some(stat)) if !overlay::is_whiteout(&stat) => fd,
            _ => self.copy_up(&target, entry)?,
        };
        let link = || rustix::fs::linkat(&from, *last, dir, name, AtFlags::empty());
        match self.retry_cleared(link(), dir, name, entry)? {
            Some(()) => Ok(()),
            None => link().map_err(failed("link", entry)),
        }
    }

    fn copy_up(&mut self, target: &[&[u8]], entry: &Entry) -> Result<OwnedFd> {
        let missing = || {
            let (path, link) = (
                String::from_utf8_lossy(&entry.path),
                String::from_utf8_lossy(&entry.link),
            );
            Error::Invalid(format!(
                "archive: {path:?} is a hard link to {link:?}, which does not exist"
            ))
        };
        let found = self
            .lower
            .find(target)?
            .filter(|found| !found.is_dir())
            .ok_or_else(missing)?;
        let Some((name, above)) = target.split_last() else {
            return Err(missing());
        };
        self.out.bound = true;
        self.parent = None;
        let to = self.enter(above)?;
        let from = beneath::open_dir(
            self.lower.layer(found.layer),
            &beneath::join(above),
            Links::Refused,
        )
        .map_err(failed("open target of", entry))?;
        crate::copy::object(from.as_fd(), name, to.as_fd(), name)?;
        Ok(to)
    }

    fn finish(mut self) -> Result<Unpacked> {
        for (path, entry) in std::mem::take(&mut self.dirs).into_iter().rev() {
            let fd = beneath::open_dir(&self.root, &path, Links::InRoot)
                .map_err(failed("open", &entry))?;
            place::set_times(fd.as_fd(), &entry)?;
        }
        if self.retired == 0 {
            let old = self.tree.join("old");
            std::fs::remove_dir(&old).at("remove", &old)?;
        }
        self.frame.finish(&self.moved)?;
        Ok(self.out)
    }
}

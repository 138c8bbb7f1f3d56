//! A directory as an archive: names in byte order, hard links by their first name, sockets left out, whole seconds.
//! From a container's upper directory overlayfs's marks come out as `.wh.` names.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::{At, Result};
use crate::overlay;
use crate::tar::write::Writer;
use crate::tar::{Entry, Kind};
use crate::walk;

/// How to read the tree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it shows.
    Plain,
    /// As overlayfs's upper directory.
    Upper,
}

/// Writes trees into one archive.
pub(crate) struct TreeWriter<W> {
    to: Writer<W>,
    form: Form,
    /// First name of each file with several, by device and inode.
    links: HashMap<(u64, u64), Vec<u8>>,
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

impl<W: Write> TreeWriter<W> {
    /// Begins an archive.
    pub(crate) fn new(to: W, form: Form) -> TreeWriter<W> {
        TreeWriter {
            to: Writer::new(to),
            form,
            links: HashMap::new(),
        }
    }

    /// Adds everything in a directory, not itself, below `prefix` (empty, or ending in a slash).
    pub(crate) fn contents(&mut self, dir: BorrowedFd<'_>, prefix: &[u8]) -> Result<()> {
        for name in walk::names(dir).at("read directory", shown(prefix))? {
            let path = [prefix, &name[..]].concat();
            match self.object(dir, &name, path.clone()) {
                // Gone since its directory was read: a container may be running.
                Err(error) if error.is_not_found() => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// Adds an entry for a directory held open.
    pub(crate) fn directory(&mut self, dir: BorrowedFd<'_>, path: Vec<u8>) -> Result<()> {
        let entry = walk::entry_of_fd(dir, path).at("read", "directory")?;
        self.put(&entry, &mut std::io::empty())
    }

    /// Adds one name and, for a directory, all in it.
    pub(crate) fn object(&mut self, dir: BorrowedFd<'_>, name: &[u8], path: Vec<u8>) -> Result<()> {
        let at = shown(&path);
        let Some(stat) = overlay::stat_in(dir, name).at("stat", &at)? else {
            return Ok(());
        };
        if self.form == Form::Upper && overlay::is_whiteout(&stat) {
            return self.whiteout(&stat, &path, name);
        }
        let Some(kind) = walk::kind(&stat) else {
            return Ok(());
        };
        let entry = walk::entry_of_stat(&stat, kind, path);
        let mut entry = walk::complete(dir, name, entry).at("read", &at)?;
        if kind != Kind::Dir && stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
                entry.link.clone_from(first);
                entry.kind = Kind::HardLink;
                entry.xattrs.clear();
                entry.size = 0;
                return self.put(&entry, &mut std::io::empty());
            }
            self.links
                .insert((stat.st_dev, stat.st_ino), entry.path.clone());
        }
        match kind {
            Kind::File => self.file(dir, name, entry),
            Kind::Dir => self.subdirectory(dir, name, &entry),
            _ => self.put(&entry, &mut std::io::empty()),
        }
    }

    fn file(&mut self, dir: BorrowedFd<'_>, name: &[u8], mut entry: Entry) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let at = shown(&entry.path);
        let mut file: File = rustix::fs::openat(dir, name, flags, Mode::empty())
            .at("open", &at)?
            .into();
        let stat = rustix::fs::fstat(&file).at("stat", &at)?;
        if walk::kind(&stat) != Some(Kind::File) {
            return Err(Errno::NOENT).at("read as a file", &at);
        }
        entry.size = stat.st_size.unsigned_abs();
        self.put(&entry, &mut file)
    }

    fn subdirectory(&mut self, dir: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let at = shown(&entry.path);
        let fd = rustix::fs::openat(dir, name, flags, Mode::empty()).at("open", &at)?;
        self.put(entry, &mut std::io::empty())?;
        let prefix = [&entry.path[..], b"/"].concat();
        if self.form == Form::Upper && overlay::is_opaque(&fd).at("read opaque mark of", &at)? {
            let mut mark = Entry::new(Kind::File, [&prefix[..], overlay::OPAQUE].concat());
            (mark.mode, mark.uid, mark.gid, mark.mtime) =
                (entry.mode, entry.uid, entry.gid, entry.mtime);
            self.put(&mark, &mut std::io::empty())?;
        }
        self.contents(fd.as_fd(), &prefix)
    }

    fn whiteout(&mut self, stat: &rustix::fs::Stat, path: &[u8], name: &[u8]) -> Result<()> {
        let parent = &path[..path.len() - name.len()];
        let mut mark =
            walk::entry_of_stat(stat, Kind::File, [parent, overlay::WHITEOUT, name].concat());
        (mark.mode, mark.size) = (0o600, 0);
        self.put(&mark, &mut std::io::empty())
    }

    fn put(&mut self, entry: &Entry, body: &mut dyn std::io::Read) -> Result<()> {
        self.to.append(entry, body)
    }

    /// Adds an entry made elsewhere, without a body.
    pub(crate) fn mark(&mut self, entry: &Entry) -> Result<()> {
        self.put(entry, &mut std::io::empty())
    }

    /// Ends the archive.
    pub(crate) fn finish(self) -> Result<W> {
        self.to.finish()
    }
}

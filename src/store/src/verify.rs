//! Proof of one layer: its archive must come out of its tree as its diffID says, and each object must have the attributes
//! the archive gives it. Attributes can be put right from the archive, lost content cannot.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, OFlags};

use crate::beneath::{self, Links};
use crate::digest::{Digest, Tally};
use crate::error::{At, Error, Result};
use crate::overlay;
use crate::place::{self, Owner};
use crate::store::Store;
use crate::tar::read::Reader;
use crate::tar::{Entry, Kind};
use crate::walk;

/// What a layer's archive says should be there, by path in overlayfs's form.
#[derive(Default)]
struct Expected {
    objects: BTreeMap<Vec<u8>, Entry>,
    whiteouts: BTreeSet<Vec<u8>>,
    opaque: BTreeSet<Vec<u8>>,
}

/// One deviation of a tree.
#[derive(Debug)]
pub(crate) struct Deviation {
    /// Which object and what of it.
    pub(crate) what: String,
    /// True when it was, or could be, put right.
    pub(crate) mendable: bool,
}

impl Store {
    /// Compares a layer with its archive. With `repair` attributes are put right.
    ///
    /// # Errors
    /// Content is lost or changed: the layer is damaged beyond repair.
    pub(crate) fn verify_layer(&self, chain: &Digest, repair: bool) -> Result<Vec<Deviation>> {
        let (from, mut to) = std::io::pipe()?;
        let mut expected = Expected::default();
        std::thread::scope(|scope| {
            let writer = scope.spawn(move || self.write_layer(chain, &mut to));
            let read = expected.read(Reader::new(Tally::new(from)));
            // A damaged layer cuts its archive short: the reason stands with the writer.
            let written = writer
                .join()
                .map_err(|_| Error::Corrupt("reading the layer panicked".to_owned()))?;
            written.and(read)
        })?;
        let tree = self
            .state()
            .layers
            .get(chain)
            .map(|layer| layer.tree.clone());
        let tree = tree.ok_or_else(|| Error::NotFound(format!("layer {chain} is gone")))?;
        let fs = self.tree_fs(&tree);
        let root: OwnedFd = std::fs::File::open(&fs).at("open", &fs)?.into();
        let mut found = Vec::new();
        for (path, entry) in expected.objects.iter().rev() {
            expected.compare(&root, path, entry, repair, &mut found)?;
        }
        for path in &expected.whiteouts {
            let parent = parent_of(&root, path)?;
            let stat = overlay::stat_in(parent.as_fd(), last(path)).at("stat in", &fs)?;
            if !stat.is_some_and(|stat| overlay::is_whiteout(&stat)) {
                return Err(Error::Corrupt(format!(
                    "whiteout {:?} is missing",
                    String::from_utf8_lossy(path)
                )));
            }
        }
        for path in &expected.opaque {
            let dir = beneath::open_dir(&root, path, Links::InRoot).at("open in", &fs)?;
            if !overlay::is_opaque(&dir).at("read opaque mark in", &fs)? {
                if repair {
                    overlay::set_opaque(&dir).at("make opaque in", &fs)?;
                }
                found.push(Deviation {
                    what: format!("opaque mark of {:?}", String::from_utf8_lossy(path)),
                    mendable: true,
                });
            }
        }
        Ok(found)
    }
}

fn last(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or(path)
}

fn parent_of(root: &OwnedFd, path: &[u8]) -> Result<OwnedFd> {
    let cut = path.len() - last(path).len();
    let parent = if cut == 0 {
        &b"."[..]
    } else {
        &path[..cut - 1]
    };
    let shown = String::from_utf8_lossy(path);
    beneath::open(
        root,
        parent,
        OFlags::RDONLY | OFlags::DIRECTORY,
        Links::InRoot,
    )
    .at("open directory of", shown.as_ref())
}

impl Expected {
    fn read<R: std::io::Read>(&mut self, mut from: Reader<R>) -> Result<()> {
        while let Some(entry) = from.next(&mut ())? {
            let parts = beneath::components(&entry.path)?;
            let Some((name, above)) = parts.split_last() else {
                self.objects.insert(b".".to_vec(), entry);
                continue;
            };
            let path = beneath::join(&parts);
            match name.strip_prefix(overlay::WHITEOUT) {
                Some(_) if *name == overlay::OPAQUE => {
                    self.opaque.insert(beneath::join(above));
                }
                Some(_) if name.starts_with(overlay::AUFS_OWN) => {}
                Some(gone) => {
                    let gone = beneath::join(&[above, &[gone]].concat());
                    if !self.objects.contains_key(&gone) {
                        self.whiteouts.insert(gone);
                    }
                }
                None => {
                    self.whiteouts.remove(&path);
                    let was_dir = self
                        .objects
                        .get(&path)
                        .is_some_and(|old| old.kind == Kind::Dir);
                    if was_dir && entry.kind != Kind::Dir {
                        let prefix = [&path[..], b"/"].concat();
                        self.objects.retain(|known, _| !known.starts_with(&prefix));
                    }
                    self.objects.insert(path, entry);
                }
            }
        }
        // An entry reached through a link of the same layer, replaced since, is not at its path any more.
        let links: Vec<Vec<u8>> = self
            .objects
            .iter()
            .filter(|(_, e)| e.kind == Kind::Symlink)
            .map(|(path, _)| [path, &b"/"[..]].concat())
            .collect();
        self.objects
            .retain(|path, _| !links.iter().any(|link| path.starts_with(link)));
        Ok(())
    }

    fn compare(
        &self,
        root: &OwnedFd,
        path: &[u8],
        entry: &Entry,
        repair: bool,
        found: &mut Vec<Deviation>,
    ) -> Result<()> {
        let shown = String::from_utf8_lossy(path).into_owned();
        let lost = |why: &str| Err(Error::Corrupt(format!("{shown:?} {why}")));
        let parent = if path == b"." {
            root.try_clone().at("duplicate", "root")?
        } else {
            parent_of(root, path)?
        };
        let name = if path == b"." { path } else { last(path) };
        let Some(stat) = overlay::stat_in(parent.as_fd(), name).at("stat", &shown)? else {
            return lost("is missing");
        };
        if entry.kind == Kind::HardLink {
            return self.same_file(root, entry, &stat).map_or_else(Err, |same| {
                if same {
                    Ok(())
                } else {
                    lost("is no link of the file it should be one of")
                }
            });
        }
        if walk::kind(&stat) != Some(entry.kind) {
            return lost("is of another kind");
        }
        let now = walk::entry_in(parent.as_fd(), name, path.to_vec()).at("read", &shown)?;
        if entry.kind == Kind::Symlink && now.link != entry.link {
            return lost("leads elsewhere");
        }
        if matches!(entry.kind, Kind::Char | Kind::Block) && now.device != entry.device {
            return lost("is another device");
        }
        let attributes = |e: &Entry| {
            let mode = if e.kind == Kind::Symlink { 0 } else { e.mode };
            (mode, e.uid, e.gid, e.mtime, e.mtime_nsec)
        };
        if attributes(&now) == attributes(entry) {
            return Ok(());
        }
        let mendable = matches!(entry.kind, Kind::File | Kind::Dir);
        if repair && mendable {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
            let fd = beneath::open(&parent, name, flags, Links::Refused).at("open", &shown)?;
            place::set_attributes(fd.as_fd(), entry, Owner::default())?;
            place::set_times(fd.as_fd(), entry)?;
        }
        found.push(Deviation {
            what: format!("attributes of {shown:?}"),
            mendable,
        });
        Ok(())
    }

    fn same_file(&self, root: &OwnedFd, entry: &Entry, stat: &rustix::fs::Stat) -> Result<bool> {
        let target = beneath::join(&beneath::components(&entry.link)?);
        // A target replaced later in the archive is another file by now.
        if self
            .objects
            .get(&target)
            .is_none_or(|object| object.kind == Kind::HardLink)
        {
            return Ok(true);
        }
        let parent = parent_of(root, &target)?;
        let there =
            overlay::stat_in(parent.as_fd(), last(&target)).at("stat target of", "hard link")?;
        let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        Ok(there.is_some_and(|there| there.st_ino == stat.st_ino) || !regular)
    }
}

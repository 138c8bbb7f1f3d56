//! Layers: an archive's tree, known by its diffID alone and by its chainID where it stands in a stack. Equal archives
//! share one tree, whatever they stand on, unless unpacking took something from below.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use crate::compress;
use crate::digest::{Digest, Tally};
use crate::durable::{self, Scratch};
use crate::error::{At, Error, Result};
use crate::split;
use crate::stack::Stack;
use crate::store::{Lease, State, Store};
use crate::tar::read::Reader;
use crate::unpack::{self, Room};
use crate::walk;

/// Up to this many entries are synced one by one; above, the whole filesystem is, which costs the same for any number.
const SYNC_EACH: u64 = 48;

/// A layer in its place in a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Digest of it and all below it.
    pub chain_id: Digest,
    /// Digest of its uncompressed archive.
    pub diff_id: Digest,
    /// The layer below.
    pub parent: Option<Digest>,
    /// Bytes of its regular files.
    pub size: u64,
}

/// diffID of an archive without entries (1024 zero bytes).
const EMPTY_DIFF: &str = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

impl Layer {
    /// True where it changes nothing: docker records no layer for it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.diff_id.to_string() == EMPTY_DIFF
    }
}

/// A layer's record.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    pub(crate) diff_id: Digest,
    pub(crate) parent: Option<Digest>,
    pub(crate) size: u64,
    /// Name below `trees`.
    pub(crate) tree: String,
    /// Bytes of its uncompressed archive.
    #[serde(default)]
    pub(crate) archive: u64,
}

impl LayerRecord {
    fn layer(&self, chain_id: &Digest) -> Layer {
        Layer {
            chain_id: chain_id.clone(),
            diff_id: self.diff_id.clone(),
            parent: self.parent.clone(),
            size: self.size,
        }
    }
}

impl State {
    /// The chain from a layer down, topmost first.
    pub(crate) fn chain(&self, top: Option<&Digest>) -> Result<Vec<(Digest, &LayerRecord)>> {
        let mut all = Vec::new();
        let mut next = top.cloned();
        while let Some(chain_id) = next {
            let record = self
                .layers
                .get(&chain_id)
                .ok_or_else(|| Error::NotFound(format!("layer {chain_id} is not in the store")))?;
            next = record.parent.clone();
            all.push((chain_id, record));
        }
        Ok(all)
    }
}

impl Store {
    /// A layer by its chainID.
    #[must_use]
    pub fn layer(&self, chain_id: &Digest) -> Option<Layer> {
        self.state()
            .layers
            .get(chain_id)
            .map(|record| record.layer(chain_id))
    }

    /// As [`Store::layer`], held by a lease: what a pull asks before it downloads.
    #[must_use]
    pub fn hold_layer(&self, lease: &Lease, chain_id: &Digest) -> Option<Layer> {
        let mut state = self.state();
        let layer = state.layers.get(chain_id)?.layer(chain_id);
        lease.hold(&mut state, chain_id);
        Some(layer)
    }

    /// Unpacks an archive, plain, gzip or zstd, on top of `parent`. The whole stream is read. Power-loss safe on return.
    ///
    /// # Errors
    /// `expect` given and not the diffID; a damaged or escaping archive; the disk's.
    pub fn unpack(
        &self,
        lease: &Lease,
        parent: Option<&Digest>,
        from: impl Read,
        expect: Option<&Digest>,
    ) -> Result<Layer> {
        let lower = self.stack(parent)?;
        let scratch = Scratch::new(&self.path("tmp"), "layer")?;
        let opened = compress::open(from)?;
        let mut reader = Reader::new(Tally::new(opened));
        let out = unpack::unpack(
            scratch.path(),
            &lower,
            Room::of(scratch.path())?,
            &mut reader,
        )?;
        let (opened, diff_id, archive) = reader.into_inner().finish();
        opened.drain()?;
        if let Some(expect) = expect.filter(|expect| **expect != diff_id) {
            return Err(Error::Invalid(format!(
                "layers from manifest don't match image configuration: archive is {diff_id}, expected {expect}"
            )));
        }
        let chain_id = Digest::chain(parent, &diff_id);
        let tree = if out.bound {
            chain_id.hex()
        } else {
            diff_id.hex()
        }
        .to_owned();
        let record = LayerRecord {
            diff_id,
            parent: parent.cloned(),
            size: out.size,
            tree,
            archive,
        };
        sync_tree(scratch.path(), out.entries)?;
        self.adopt(lease, scratch, &chain_id, record)
    }

    /// Moves a finished tree to its place and records the layer.
    fn adopt(
        &self,
        lease: &Lease,
        scratch: Scratch,
        chain_id: &Digest,
        record: LayerRecord,
    ) -> Result<Layer> {
        let mut state = self.state();
        lease.hold(&mut state, chain_id);
        if let Some(known) = state.layers.get(chain_id) {
            return Ok(known.layer(chain_id));
        }
        self.place_tree(scratch, &record.tree)?;
        durable::write_json(&self.layer_path(chain_id), &record)?;
        let layer = record.layer(chain_id);
        state.layers.insert(chain_id.clone(), record);
        Ok(layer)
    }

    /// Renames a work directory to `trees/NAME` and gives it its short name. An equal tree that is there stays.
    pub(crate) fn place_tree(&self, scratch: Scratch, name: &str) -> Result<()> {
        let tree = self.path("trees").join(name);
        if !tree.exists() {
            fs::rename(scratch.path(), &tree).at("rename into", &tree)?;
            scratch.keep();
            durable::sync_dir(&self.path("trees"))?;
        }
        let link = self.path("l").join(short(name));
        match std::os::unix::fs::symlink(format!("../trees/{name}/fs"), &link) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            other => other.at("link", &link),
        }
    }

    pub(crate) fn layer_path(&self, chain_id: &Digest) -> PathBuf {
        self.path("layers").join(format!("{}.json", chain_id.hex()))
    }

    pub(crate) fn tree_fs(&self, tree: &str) -> PathBuf {
        self.path("trees").join(tree).join("fs")
    }

    /// Directories of a chain, topmost first: what docker shows as LowerDir.
    ///
    /// # Errors
    /// A layer of it is not there.
    pub fn layer_dirs(&self, top: Option<&Digest>) -> Result<Vec<PathBuf>> {
        let state = self.state();
        Ok(state
            .chain(top)?
            .iter()
            .map(|(_, record)| self.tree_fs(&record.tree))
            .collect())
    }

    /// diffIDs of a chain, lowest first: what an image's configuration lists.
    ///
    /// # Errors
    /// A layer of it is not there.
    pub fn diff_ids(&self, top: Option<&Digest>) -> Result<Vec<Digest>> {
        let state = self.state();
        Ok(state
            .chain(top)?
            .iter()
            .rev()
            .map(|(_, record)| record.diff_id.clone())
            .collect())
    }

    pub(crate) fn stack(&self, top: Option<&Digest>) -> Result<Stack> {
        Stack::open(self.layer_dirs(top)?)
    }

    /// Writes a layer's archive as it came in, uncompressed; its digest is the diffID, which is checked.
    ///
    /// # Errors
    /// Not there; damaged, told after the last byte was written.
    pub fn write_layer(&self, chain_id: &Digest, to: &mut dyn Write) -> Result<()> {
        let missing = || Error::NotFound(format!("layer {chain_id} is not in the store"));
        let record = self
            .state()
            .layers
            .get(chain_id)
            .cloned()
            .ok_or_else(missing)?;
        let mut tally = Tally::new(to);
        split::assemble(&self.path("trees").join(&record.tree), &mut tally)?;
        let (_, digest, _) = tally.finish();
        if digest != record.diff_id {
            return Err(Error::Corrupt(format!(
                "layer {} is damaged on disk: its archive comes out as {digest}",
                record.diff_id
            )));
        }
        Ok(())
    }
}

/// The short name of a tree: overlayfs's options have to fit one page.
pub(crate) fn short(tree: &str) -> String {
    Digest::of(tree.as_bytes()).hex()[..16].to_owned()
}

/// Puts a tree on disk.
pub(crate) fn sync_tree(tree: &Path, entries: u64) -> Result<()> {
    if entries > SYNC_EACH {
        let dir = fs::File::open(tree).at("open", tree)?;
        return rustix::fs::syncfs(&dir).at("sync filesystem of", tree);
    }
    sync_below(tree)
}

fn sync_below(path: &Path) -> Result<()> {
    let dir = fs::File::open(path).at("open", path)?;
    for entry in fs::read_dir(path).at("read directory", path)? {
        let entry = entry.at("read directory", path)?;
        let kind = entry.file_type().at("stat", entry.path())?;
        if kind.is_dir() {
            sync_below(&entry.path())?;
        } else if kind.is_file() {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file =
                rustix::fs::open(entry.path(), flags, Mode::empty()).at("open", entry.path())?;
            rustix::fs::fsync(&file).at("sync", entry.path())?;
        }
    }
    dir.sync_all().at("sync", path)
}

/// The sum of the regular files below a directory, hard links once.
pub(crate) fn content_size(root: &Path) -> Result<u64> {
    let mut seen = std::collections::HashSet::new();
    let mut size = 0;
    let mut todo = vec![root.to_owned()];
    while let Some(dir) = todo.pop() {
        let fd = fs::File::open(&dir).at("open", &dir)?;
        for name in walk::names(&fd).at("read directory", &dir)? {
            use std::os::unix::ffi::OsStrExt;
            let path = dir.join(std::ffi::OsStr::from_bytes(&name));
            let Ok(meta) = fs::symlink_metadata(&path) else {
                continue;
            };
            use std::os::unix::fs::MetadataExt;
            if meta.is_dir() {
                todo.push(path);
            } else if meta.is_file() && (meta.nlink() == 1 || seen.insert(meta.ino())) {
                size += meta.len();
            }
        }
    }
    Ok(size)
}

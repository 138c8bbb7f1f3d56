//! The writable layer of a container: made on an image's layers, mounted while the container runs, read for diff,
//! export and commit at any time.

pub mod changes;
pub mod commit;
mod init;
pub(crate) mod mount;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::durable;
use crate::error::{At, Error, Result};
use crate::layer::{self, content_size};
use crate::stack::Stack;
use crate::store::{Driver, Store};

pub(crate) use init::init_tree;

/// A container layer's record.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct RwRecord {
    pub(crate) image: Option<Digest>,
    pub(crate) chain: Option<Digest>,
    /// True with docker's files for mounts between the layers and this one.
    pub(crate) init: bool,
    /// True where nothing of it is to outlive the boot.
    #[serde(default)]
    pub(crate) temporary: bool,
}

#[derive(Debug, Default)]
pub(crate) struct RwState {
    pub(crate) record: RwRecord,
    /// How many asked for it to be mounted.
    mounts: u32,
}

/// What a container's layer stands on.
#[derive(Clone, Debug)]
pub enum Base {
    /// The layers of an image, which stays while the container layer does.
    Image(Digest),
    /// A layer by chainID, or nothing: a build's stage.
    Chain(Option<Digest>),
}

/// A container's layer.
#[derive(Clone, Debug)]
pub struct RwLayer {
    store: Store,
    id: String,
}

/// The directories behind a mounted layer: docker's GraphDriver.Data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directories {
    /// Layers below, topmost first.
    pub lower: Vec<PathBuf>,
    /// What the container wrote.
    pub upper: PathBuf,
    /// overlayfs's own.
    pub work: PathBuf,
    /// Where it is mounted.
    pub merged: PathBuf,
}

/// Reads the records of all container layers; half-made ones are removed.
pub(crate) fn load(root: &Path, unreadable: &mut Vec<String>) -> Result<BTreeMap<String, RwState>> {
    let dir = root.join("rw");
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(&dir).at("read directory", &dir)? {
        let path = entry.at("read directory", &dir)?.path();
        let Some(id) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        match durable::read_json::<RwRecord>(&path.join("record.json")) {
            Ok(Some(record)) => {
                all.insert(id.to_owned(), RwState { record, mounts: 0 });
            }
            Ok(None) => durable::remove_tree(&path)?,
            Err(error) => {
                tracing::warn!("{error}");
                unreadable.push(error.to_string());
            }
        }
    }
    Ok(all)
}

impl Store {
    /// Makes a container's layer. With `init` the places docker mounts over (`/etc/hosts`, `/dev/console`, …) are there
    /// below it, so that they never show in its diff.
    ///
    /// A killed process loses nothing of it; a power cut may take what was made in the seconds before, as it may take
    /// what containers write.
    ///
    /// # Errors
    /// The id is taken or is no name; no such image or layer; the disk's.
    pub fn create_rw(&self, id: &str, base: &Base, init: bool) -> Result<RwLayer> {
        self.make_rw(id, base, init, false)
    }

    /// As [`Store::create_rw`] for what is thrown away or committed soon: a container run with `--rm`, a build's step.
    /// It is mounted `volatile` (Linux 5.10): nothing in it waits for the disk, fsync included.
    ///
    /// # Errors
    /// As [`Store::create_rw`].
    pub fn create_temporary_rw(&self, id: &str, base: &Base, init: bool) -> Result<RwLayer> {
        self.make_rw(id, base, init, true)
    }

    fn make_rw(&self, id: &str, base: &Base, init: bool, temporary: bool) -> Result<RwLayer> {
        if id.is_empty() || id.starts_with('.') || id.contains(['/', '\0']) {
            return Err(Error::Invalid(format!(
                "container layer {id:?}: expected a name without slashes"
            )));
        }
        let (image, chain) = match base {
            Base::Image(image) => (Some(image.clone()), self.image(image)?.top().cloned()),
            Base::Chain(chain) => (None, chain.clone()),
        };
        if let Some(image) = &image {
            self.touch(image)?;
        }
        let lower = self.stack(chain.as_ref())?;
        if init {
            self.make_init(chain.as_ref(), &lower)?;
        }
        let record = RwRecord {
            image,
            chain,
            init,
            temporary,
        };
        let rw = RwLayer {
            store: self.clone(),
            id: id.to_owned(),
        };
        let mut state = self.state();
        if state.rw.contains_key(id) {
            return Err(Error::Conflict(format!("container layer {id} exists")));
        }
        // Claimed before it is filled: nothing below it may be deleted meanwhile.
        state.rw.insert(
            id.to_owned(),
            RwState {
                record: record.clone(),
                mounts: 0,
            },
        );
        drop(state);
        rw.fill(&record).inspect_err(|_| {
            self.state().rw.remove(id);
            if let Err(error) = durable::remove_tree(&rw.dir()) {
                tracing::warn!("container layer left behind: {error}");
            }
        })?;
        Ok(rw)
    }

    /// A container's layer by its id.
    ///
    /// # Errors
    /// There is none.
    pub fn rw(&self, id: &str) -> Result<RwLayer> {
        if !self.state().rw.contains_key(id) {
            return Err(Error::NotFound(format!(
                "container layer {id} is not in the store"
            )));
        }
        Ok(RwLayer {
            store: self.clone(),
            id: id.to_owned(),
        })
    }

    /// All container layers' ids.
    #[must_use]
    pub fn rw_ids(&self) -> Vec<String> {
        self.state().rw.keys().cloned().collect()
    }
}

impl RwLayer {
    /// The container's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    fn dir(&self) -> PathBuf {
        self.store.path("rw").join(&self.id)
    }

    pub(crate) fn record(&self) -> Result<RwRecord> {
        let gone = || Error::NotFound(format!("container layer {} is not in the store", self.id));
        self.store
            .state()
            .rw
            .get(&self.id)
            .map(|rw| rw.record.clone())
            .ok_or_else(gone)
    }

    /// The image it was made of; none in a build.
    ///
    /// # Errors
    /// The layer is gone.
    pub fn image(&self) -> Result<Option<Digest>> {
        Ok(self.record()?.image)
    }

    /// Trees below it, topmost first.
    fn trees(&self, record: &RwRecord) -> Result<Vec<String>> {
        let state = self.store.state();
        let chain = state.chain(record.chain.as_ref())?;
        let init = record.init.then(|| init_tree(record.chain.as_ref()));
        Ok(init
            .into_iter()
            .chain(chain.into_iter().map(|(_, layer)| layer.tree.clone()))
            .collect())
    }

    /// Its directories.
    ///
    /// # Errors
    /// The layer, or one below, is gone.
    pub fn directories(&self) -> Result<Directories> {
        let dir = self.dir();
        let trees = self.trees(&self.record()?)?;
        Ok(Directories {
            lower: trees.iter().map(|tree| self.store.tree_fs(tree)).collect(),
            upper: dir.join("upper"),
            work: dir.join("work"),
            merged: dir.join("merged"),
        })
    }

    pub(crate) fn lower(&self) -> Result<Stack> {
        Stack::open(self.directories()?.lower)
    }

    fn fill(&self, record: &RwRecord) -> Result<()> {
        let dir = self.dir();
        durable::make_dir(&dir, 0o710)?;
        let lower = self.lower()?;
        for name in ["upper", "work", "merged"] {
            durable::make_dir(&dir.join(name), 0o700)?;
        }
        init::inherit_root(&lower, &dir.join("upper"))?;
        if self.store.driver() == Driver::Copy {
            init::inherit_root(&lower, &dir.join("merged"))?;
            crate::flatten::copy(&lower, &dir.join("merged"))?;
        }
        durable::write_json_unsynced(&dir.join("record.json"), record)
    }

    /// Mounts it and answers where. Counted: one [`RwLayer::unmount`] for each. Found mounted after a restart, it stays.
    ///
    /// # Errors
    /// The kernel's; a layer below is gone.
    pub fn mount(&self) -> Result<PathBuf> {
        let record = self.record()?;
        let merged = self.dir().join("merged");
        let trees = self.trees(&record)?;
        let mut state = self.store.state();
        let gone = || Error::NotFound(format!("container layer {} is not in the store", self.id));
        let rw = state.rw.get_mut(&self.id).ok_or_else(gone)?;
        if self.store.driver() == Driver::Overlay && rw.mounts == 0 && !mount::is_mounted(&merged)?
        {
            let links = self.store.path("l");
            let lower: Vec<PathBuf> = trees
                .iter()
                .map(|tree| links.join(layer::short(tree)))
                .collect();
            mount::overlay(&lower, &self.dir(), record.temporary)?;
        }
        rw.mounts += 1;
        Ok(merged)
    }

    /// Takes one mount back; the last one unmounts.
    ///
    /// # Errors
    /// The kernel's.
    pub fn unmount(&self) -> Result<()> {
        let mut state = self.store.state();
        let Some(rw) = state.rw.get_mut(&self.id) else {
            return Ok(());
        };
        rw.mounts = rw.mounts.saturating_sub(1);
        if rw.mounts > 0 || self.store.driver() == Driver::Copy {
            return Ok(());
        }
        mount::unmount(&self.dir().join("merged"))
    }

    /// Calls with the merged tree, mounted for as long as that takes.
    ///
    /// # Errors
    /// The mount's; the call's.
    pub fn with_merged<T>(&self, call: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
        let was = mount::is_mounted(&self.dir().join("merged"))?;
        let merged = self.mount()?;
        let out = call(&merged);
        let mut state = self.store.state();
        if let Some(rw) = state.rw.get_mut(&self.id) {
            rw.mounts = rw.mounts.saturating_sub(1);
            // One found mounted belongs to a container that runs, adopted or about to be.
            if rw.mounts == 0 && !was && self.store.driver() == Driver::Overlay {
                mount::unmount(&merged)?;
            }
        }
        out
    }

    /// Bytes of the files the container wrote: docker's SizeRw.
    ///
    /// # Errors
    /// The disk's.
    pub fn size(&self) -> Result<u64> {
        match self.store.driver() {
            Driver::Overlay => content_size(&self.dir().join("upper")),
            Driver::Copy => content_size(&self.dir().join("merged")),
        }
    }

    /// Unmounts and removes it with all the container wrote. One that is gone is fine.
    ///
    /// # Errors
    /// The kernel's: then it can be removed again.
    pub fn remove(&self) -> Result<()> {
        let dir = self.dir();
        if self.store.driver() == Driver::Overlay {
            mount::unmount(&dir.join("merged"))?;
        }
        // The record first: what is left of a removal cut short is then swept at the next open.
        match fs::remove_file(dir.join("record.json")) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(e).at("remove record in", &dir);
            }
            _ => {}
        }
        durable::remove_tree(&dir)?;
        self.store.state().rw.remove(&self.id);
        Ok(())
    }
}

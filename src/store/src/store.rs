//! The open store: its lock, its tables in memory, and leases on what is not yet named by a record.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::digest::Digest;
use crate::durable;
use crate::error::{At, Error, Result};
use crate::image::ImageRecord;
use crate::layer::LayerRecord;
use crate::references::Table;
use crate::rw::RwState;

/// How layers become one tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// Stacked by the kernel. Shown as docker's `overlay2`.
    Overlay,
    /// Copied for each container, with reflinks where the filesystem has them. Shown as docker's `vfs`.
    Copy,
}

impl Driver {
    /// The name clients of docker know it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Driver::Overlay => "overlay2",
            Driver::Copy => "vfs",
        }
    }
}

/// The store. Cloning gives another handle on the same one.
#[derive(Clone, Debug)]
pub struct Store(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) root: PathBuf,
    pub(crate) driver: Driver,
    /// Held for the life of the store.
    _lock: File,
    pub(crate) state: Mutex<State>,
    pub(crate) busy: crate::ingest::Busy,
}

/// The tables. What they say is what the records on disk say.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) layers: HashMap<Digest, LayerRecord>,
    pub(crate) images: BTreeMap<Digest, ImageRecord>,
    pub(crate) references: Table,
    pub(crate) rw: BTreeMap<String, RwState>,
    /// Layers and blobs held by leases, with how many leases hold them.
    pub(crate) pins: HashMap<Digest, u32>,
    /// Leases alive: while there are any, content without a record is not swept.
    pub(crate) leases: u32,
    /// Records that could not be read at open, for `check`.
    pub(crate) unreadable: Vec<String>,
    /// Trees renamed away, to be removed without holding the tables: a large one takes seconds.
    pub(crate) trash: Vec<PathBuf>,
}

impl Store {
    /// Opens the store at `root`, making it if there is none, with overlayfs where the kernel and the filesystem
    /// below allow it.
    ///
    /// # Errors
    /// Another process has it open; the directory cannot be made or read.
    pub fn open(root: impl AsRef<Path>) -> Result<Store> {
        Store::open_with(root, None)
    }

    /// As [`Store::open`], with this driver instead of the one that fits.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(root: impl AsRef<Path>, driver: Option<Driver>) -> Result<Store> {
        let root = root.as_ref();
        durable::make_dir(root, 0o711)?;
        let root = root.canonicalize().at("resolve", root)?;
        for dir in [
            "blobs/sha256",
            "ingest",
            "layers",
            "trees",
            "l",
            "images",
            "sources",
            "tmp",
        ] {
            durable::make_dir(&root.join(dir), 0o700)?;
        }
        durable::make_dir(&root.join("rw"), 0o711)?;
        let lock = lock(&root)?;
        for entry in fs::read_dir(root.join("tmp")).at("read directory", &root)? {
            durable::remove_tree(&entry.at("read directory", &root)?.path())?;
        }
        let driver = match driver {
            Some(driver) => driver,
            None => crate::rw::mount::probe(&root)?,
        };
        let mut state = State {
            references: Table::load(&root)?,
            ..State::default()
        };
        state.layers = load(&root.join("layers"), &mut state.unreadable)?;
        state.images = load(&root.join("images"), &mut state.unreadable)?;
        state.rw = crate::rw::load(&root, &mut state.unreadable)?;
        let store = Store(Arc::new(Inner {
            root,
            driver,
            _lock: lock,
            state: Mutex::new(state),
            busy: crate::ingest::Busy::default(),
        }));
        // With an unreadable record, what it named would pass for left behind: that is for `check` to tell apart.
        if store.state().unreadable.is_empty() {
            store.sweep_orphans()?;
        }
        Ok(store)
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// How layers become one tree.
    #[must_use]
    pub fn driver(&self) -> Driver {
        self.0.driver
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the tables were held leaves them as of the last record: every change goes to disk first.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes what was renamed away. The tables must not be held.
    pub(crate) fn empty_trash(&self) -> Result<()> {
        let trash = std::mem::take(&mut self.state().trash);
        trash.iter().try_for_each(|path| durable::remove_tree(path))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.root.join(name)
    }

    /// Holds what is made under it until an image or a container layer names it. Drop it afterwards.
    #[must_use]
    pub fn lease(&self) -> Lease {
        self.state().leases += 1;
        Lease {
            store: self.clone(),
            held: Mutex::new(Vec::new()),
        }
    }
}

fn lock(root: &Path) -> Result<File> {
    let path = root.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .at("open", &path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Conflict(format!(
            "store {}: another engine has it open",
            root.display()
        ))),
        Err(TryLockError::Error(source)) => Err(Error::Io {
            step: "lock",
            path,
            source,
        }),
    }
}

/// Reads all records `HEX.json` of a directory.
fn load<T, M>(dir: &Path, unreadable: &mut Vec<String>) -> Result<M>
where
    T: serde::de::DeserializeOwned,
    M: FromIterator<(Digest, T)>,
{
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).at("read directory", dir)? {
        let path = entry.at("read directory", dir)?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let Some(Ok(id)) = name.strip_suffix(".json").map(Digest::from_hex) else {
            // A write that was cut short: its record never came to be.
            if name.starts_with(".write-") {
                durable::remove_file(&path)?;
            }
            continue;
        };
        match durable::read_json(&path) {
            Ok(Some(record)) => all.push((id, record)),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!("{error}");
                unreadable.push(error.to_string());
            }
        }
    }
    Ok(all.into_iter().collect())
}

/// A hold on content that no record names yet.
#[derive(Debug)]
pub struct Lease {
    store: Store,
    held: Mutex<Vec<Digest>>,
}

impl Lease {
    pub(crate) fn hold(&self, state: &mut State, digest: &Digest) {
        *state.pins.entry(digest.clone()).or_default() += 1;
        self.held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(digest.clone());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.store.state();
        state.leases -= 1;
        for digest in self
            .held
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
        {
            if let Some(count) = state.pins.get_mut(&digest) {
                *count -= 1;
                if *count == 0 {
                    state.pins.remove(&digest);
                }
            }
        }
    }
}

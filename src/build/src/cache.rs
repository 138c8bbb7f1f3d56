//! Results of steps, kept between builds: key to layer.
//!
//! ```text
//! ROOT/KEY.json     one result: the layer it made, when, how often it served, what it was
//! ```
//!
//! A record is written after its layer is safe on disk (the store promises that), by rename, so a crash loses a result
//! and never invents one. The layers of records are held against the store's garbage collection as long as the cache is
//! open; the size policy and `builder prune` let go of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use gantry_store::{Digest, Lease, Store};
use serde::{Deserialize, Serialize};

use crate::key::Key;

/// One result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// ChainID of the layer; `None` where the step changed no file, so that what was below is the result.
    pub layer: Option<Digest>,
    /// What the step was, for people.
    pub title: String,
    /// Bytes of the layer.
    pub size: u64,
    /// Seconds since 1970.
    pub created: u64,
    /// Seconds since 1970.
    pub last_used: u64,
    /// How many builds it served.
    pub uses: u64,
}

/// Results on disk, held in the store.
#[derive(Debug)]
pub struct Cache {
    root: PathBuf,
    store: Store,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    records: BTreeMap<String, (Record, Option<Lease>)>,
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

impl Cache {
    /// Opens the results below `root`, which is made where it is not there. Records whose layer is gone, and files that
    /// are no record, are dropped.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(root: &Path, store: &Store) -> std::io::Result<Self> {
        fs::create_dir_all(root)?;
        let cache = Self {
            root: root.to_owned(),
            store: store.clone(),
            state: Mutex::default(),
        };
        for entry in fs::read_dir(root)? {
            let path = entry?.path();
            let record: Option<Record> = fs::read(&path)
                .ok()
                .and_then(|text| serde_json::from_slice(&text).ok());
            let key = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .unwrap_or_default()
                .to_owned();
            let lease = record.as_ref().and_then(|record| cache.hold(record));
            match (record, lease) {
                (Some(record), Some(lease)) => {
                    cache.lock().records.insert(key, (record, lease));
                }
                _ => fs::remove_file(&path)?,
            }
        }
        Ok(cache)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A lease on the record's layer: `Some(None)` where it has none, `None` where the layer is gone.
    fn hold(&self, record: &Record) -> Option<Option<Lease>> {
        let Some(layer) = &record.layer else {
            return Some(None);
        };
        let lease = self.store.lease();
        self.store.hold_layer(&lease, layer)?;
        Some(Some(lease))
    }

    /// The result for a key; it counts as used.
    ///
    /// # Errors
    /// The disk's.
    pub fn get(&self, key: &Key) -> std::io::Result<Option<Record>> {
        let mut state = self.lock();
        let Some((record, _)) = state.records.get_mut(key.hex()) else {
            return Ok(None);
        };
        record.last_used = now();
        record.uses += 1;
        let record = record.clone();
        drop(state);
        self.write(key.hex(), &record)?;
        Ok(Some(record))
    }

    /// Keeps the result of a step and gives its record.
    ///
    /// # Errors
    /// The disk's.
    pub fn put(
        &self,
        key: &Key,
        layer: Option<&Digest>,
        size: u64,
        title: &str,
    ) -> std::io::Result<Record> {
        let record = Record {
            layer: layer.cloned(),
            title: title.to_owned(),
            size,
            created: now(),
            last_used: now(),
            uses: 0,
        };
        let Some(lease) = self.hold(&record) else {
            return Err(std::io::Error::other(format!(
                "layer of {} is not in the store",
                key.hex()
            )));
        };
        self.write(key.hex(), &record)?;
        self.lock()
            .records
            .insert(key.hex().to_owned(), (record.clone(), lease));
        Ok(record)
    }

    fn write(&self, key: &str, record: &Record) -> std::io::Result<()> {
        let path = self.root.join(format!("{key}.json"));
        // One name for each writer: two builds may use one record at a time.
        let new = self
            .root
            .join(format!(".{key}.{:?}", std::thread::current().id()));
        fs::write(&new, serde_json::to_vec(record)?)?;
        fs::rename(new, path)
    }

    /// Every result with its key, the one used longest ago first.
    #[must_use]
    pub fn records(&self) -> Vec<(String, Record)> {
        let state = self.lock();
        let mut all: Vec<_> = state
            .records
            .iter()
            .map(|(key, (record, _))| (key.clone(), record.clone()))
            .collect();
        all.sort_by_key(|(_, record)| record.last_used);
        all
    }

    /// Drops results, those used longest ago first, until what is left is no larger than `keep` bytes; only those that
    /// `chosen` accepts. Gives what went. The layers themselves go with the store's next collection.
    ///
    /// # Errors
    /// The disk's.
    pub fn prune(
        &self,
        keep: u64,
        chosen: impl Fn(&Record) -> bool,
    ) -> std::io::Result<Vec<(String, Record)>> {
        let all = self.records();
        let mut total: u64 = all.iter().map(|(_, record)| record.size).sum();
        let mut gone = Vec::new();
        for (key, record) in all {
            if total <= keep && keep > 0 {
                break;
            }
            if !chosen(&record) {
                continue;
            }
            fs::remove_file(self.root.join(format!("{key}.json")))?;
            self.lock().records.remove(&key);
            total = total.saturating_sub(record.size);
            gone.push((key, record));
        }
        Ok(gone)
    }
}

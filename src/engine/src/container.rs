//! Containers: each one's record, its lock for changes, and who waits for it. Readers take a snapshot and never wait.

pub mod adopt;
pub mod attach;
pub mod changes;
pub mod create;
pub mod exec;
pub mod exit;
pub mod filter;
pub mod health;
pub mod kill;
pub mod limits;
pub mod list;
pub mod logs;
pub mod merge;
pub mod mounts;
pub mod names;
pub mod network;
pub mod record;
pub mod registry;
pub mod remove;
pub mod restart;
pub mod spec;
pub mod start;
pub mod stats;
pub mod top;
pub mod update;
pub mod view;
pub mod volumes;
pub mod wait;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use gantry_api::word::Map;
use gantry_monitor::protocol::Streams;
use tokio::net::UnixStream;
use tokio::sync::{Notify, oneshot, watch};

use crate::Engine;
use crate::error::Result;
use record::{Places, Record};

/// One container.
#[derive(Debug)]
pub struct Container {
    /// 64 hex digits.
    pub id: String,
    /// Its directories.
    pub places: Places,
    snapshot: RwLock<Arc<Record>>,
    /// Held by whoever changes its phase; readers never take it.
    pub life: tokio::sync::Mutex<()>,
    /// Counts changes; its receivers look at the snapshot again.
    pub changed: watch::Sender<u64>,
    /// Becomes true with the removal.
    pub removed: watch::Sender<bool>,
    /// Clients that attached before the monitor was there.
    pub waiting: Mutex<Vec<Waiting>>,
    /// Exec sessions by id.
    pub execs: Mutex<BTreeMap<String, Arc<exec::Exec>>>,
    /// The first process, held so that a signal cannot reach another one that got its number.
    pub process: Mutex<Option<OwnedFd>>,
    /// Calls off a restart that waits for its delay.
    pub call_off: Notify,
    /// The running health probe's task.
    pub probe: Mutex<Option<tokio::task::AbortHandle>>,
}

/// A client that waits for the next start.
#[derive(Debug)]
pub struct Waiting {
    /// Which streams it wants.
    pub streams: Streams,
    /// Gets the connection to the monitor, already attached.
    pub to: oneshot::Sender<UnixStream>,
}

/// Locks, taking over what a panicking thread left: every value here is whole between statements.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Container {
    /// A container of this record.
    #[must_use]
    pub fn new(record: Record, places: Places) -> Self {
        Self {
            id: record.id.clone(),
            places,
            snapshot: RwLock::new(Arc::new(record)),
            life: tokio::sync::Mutex::default(),
            changed: watch::channel(0).0,
            removed: watch::channel(false).0,
            waiting: Mutex::default(),
            execs: Mutex::default(),
            process: Mutex::default(),
            call_off: Notify::new(),
            probe: Mutex::default(),
        }
    }

    /// The container as of now.
    #[must_use]
    pub fn view(&self) -> Arc<Record> {
        self.snapshot
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Changes the record in memory and tells everybody who waits.
    pub fn change(&self, act: impl FnOnce(&mut Record)) {
        {
            let mut slot = self
                .snapshot
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            act(Arc::make_mut(&mut slot));
        }
        self.changed.send_modify(|count| *count += 1);
    }

    /// Changes the state, keeps it on disk, tells everybody who waits.
    ///
    /// # Errors
    /// The disk's; the change in memory stands.
    pub fn change_state(&self, act: impl FnOnce(&mut record::State)) -> Result<()> {
        self.change(|record| act(&mut record.state));
        self.view().save_state(&self.places.home)
    }
}

impl Engine {
    /// Tells the world what happened to a container.
    pub fn container_event(&self, record: &Record, action: &str, more: &[(&str, String)]) {
        let mut attributes: Map = record.config.labels.clone().unwrap_or_default();
        attributes.insert("image".into(), record.config.image.clone());
        attributes.insert("name".into(), record.short_name().to_owned());
        attributes.extend(
            more.iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone())),
        );
        self.events
            .emit("container", action, &record.id, attributes);
    }
}

//! A store in a directory of its own, removed afterwards, and archives to feed it.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use gantry_store::tar::write::Writer;
use gantry_store::tar::{Entry, Kind};
use gantry_store::{Driver, Store};

pub struct Rig {
    pub root: PathBuf,
    pub store: Store,
}

impl Rig {
    pub fn new() -> Rig {
        Rig::with(None)
    }

    pub fn with(driver: Option<Driver>) -> Rig {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "gantry-store-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let root = std::env::temp_dir().join(name);
        let store = Store::open_with(&root, driver).unwrap();
        Rig { root, store }
    }

    /// Closes the store and opens it again, as after a restart of the engine.
    pub fn reopen(&mut self) {
        let empty = self.root.with_extension("empty");
        self.store = Store::open(&empty).unwrap();
        self.store = Store::open(&self.root).unwrap();
        std::fs::remove_dir_all(empty).unwrap();
    }

    /// False, with a reason printed, where containers' layers cannot be mounted.
    pub fn mounts(&self) -> bool {
        let can = self.store.driver() == Driver::Overlay;
        if !can {
            eprintln!(
                "skipped: needs root and overlayfs below {}",
                self.root.display()
            );
        }
        can
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for id in self.store.rw_ids() {
            if let Ok(rw) = self.store.rw(&id) {
                rw.remove().unwrap();
            }
        }
        std::fs::remove_dir_all(&self.root).unwrap();
    }
}

/// True for root; otherwise says that the test is skipped.
pub fn root() -> bool {
    let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
    if uid != 0 {
        eprintln!("skipped: needs root to set owners and make devices");
    }
    uid == 0
}

pub fn file(path: &str, content: &str) -> (Entry, Vec<u8>) {
    let mut entry = Entry::new(Kind::File, path);
    (entry.mode, entry.mtime) = (0o644, 1_700_000_000);
    (entry, content.as_bytes().to_vec())
}

pub fn dir(path: &str) -> (Entry, Vec<u8>) {
    let mut entry = Entry::new(Kind::Dir, path);
    (entry.mode, entry.mtime) = (0o755, 1_700_000_000);
    (entry, Vec::new())
}

pub fn link(kind: Kind, path: &str, target: &str) -> (Entry, Vec<u8>) {
    let mut entry = Entry::new(kind, path);
    (entry.mode, entry.mtime) = (0o777, 1_700_000_000);
    entry.link = target.as_bytes().to_vec();
    (entry, Vec::new())
}

pub fn archive(entries: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (entry, body) in entries {
        writer.append_bytes(entry, body).unwrap();
    }
    writer.finish().unwrap()
}

pub fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path.as_ref())
        .unwrap_or_else(|e| format!("{}: {e}", path.as_ref().display()))
}

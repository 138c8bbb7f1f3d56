//! Where a layer was seen compressed: by which digest, in which repository. Push asks it to find out that a registry has
//! a layer already, or can mount it from another repository, without compressing it first. Nothing depends on it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::durable;
use crate::error::Result;
use crate::store::Store;

/// Kept at most for one layer, the newest.
const KEPT: usize = 20;

/// A layer's compressed form in one repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Digest of the compressed archive.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
    /// Domain and path: `docker.io/library/busybox`.
    pub repository: String,
}

impl Store {
    fn sources_path(&self, diff: &Digest) -> PathBuf {
        self.path("sources").join(format!("{}.json", diff.hex()))
    }

    /// Forgets a layer that is here no more.
    pub(crate) fn forget_sources(&self, diff: &Digest) -> Result<()> {
        durable::remove_file(&self.sources_path(diff))
    }

    /// Where the layer of this diffID was seen, newest first.
    ///
    /// # Errors
    /// The disk's.
    pub fn sources(&self, diff: &Digest) -> Result<Vec<Source>> {
        Ok(durable::read_json(&self.sources_path(diff))?.unwrap_or_default())
    }

    /// Remembers where it was seen.
    ///
    /// # Errors
    /// The disk's.
    pub fn note_source(&self, diff: &Digest, source: Source) -> Result<()> {
        let _one_at_a_time = self.state();
        let mut all: Vec<Source> =
            durable::read_json(&self.sources_path(diff))?.unwrap_or_default();
        if all.first() == Some(&source) {
            return Ok(());
        }
        all.retain(|known| *known != source);
        all.insert(0, source);
        all.truncate(KEPT);
        durable::write_json(&self.sources_path(diff), &all)
    }

    /// Forgets one that turned out wrong.
    ///
    /// # Errors
    /// The disk's.
    pub fn forget_source(&self, diff: &Digest, source: &Source) -> Result<()> {
        let _one_at_a_time = self.state();
        let mut all: Vec<Source> =
            durable::read_json(&self.sources_path(diff))?.unwrap_or_default();
        all.retain(|known| known != source);
        durable::write_json(&self.sources_path(diff), &all)
    }
}

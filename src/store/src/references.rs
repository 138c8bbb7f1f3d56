//! The table of names: each completed reference (a tag or a digest of a repository) and the image it means. One file,
//! replaced whole: the commit point of tag, untag and pull.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::durable;
use crate::error::Result;
use crate::reference::Reference;

const FILE: &str = "references.json";

/// Names → image ids.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table(BTreeMap<Reference, Digest>);

#[derive(Default, Serialize, Deserialize)]
struct OnDisk {
    references: BTreeMap<String, Digest>,
}

impl Table {
    /// Reads it; a store without one has no names.
    pub(crate) fn load(root: &Path) -> Result<Table> {
        let disk: OnDisk = durable::read_json(&root.join(FILE))?.unwrap_or_default();
        let read = disk
            .references
            .iter()
            .map(|(name, id)| Ok((Reference::parse(name)?, id.clone())));
        read.collect::<Result<_>>().map(Table)
    }

    /// Replaces it on disk by `next`, then in memory.
    pub(crate) fn commit(&mut self, root: &Path, next: Table) -> Result<()> {
        let references = next
            .0
            .iter()
            .map(|(name, id)| (name.to_string(), id.clone()))
            .collect();
        durable::write_json(&root.join(FILE), &OnDisk { references })?;
        *self = next;
        Ok(())
    }

    /// The image a reference means; `latest` is implied.
    pub(crate) fn get(&self, reference: &Reference) -> Option<&Digest> {
        self.0.get(&reference.key())
    }

    /// All references to an image, sorted.
    pub(crate) fn of(&self, id: &Digest) -> Vec<&Reference> {
        self.0
            .iter()
            .filter(|(_, image)| *image == id)
            .map(|(reference, _)| reference)
            .collect()
    }

    /// All, sorted.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Reference, &Digest)> {
        self.0.iter()
    }

    /// Names an image; answers the image that had the name.
    pub(crate) fn insert(&mut self, reference: &Reference, id: &Digest) -> Option<Digest> {
        self.0.insert(reference.key(), id.clone())
    }

    /// Takes a name away; answers the image that had it.
    pub(crate) fn remove(&mut self, reference: &Reference) -> Option<Digest> {
        self.0.remove(&reference.key())
    }
}

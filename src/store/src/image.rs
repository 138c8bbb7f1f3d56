//! Images: a configuration, the layers it names, and the names it goes by.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::{self, ImageConfig};
use crate::digest::Digest;
use crate::durable;
use crate::error::{Error, Result};
use crate::reference::{AnyReference, Reference};
use crate::store::{Lease, State, Store};

/// An image as of one moment.
#[derive(Clone, Debug)]
pub struct Image {
    /// Digest of its configuration.
    pub id: Digest,
    /// The image it was built or committed from, where that was here.
    pub parent: Option<Digest>,
    /// Its configuration.
    pub config: Arc<ImageConfig>,
    /// Tags, as docker prints them, sorted: `busybox:latest`.
    pub tags: Vec<String>,
    /// Repositories with digest, as docker prints them: `busybox@sha256:…`.
    pub digests: Vec<String>,
    /// Bytes of all its layers.
    pub size: u64,
    /// chainIDs of its layers, lowest first.
    pub layers: Vec<Digest>,
    /// When it was last tagged, RFC 3339.
    pub last_tagged: Option<String>,
}

impl Image {
    /// The topmost layer's chainID; none for an image without layers.
    #[must_use]
    pub fn top(&self) -> Option<&Digest> {
        self.layers.last()
    }
}

/// An image's record: its existence, and what its configuration does not say.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct ImageRecord {
    pub(crate) parent: Option<Digest>,
    pub(crate) last_tagged: Option<String>,
    /// Manifests kept as pulled.
    #[serde(default)]
    pub(crate) manifests: Vec<Digest>,
    /// When a container was last made of it or it came here, seconds since 1970: what the policy of `collect` asks.
    #[serde(default)]
    pub(crate) last_used: i64,
    #[serde(skip)]
    pub(crate) config: std::sync::OnceLock<Arc<ImageConfig>>,
}

/// docker's refusal of a name it does not know.
fn no_such_image(name: &str) -> Error {
    let shown = match AnyReference::parse(name) {
        Ok(AnyReference::Named(reference)) => reference.with_default_tag().familiar(),
        _ => name.to_owned(),
    };
    Error::NotFound(format!("No such image: {shown}"))
}

impl State {
    /// Finds an image by reference, id, digest or unique prefix of its id, in docker's order.
    pub(crate) fn find(&self, name: &str) -> Result<Digest> {
        match AnyReference::parse(name)? {
            AnyReference::Id(id) => self
                .images
                .contains_key(&id)
                .then_some(id)
                .ok_or_else(|| no_such_image(name)),
            AnyReference::Named(reference) => {
                let known = self
                    .references
                    .get(&reference)
                    .or_else(|| self.by_prefix(name));
                known.cloned().ok_or_else(|| no_such_image(name))
            }
        }
    }

    fn by_prefix(&self, name: &str) -> Option<&Digest> {
        let prefix = name.strip_prefix("sha256:").unwrap_or(name);
        if prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let mut hits = self.images.keys().filter(|id| id.hex().starts_with(prefix));
        let first = hits.next();
        first.filter(|_| hits.next().is_none())
    }
}

impl Store {
    /// Finds an image by what a user may write: a reference, an id, a digest, an unambiguous prefix of an id.
    ///
    /// # Errors
    /// `No such image: X:latest`; docker's texts for what is no reference.
    pub fn resolve(&self, name: &str) -> Result<Image> {
        let state = self.state();
        let id = state.find(name)?;
        self.view(&state, &id)
    }

    /// An image by its id.
    ///
    /// # Errors
    /// `No such image: sha256:…`.
    pub fn image(&self, id: &Digest) -> Result<Image> {
        self.view(&self.state(), id)
    }

    /// All images, in order of id; those whose configuration is damaged are left to `check`.
    #[must_use]
    pub fn images(&self) -> Vec<Image> {
        let state = self.state();
        let view = |id: &Digest| match self.view(&state, id) {
            Ok(image) => Some(image),
            Err(error) => {
                tracing::warn!("image {id} is left out: {error}");
                None
            }
        };
        state.images.keys().filter_map(view).collect()
    }

    /// Images made from this one, here.
    #[must_use]
    pub fn children(&self, id: &Digest) -> Vec<Digest> {
        let state = self.state();
        state
            .images
            .iter()
            .filter(|(_, r)| r.parent.as_ref() == Some(id))
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// The image a reference means.
    #[must_use]
    pub fn lookup(&self, reference: &Reference) -> Option<Digest> {
        self.state().references.get(reference).cloned()
    }

    /// All names and what they mean, sorted.
    #[must_use]
    pub fn references(&self) -> Vec<(Reference, Digest)> {
        self.state()
            .references
            .iter()
            .map(|(name, id)| (name.clone(), id.clone()))
            .collect()
    }

    pub(crate) fn view(&self, state: &State, id: &Digest) -> Result<Image> {
        let record = state
            .images
            .get(id)
            .ok_or_else(|| no_such_image(&id.to_string()))?;
        let config = self.config_of(record, id)?;
        let (mut tags, mut digests) = (Vec::new(), Vec::new());
        for reference in state.references.of(id) {
            let list = if reference.digest().is_some() {
                &mut digests
            } else {
                &mut tags
            };
            list.push(reference.familiar());
        }
        tags.sort();
        digests.sort();
        let layers = chain_ids(&config);
        let size = layers
            .iter()
            .filter_map(|chain| state.layers.get(chain))
            .map(|layer| layer.size)
            .sum();
        Ok(Image {
            id: id.clone(),
            parent: record.parent.clone(),
            config,
            tags,
            digests,
            size,
            layers,
            last_tagged: record.last_tagged.clone(),
        })
    }

    fn config_of(&self, record: &ImageRecord, id: &Digest) -> Result<Arc<ImageConfig>> {
        if let Some(config) = record.config.get() {
            return Ok(config.clone());
        }
        let config = Arc::new(parse_config(&self.blob(id)?)?);
        Ok(record.config.get_or_init(|| config).clone())
    }

    /// The configuration's bytes, as they came in.
    ///
    /// # Errors
    /// Not there; damaged.
    pub fn raw_config(&self, id: &Digest) -> Result<Vec<u8>> {
        self.blob(id)
    }

    /// Records an image of this configuration, whose layers must be here. An image that is here already stays as it is.
    ///
    /// # Errors
    /// The configuration is unreadable or names a layer that is not here.
    pub fn create_image(
        &self,
        lease: &Lease,
        config: &[u8],
        parent: Option<&Digest>,
    ) -> Result<Image> {
        let parsed = parse_config(config)?;
        let id = self.put_blob(lease, config)?;
        let mut state = self.state();
        if let Some(missing) = chain_ids(&parsed)
            .iter()
            .find(|chain| !state.layers.contains_key(chain))
        {
            return Err(Error::Invalid(format!(
                "image {id} names layer {missing}, which is not in the store"
            )));
        }
        if !state.images.contains_key(&id) {
            let parent = parent
                .filter(|parent| state.images.contains_key(parent))
                .cloned();
            let last_used = jiff::Timestamp::now().as_second();
            let record = ImageRecord {
                parent,
                last_used,
                ..ImageRecord::default()
            };
            durable::write_json(&self.image_path(&id), &record)?;
            state.images.insert(id.clone(), record);
        }
        self.view(&state, &id)
    }

    pub(crate) fn image_path(&self, id: &Digest) -> PathBuf {
        self.path("images").join(format!("{}.json", id.hex()))
    }

    /// Gives an image a name. Answers the image that had the name before, if it was another.
    ///
    /// # Errors
    /// No such image; `refusing to create a tag with a digest reference`.
    pub fn tag(&self, id: &Digest, reference: &Reference) -> Result<Option<Digest>> {
        if reference.digest().is_some() {
            return Err(Error::Invalid(
                "refusing to create a tag with a digest reference".to_owned(),
            ));
        }
        self.name(id, std::slice::from_ref(reference))
    }

    /// Gives an image names, tags and digests, in one step.
    ///
    /// # Errors
    /// No such image; the disk's.
    pub fn name(&self, id: &Digest, references: &[Reference]) -> Result<Option<Digest>> {
        let mut state = self.state();
        if !state.images.contains_key(id) {
            return Err(no_such_image(&id.to_string()));
        }
        let mut next = state.references.clone();
        let mut before = None;
        for reference in references {
            before = next
                .insert(reference, id)
                .filter(|old| old != id)
                .or(before);
        }
        state.references.commit(&self.0.root, next)?;
        let mut record = state.images.get(id).cloned().unwrap_or_default();
        record.last_tagged = Some(config::now());
        durable::write_json(&self.image_path(id), &record)?;
        state.images.insert(id.clone(), record);
        Ok(before)
    }

    /// Remembers that an image is used now, to the hour: the policy of `collect` asks for no more.
    pub(crate) fn touch(&self, id: &Digest) -> Result<()> {
        let now = jiff::Timestamp::now().as_second();
        let mut state = self.state();
        let Some(record) = state
            .images
            .get_mut(id)
            .filter(|record| now - record.last_used > 3600)
        else {
            return Ok(());
        };
        record.last_used = now;
        durable::write_json(&self.image_path(id), record)
    }

    /// Takes a name away; the image stays. Answers the image that had it.
    ///
    /// # Errors
    /// The disk's.
    pub fn untag(&self, reference: &Reference) -> Result<Option<Digest>> {
        let mut state = self.state();
        let mut next = state.references.clone();
        let had = next.remove(reference);
        if had.is_some() {
            state.references.commit(&self.0.root, next)?;
        }
        Ok(had)
    }
}

fn parse_config(bytes: &[u8]) -> Result<ImageConfig> {
    serde_json::from_slice(bytes).map_err(|e| Error::Invalid(format!("image configuration: {e}")))
}

/// chainIDs of a configuration's layers, lowest first.
pub(crate) fn chain_ids(config: &ImageConfig) -> Vec<Digest> {
    let mut all: Vec<Digest> = Vec::new();
    for diff in &config.rootfs.diff_ids {
        all.push(Digest::chain(all.last(), diff));
    }
    all
}

//! `docker save`: an OCI image layout (image-spec "image-layout.md") that older engines read too, by `manifest.json` and
//! `repositories`. Layers go out uncompressed, by their diffID, each once. The same images give the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use serde_json::{Value, json};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::reference::{AnyReference, Reference};
use crate::store::Store;
use crate::tar::write::Writer;
use crate::tar::{Entry, Kind};

pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// containerd's annotation for a whole name, as docker writes it.
pub(crate) const NAME: &str = "io.containerd.image.name";
/// image-spec "annotations.md": the tag.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

impl Store {
    /// Writes images, with the names given for them: a tag, a whole repository, an id (which keeps no name).
    ///
    /// # Errors
    /// `No such image: …`, before anything is written; damage and the stream's errors later.
    pub fn save(&self, names: &[String], to: impl Write) -> Result<()> {
        let images = self.chosen(names)?;
        let mut save = Save {
            store: self,
            to: Writer::new(to),
            written: BTreeSet::new(),
        };
        save.dir("blobs")?;
        save.dir("blobs/sha256")?;
        let (mut manifests, mut legacy, mut repositories) =
            (Vec::new(), Vec::new(), BTreeMap::new());
        for (image, names) in &images {
            let (manifest, old) = save.image(image, names)?;
            for name in names.iter().filter(|name| name.tag().is_some()) {
                let tags: &mut BTreeMap<String, String> =
                    repositories.entry(name.familiar_name()).or_default();
                tags.insert(
                    name.tag().unwrap_or_default().to_owned(),
                    image.id.hex().to_owned(),
                );
            }
            manifests.extend(index_entries(&manifest, names));
            legacy.push(old);
        }
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests});
        save.file("index.json", index.to_string().as_bytes())?;
        save.file("manifest.json", Value::from(legacy).to_string().as_bytes())?;
        save.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        if !repositories.is_empty() {
            save.file("repositories", json!(repositories).to_string().as_bytes())?;
        }
        save.to.finish()?;
        Ok(())
    }

    /// Images in the order asked for, each once, with the names asked for.
    fn chosen(&self, names: &[String]) -> Result<Vec<(Image, Vec<Reference>)>> {
        let mut all: Vec<(Image, Vec<Reference>)> = Vec::new();
        let mut add = |image: Image, name: Option<Reference>| match all
            .iter_mut()
            .find(|(i, _)| i.id == image.id)
        {
            Some((_, names)) => {
                if let Some(name) = name.filter(|name| !names.contains(name)) {
                    names.push(name);
                }
            }
            None => all.push((image, name.into_iter().collect())),
        };
        for name in names {
            match AnyReference::parse(name)? {
                AnyReference::Named(reference)
                    if reference.tag().is_none() && reference.digest().is_none() =>
                {
                    let named: Vec<_> = self
                        .references()
                        .into_iter()
                        .filter(|(known, _)| {
                            known.repository() == reference && known.tag().is_some()
                        })
                        .collect();
                    if named.is_empty() {
                        add(self.resolve(name)?, None);
                    }
                    for (known, id) in named {
                        add(self.image(&id)?, Some(known));
                    }
                }
                AnyReference::Named(reference) => match self.lookup(&reference) {
                    Some(id) => add(
                        self.image(&id)?,
                        Some(reference.key()).filter(|name| name.tag().is_some()),
                    ),
                    None => add(self.resolve(name)?, None),
                },
                AnyReference::Id(_) => add(self.resolve(name)?, None),
            }
        }
        if all.is_empty() {
            return Err(Error::Invalid(
                "no images to save: expected a name or an id".to_owned(),
            ));
        }
        Ok(all)
    }

    /// Bytes of a layer's uncompressed archive.
    fn archive_size(&self, chain: &Digest) -> Result<u64> {
        let known = self
            .state()
            .layers
            .get(chain)
            .map_or(0, |layer| layer.archive);
        if known > 0 {
            return Ok(known);
        }
        let mut counted = crate::digest::Tally::new(std::io::sink());
        self.write_layer(chain, &mut counted)?;
        Ok(counted.count())
    }
}

fn index_entries(manifest: &Value, names: &[Reference]) -> Vec<Value> {
    let entry = |name: Option<&Reference>| {
        let mut entry = manifest.clone();
        if let Some(name) = name {
            entry["annotations"] =
                json!({NAME: name.to_string(), REF_NAME: name.tag().unwrap_or_default()});
        }
        entry
    };
    if names.is_empty() {
        vec![entry(None)]
    } else {
        names.iter().map(|name| entry(Some(name))).collect()
    }
}

struct Save<'a, W: Write> {
    store: &'a Store,
    to: Writer<W>,
    written: BTreeSet<Digest>,
}

impl<W: Write> Save<'_, W> {
    fn dir(&mut self, path: &str) -> Result<()> {
        let mut entry = Entry::new(Kind::Dir, path);
        entry.mode = 0o755;
        self.to.append(&entry, &mut std::io::empty())
    }

    fn file(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        let mut entry = Entry::new(Kind::File, path);
        entry.mode = 0o644;
        self.to.append_bytes(&entry, bytes)
    }

    fn blob(&mut self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if self.written.insert(digest.clone()) {
            self.file(&blob_path(&digest), bytes)?;
        }
        Ok(digest)
    }

    /// Writes an image's blobs; answers its entry in the index and in `manifest.json`.
    fn image(&mut self, image: &Image, names: &[Reference]) -> Result<(Value, Value)> {
        let config = self.store.raw_config(&image.id)?;
        self.blob(&config)?;
        let (mut layers, mut paths, mut sources) = (Vec::new(), Vec::new(), serde_json::Map::new());
        for (diff, chain) in image.config.rootfs.diff_ids.iter().zip(&image.layers) {
            let size = self.store.archive_size(chain)?;
            if self.written.insert(diff.clone()) {
                self.layer(diff, chain, size)?;
            }
            let descriptor = json!({"mediaType": OCI_LAYER, "digest": diff, "size": size});
            paths.push(blob_path(diff));
            sources.insert(diff.to_string(), descriptor.clone());
            layers.push(descriptor);
        }
        let config = json!({"mediaType": OCI_CONFIG, "digest": image.id, "size": config.len()});
        let manifest =
            json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": layers}).to_string();
        let digest = self.blob(manifest.as_bytes())?;
        let entry = json!({"mediaType": OCI_MANIFEST, "digest": digest, "size": manifest.len()});
        let tags: Vec<String> = names.iter().map(Reference::familiar).collect();
        let tags = if tags.is_empty() {
            Value::Null
        } else {
            json!(tags)
        };
        let legacy = json!({"Config": blob_path(&image.id), "RepoTags": tags, "Layers": paths, "LayerSources": sources});
        Ok((entry, legacy))
    }

    fn layer(&mut self, diff: &Digest, chain: &Digest, size: u64) -> Result<()> {
        let mut entry = Entry::new(Kind::File, blob_path(diff));
        (entry.mode, entry.size) = (0o644, size);
        let (mut from, mut to) = std::io::pipe()?;
        let store = self.store;
        std::thread::scope(|scope| {
            let writer = scope.spawn(move || store.write_layer(chain, &mut to));
            let read = self.to.append(&entry, &mut from);
            drop(from);
            let written = writer
                .join()
                .map_err(|_| Error::Corrupt("reading the layer panicked".to_owned()))?;
            read.and(written)
        })
    }
}

pub(crate) fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

//! `docker load`: archives with `manifest.json`, written by any docker, and plain OCI image layouts. The archive is laid
//! out in a work directory first, for its index may come last; nothing of it is trusted: paths are resolved within that
//! directory, only regular files are read, layers must come out as the diffIDs the configuration names.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};
use serde::Deserialize;

use crate::archive::{self, Owner, PutOptions};
use crate::beneath::{self, Links};
use crate::config::{ImageConfig, host_architecture};
use crate::digest::Digest;
use crate::durable::Scratch;
use crate::error::{At, Error, Result};
use crate::image::Image;
use crate::reference::Reference;
use crate::save::{NAME, OCI_INDEX, REF_NAME};
use crate::store::{Lease, Store};

const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Configurations, manifests, indexes: no larger than this.
const RECORD_MAX: u64 = 16 << 20;

/// What a load tells while it works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadEvent {
    /// A layer is being unpacked: its short diffID.
    Layer(String),
    /// A name now means this image.
    Name(Reference, Digest),
    /// A name meant another image before.
    Renamed(Reference, Digest),
    /// An image without a name.
    Image(Digest),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Legacy {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: Digest,
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
    platform: Option<Platform>,
}

#[derive(Clone, Deserialize)]
struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

struct Load<'a> {
    store: &'a Store,
    root: OwnedFd,
    lease: Lease,
    tell: &'a mut dyn FnMut(LoadEvent),
}

impl Store {
    /// Loads all images of an archive, plain or compressed.
    ///
    /// # Errors
    /// A damaged archive, one that is no image archive; images loaded before the error stay.
    pub fn load(&self, from: impl Read, tell: &mut dyn FnMut(LoadEvent)) -> Result<Vec<Image>> {
        let scratch = Scratch::new(&self.path("tmp"), "load")?;
        let me = rustix::process::geteuid().as_raw();
        let options = PutOptions {
            owner: Owner(Some((me, me))),
            content_only: true,
            ..PutOptions::default()
        };
        archive::put(scratch.path(), "/", from, options)?;
        let root = File::open(scratch.path())
            .at("open", scratch.path())?
            .into();
        let mut load = Load {
            store: self,
            root,
            lease: self.lease(),
            tell,
        };
        if load.exists("manifest.json") {
            return load.docker();
        }
        if load.exists("index.json") {
            return load.layout();
        }
        Err(Error::Invalid(
            "no image archive: expected manifest.json or an OCI layout's index.json in it"
                .to_owned(),
        ))
    }
}

fn unreadable(path: &str) -> impl Fn(serde_json::Error) -> Error + '_ {
    move |e| Error::Invalid(format!("{path}: {e}"))
}

impl Load<'_> {
    fn exists(&self, path: &str) -> bool {
        beneath::open(&self.root, path.as_bytes(), OFlags::PATH, Links::InRoot).is_ok()
    }

    /// Opens a regular file of the archive, and nothing else: opening a device does things.
    fn open(&self, path: &str) -> Result<File> {
        let missing =
            |_| Error::Invalid(format!("archive has no file {path:?} though it names it"));
        let found = beneath::open(&self.root, path.as_bytes(), OFlags::PATH, Links::InRoot)
            .map_err(missing)?;
        let stat = rustix::fs::fstat(&found).at("stat", path)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::Invalid(format!(
                "{path:?} of the archive is no regular file"
            )));
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::open(beneath::proc_path(found.as_fd()), flags, Mode::empty())
            .at("open", path)?;
        Ok(file.into())
    }

    fn read(&self, path: &str) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(path)?
            .take(RECORD_MAX + 1)
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > RECORD_MAX {
            return Err(Error::Invalid(format!(
                "{path:?} of the archive is larger than {RECORD_MAX} bytes"
            )));
        }
        Ok(bytes)
    }

    fn blob(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = crate::save::blob_path(digest);
        let bytes = self.read(&path)?;
        if Digest::of(&bytes) != *digest {
            return Err(Error::Invalid(format!(
                "{path:?} of the archive is not what its name says"
            )));
        }
        Ok(bytes)
    }

    fn docker(&mut self) -> Result<Vec<Image>> {
        let path = "manifest.json";
        let items: Vec<Legacy> =
            serde_json::from_slice(&self.read(path)?).map_err(unreadable(path))?;
        let mut images = Vec::new();
        for item in items {
            let config = self.read(&item.config)?;
            let image = self.image(&config, &item.layers.unwrap_or_default())?;
            let names: Vec<Reference> = item
                .repo_tags
                .unwrap_or_default()
                .iter()
                .map(|name| Reference::parse(name))
                .collect::<Result<_>>()?;
            self.name(&image, names)?;
            images.push(image);
        }
        Ok(images)
    }

    fn layout(&mut self) -> Result<Vec<Image>> {
        let path = "index.json";
        let index: Index = serde_json::from_slice(&self.read(path)?).map_err(unreadable(path))?;
        let mut images = Vec::new();
        for entry in &index.manifests {
            let Some(manifest) = self.manifest(entry, 0)? else {
                continue;
            };
            let config = self.blob(&manifest.config.digest)?;
            let layers: Vec<String> = manifest
                .layers
                .iter()
                .map(|l| crate::save::blob_path(&l.digest))
                .collect();
            let image = self.image(&config, &layers)?;
            self.name(&image, names(entry))?;
            images.push(image);
        }
        if images.is_empty() {
            return Err(Error::Invalid(format!(
                "index.json of the archive has no image for linux/{}",
                host_architecture()
            )));
        }
        Ok(images)
    }

    /// The manifest behind an entry: of a list the one for this machine; none where it is for another.
    fn manifest(&self, entry: &Descriptor, depth: u32) -> Result<Option<Manifest>> {
        if let Some(platform) = &entry.platform
            && (platform.os != "linux" || platform.architecture != host_architecture())
        {
            return Ok(None);
        }
        let bytes = self.blob(&entry.digest)?;
        let path = crate::save::blob_path(&entry.digest);
        if !matches!(entry.media_type.as_str(), OCI_INDEX | DOCKER_LIST) {
            return serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(unreadable(&path));
        }
        if depth > 3 {
            return Err(Error::Invalid(
                "index.json of the archive nests lists too deep".to_owned(),
            ));
        }
        let index: Index = serde_json::from_slice(&bytes).map_err(unreadable(&path))?;
        for below in &index.manifests {
            if let Some(found) = self.manifest(below, depth + 1)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn image(&mut self, config: &[u8], layers: &[String]) -> Result<Image> {
        let parsed: ImageConfig =
            serde_json::from_slice(config).map_err(unreadable("image configuration"))?;
        let diffs = &parsed.rootfs.diff_ids;
        if diffs.len() != layers.len() {
            return Err(Error::Invalid(format!(
                "invalid manifest, layers length mismatch: expected {}, got {}",
                diffs.len(),
                layers.len()
            )));
        }
        let mut parent: Option<Digest> = None;
        for (diff, path) in diffs.iter().zip(layers) {
            let chain = Digest::chain(parent.as_ref(), diff);
            if self.store.hold_layer(&self.lease, &chain).is_none() {
                (self.tell)(LoadEvent::Layer(diff.short().to_owned()));
                self.store
                    .unpack(&self.lease, parent.as_ref(), self.open(path)?, Some(diff))?;
            }
            parent = Some(chain);
        }
        self.store.create_image(&self.lease, config, None)
    }

    fn name(&mut self, image: &Image, names: Vec<Reference>) -> Result<()> {
        if names.is_empty() {
            (self.tell)(LoadEvent::Image(image.id.clone()));
        }
        for name in names {
            let name = name.with_default_tag();
            if let Some(before) = self.store.tag(&image.id, &name)? {
                (self.tell)(LoadEvent::Renamed(name.clone(), before));
            }
            (self.tell)(LoadEvent::Name(name, image.id.clone()));
        }
        Ok(())
    }
}

/// Names an index gives an image: containerd's whole name; the tag alone is taken where it is a name itself.
fn names(entry: &Descriptor) -> Vec<Reference> {
    let whole = entry.annotations.get(NAME);
    let text = whole.or_else(|| {
        entry
            .annotations
            .get(REF_NAME)
            .filter(|tag| tag.contains(['/', ':']))
    });
    text.and_then(|text| Reference::parse(text).ok())
        .into_iter()
        .collect()
}

//! Space: as docker counts it, by the sizes of files in layers, and as the disk does.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::digest::Digest;
use crate::error::{At, Error, Result};
use crate::image::Image;
use crate::store::Store;

/// Bytes on disk below the data root, by owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Unpacked layers, their frames and records.
    pub layers: u64,
    /// Containers' layers.
    pub containers: u64,
    /// Configurations, manifests, image records and names.
    pub images: u64,
    /// Downloads under way.
    pub downloads: u64,
    /// Work in progress.
    pub work: u64,
    /// What is below the data root and not the store's: the engine's other rooms.
    pub other: u64,
}

impl Space {
    /// The sum: what `du` says.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.layers + self.containers + self.images + self.downloads + self.work + self.other
    }
}

impl Store {
    /// Sizes of all layers, each once: docker's LayersSize.
    #[must_use]
    pub fn layers_size(&self) -> u64 {
        self.state().layers.values().map(|layer| layer.size).sum()
    }

    /// Bytes of an image's layers that other images have too: docker's SharedSize.
    #[must_use]
    pub fn shared_size(&self, image: &Image) -> u64 {
        let mut users: BTreeMap<Digest, u32> = BTreeMap::new();
        for chain in self.images().into_iter().flat_map(|image| image.layers) {
            *users.entry(chain).or_default() += 1;
        }
        let state = self.state();
        let shared = image
            .layers
            .iter()
            .filter(|chain| users.get(chain).is_some_and(|n| *n > 1));
        shared
            .filter_map(|chain| state.layers.get(chain))
            .map(|layer| layer.size)
            .sum()
    }

    /// Bytes of layers only this image has: what its deletion frees.
    #[must_use]
    pub fn own_size(&self, image: &Image) -> u64 {
        image.size - self.shared_size(image)
    }

    /// Bytes on disk, by owner. Mounted containers are not entered.
    ///
    /// # Errors
    /// The disk's.
    pub fn space(&self) -> Result<Space> {
        let root = self.root();
        let mut space = Space::default();
        for entry in fs::read_dir(root).at("read directory", root)? {
            let path = entry.at("read directory", root)?.path();
            let bytes = disk_bytes(&path)?;
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let to = match name.as_str() {
                "layers" | "trees" | "l" | "sources" => &mut space.layers,
                "rw" => &mut space.containers,
                "blobs" | "images" | "references.json" => &mut space.images,
                "ingest" => &mut space.downloads,
                "tmp" | "lock" => &mut space.work,
                _ => &mut space.other,
            };
            *to += bytes;
        }
        space.work += own_blocks(root)?;
        Ok(space)
    }
}

fn own_blocks(path: &Path) -> Result<u64> {
    Ok(fs::symlink_metadata(path).at("stat", path)?.blocks() * 512)
}

/// Blocks below a path, hard links once, as `du -x` counts. What vanishes meanwhile counts nothing.
pub(crate) fn disk_bytes(path: &Path) -> Result<u64> {
    let top = fs::symlink_metadata(path).at("stat", path)?;
    let (mut seen, mut todo, mut bytes) = (HashSet::new(), vec![path.to_owned()], 0);
    while let Some(path) = todo.pop() {
        let meta = match fs::symlink_metadata(&path) {
            Ok(meta) => meta,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(e).at("stat", path),
        };
        if meta.dev() != top.dev()
            || (meta.nlink() > 1 && !meta.is_dir() && !seen.insert(meta.ino()))
        {
            continue;
        }
        bytes += meta.blocks() * 512;
        if meta.is_dir() {
            match fs::read_dir(&path) {
                Ok(entries) => todo.extend(entries.flatten().map(|entry| entry.path())),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(source) => {
                    return Err(Error::Io {
                        step: "read directory",
                        path,
                        source,
                    });
                }
            }
        }
    }
    Ok(bytes)
}

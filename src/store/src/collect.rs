//! Garbage collection: images by a policy, then everything no record names. Afterwards all bytes below the data root
//! belong to an image, a container, a download under way or this process.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::delete::{DeleteOptions, Removed, Use};
use crate::digest::Digest;
use crate::durable;
use crate::error::{At, Result};
use crate::image::Image;
use crate::store::{State, Store};
use crate::usage::disk_bytes;

/// Downloads nobody took up for this long are given up.
const DOWNLOAD_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// Which images may go. Those a container uses, and those others were made from, stay in any case.
#[derive(Clone, Copy)]
pub struct Policy<'a> {
    /// Also images with names; otherwise only those without.
    pub named: bool,
    /// Only those no container was made of for so long.
    pub unused_for: Duration,
    /// Least recently used first, until the layers take no more bytes than this; 0 = all that may go.
    pub keep_bytes: u64,
    /// A last word about each: false keeps it.
    pub may_go: &'a dyn Fn(&Image) -> bool,
}

impl std::fmt::Debug for Policy<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy")
            .field("named", &self.named)
            .field("unused_for", &self.unused_for)
            .finish_non_exhaustive()
    }
}

/// What went, or would go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Names, images and layers, in order.
    pub removed: Vec<Removed>,
    /// Paths below the data root that no record names.
    pub orphans: Vec<PathBuf>,
    /// Bytes freed: of images as their layers' sizes, of orphans as the disk counts them.
    pub bytes: u64,
}

impl Store {
    /// Removes images the policy lets go, then sweeps. With `dry_run` it only tells.
    ///
    /// # Errors
    /// The disk's; what went before stays gone.
    pub fn collect(&self, policy: &Policy<'_>, uses: &[Use], dry_run: bool) -> Result<Collected> {
        let mut collected = Collected::default();
        for image in self.candidates(policy, uses) {
            if policy.keep_bytes > 0
                && self.layers_size() - collected_if(dry_run, &collected) <= policy.keep_bytes
            {
                break;
            }
            if dry_run {
                let tags = image.tags.iter().chain(&image.digests);
                collected
                    .removed
                    .extend(tags.map(|name| Removed::Untagged(name.clone(), image.id.clone())));
                collected.removed.push(Removed::Deleted(image.id.clone()));
                collected.bytes += self.own_size(&image);
                continue;
            }
            let before = self.layers_size();
            let options = DeleteOptions {
                force: true,
                prune: false,
            };
            match self.delete(&image.id.to_string(), options, uses) {
                Ok(removed) => collected.removed.extend(removed),
                // It got a container or a child since it was looked at.
                Err(error) => tracing::info!("image {} stays: {error}", image.id),
            }
            collected.bytes += before.saturating_sub(self.layers_size());
        }
        let swept = self.sweep(dry_run, &mut collected);
        self.empty_trash()?;
        swept.map(|()| collected)
    }

    fn candidates(&self, policy: &Policy<'_>, uses: &[Use]) -> Vec<Image> {
        let now = jiff::Timestamp::now().as_second();
        let limit = now - i64::try_from(policy.unused_for.as_secs()).unwrap_or(i64::MAX);
        let images = self.images();
        let mut all: Vec<(i64, Image)> = images
            .iter()
            .filter(|image| policy.named || image.tags.is_empty())
            .filter(|image| !uses.iter().any(|u| u.image == image.id))
            .filter(|image| {
                !images
                    .iter()
                    .any(|other| other.parent.as_ref() == Some(&image.id))
            })
            .filter(|image| (policy.may_go)(image))
            .map(|image| (self.last_used(&image.id), image.clone()))
            .filter(|(used, _)| *used <= limit)
            .collect();
        all.sort_by(|a, b| (a.0, &a.1.id).cmp(&(b.0, &b.1.id)));
        all.into_iter().map(|(_, image)| image).collect()
    }

    fn last_used(&self, id: &Digest) -> i64 {
        self.state()
            .images
            .get(id)
            .map_or(0, |record| record.last_used)
    }

    /// Removes what a process left that was killed between content and record. Layers without an image stay for the
    /// pull that will take them up.
    pub(crate) fn sweep_orphans(&self) -> Result<()> {
        let mut state = self.state();
        for orphan in self.orphans(&state)? {
            tracing::info!("{} was left behind and is removed", orphan.display());
            self.remove_orphan(&mut state, &orphan)?;
        }
        drop(state);
        self.empty_trash()
    }

    /// Removes what no record names.
    fn sweep(&self, dry_run: bool, collected: &mut Collected) -> Result<()> {
        let mut state = self.state();
        for orphan in self.orphans(&state)? {
            collected.bytes += disk_bytes(&orphan)?;
            if !dry_run {
                self.remove_orphan(&mut state, &orphan)?;
            }
            collected.orphans.push(orphan);
        }
        let loose = self.loose_layers(&state);
        for chain in loose {
            let size = state.layers.get(&chain).map_or(0, |layer| layer.size);
            if dry_run || self.remove_layer(&mut state, &chain)? {
                collected.bytes += size;
                collected.removed.push(Removed::Layer(chain));
            }
        }
        Ok(())
    }

    /// Layers no image, container or lease needs, topmost first.
    fn loose_layers(&self, state: &State) -> Vec<Digest> {
        let images: Vec<Digest> = state
            .images
            .keys()
            .filter_map(|id| self.view(state, id).ok()?.top().cloned())
            .collect();
        let rw = state.rw.values().filter_map(|rw| rw.record.chain.clone());
        let mut needed = BTreeSet::new();
        for top in images
            .into_iter()
            .chain(rw)
            .chain(state.pins.keys().cloned())
        {
            let mut next = Some(top);
            while let Some(chain) = next.filter(|chain| !needed.contains(chain)) {
                next = state
                    .layers
                    .get(&chain)
                    .and_then(|layer| layer.parent.clone());
                needed.insert(chain);
            }
        }
        let depth = |chain: &Digest| state.chain(Some(chain)).map_or(0, |all| all.len());
        let mut loose: Vec<Digest> = state
            .layers
            .keys()
            .filter(|chain| !needed.contains(*chain))
            .cloned()
            .collect();
        loose.sort_by_key(|chain| (std::cmp::Reverse(depth(chain)), chain.clone()));
        loose
    }

    pub(crate) fn orphans(&self, state: &State) -> Result<Vec<PathBuf>> {
        let trees: BTreeSet<String> = state
            .layers
            .iter()
            .flat_map(|(chain, layer)| [layer.tree.clone(), crate::rw::init_tree(Some(chain))])
            .chain([crate::rw::init_tree(None)])
            .collect();
        let links: BTreeSet<String> = trees.iter().map(|tree| crate::layer::short(tree)).collect();
        let diffs: BTreeSet<&str> = state
            .layers
            .values()
            .map(|layer| layer.diff_id.hex())
            .collect();
        let mut all = Vec::new();
        self.each("trees", &mut |name, path| {
            if !trees.contains(name) {
                all.push(path.to_owned())
            }
        })?;
        self.each("l", &mut |name, path| {
            if !links.contains(name) {
                all.push(path.to_owned())
            }
        })?;
        self.each("blobs/sha256", &mut |name, path| {
            let kept = Digest::from_hex(name)
                .is_ok_and(|id| state.keeps_blob(&id) || state.pins.contains_key(&id));
            if !kept {
                all.push(path.to_owned());
            }
        })?;
        self.each("sources", &mut |name, path| {
            if !name
                .strip_suffix(".json")
                .is_some_and(|hex| diffs.contains(hex))
            {
                all.push(path.to_owned());
            }
        })?;
        self.each("ingest", &mut |_, path| {
            let modified = fs::symlink_metadata(path).and_then(|meta| meta.modified());
            let age = modified
                .ok()
                .and_then(|at| SystemTime::now().duration_since(at).ok());
            if age.is_some_and(|age| age > DOWNLOAD_LIFE) {
                all.push(path.to_owned());
            }
        })?;
        Ok(all)
    }

    fn each(&self, dir: &str, call: &mut dyn FnMut(&str, &Path)) -> Result<()> {
        let dir = self.path(dir);
        for entry in fs::read_dir(&dir).at("read directory", &dir)? {
            let path = entry.at("read directory", &dir)?.path();
            call(
                &path.file_name().unwrap_or_default().to_string_lossy(),
                &path,
            );
        }
        Ok(())
    }

    pub(crate) fn remove_orphan(&self, state: &mut State, path: &Path) -> Result<()> {
        if path.is_dir() && !path.is_symlink() {
            let away = self.path("tmp").join(durable::unique("removed"));
            fs::rename(path, &away).at("rename", path)?;
            state.trash.push(away);
            return Ok(());
        }
        durable::remove_file(path)
    }
}

/// What a dry run would have freed so far.
fn collected_if(dry_run: bool, collected: &Collected) -> u64 {
    if dry_run { collected.bytes } else { 0 }
}

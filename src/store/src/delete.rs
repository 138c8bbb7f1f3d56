//! `docker rmi`: names first, then the image and its layers, then parents nobody needs, with docker's conflicts.

use crate::digest::Digest;
use crate::durable;
use crate::error::{Error, Result};
use crate::image::chain_ids;
use crate::reference::Reference;
use crate::store::{State, Store};

/// A container that uses an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The container's id.
    pub container: String,
    /// The image.
    pub image: Digest,
    /// True while its process lives.
    pub running: bool,
}

/// How far to go.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeleteOptions {
    /// Though stopped containers or several names use it.
    pub force: bool,
    /// Also parents without a name, a child or a container.
    pub prune: bool,
}

/// What happened, in order: docker's answer line by line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// A name went: as docker prints it, and the image it named.
    Untagged(String, Digest),
    /// The image went.
    Deleted(Digest),
    /// A layer went with it: its chainID.
    Layer(Digest),
}

struct Conflict {
    hard: bool,
    used: bool,
    text: String,
}

impl Conflict {
    fn error(&self, id: &Digest) -> Error {
        let force = if self.hard {
            "cannot be forced"
        } else {
            "must be forced"
        };
        Error::Conflict(format!(
            "conflict: unable to delete {} ({force}) - {}",
            id.short(),
            self.text
        ))
    }
}

/// Which conflicts count.
#[derive(Clone, Copy)]
struct Mask {
    soft: bool,
    names: bool,
}

struct Deletion<'a> {
    store: &'a Store,
    state: &'a mut State,
    uses: &'a [Use],
    done: Vec<Removed>,
}

impl Store {
    /// Deletes an image by name, or a name of it, as `docker rmi` does. `uses` are all containers.
    ///
    /// # Errors
    /// docker's texts: `No such image: …`, `conflict: unable to …`.
    pub fn delete(&self, name: &str, options: DeleteOptions, uses: &[Use]) -> Result<Vec<Removed>> {
        let mut state = self.state();
        let id = state.find(name)?;
        let mut deletion = Deletion {
            store: self,
            state: &mut state,
            uses,
            done: Vec::new(),
        };
        let ran = deletion.run(name, &id, options);
        let done = deletion.done;
        drop(state);
        self.empty_trash()?;
        ran.map(|()| done)
    }
}

fn is_id_prefix(id: &Digest, name: &str) -> bool {
    id.to_string().starts_with(name) || id.hex().starts_with(name)
}

impl Deletion<'_> {
    fn run(&mut self, name: &str, id: &Digest, options: DeleteOptions) -> Result<()> {
        let names = self.names(id);
        if is_id_prefix(id, name) {
            if one_repository(&names) {
                let mask = Mask {
                    soft: !options.force,
                    names: false,
                };
                if let Some(conflict) = self.conflict(id, mask) {
                    return Err(conflict.error(id));
                }
                self.remove_names(&names, id)?;
            }
            return self.image(id, options.force, options.prune, false);
        }
        let user = self.uses.iter().find(|u| u.image == *id);
        if let Some(user) = user.filter(|_| !options.force && one_repository(&names)) {
            return Err(Error::Conflict(format!(
                "conflict: unable to remove repository reference {name:?} (must force) - container {} is using its referenced image {}",
                short(&user.container),
                id.short()
            )));
        }
        let reference = Reference::parse(name)?.key();
        self.remove_names(std::slice::from_ref(&reference), id)?;
        let left = self.names(id);
        let same = |r: &&Reference| r.repository() == reference.repository();
        let tagged = left.iter().filter(same).any(|r| r.digest().is_none());
        if reference.digest().is_none() && !tagged {
            let digests: Vec<Reference> = left.iter().filter(same).cloned().collect();
            self.remove_names(&digests, id)?;
        }
        if !self.names(id).is_empty() {
            return Ok(());
        }
        self.image(id, options.force, options.prune, true)
    }

    fn names(&self, id: &Digest) -> Vec<Reference> {
        self.state.references.of(id).into_iter().cloned().collect()
    }

    fn remove_names(&mut self, names: &[Reference], id: &Digest) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        let mut next = self.state.references.clone();
        for name in names {
            next.remove(name);
        }
        self.state.references.commit(&self.store.0.root, next)?;
        self.done.extend(
            names
                .iter()
                .map(|name| Removed::Untagged(name.familiar(), id.clone())),
        );
        Ok(())
    }

    fn conflict(&self, id: &Digest, mask: Mask) -> Option<Conflict> {
        let found = |hard, used, text: String| Some(Conflict { hard, used, text });
        if self
            .state
            .images
            .values()
            .any(|record| record.parent.as_ref() == Some(id))
        {
            return found(true, false, "image has dependent child images".to_owned());
        }
        let user = |running: bool| {
            self.uses
                .iter()
                .find(|u| u.image == *id && u.running == running)
        };
        if let Some(user) = user(true) {
            let container = short(&user.container);
            return found(
                true,
                true,
                format!("image is being used by running container {container}"),
            );
        }
        if mask.names && !self.state.references.of(id).is_empty() {
            return found(
                false,
                false,
                "image is referenced in multiple repositories".to_owned(),
            );
        }
        let stopped = user(false).filter(|_| mask.soft)?;
        found(
            false,
            true,
            format!(
                "image is being used by stopped container {}",
                short(&stopped.container)
            ),
        )
    }

    /// Deletes the image. `quiet`: a conflict ends the work without being an error, unless the user has to know.
    fn image(&mut self, id: &Digest, force: bool, prune: bool, quiet: bool) -> Result<()> {
        if let Some(conflict) = self.conflict(
            id,
            Mask {
                soft: !force,
                names: !force,
            },
        ) {
            let dangling = self.state.references.of(id).is_empty();
            if quiet && (!dangling || conflict.used || conflict.hard) {
                return Ok(());
            }
            return Err(conflict.error(id));
        }
        let parent = self
            .state
            .images
            .get(id)
            .and_then(|record| record.parent.clone());
        let names = self.names(id);
        self.remove_names(&names, id)?;
        let layers = self
            .store
            .view(self.state, id)
            .map(|image| chain_ids(&image.config));
        durable::remove_file(&self.store.image_path(id))?;
        let record = self.state.images.remove(id);
        self.done.push(Removed::Deleted(id.clone()));
        for blob in record.iter().flat_map(|r| &r.manifests).chain([id]) {
            if !self.state.pins.contains_key(blob) && !self.state.keeps_blob(blob) {
                durable::remove_file(&self.store.blob_path(blob))?;
            }
        }
        // An image whose configuration is damaged leaves its layers to `collect`.
        for chain in layers.unwrap_or_default().iter().rev() {
            if !self.store.remove_layer(self.state, chain)? {
                break;
            }
            self.done.push(Removed::Layer(chain.clone()));
        }
        match parent {
            Some(parent) if prune => self.image(&parent, false, true, true),
            _ => Ok(()),
        }
    }
}

impl State {
    /// True while an image names this content.
    pub(crate) fn keeps_blob(&self, blob: &Digest) -> bool {
        self.images.contains_key(blob)
            || self
                .images
                .values()
                .any(|record| record.manifests.contains(blob))
    }
}

impl Store {
    /// True while an image, a container's layer, a layer above or a lease needs this layer.
    fn needs_layer(&self, state: &State, chain: &Digest) -> bool {
        state.pins.contains_key(chain)
            || state
                .layers
                .values()
                .any(|layer| layer.parent.as_ref() == Some(chain))
            || state
                .rw
                .values()
                .any(|rw| rw.record.chain.as_ref() == Some(chain))
            || state.images.keys().any(|id| {
                self.view(state, id)
                    .is_ok_and(|image| image.top() == Some(chain))
            })
    }

    /// Removes a layer nobody needs, its record first. False: somebody does, or it was gone.
    pub(crate) fn remove_layer(&self, state: &mut State, chain: &Digest) -> Result<bool> {
        if self.needs_layer(state, chain) || !state.layers.contains_key(chain) {
            return Ok(false);
        }
        durable::remove_file(&self.layer_path(chain))?;
        let Some(record) = state.layers.remove(chain) else {
            return Ok(false);
        };
        if !state.layers.values().any(|layer| layer.tree == record.tree) {
            self.remove_tree(state, &record.tree)?;
        }
        if !state
            .layers
            .values()
            .any(|layer| layer.diff_id == record.diff_id)
        {
            self.forget_sources(&record.diff_id)?;
        }
        self.remove_tree(state, &crate::rw::init_tree(Some(chain)))?;
        Ok(true)
    }

    /// Takes a tree and its short name away, at once; its files go with [`Store::empty_trash`]. Renamed first: half of
    /// one must never pass for a layer.
    pub(crate) fn remove_tree(&self, state: &mut State, tree: &str) -> Result<()> {
        durable::remove_file(&self.path("l").join(crate::layer::short(tree)))?;
        let (from, to) = (
            self.path("trees").join(tree),
            self.path("tmp").join(durable::unique("removed")),
        );
        match std::fs::rename(&from, &to) {
            Ok(()) => state.trash.push(to),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(Error::Io {
                    step: "rename",
                    path: from,
                    source,
                });
            }
        }
        Ok(())
    }
}

/// All names within one repository: at most one tag, the rest digests of it.
fn one_repository(names: &[Reference]) -> bool {
    let tags = names.iter().filter(|name| name.digest().is_none()).count();
    let first = names.first().map(Reference::repository);
    tags <= 1 && names.iter().all(|name| Some(name.repository()) == first)
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

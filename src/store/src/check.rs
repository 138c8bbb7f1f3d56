//! `gantry system check`: every record against what it names, every layer against its diffID. Repair puts right what the
//! store itself can, and takes away what is lost so that the next pull or load brings it anew.

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::durable;
use crate::error::Result;
use crate::image::chain_ids;
use crate::store::Store;

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, one line.
    pub what: String,
    /// What was done, or would be by a repair; none where nothing can be.
    pub remedy: Option<&'static str>,
}

impl Store {
    /// Checks everything; reads all content once. With `repair` it acts on what it finds.
    ///
    /// # Errors
    /// The disk's.
    pub fn check(&self, repair: bool) -> Result<Vec<Problem>> {
        let mut check = Check {
            store: self,
            repair,
            problems: Vec::new(),
        };
        for what in std::mem::take(&mut self.state().unreadable) {
            check.found(what, None);
        }
        let damaged = check.layers()?;
        check.lost_layers(&damaged)?;
        check.images()?;
        check.references()?;
        check.leftovers()?;
        let problems = check.problems;
        self.empty_trash()?;
        Ok(problems)
    }
}

struct Check<'a> {
    store: &'a Store,
    repair: bool,
    problems: Vec<Problem>,
}

impl Check<'_> {
    fn found(&mut self, what: String, remedy: Option<&'static str>) {
        self.problems.push(Problem { what, remedy });
    }

    /// Proves each tree once; answers the layers that are damaged, with the reason.
    fn layers(&mut self) -> Result<BTreeMap<Digest, String>> {
        let layers: Vec<(Digest, String, Digest)> = self
            .store
            .state()
            .layers
            .iter()
            .map(|(chain, layer)| (chain.clone(), layer.tree.clone(), layer.diff_id.clone()))
            .collect();
        let mut trees: BTreeMap<String, Option<String>> = BTreeMap::new();
        let mut damaged = BTreeMap::new();
        for (chain, tree, diff) in layers {
            if !trees.contains_key(&tree) {
                let proof = self.store.verify_layer(&chain, self.repair);
                let reason = match proof {
                    Ok(deviations) => {
                        for deviation in deviations {
                            let remedy = deviation.mendable.then_some("set as in its archive");
                            self.found(format!("layer {diff}: {}", deviation.what), remedy);
                        }
                        None
                    }
                    Err(error) => Some(error.to_string()),
                };
                self.link(&tree)?;
                trees.insert(tree.clone(), reason);
            }
            if let Some(Some(reason)) = trees.get(&tree) {
                damaged.insert(chain, reason.clone());
            }
        }
        Ok(damaged)
    }

    fn link(&mut self, tree: &str) -> Result<()> {
        use crate::error::At;
        let link = self.store.path("l").join(crate::layer::short(tree));
        if link.is_symlink() {
            return Ok(());
        }
        if self.repair {
            std::os::unix::fs::symlink(format!("../trees/{tree}/fs"), &link).at("link", &link)?;
        }
        self.found(
            format!("tree {tree}: short name is missing"),
            Some("made again"),
        );
        Ok(())
    }

    /// A damaged layer goes with all above it and all images of it, so that they can be pulled again; under a container it
    /// stays, for the container's sake.
    fn lost_layers(&mut self, damaged: &BTreeMap<Digest, String>) -> Result<()> {
        for (chain, reason) in damaged {
            let state = self.store.state();
            let mut under = state.rw.iter().filter(|(_, rw)| {
                state
                    .chain(rw.record.chain.as_ref())
                    .is_ok_and(|all| all.iter().any(|(id, _)| id == chain))
            });
            let container = under.next().map(|(id, _)| id.clone());
            drop(under);
            drop(state);
            match container {
                Some(id) => self.found(
                    format!("layer {chain}: {reason}; container {id} stands on it"),
                    None,
                ),
                None => {
                    if self.repair {
                        self.remove_layer(chain)?;
                    }
                    let remedy = "removed with the images that have it: pull or load them again";
                    self.found(format!("layer {chain}: {reason}"), Some(remedy));
                }
            }
        }
        Ok(())
    }

    fn remove_layer(&self, chain: &Digest) -> Result<()> {
        let store = self.store;
        let images = store
            .images()
            .into_iter()
            .filter(|image| image.layers.contains(chain));
        for image in images.collect::<Vec<_>>() {
            self.remove_image(&image.id)?;
        }
        let mut state = store.state();
        // Layers of equal content share the damaged tree: all records of it go before it does.
        let above: Vec<Digest> = state
            .layers
            .keys()
            .filter(|id| {
                state
                    .chain(Some(id))
                    .is_ok_and(|all| all.iter().any(|(below, _)| below == chain))
            })
            .cloned()
            .collect();
        let mut trees = Vec::new();
        for id in above {
            durable::remove_file(&store.layer_path(&id))?;
            trees.extend(state.layers.remove(&id).map(|record| record.tree));
            trees.push(crate::rw::init_tree(Some(&id)));
        }
        for tree in trees {
            if !state.layers.values().any(|layer| layer.tree == tree) {
                store.remove_tree(&mut state, &tree)?;
            }
        }
        Ok(())
    }

    fn remove_image(&self, id: &Digest) -> Result<()> {
        let store = self.store;
        let mut state = store.state();
        let mut next = state.references.clone();
        for name in state.references.of(id) {
            next.remove(name);
        }
        state.references.commit(store.root(), next)?;
        durable::remove_file(&store.image_path(id))?;
        state.images.remove(id);
        Ok(())
    }

    fn images(&mut self) -> Result<()> {
        let ids: Vec<Digest> = self.store.state().images.keys().cloned().collect();
        for id in ids {
            let reason = match self.store.blob(&id) {
                Err(error) => Some(error.to_string()),
                Ok(_) => {
                    let state = self.store.state();
                    let image = self.store.view(&state, &id)?;
                    let missing = chain_ids(&image.config)
                        .into_iter()
                        .find(|chain| !state.layers.contains_key(chain));
                    missing.map(|chain| format!("layer {chain} is missing"))
                }
            };
            let Some(reason) = reason else { continue };
            let used = self
                .store
                .state()
                .rw
                .values()
                .any(|rw| rw.record.image.as_ref() == Some(&id));
            if self.repair && !used {
                self.remove_image(&id)?;
            }
            let remedy = (!used).then_some("removed: pull or load it again");
            self.found(format!("image {id}: {reason}"), remedy);
        }
        Ok(())
    }

    fn references(&mut self) -> Result<()> {
        for (name, id) in self.store.references() {
            if self.store.state().images.contains_key(&id) {
                continue;
            }
            if self.repair {
                self.store.untag(&name)?;
            }
            self.found(
                format!(
                    "name {} means image {id}, which is not in the store",
                    name.familiar()
                ),
                Some("removed"),
            );
        }
        Ok(())
    }

    fn leftovers(&mut self) -> Result<()> {
        let store = self.store;
        let mut state = store.state();
        for path in store.orphans(&state)? {
            if self.repair {
                store.remove_orphan(&mut state, &path)?;
            }
            self.found(
                format!("{}: no record names it", path.display()),
                Some("removed"),
            );
        }
        Ok(())
    }
}

//! Runs what is missing: the stages a target needs, those that wait for nothing at once, the steps of a stage in order.
//!
//! A step's result is looked up by its key; what is not known is made on a layer of its own, committed to the store and
//! then recorded, in this order, so that a build killed at any moment leaves nothing but layers nobody names, which the
//! store sweeps.

mod mounts;
mod stage;
mod worker;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};

use gantry_dockerfile::Dockerfile;
use gantry_store::{Digest, Lease, Store};

pub use worker::{BaseImage, Event, Fetched, MountPoint, Observer, Stream, Worker};

use crate::cache::Cache;
use crate::graph::{self, Node};
use crate::platform::Platform;
use crate::state::State;
use crate::variables::Globals;

/// What a build is given.
#[derive(Debug)]
pub struct Request<'a> {
    /// The file.
    pub file: &'a Dockerfile,
    /// Arguments and platforms.
    pub globals: &'a Globals,
    /// `--target`.
    pub target: Option<&'a str>,
    /// The context, unpacked and filtered.
    pub context: PathBuf,
    /// `--build-context NAME=DIRECTORY`, unpacked.
    pub contexts: BTreeMap<String, PathBuf>,
    /// `--no-cache`.
    pub no_cache: bool,
    /// The platform the image is for.
    pub platform: Platform,
    /// Where directories of `RUN --mount=type=cache` are kept.
    pub cache_mounts: PathBuf,
    /// `--secret`, by id.
    pub secrets: BTreeMap<String, Vec<u8>>,
    /// Whether `RUN --security=insecure` is granted.
    pub allow_insecure: bool,
    /// A name for the layers under construction, the build's own.
    pub id: String,
}

/// A finished stage.
#[derive(Debug)]
pub struct Built<'a> {
    /// Its configuration and history.
    pub state: State<'a>,
    /// ChainID of its top layer.
    pub chain: Option<Digest>,
}

/// Builds the target.
///
/// # Errors
/// One line, ready for the user.
pub fn build<'a>(
    request: &'a Request<'a>,
    store: &Store,
    cache: &Cache,
    worker: &dyn Worker,
    observer: &dyn Observer,
    lease: &Lease,
) -> Result<Built<'a>, String> {
    let nodes = graph::needed(request.file, request.globals, request.target)
        .map_err(|error| error.to_string())?;
    let counts: Vec<usize> = nodes
        .iter()
        .map(|node| request.file.stages[node.stage].instructions.len() + 1)
        .collect();
    let total = counts.iter().sum();
    let solve = Solve {
        request,
        store,
        cache,
        worker,
        observer,
        lease,
        total,
        done: Mutex::default(),
        changed: Condvar::new(),
    };
    std::thread::scope(|scope| {
        let mut before = 0;
        for (place, node) in nodes.iter().enumerate() {
            let solve = &solve;
            let first = before + 1;
            before += counts[place];
            scope.spawn(move || solve.stage(place, node, first));
        }
    });
    let mut done = solve
        .done
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    // In the order they were needed: a failure comes before the ones that are only its echo.
    let mut last = Err("nothing to build".to_owned());
    for node in &nodes {
        last = done
            .remove(&node.stage)
            .unwrap_or_else(|| Err("a stage ended without a result".to_owned()));
        if last.is_err() {
            break;
        }
    }
    last
}

type Results<'a> = BTreeMap<usize, Result<Built<'a>, String>>;

/// A build under way.
struct Solve<'a, 'b> {
    request: &'a Request<'a>,
    store: &'b Store,
    cache: &'b Cache,
    worker: &'b dyn Worker,
    observer: &'b dyn Observer,
    lease: &'b Lease,
    total: usize,
    done: Mutex<Results<'a>>,
    changed: Condvar,
}

impl<'a> Solve<'a, '_> {
    /// Builds one stage as soon as all it waits for is there, and says so.
    fn stage(&self, place: usize, node: &Node, first: usize) {
        let result = self
            .wait_for(node)
            .and_then(|()| stage::run(self, place, node, first));
        self.observer.event(place, Event::StageDone);
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.insert(node.stage, result);
        self.changed.notify_all();
    }

    fn wait_for(&self, node: &Node) -> Result<(), String> {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if node
                .waits_for
                .iter()
                .any(|stage| matches!(done.get(stage), Some(Err(_))))
            {
                return Err("a stage it needs failed".to_owned());
            }
            if node.waits_for.iter().all(|stage| done.contains_key(stage)) {
                return Ok(());
            }
            done = self
                .changed
                .wait(done)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What a finished stage gave.
    fn built<T>(&self, stage: usize, take: impl FnOnce(&Built<'a>) -> T) -> Result<T, String> {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        match done.get(&stage) {
            Some(Ok(built)) => Ok(take(built)),
            _ => Err(format!("stage {stage} has no result")),
        }
    }
}

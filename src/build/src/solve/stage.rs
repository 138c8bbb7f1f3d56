//! One stage, instruction by instruction.

use std::path::{Path, PathBuf};

use gantry_dockerfile::instruction::Instruction;
use gantry_store::config::ImageConfig;
use gantry_store::rw::Base;
use gantry_store::{Digest, Layer, RwLayer, archive, directory};

use super::mounts::Mounts;
use super::{Built, Event, Solve, Stream};
use crate::cache::Record;
use crate::copy::{content, owner, put, select};
use crate::graph::{Node, Origin};
use crate::key::Key;
use crate::platform::Platform;
use crate::state::State;
use crate::step::{Copy, Directory, Run, Step, Work};

/// How much of `/etc/passwd` and `/etc/group` is read: an image may hold anything by that name.
const ACCOUNTS_LIMIT: u64 = 4 << 20;

/// A stage under way.
struct Stage<'s, 'a, 'b> {
    solve: &'s Solve<'a, 'b>,
    place: usize,
    index: usize,
    state: State<'a>,
    chain: Option<Digest>,
    key: Key,
    /// Place of the next instruction among all.
    number: usize,
    serial: usize,
}

/// Builds a stage all of whose needs are there.
pub(super) fn run<'a>(
    solve: &Solve<'a, '_>,
    place: usize,
    node: &Node,
    first: usize,
) -> Result<Built<'a>, String> {
    let stage = &solve.request.file.stages[node.stage];
    solve.observer.event(
        place,
        Event::Instruction {
            number: first,
            total: solve.total,
            text: stage.text.clone(),
        },
    );
    let (state, chain, triggers) = base(solve, node)?;
    let key = Key::base(
        &solve
            .store
            .diff_ids(chain.as_ref())
            .map_err(|error| error.to_string())?,
    );
    let mut run = Stage {
        solve,
        place,
        index: node.stage,
        state,
        chain,
        key,
        number: first,
        serial: 0,
    };
    for text in &triggers {
        let mut trigger =
            gantry_dockerfile::stage::trigger(text).map_err(|error| error.to_string())?;
        trigger.line = stage.line;
        run.instruction(&trigger)?;
    }
    for instruction in &stage.instructions {
        run.number += 1;
        let number = run.number;
        let text = instruction.text.clone();
        solve.observer.event(
            place,
            Event::Instruction {
                number,
                total: solve.total,
                text,
            },
        );
        run.instruction(instruction)?;
    }
    Ok(Built {
        state: run.state,
        chain: run.chain,
    })
}

type Begin<'a> = (State<'a>, Option<Digest>, Vec<String>);

/// What the stage begins with, and what ONBUILD left there.
fn base<'a>(solve: &Solve<'a, '_>, node: &Node) -> Result<Begin<'a>, String> {
    let request = solve.request;
    let platform = node
        .platform
        .as_deref()
        .map(Platform::parse)
        .transpose()
        .map_err(|error| error.to_string())?;
    let begin = |image: ImageConfig| {
        let (state, triggers) = State::new(request.file, request.globals, node.stage, image);
        (state.with_path(), triggers)
    };
    match &node.base {
        Origin::Stage(stage) => solve.built(*stage, |built| {
            let mut child = built.state.child(node.stage);
            let triggers = child.take_triggers();
            (child, built.chain.clone(), triggers)
        }),
        Origin::Scratch => {
            let target = platform.unwrap_or_else(|| request.platform.clone());
            let image = ImageConfig {
                architecture: target.architecture,
                os: target.os,
                variant: target.variant,
                ..ImageConfig::default()
            };
            let (state, triggers) = begin(image);
            Ok((state, None, triggers))
        }
        Origin::Image(reference) => {
            let wanted = platform.or_else(|| Some(request.platform.clone()));
            let image = solve.worker.base(reference, wanted.as_ref())?;
            let (state, triggers) = begin(image.config);
            Ok((state, image.chain, triggers))
        }
    }
}

impl Stage<'_, '_, '_> {
    fn event(&self, event: Event) {
        self.solve.observer.event(self.place, event);
    }

    fn instruction(&mut self, instruction: &Instruction) -> Result<(), String> {
        if self.solve.worker.cancelled() {
            return Err("build cancelled".to_owned());
        }
        let step = self
            .state
            .apply(instruction)
            .map_err(|error| error.to_string())?;
        let Some(step) = step else {
            return Ok(());
        };
        match &step.work {
            Work::Run(run) => self.run_step(&step, run),
            Work::Copy(copy) => self.copy_step(&step, copy),
            Work::Directory(directory) => self.directory_step(&step, directory),
        }
    }

    /// Uses what the cache knows for `key`, or makes it with `make` on a layer of its own.
    fn cached(
        &mut self,
        key: Key,
        step: &Step,
        make: impl FnOnce(&Self, &Path) -> Result<(), String>,
    ) -> Result<(), String> {
        if !self.solve.request.no_cache {
            let record = self
                .solve
                .cache
                .get(&key)
                .map_err(|error| format!("build cache: {error}"))?;
            if let Some(record) = record {
                self.event(Event::Cached(format!("key {} is known", &key.hex()[..12])));
                self.advance(key, record);
                return Ok(());
            }
        }
        let reason = if self.solve.request.no_cache {
            "--no-cache"
        } else {
            "its key is new"
        };
        self.event(Event::Made(format!("{reason}: {}", &key.hex()[..12])));
        let made = self.on_new_layer(|stage, root| make(stage, root))?;
        let size = made.as_ref().map_or(0, |layer| layer.size);
        let layer = made.map(|layer| layer.chain_id);
        let record = self
            .solve
            .cache
            .put(&key, layer.as_ref(), size, &step.title);
        self.advance(
            key,
            record.map_err(|error| format!("build cache: {error}"))?,
        );
        Ok(())
    }

    /// The stage now ends in the record's layer; without one the step changed nothing, which its history entry says. The
    /// entry's time is when the result was made, so that a build from the cache gives the same image.
    fn advance(&mut self, key: Key, record: Record) {
        self.key = key;
        if let Some(entry) = self.state.image.history.last_mut() {
            entry.empty_layer = record.layer.is_none();
            let made = i64::try_from(record.created)
                .ok()
                .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
            entry.created = made.map(|time| time.to_string());
        }
        if record.layer.is_some() {
            self.chain = record.layer;
        }
    }

    /// A layer on top of the stage, made by `make` in its mounted tree; `None` where nothing changed.
    fn on_new_layer(
        &mut self,
        make: impl FnOnce(&Self, &Path) -> Result<(), String>,
    ) -> Result<Option<Layer>, String> {
        self.serial += 1;
        let layer = Scratch::new(
            self,
            &format!("{}-{}", self.index, self.serial),
            self.chain.clone(),
        )?;
        make(self, &layer.root)?;
        let made = layer
            .rw
            .commit_layer(self.solve.lease)
            .map_err(|error| error.to_string())?;
        Ok((!made.is_empty()).then_some(made))
    }

    fn directory_step(&mut self, step: &Step, work: &Directory) -> Result<(), String> {
        let key = self.key.directory(work);
        self.cached(key, step, |_, root| {
            let owner = ids(root, &work.user, false).map_err(|error| at(step, &error))?;
            directory::create_all(root, &work.path, 0o755, owner)
                .map(drop)
                .map_err(|error| at(step, &error.to_string()))
        })
    }

    fn run_step(&mut self, step: &Step, run: &Run) -> Result<(), String> {
        if run.insecure && !self.solve.request.allow_insecure {
            return Err(at(
                step,
                "security.insecure is not allowed, grant it with --allow security.insecure",
            ));
        }
        let mounts =
            Mounts::prepare(self.solve, self.place, run).map_err(|error| at(step, &error))?;
        let key = self.key.run(
            run,
            &self.solve.request.platform.to_string(),
            &mounts.digests(),
        );
        self.cached(key, step, |stage, root| {
            let points = mounts.points()?;
            let output =
                |stream: Stream, bytes: &[u8]| stage.event(Event::Output(stream, bytes.to_vec()));
            let status = stage.solve.worker.run(root, run, &points, &output)?;
            if status == 0 {
                return Ok(());
            }
            Err(format!(
                "The command '{}' returned a non-zero code: {status}",
                run.words.join(" ")
            ))
        })
    }

    fn copy_step(&mut self, step: &Step, copy: &Copy) -> Result<(), String> {
        let refuse = |error: String| at(step, &error);
        let groups = self.sources(copy).map_err(refuse)?;
        let digests: Vec<Digest> = groups
            .iter()
            .map(|group| {
                content::digest(&group.root, &group.copy, &group.sources)
                    .map_err(|error| at(step, &error.to_string()))
            })
            .collect::<Result<_, _>>()?;
        let joined: String = digests.iter().map(Digest::hex).collect();
        let digest = Digest::of(joined.as_bytes());
        let key = self.key.copy(copy, &digest);
        self.cached(key, step, |_, root| {
            let owner = match &copy.chown {
                None => (0, 0),
                Some(chown) => ids(root, chown, true).map_err(|error| at(step, &error))?,
            };
            for group in &groups {
                put::put(&group.root, &group.sources, root, &group.copy, owner)
                    .map_err(|error| at(step, &error.to_string()))?;
            }
            Ok(())
        })
    }

    /// The sources of a copy, by the tree they come from.
    fn sources(&self, copy: &Copy) -> Result<Vec<Group>, String> {
        let (remote, local): (Vec<&String>, Vec<&String>) = copy
            .sources
            .iter()
            .partition(|source| copy.add && is_remote(source));
        let tree = Tree::open(
            self.solve,
            copy.from.as_ref(),
            &format!("{}-from-{}", self.index, self.serial),
        )?;
        let mut sources = Vec::new();
        for source in local {
            sources.extend(
                select::select(&tree.root, source, copy.parents)
                    .map_err(|error| error.to_string())?,
            );
        }
        let several = copy.sources.len() > 1;
        let mut groups = vec![Group::new(tree, sources, copy.clone())];
        for source in remote {
            let fetched = self.solve.worker.fetch(source, copy)?;
            let found = select::select(&fetched.root, &fetched.path, false)
                .map_err(|error| error.to_string())?;
            let alone = Copy {
                files: Vec::new(),
                ..copy.clone()
            };
            groups.push(Group::new(
                Tree {
                    root: fetched.root,
                    _scratch: None,
                },
                found,
                alone,
            ));
        }
        if several && !copy.destination.ends_with('/') {
            let verb = if copy.add { "ADD" } else { "COPY" };
            return Err(format!(
                "When using {verb} with more than one source file, the destination must be a directory and end with a /"
            ));
        }
        Ok(groups)
    }
}

/// Sources out of one tree.
struct Group {
    root: PathBuf,
    sources: Vec<select::Source>,
    copy: Copy,
    _tree: Tree,
}

impl Group {
    fn new(tree: Tree, sources: Vec<select::Source>, copy: Copy) -> Self {
        Self {
            root: tree.root.clone(),
            sources,
            copy,
            _tree: tree,
        }
    }
}

fn is_remote(source: &str) -> bool {
    ["http://", "https://", "git://", "ssh://", "git@"]
        .iter()
        .any(|prefix| source.starts_with(prefix))
}

/// A failure of a step, with the line that asked for it.
fn at(step: &Step, error: &str) -> String {
    let verb = step.title.split_whitespace().next().unwrap_or_default();
    format!("{verb} failed: {error} (line {})", step.line)
}

/// The tree files are taken from, mounted as long as this lives.
pub(super) struct Tree {
    pub(super) root: PathBuf,
    _scratch: Option<Scratch>,
}

impl Tree {
    /// The context, a stage, an image or a named context.
    pub(super) fn open(
        solve: &Solve<'_, '_>,
        from: Option<&Origin>,
        name: &str,
    ) -> Result<Self, String> {
        let plain = |root: &Path| {
            Ok(Self {
                root: root.to_owned(),
                _scratch: None,
            })
        };
        let chain = match from {
            None => return plain(&solve.request.context),
            Some(Origin::Scratch) => None,
            Some(Origin::Stage(stage)) => solve.built(*stage, |built| built.chain.clone())?,
            Some(Origin::Image(reference)) => match solve.request.contexts.get(reference) {
                Some(root) => return plain(root),
                None => {
                    solve
                        .worker
                        .base(reference, Some(&solve.request.platform))?
                        .chain
                }
            },
        };
        let scratch = Scratch::of(solve, name, chain)?;
        Ok(Self {
            root: scratch.root.clone(),
            _scratch: Some(scratch),
        })
    }
}

/// A writable layer mounted for a step, gone with it.
pub(super) struct Scratch {
    rw: RwLayer,
    pub(super) root: PathBuf,
}

impl Scratch {
    fn new(stage: &Stage<'_, '_, '_>, name: &str, chain: Option<Digest>) -> Result<Self, String> {
        Self::of(stage.solve, name, chain)
    }

    /// A layer on `chain`; `name` is its own within the build.
    pub(super) fn of(
        solve: &Solve<'_, '_>,
        name: &str,
        chain: Option<Digest>,
    ) -> Result<Self, String> {
        let id = format!("build-{}-{name}", solve.request.id);
        let rw = solve
            .store
            .create_temporary_rw(&id, &Base::Chain(chain), false)
            .map_err(|error| error.to_string())?;
        match rw.mount() {
            Ok(root) => Ok(Self { rw, root }),
            Err(error) => {
                remove(&rw);
                Err(error.to_string())
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.rw);
    }
}

fn remove(rw: &RwLayer) {
    if let Err(error) = rw.remove() {
        tracing::warn!("layer {} of a build left behind: {error}", rw.id());
    }
}

/// `user[:group]` as ids, by the tree's own accounts.
pub(super) fn ids(root: &Path, text: &str, number_is_group: bool) -> Result<(u32, u32), String> {
    if text.is_empty() {
        return Ok((0, 0));
    }
    let (passwd, group) = (
        accounts(root, "/etc/passwd")?,
        accounts(root, "/etc/group")?,
    );
    owner::resolve(text, &passwd, &group, number_is_group).map_err(|fault| fault.message)
}

/// A small regular file of the tree; empty where there is none, or where what is there is no regular file.
fn accounts(root: &Path, path: &str) -> Result<String, String> {
    let stat = match archive::stat(root, path) {
        Err(error) if error.is_not_found() => return Ok(String::new()),
        stat => stat.map_err(|error| error.to_string())?,
    };
    // Go's mode bits: anything above the permissions is no regular file.
    if stat.mode & !0o777 & !(7 << 20) != 0 || stat.size > ACCOUNTS_LIMIT {
        return Ok(String::new());
    }
    let mut archive = Vec::new();
    archive::get(root, path, &mut archive).map_err(|error| error.to_string())?;
    let mut reader = gantry_store::tar::read::Reader::new(archive.as_slice());
    reader.next(&mut ()).map_err(|error| error.to_string())?;
    let text = reader
        .body_to_vec(ACCOUNTS_LIMIT)
        .map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

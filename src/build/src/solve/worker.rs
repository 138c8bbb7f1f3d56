//! What a build needs of the engine: images, commands run in a tree, things from elsewhere; and who is told.

use std::path::{Path, PathBuf};

use gantry_store::Digest;
use gantry_store::config::ImageConfig;

use crate::platform::Platform;
use crate::step::{Copy, Run};

/// An image a stage begins with.
#[derive(Debug, Clone)]
pub struct BaseImage {
    /// Its configuration.
    pub config: ImageConfig,
    /// ChainID of its top layer.
    pub chain: Option<Digest>,
}

/// Which of a command's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Something a command sees beside its own files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountPoint {
    /// A directory or file of the host.
    Bind {
        /// On the host.
        source: PathBuf,
        /// In the container, absolute.
        target: String,
        /// Whether it is mounted read-only.
        read_only: bool,
    },
    /// Memory.
    Tmpfs {
        /// In the container, absolute.
        target: String,
        /// Bytes, `None` for the kernel's default.
        size: Option<u64>,
    },
}

/// Files that came from elsewhere.
#[derive(Debug)]
pub struct Fetched {
    /// A directory with them; whoever fetched owns it and removes it after the build.
    pub root: PathBuf,
    /// What in it is meant.
    pub path: String,
}

/// What the engine does for a build. A failure is one line, ready for the user.
pub trait Worker: Sync {
    /// An image by reference, pulled where it is not here.
    ///
    /// # Errors
    /// There is none, or it cannot be had.
    fn base(&self, reference: &str, platform: Option<&Platform>) -> Result<BaseImage, String>;

    /// Runs a command in the tree at `root`; gives its exit status. `output` takes what it writes, as it writes.
    ///
    /// # Errors
    /// The container cannot be made or started, or the build was cancelled.
    fn run(
        &self,
        root: &Path,
        run: &Run,
        mounts: &[MountPoint],
        output: &(dyn Fn(Stream, &[u8]) + Sync),
    ) -> Result<i32, String>;

    /// Fetches an URL or a git reference of ADD.
    ///
    /// # Errors
    /// It cannot be had, or its checksum differs.
    fn fetch(&self, source: &str, copy: &Copy) -> Result<Fetched, String>;

    /// Whether the build was cancelled; asked before each step.
    fn cancelled(&self) -> bool;
}

/// What happens in a build, in the order it happens within a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An instruction is reached: its place among the target's instructions, and its text.
    Instruction {
        /// From 1.
        number: usize,
        /// How many there are.
        total: usize,
        /// As written, variables replaced.
        text: String,
    },
    /// Its result was known; the reason is the key it was found by.
    Cached(String),
    /// Its result was not known and is made.
    Made(String),
    /// A command wrote something.
    Output(Stream, Vec<u8>),
    /// The stage is done.
    StageDone,
    /// Something works but should not be so.
    Warning(String),
}

/// Who is told what happens. `stage` is the place of the stage among those built.
pub trait Observer: Sync {
    /// Takes an event.
    fn event(&self, stage: usize, event: Event);
}

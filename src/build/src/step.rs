//! What must be done to a stage's files; everything an instruction says, variables replaced, paths made absolute.

use gantry_dockerfile::instruction::{InlineFile, Mount, Network};

use crate::graph::Origin;

/// One step and the instruction it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Line of the instruction in its file.
    pub line: usize,
    /// The instruction with its variables replaced, for people.
    pub title: String,
    /// The work.
    pub work: Work,
}

/// The work of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// Run a command.
    Run(Run),
    /// Put files.
    Copy(Copy),
    /// Make a directory, as the user.
    Directory(Directory),
}

/// A directory to make with all above it, 0755, where it is not there yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Absolute.
    pub path: String,
    /// Its owner, `user[:group]` as in the image; empty for root.
    pub user: String,
}

/// A command to run in the stage's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Program and arguments.
    pub words: Vec<String>,
    /// `NAME=value`: the image's Env and the arguments declared so far.
    pub env: Vec<String>,
    /// Proxies: in the environment, never in key or history.
    pub proxies: Vec<(String, String)>,
    /// Working directory, absolute.
    pub directory: String,
    /// `user[:group]`, empty for root.
    pub user: String,
    /// `--mount`s.
    pub mounts: Vec<(Mount, Origin)>,
    /// A script handed as a read-only file: its name under `/dev/pipes/` and its content.
    pub script: Option<(String, String)>,
    /// `--network`.
    pub network: Network,
    /// `--security=insecure`.
    pub insecure: bool,
}

/// Files to put into the stage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copy {
    /// ADD: URLs, git references and archives are understood.
    pub add: bool,
    /// Where sources are found: `None` is the build's context.
    pub from: Option<Origin>,
    /// Paths and patterns, relative to the root of `from`.
    pub sources: Vec<String>,
    /// Files written in the Dockerfile.
    pub files: Vec<InlineFile>,
    /// Absolute; a trailing `/` says that it is a directory.
    pub destination: String,
    /// `user[:group]`, names looked up in the image; `None` is 0:0.
    pub chown: Option<String>,
    /// Permissions.
    pub chmod: Option<Mode>,
    /// A layer that does not depend on what is below.
    pub link: bool,
    /// Keep the directories of the sources.
    pub parents: bool,
    /// Patterns left out.
    pub exclude: Vec<String>,
    /// Digest of a download, or commit of a git source.
    pub checksum: Option<String>,
    /// Keep `.git` of a git source.
    pub keep_git_dir: Option<bool>,
    /// Unpack archives.
    pub unpack: Option<bool>,
}

/// `--chmod`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// Octal.
    Bits(u32),
    /// Symbolic, as `chmod(1)` reads it: `u=rwX,go=rX`.
    Symbolic(String),
}

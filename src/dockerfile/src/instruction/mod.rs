//! One typed value per instruction, with its variables not yet replaced.
//!
//! A text field is as written; [`Kind::expand`] replaces the variables of those fields in which docker does (not in the
//! command of RUN, CMD and ENTRYPOINT, which the shell expands).

mod copy;
mod expand;
mod health;
mod mount;
mod read;

pub use copy::{Copy, InlineFile};
pub use health::Health;
pub use mount::{Mount, MountKind, Sharing};

use crate::argument::Pair;
use crate::heredoc::Heredoc;

/// Every instruction, upper case; what an unknown one is compared with.
pub const NAMES: &[&str] = &[
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "INCLUDE",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// An instruction and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// First line in the file, counted from 1; for a trigger of ONBUILD the line within the trigger.
    pub line: usize,
    /// Last line, here-documents included.
    pub end: usize,
    /// As written, continuations joined.
    pub text: String,
    /// The word as written, `run` or `RUN`.
    pub word: String,
    /// Comments directly above.
    pub comments: Vec<String>,
    /// What it says.
    pub kind: Kind,
}

/// What an instruction says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Begins a stage.
    From(From),
    /// Runs a command in a new layer.
    Run(Run),
    /// The default command.
    Cmd(CommandLine),
    /// The program the command is given to.
    Entrypoint(CommandLine),
    /// Labels of the image.
    Label(Vec<Pair>),
    /// The author; deprecated in docker's language.
    Maintainer(String),
    /// Ports, as written.
    Expose(Vec<String>),
    /// Environment variables.
    Env(Vec<Pair>),
    /// Files from the context, an URL, a git repository or an archive.
    Add(Copy),
    /// Files from the context, a stage or an image.
    Copy(Copy),
    /// Mount points of volumes.
    Volume(Vec<String>),
    /// `user[:group]` of what follows and of the container.
    User(String),
    /// The directory of what follows and of the container.
    Workdir(String),
    /// Build arguments.
    Arg(Vec<Argument>),
    /// An instruction for builds from this image.
    Onbuild(String),
    /// The signal that asks the container to end.
    StopSignal(String),
    /// How the container's health is checked.
    Healthcheck(Health),
    /// What the shell form is given to.
    Shell(Vec<String>),
    /// The instructions of another file of the context stand here; only where `# include=1` allows it.
    Include(String),
}

/// FROM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct From {
    /// Image, stage, named context or `scratch`.
    pub base: String,
    /// The stage's name, lower case.
    pub name: Option<String>,
    /// `--platform`.
    pub platform: Option<String>,
    /// `as` as written, for the linter.
    pub as_word: Option<String>,
    /// The name as written, for the linter.
    pub written_name: Option<String>,
}

/// One name of ARG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// The name.
    pub name: String,
    /// The default, `None` where none is written.
    pub default: Option<String>,
}

/// The command of RUN, CMD, ENTRYPOINT or a health check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The exec form's strings, or the shell form's text as the only one.
    pub words: Vec<String>,
    /// True for the shell form: SHELL goes in front.
    pub shell: bool,
}

/// `--network` of RUN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// The build's own network.
    #[default]
    Default,
    /// No network.
    None,
    /// The host's network.
    Host,
}

/// RUN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// What is run.
    pub command: CommandLine,
    /// Its here-documents.
    pub heredocs: Vec<Heredoc>,
    /// `--mount`, each as written; [`Run::mounts`] reads them.
    pub mount_texts: Vec<String>,
    /// `--network`.
    pub network: Network,
    /// `--security=insecure`.
    pub insecure: bool,
}

impl Run {
    /// The mounts, with variables replaced by `expand`.
    ///
    /// # Errors
    /// A mount that is none, or what `expand` refuses.
    pub fn mounts(
        &self,
        mut expand: impl FnMut(&str) -> Result<String, crate::error::Fault>,
    ) -> Result<Vec<Mount>, crate::error::Fault> {
        self.mount_texts
            .iter()
            .map(|text| Mount::parse(text, &mut expand))
            .collect()
    }
}

impl Kind {
    /// The instruction's name, upper case.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::From(_) => "FROM",
            Self::Run(_) => "RUN",
            Self::Cmd(_) => "CMD",
            Self::Entrypoint(_) => "ENTRYPOINT",
            Self::Label(_) => "LABEL",
            Self::Maintainer(_) => "MAINTAINER",
            Self::Expose(_) => "EXPOSE",
            Self::Env(_) => "ENV",
            Self::Add(_) => "ADD",
            Self::Copy(_) => "COPY",
            Self::Volume(_) => "VOLUME",
            Self::User(_) => "USER",
            Self::Workdir(_) => "WORKDIR",
            Self::Arg(_) => "ARG",
            Self::Onbuild(_) => "ONBUILD",
            Self::StopSignal(_) => "STOPSIGNAL",
            Self::Healthcheck(_) => "HEALTHCHECK",
            Self::Shell(_) => "SHELL",
            Self::Include(_) => "INCLUDE",
        }
    }
}

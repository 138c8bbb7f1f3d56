//! Commands that only tell.

use std::path::PathBuf;

use clap_complete::Shell;

use super::super::value::FlagError;

/// Shape of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Columns with a heading.
    #[default]
    Table,
    /// JSON on one line.
    Json,
}

impl std::str::FromStr for Format {
    type Err = FlagError;

    fn from_str(text: &str) -> Result<Self, FlagError> {
        match text {
            "table" => Ok(Self::Table),
            "json" => Ok(Self::Json),
            _ => Err(FlagError::Plain(format!(
                "invalid format option {text:?} (accepted: table, json)"
            ))),
        }
    }
}

/// `state ID`.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
pub struct State {
    /// name of the container
    #[arg(value_name = "container-id")]
    pub id: String,
}

/// `list`.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
pub struct List {
    /// table or json
    #[arg(short, long, value_name = "value", default_value = "table")]
    pub format: Format,
    /// show only the ids
    #[arg(short, long)]
    pub quiet: bool,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Table => "table",
            Self::Json => "json",
        })
    }
}

/// `ps ID [PS OPTIONS]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
pub struct Ps {
    /// table or json
    #[arg(short, long, value_name = "value", default_value = "table")]
    pub format: Format,
    /// name of the container
    #[arg(value_name = "container-id")]
    pub id: String,
    /// options for ps(1) (default: -ef)
    #[arg(value_name = "ps options")]
    pub options: Vec<String>,
}

/// `spec`.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
pub struct Spec {
    /// path of the bundle (default: the current directory)
    #[arg(short, long, value_name = "value")]
    pub bundle: Option<PathBuf>,
    /// name of the file to write (default: config.json)
    #[arg(short, long, value_name = "value")]
    pub file: Option<PathBuf>,
    /// write a configuration for a user without privileges
    #[arg(long)]
    pub rootless: bool,
}

/// `features`.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
pub struct Features {}

/// `version`.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
pub struct Version {}

/// `man`.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
pub struct Man {}

/// `completion SHELL`.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Completion {
    /// bash, elvish, fish, powershell or zsh
    #[arg(value_name = "shell", value_enum)]
    pub shell: Shell,
}

//! `gantry image …`, and the same commands as `images`, `rmi`, `pull`, ….

pub mod archive;
pub mod history;
pub mod list;
pub mod policy;
pub mod progress;
pub mod prune;
pub mod pull;
pub mod push;
pub mod reference;
pub mod remove;
pub mod search;

use crate::grammar::{COMMAND, Command};

/// The family.
pub const FAMILY: Command = Command {
    name: "image",
    about: "Manage images",
    children: &[
        history::COMMAND,
        archive::IMPORT,
        crate::inspect::IMAGE,
        archive::LOAD,
        list::COMMAND,
        prune::COMMAND,
        pull::COMMAND,
        push::COMMAND,
        remove::REMOVE,
        archive::SAVE,
        remove::TAG,
    ],
    ..COMMAND
};

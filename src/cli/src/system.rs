//! `gantry system …`, and `version`, `info`, `events`.

pub mod check;
pub mod df;
pub mod dial;
pub mod events;
pub mod info;
pub mod prune;
pub mod version;

use crate::grammar::{COMMAND, Command};

/// The family.
pub const FAMILY: Command = Command {
    name: "system",
    about: "Look after the engine",
    children: &[
        check::COMMAND,
        df::COMMAND,
        dial::COMMAND,
        events::COMMAND,
        info::COMMAND,
        prune::COMMAND,
    ],
    ..COMMAND
};

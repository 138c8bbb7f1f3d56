//! `gantry container …`, and the same commands without `container` before them.

pub mod attach;
pub mod commit;
pub mod copy;
pub mod exec;
pub mod lifecycle;
pub mod list;
pub mod logs;
pub mod options;
pub mod path_stat;
pub mod prune;
pub mod readiness;
pub mod recreate;
pub mod run;
pub mod start;
pub mod stats;
pub mod streams;
pub mod update;
pub mod view;

use crate::grammar::{COMMAND, Command};

/// The family.
pub const FAMILY: Command = Command {
    name: "container",
    about: "Manage containers",
    children: &[
        attach::COMMAND,
        commit::COMMIT,
        copy::COMMAND,
        run::CREATE,
        view::DIFF,
        exec::COMMAND,
        commit::EXPORT,
        INSPECT,
        lifecycle::KILL,
        logs::COMMAND,
        list::COMMAND,
        lifecycle::PAUSE,
        view::PORT,
        prune::COMMAND,
        lifecycle::RENAME,
        lifecycle::RESTART,
        lifecycle::REMOVE,
        run::RUN,
        start::COMMAND,
        stats::COMMAND,
        lifecycle::STOP,
        view::TOP,
        lifecycle::UNPAUSE,
        update::COMMAND,
        lifecycle::WAIT,
    ],
    ..COMMAND
};

const INSPECT: Command = crate::inspect::CONTAINER;

//! Every command there is, and the help that lists them.

use crate::failure::{Failure, Outcome};
use crate::grammar::{COMMAND, Command, Count, Flag, Parsed, flag, help, option, shell};
use crate::session::Session;
use crate::{
    connection, container, context, image, inspect, login, network, output, system, volume,
};

/// Flags before the command.
pub const GLOBAL: &[Flag] = &[
    option("config", "string", "Directory of the configuration file"),
    option("context", "string", "Context to use").short('c'),
    flag("debug", "Debug mode").short('D').hidden(),
    option("host", "string", "Engine to connect to").short('H'),
    option(
        "log-level",
        "string",
        "Log level (\"debug\", \"info\", \"warn\", \"error\", \"fatal\")",
    )
    .short('l')
    .default("info"),
    flag("version", "Print the version").short('v'),
];

/// What people do every day.
const DAILY: &[Command] = &[
    container::run::RUN,
    container::exec::COMMAND,
    container::list::COMMAND.named("ps"),
    container::logs::COMMAND,
    image::pull::COMMAND,
    image::push::COMMAND,
    image::list::COMMAND.named("images"),
    login::LOGIN,
    login::LOGOUT,
    image::search::COMMAND,
    system::version::COMMAND,
    system::info::COMMAND,
];

const FAMILIES: &[Command] = &[
    container::FAMILY,
    context::FAMILY,
    image::FAMILY,
    network::FAMILY,
    system::FAMILY,
    volume::FAMILY,
];

const CONTAINERS: &[Command] = &[
    container::attach::COMMAND,
    container::commit::COMMIT,
    container::copy::COMMAND,
    container::run::CREATE,
    container::view::DIFF,
    container::commit::EXPORT,
    container::lifecycle::KILL,
    container::lifecycle::PAUSE,
    container::view::PORT,
    container::lifecycle::RENAME,
    container::lifecycle::RESTART,
    container::lifecycle::REMOVE,
    container::start::COMMAND,
    container::stats::COMMAND,
    container::lifecycle::STOP,
    container::view::TOP,
    container::lifecycle::UNPAUSE,
    container::update::COMMAND,
    container::lifecycle::WAIT,
];

const IMAGES: &[Command] = &[
    image::history::COMMAND,
    image::archive::IMPORT,
    image::archive::LOAD,
    image::remove::REMOVE.named("rmi"),
    image::archive::SAVE,
    image::remove::TAG,
];

const ENGINE: &[Command] = &[
    DAEMON,
    system::events::COMMAND,
    inspect::ANY,
    shell::COMPLETION,
    shell::MAN,
    HELP,
];

const DAEMON: Command = Command {
    name: "daemon",
    usage: "[OPTIONS]",
    about: "Run the engine in the foreground (options: gantryd --help)",
    count: Count::AtLeast(0),
    trailing: true,
    run: |_, parsed| connection::launch::become_engine(&parsed.arguments),
    ..COMMAND
};

const HELP: Command = Command {
    name: "help",
    usage: "[COMMAND...]",
    about: "Show help, of a command or of everything",
    count: Count::AtLeast(0),
    run: run_help,
    ..COMMAND
};

const GROUPS: &[(&str, &[Command])] = &[
    ("Every day", DAILY),
    ("Containers", CONTAINERS),
    ("Images", IMAGES),
    ("Engine and help", ENGINE),
    ("Families, each with more commands", FAMILIES),
];

/// What this project does not do, and says so.
const ABSENT: &[(&str, &str)] = &[
    ("build", "build with `docker build` against the same socket"),
    (
        "builder",
        "build with `docker build` against the same socket",
    ),
    (
        "buildx",
        "build with `docker build` against the same socket",
    ),
    ("checkpoint", "checkpoints are not here yet"),
    ("compose", "run docker compose against the same socket"),
    ("config", "swarm is not supported"),
    (
        "manifest",
        "manifest lists are not here yet; skopeo and crane make them",
    ),
    ("node", "swarm is not supported"),
    ("plugin", "plugins are not supported"),
    ("secret", "swarm is not supported"),
    ("service", "swarm is not supported"),
    ("stack", "swarm is not supported"),
    ("swarm", "swarm is not supported"),
    ("trust", "content trust is not supported"),
];

/// The command of a name.
#[must_use]
pub fn find(name: &str) -> Option<Command> {
    GROUPS
        .iter()
        .flat_map(|(_, commands)| commands.iter())
        .find(|command| command.name == name)
        .copied()
}

/// Why there is no command of a name docker has.
#[must_use]
pub fn absent(name: &str) -> Option<&'static str> {
    ABSENT
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, why)| *why)
}

/// Everything as one tree, for completions and manual pages.
#[must_use]
pub fn root() -> Command {
    let children: Vec<Command> = GROUPS
        .iter()
        .flat_map(|(_, commands)| commands.iter().copied())
        .collect();
    Command {
        name: "gantry",
        about: "Run containers: docker's commands, an engine that starts by itself",
        flags: &[GLOBAL],
        // Made once, for a command that prints it and ends.
        children: Vec::leak(children),
        ..COMMAND
    }
}

/// The help of the whole command.
#[must_use]
pub fn overview() -> String {
    let mut text = "Usage:  gantry [OPTIONS] COMMAND\n\nRun containers: docker's commands, an engine that starts by itself\n".to_owned();
    for (title, commands) in GROUPS {
        text += &format!("\n{title}:\n{}", help::commands(commands));
    }
    let mut flags: Vec<&Flag> = GLOBAL.iter().collect();
    flags.sort_by_key(|flag| flag.long);
    text += &format!("\nOptions:\n{}", help::flags(&flags, help::width()));
    text + "\nRun 'gantry COMMAND --help' for more information on a command.\n"
}

fn run_help(_: &Session, parsed: &Parsed) -> Outcome {
    let Some(name) = parsed.arguments.first() else {
        return output::text(&overview());
    };
    let unknown = || {
        Failure::new(format!(
            "unknown help topic: {}",
            parsed.arguments.join(" ")
        ))
    };
    let mut command = find(name).ok_or_else(unknown)?;
    for name in &parsed.arguments[1..] {
        command = *command
            .children
            .iter()
            .find(|child| child.answers_to(name))
            .ok_or_else(unknown)?;
    }
    let path = format!("gantry {}", parsed.arguments.join(" "));
    output::text(&help::of(&command, &path, help::width()))
}

//! gantry, the docker command surface: a client of the Engine API, blocking, without an async runtime. The commands,
//! their texts and exit codes are docker's; an engine is started when none listens on the default socket.

mod commands;
mod configuration;
mod connection;
mod container;
mod context;
mod credentials;
mod failure;
mod format;
mod grammar;
mod image;
mod inspect;
mod login;
mod network;
mod output;
mod session;
mod system;
mod terminal;
mod volume;

use std::process::ExitCode;

use crate::failure::{Failure, Outcome};
use crate::grammar::parse::{Reading, parse};
use crate::grammar::{COMMAND, Command, Count, help};
use crate::session::Session;

/// What is read before the command's name.
const TOP: Command = Command {
    name: "gantry",
    usage: "[OPTIONS] COMMAND [ARG...]",
    flags: &[commands::GLOBAL],
    count: Count::AtLeast(0),
    trailing: true,
    ..COMMAND
};

fn main() -> ExitCode {
    let words: Result<Vec<String>, _> = std::env::args_os()
        .skip(1)
        .map(std::ffi::OsString::into_string)
        .collect();
    let outcome = match words {
        Ok(words) => run(&words),
        Err(word) => {
            Err(Failure::new(format!("{}: not UTF-8", word.to_string_lossy())).with_code(125))
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.text.is_empty() {
                output::complain(&failure.text);
            }
            // Beyond 255 a code is cut as the kernel would cut it.
            ExitCode::from(u8::try_from(failure.code & 0xff).unwrap_or(1))
        }
    }
}

fn run(words: &[String]) -> Outcome {
    let globals = match parse(&TOP, "gantry", words)? {
        Reading::Help => return output::text(&commands::overview()),
        Reading::Run(globals) => globals,
    };
    if globals.is("version") {
        return system::version::short();
    }
    let level = globals.text("log-level");
    if ![
        "trace", "debug", "info", "warn", "warning", "error", "fatal", "panic",
    ]
    .contains(&level)
    {
        return Err(Failure::new(format!(
            "Unable to parse logging level: {level}"
        )));
    }
    let Some(name) = globals.arguments.first() else {
        return output::text(&commands::overview());
    };
    let Some(mut command) = commands::find(name) else {
        return Err(match commands::absent(name) {
            Some(why) => Failure::new(format!("gantry: '{name}': {why}")),
            None => Failure::new(format!(
                "gantry: unknown command: gantry {name}\n\nRun 'gantry --help' for more information"
            )),
        });
    };
    let mut path = format!("gantry {name}");
    let mut rest = &globals.arguments[1..];
    while let Some(child) = rest
        .first()
        .and_then(|word| command.children.iter().find(|child| child.answers_to(word)))
    {
        path = format!("{path} {}", child.name);
        command = *child;
        rest = &rest[1..];
    }
    if command.children.is_empty() && command.name == "daemon" {
        // Everything after `daemon` is the engine's, `--help` included.
        return connection::launch::become_engine(rest);
    }
    if !command.children.is_empty() {
        command.count = Count::AtLeast(0);
    }
    match parse(&command, &path, rest)? {
        Reading::Help => output::text(&help::of(&command, &path, help::width())),
        Reading::Run(parsed) => {
            let session = Session::new(&globals)?;
            (command.run)(&session, &parsed)
        }
    }
}

//! One call per container: stop, restart, kill, pause, unpause, rename, wait, rm.

use gantry_api::container::wait::WaitResponse;

use crate::connection::{Body, Query, query::segment};
use crate::failure::{Failure, Outcome, for_each, for_each_at_once};
use crate::grammar::{COMMAND, Command, Count, Flag, Parsed, checks, flag, option};
use crate::session::{Engine, Session};

const ONE_OR_MORE: Command = Command {
    usage: "CONTAINER [CONTAINER...]",
    count: Count::AtLeast(1),
    ..COMMAND
};

const STOPPING: &[Flag] = &[
    option("signal", "string", "Signal to send first").short('s'),
    option(
        "timeout",
        "int",
        "Seconds to wait before killing, -1 for ever",
    )
    .short('t')
    .default("0")
    .check(checks::int),
    option("time", "int", "Old name of --timeout")
        .check(checks::int)
        .hidden(),
];

/// `stop`.
pub const STOP: Command = Command {
    name: "stop",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Stop running containers",
    flags: &[STOPPING],
    run: |session, parsed| stopping(session, parsed, "stop"),
    ..ONE_OR_MORE
};

/// `restart`.
pub const RESTART: Command = Command {
    name: "restart",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Restart containers",
    flags: &[STOPPING],
    run: |session, parsed| stopping(session, parsed, "restart"),
    ..ONE_OR_MORE
};

/// `kill`.
pub const KILL: Command = Command {
    name: "kill",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Kill running containers",
    flags: &[&[option("signal", "string", "Signal to send").short('s')]],
    run: kill,
    ..ONE_OR_MORE
};

/// `pause`.
pub const PAUSE: Command = Command {
    name: "pause",
    about: "Freeze all processes of containers",
    run: |session, parsed| plain(session, parsed, "pause"),
    ..ONE_OR_MORE
};

/// `unpause`.
pub const UNPAUSE: Command = Command {
    name: "unpause",
    about: "Let the processes of paused containers go on",
    run: |session, parsed| plain(session, parsed, "unpause"),
    ..ONE_OR_MORE
};

/// `wait`.
pub const WAIT: Command = Command {
    name: "wait",
    about: "Wait until containers stop and print their exit codes",
    run: wait,
    ..ONE_OR_MORE
};

/// `rename`.
pub const RENAME: Command = Command {
    name: "rename",
    usage: "CONTAINER NEW_NAME",
    about: "Rename a container",
    count: Count::Exactly(2),
    run: rename,
    ..COMMAND
};

/// `rm`.
pub const REMOVE: Command = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Remove containers",
    flags: &[&[
        flag("force", "Kill it first if it runs").short('f'),
        flag("link", "Remove a link, not a container").short('l'),
        flag("volumes", "Remove its anonymous volumes too").short('v'),
    ]],
    run: remove,
    ..ONE_OR_MORE
};

fn at(name: &str, what: &str) -> String {
    format!("/containers/{}/{what}", segment(name))
}

fn stopping(session: &Session, parsed: &Parsed, verb: &str) -> Outcome {
    if parsed.given("time") {
        crate::output::line("Flag --time has been deprecated, use --timeout instead")?;
    }
    if parsed.given("time") && parsed.given("timeout") {
        return Err(Failure::new(
            "conflicting options: cannot specify both --timeout and --time",
        ));
    }
    let engine = session.engine()?;
    let seconds = parsed
        .last("timeout")
        .or(parsed.last("time"))
        .unwrap_or_default();
    let query = Query::new()
        .maybe("signal", parsed.text("signal"))
        .maybe("t", seconds);
    for_each_at_once(&parsed.arguments, |name| {
        engine.post(&at(name, verb), &query)?;
        Ok(Some(name.to_owned()))
    })
}

fn kill(session: &Session, parsed: &Parsed) -> Outcome {
    let engine = session.engine()?;
    let query = Query::new().maybe("signal", parsed.text("signal"));
    for_each_at_once(&parsed.arguments, |name| {
        engine.post(&at(name, "kill"), &query)?;
        Ok(Some(name.to_owned()))
    })
}

fn plain(session: &Session, parsed: &Parsed, verb: &str) -> Outcome {
    let engine = session.engine()?;
    for_each_at_once(&parsed.arguments, |name| {
        engine.post(&at(name, verb), &Query::new())?;
        Ok(Some(name.to_owned()))
    })
}

fn wait(session: &Session, parsed: &Parsed) -> Outcome {
    let engine = session.engine()?;
    for_each(&parsed.arguments, |name| {
        let response: WaitResponse = engine
            .call("POST", &at(name, "wait"), &Query::new(), Body::Empty)?
            .json()?;
        match response.error.filter(|error| !error.message.is_empty()) {
            Some(error) => Err(Failure::new(error.message)),
            None => Ok(Some(response.status_code.to_string())),
        }
    })
}

fn rename(session: &Session, parsed: &Parsed) -> Outcome {
    let names: Vec<&str> = parsed.arguments.iter().map(|name| name.trim()).collect();
    if names.iter().any(|name| name.is_empty()) {
        return Err(Failure::new(
            "Error: Neither old nor new names may be empty",
        ));
    }
    let engine = session.engine()?;
    engine
        .post(
            &at(names[0], "rename"),
            &Query::new().with("name", names[1]),
        )
        .map_err(|error| Failure {
            text: format!(
                "{}\nError: failed to rename container named {}",
                error.text, names[0]
            ),
            ..error
        })
}

fn remove(session: &Session, parsed: &Parsed) -> Outcome {
    let engine = session.engine()?;
    let force = parsed.is("force");
    let query = Query::new()
        .when("v", parsed.is("volumes"))
        .when("link", parsed.is("link"))
        .when("force", force);
    let mut missing = Vec::new();
    let outcome = for_each_at_once(&parsed.arguments, |name| {
        let name = name.trim_matches('/');
        if name.is_empty() {
            return Err(Failure::new("Container name cannot be empty"));
        }
        remove_one(&engine, name, &query)
    });
    match outcome {
        // With --force a container that is not there is told of and forgiven.
        Err(error) if force => {
            let mut others = Vec::new();
            for line in error.text.lines() {
                if line.contains("No such container") {
                    missing.push(line)
                } else {
                    others.push(line.to_owned())
                }
            }
            missing
                .iter()
                .for_each(|line| crate::output::complain(line));
            crate::failure::all(others)
        }
        other => other,
    }
}

fn remove_one(engine: &Engine, name: &str, query: &Query) -> Outcome<Option<String>> {
    engine
        .delete(&format!("/containers/{}", segment(name)), query)?
        .bytes()?;
    Ok(Some(name.to_owned()))
}

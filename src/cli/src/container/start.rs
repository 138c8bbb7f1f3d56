//! `start`.

use gantry_api::container::inspect::Inspect;

use super::streams::{self, Attached, Ended};
use super::{attach, readiness};
use crate::connection::{Body, Query, query::segment};
use crate::failure::{Failure, Outcome};
use crate::grammar::{COMMAND as BASE, Command, Count, Flag, Parsed, flag, option};
use crate::output;
use crate::session::{Engine, Session};
use crate::terminal;

/// `start`.
pub const COMMAND: Command = Command {
    name: "start",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Start stopped containers",
    flags: &[FLAGS],
    count: Count::AtLeast(1),
    run,
    ..BASE
};

const FLAGS: &[Flag] = &[
    flag("attach", "Attach output and pass signals on").short('a'),
    option(
        "detach-keys",
        "string",
        "Keys that leave the container running",
    ),
    flag("interactive", "Attach standard input").short('i'),
    option(
        "wait",
        "condition",
        "Return when the containers are running (the default) or healthy",
    )
    .bare("running")
    .check(readiness::check),
];

fn run(session: &Session, parsed: &Parsed) -> Outcome {
    if parsed.is("attach") || parsed.is("interactive") {
        if parsed.arguments.len() > 1 {
            return Err(Failure::new(
                "you cannot start and attach multiple containers at once",
            ));
        }
        return attached(session, parsed, &parsed.arguments[0]);
    }
    let engine = session.engine()?;
    let mut failed = Vec::new();
    for name in &parsed.arguments {
        match engine.post(
            &format!("/containers/{}/start", segment(name)),
            &Query::new(),
        ) {
            Ok(()) => {
                if let Some(condition) = parsed.last("wait") {
                    readiness::wait(&engine, &segment(name), condition)?;
                }
                output::line(name)?;
            }
            Err(error) => {
                output::complain(&error.text);
                failed.push(name.as_str());
            }
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "Error: failed to start containers: {}",
            failed.join(", ")
        )))
    }
}

fn attached(session: &Session, parsed: &Parsed, name: &str) -> Outcome {
    let engine = session.engine()?;
    let path = format!("/containers/{}", segment(name));
    let container: Inspect = engine.get(&format!("{path}/json"), &Query::new())?;
    let path = format!("/containers/{}", container.id);
    let tty = container.config.tty;
    let stdin = parsed.is("interactive") && container.config.open_stdin;
    if tty && stdin && !terminal::is_terminal(std::io::stdin()) {
        return Err(Failure::new("the input device is not a TTY"));
    }
    let signals = streams::Signals::block(!tty)?;
    let keys = session.detach_keys(parsed);
    let query = Query::new()
        .with("stream", "1")
        .when("stdin", stdin)
        .with("stdout", "1")
        .with("stderr", "1")
        .maybe("detachKeys", keys);
    let hijacked = engine.hijack(&format!("{path}/attach"), &query, Body::Empty)?;
    let condition = if container.host_config.auto_remove {
        "removed"
    } else {
        "next-exit"
    };
    let pending = attach::Pending::ask(&engine, &container.id, condition)?;
    signals.proxy(&engine, &path, tty);
    let mut stream = Attached::new(hijacked, tty, stdin, keys)?;
    start(&engine, &path).inspect_err(|_| stream.abandon())?;
    if tty {
        streams::resize(&engine, &path);
    }
    match stream.copy()? {
        Ended::Detached => Ok(()),
        Ended::Closed => attach::finish(&pending.status()?),
    }
}

fn start(engine: &Engine, path: &str) -> Outcome {
    engine.post(&format!("{path}/start"), &Query::new())
}

//! `logs`.

use std::io;

use gantry_api::container::inspect::Inspect;

use crate::connection::{Body, Query, query::segment};
use crate::failure::{Failure, Outcome};
use crate::format::time;
use crate::grammar::{COMMAND as BASE, Command, Count, Flag, Parsed, flag, option};
use crate::session::Session;

/// `logs`.
pub const COMMAND: Command = Command {
    name: "logs",
    usage: "[OPTIONS] CONTAINER",
    about: "Show what a container printed",
    flags: &[FLAGS],
    count: Count::Exactly(1),
    run,
    ..BASE
};

const FLAGS: &[Flag] = &[
    flag("details", "Show further attributes of each line"),
    flag("follow", "Go on as long as the container prints").short('f'),
    option(
        "since",
        "string",
        "Only from this time on (time, or 42m for 42 minutes ago)",
    ),
    option("tail", "string", "Only so many lines at the end")
        .short('n')
        .default("all"),
    flag("timestamps", "Show each line's time").short('t'),
    option(
        "until",
        "string",
        "Only before this time (time, or 42m for 42 minutes ago)",
    ),
];

fn run(session: &Session, parsed: &Parsed) -> Outcome {
    let engine = session.engine()?;
    let path = format!("/containers/{}", segment(&parsed.arguments[0]));
    let container: Inspect = engine.get(&format!("{path}/json"), &Query::new())?;
    let moment = |flag: &str| {
        time::since(parsed.text(flag))
            .map_err(|error| Failure::new(format!("invalid value for \"{flag}\": {}", error.text)))
    };
    let query = Query::new()
        .when("stdout", true)
        .when("stderr", true)
        .maybe("since", &moment("since")?)
        .maybe("until", &moment("until")?)
        .when("timestamps", parsed.is("timestamps"))
        .when("details", parsed.is("details"))
        .when("follow", parsed.is("follow"))
        .with("tail", parsed.text("tail"));
    let mut answer = engine.call(
        "GET",
        &format!("/containers/{}/logs", container.id),
        &query,
        Body::Empty,
    )?;
    let copied = if container.config.tty {
        io::copy(&mut answer.body, &mut io::stdout()).map(drop)
    } else {
        gantry_api::frame::copy(&mut answer.body, &mut io::stdout(), &mut io::stderr()).map(drop)
    };
    match copied {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::exit(141)),
        other => Ok(other?),
    }
}

//! `pull`.

use std::io::{self, Write};

use super::progress::{self, Screen};
use super::reference::Name;
use crate::connection::{Body, Query};
use crate::credentials;
use crate::failure::{Failure, Outcome};
use crate::grammar::{COMMAND as BASE, Command, Count, Parsed, flag, option};
use crate::output;
use crate::session::{Engine, Session};
use crate::terminal;

/// `pull`.
pub const COMMAND: Command = Command {
    name: "pull",
    usage: "[OPTIONS] NAME[:TAG|@DIGEST]",
    about: "Download an image from a registry",
    flags: &[&[
        flag("all-tags", "Every tag of the repository").short('a'),
        flag(
            "disable-content-trust",
            "Skip image verification; verification is not supported",
        )
        .default("true"),
        option(
            "platform",
            "string",
            "Platform to take, if there are several",
        ),
        flag("quiet", "Do not show progress").short('q'),
    ]],
    count: Count::Exactly(1),
    run,
    ..BASE
};

/// Columns of standard output, if it is a terminal.
#[must_use]
pub fn columns(of: impl std::os::fd::AsFd) -> Option<usize> {
    terminal::size(of).map(|(_, columns)| {
        if columns == 0 {
            80
        } else {
            usize::from(columns)
        }
    })
}

fn fetch(
    session: &Session,
    engine: &Engine,
    name: &Name,
    tag: &str,
    platform: &str,
    screen: &mut Screen<'_>,
) -> Outcome {
    let query = Query::new()
        .with("fromImage", &name.repository())
        .maybe("tag", tag)
        .maybe("platform", platform);
    let headers = vec![(
        "X-Registry-Auth".to_owned(),
        credentials::header(session, &name.domain)?,
    )];
    let answer = engine
        .send("POST", "/images/create", &query, headers, Body::Empty)?
        .check()?;
    progress::show(answer.body, screen, |_| Ok(()))
}

/// The pull of a `run` or `create`, shown on standard error.
///
/// # Errors
/// When the image cannot be had.
pub fn to_stderr(
    session: &Session,
    engine: &Engine,
    image: &str,
    platform: &str,
    quiet: bool,
) -> Outcome {
    let name = Name::parse(image)?;
    let columns = columns(io::stderr());
    let (mut silence, mut stderr) = (io::sink(), io::stderr());
    let out: &mut dyn Write = if quiet { &mut silence } else { &mut stderr };
    fetch(
        session,
        engine,
        &name,
        name.tag_or_digest(),
        platform,
        &mut Screen { out, columns },
    )
}

fn run(session: &Session, parsed: &Parsed) -> Outcome {
    if !parsed.is("disable-content-trust") {
        return Err(Failure::new(
            "--disable-content-trust=false: image verification is not supported",
        ));
    }
    let name = Name::parse(&parsed.arguments[0])?;
    let all = parsed.is("all-tags");
    if all && (!name.tag.is_empty() || !name.digest.is_empty()) {
        return Err(Failure::new("tag can't be used with --all-tags/-a"));
    }
    let quiet = parsed.is("quiet");
    if !all && name.tag.is_empty() && name.digest.is_empty() && !quiet {
        output::line("Using default tag: latest")?;
    }
    let tag = if all { "" } else { name.tag_or_digest() };
    let columns = columns(io::stdout());
    let (mut silence, mut stdout) = (io::sink(), io::stdout());
    let out: &mut dyn Write = if quiet { &mut silence } else { &mut stdout };
    fetch(
        session,
        &session.engine()?,
        &name,
        tag,
        parsed.text("platform"),
        &mut Screen { out, columns },
    )?;
    output::line(&name.full())
}

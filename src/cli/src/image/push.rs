//! `push`.

use std::io::{self, Write};

use super::progress::{self, Screen};
use super::{pull, reference::Name};
use crate::connection::{Body, Query, query::segment};
use crate::credentials;
use crate::failure::{Failure, Outcome};
use crate::grammar::{COMMAND as BASE, Command, Count, Parsed, flag, option};
use crate::output;
use crate::session::Session;

/// `push`.
pub const COMMAND: Command = Command {
    name: "push",
    usage: "[OPTIONS] NAME[:TAG]",
    about: "Upload an image to a registry",
    flags: &[&[
        flag("all-tags", "Every tag of the repository").short('a'),
        flag(
            "disable-content-trust",
            "Skip image signing; signing is not supported",
        )
        .default("true"),
        option(
            "platform",
            "string",
            "Platform to push, if there are several",
        ),
        flag("quiet", "Do not show progress").short('q'),
    ]],
    count: Count::Exactly(1),
    run,
    ..BASE
};

fn run(session: &Session, parsed: &Parsed) -> Outcome {
    if !parsed.is("disable-content-trust") {
        return Err(Failure::new(
            "--disable-content-trust=false: image signing is not supported",
        ));
    }
    let name = Name::parse(&parsed.arguments[0])?;
    let all = parsed.is("all-tags");
    if all && !name.tag.is_empty() {
        return Err(Failure::new("tag can't be used with --all-tags/-a"));
    }
    if !name.digest.is_empty() {
        return Err(Failure::new("cannot push a digest reference"));
    }
    let quiet = parsed.is("quiet");
    if !all && name.tag.is_empty() && !quiet {
        output::line("Using default tag: latest")?;
    }
    let tag = if all { "" } else { name.tag_or_digest() };
    let mut query = Query::new().with("tag", tag);
    if !parsed.text("platform").is_empty() {
        query = query.with(
            "platform",
            &super::archive::platform(parsed.text("platform"))?,
        );
    }
    let repository = name.familiar_repository();
    let headers = vec![(
        "X-Registry-Auth".to_owned(),
        credentials::header(session, &name.domain)?,
    )];
    let path = format!("/images/{}/push", segment(&repository));
    let answer = session
        .engine()?
        .send("POST", &path, &query, headers, Body::Empty)?
        .check()?;
    let columns = pull::columns(io::stdout());
    let (mut silence, mut stdout) = (io::sink(), io::stdout());
    let out: &mut dyn Write = if quiet { &mut silence } else { &mut stdout };
    progress::show(answer.body, &mut Screen { out, columns }, |_| Ok(()))?;
    if quiet {
        output::line(&name.familiar())
    } else {
        Ok(())
    }
}

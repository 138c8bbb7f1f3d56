//! `commit` and `export`.

use std::fs::File;
use std::io;

use gantry_api::container::Config;
use gantry_api::container::create::IdResponse;

use crate::connection::{Body, Query, query::segment};
use crate::failure::{Failure, Outcome, os_text};
use crate::grammar::{COMMAND, Command, Count, Parsed, flag, option};
use crate::image::reference;
use crate::output;
use crate::session::Session;
use crate::terminal;

/// `commit`.
pub const COMMIT: Command = Command {
    name: "commit",
    usage: "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    about: "Make an image of a container's changes",
    flags: &[&[
        option("author", "string", "Author of the image").short('a'),
        option("change", "list", "Dockerfile instruction to apply").short('c'),
        option("message", "string", "Message of the commit").short('m'),
        flag("pause", "Pause the container meanwhile")
            .short('p')
            .default("true"),
    ]],
    count: Count::Between(1, 2),
    run: commit,
    ..COMMAND
};

/// `export`.
pub const EXPORT: Command = Command {
    name: "export",
    usage: "[OPTIONS] CONTAINER",
    about: "Write a container's files as a tar archive",
    flags: &[&[option(
        "output",
        "string",
        "File to write instead of standard output",
    )
    .short('o')]],
    count: Count::Exactly(1),
    run: export,
    ..COMMAND
};

fn commit(session: &Session, parsed: &Parsed) -> Outcome {
    let name = parsed
        .arguments
        .get(1)
        .map(String::as_str)
        .unwrap_or_default();
    let (repository, tag) = if name.is_empty() {
        (String::new(), String::new())
    } else {
        reference::split(name)?
    };
    let mut query = Query::new()
        .with("container", &parsed.arguments[0])
        .maybe("repo", &repository)
        .maybe("tag", &tag)
        .maybe("comment", parsed.text("message"))
        .maybe("author", parsed.text("author"));
    for change in parsed.list("change") {
        query = query.with("changes", change);
    }
    if !parsed.is("pause") {
        query = query.with("pause", "0");
    }
    let made: IdResponse =
        session
            .engine()?
            .post_json("/commit", &query, &Option::<Config>::None)?;
    output::line(&made.id)
}

fn export(session: &Session, parsed: &Parsed) -> Outcome {
    let path = parsed.text("output");
    if path.is_empty() && terminal::is_terminal(io::stdout()) {
        return Err(Failure::new(
            "cowardly refusing to save to a terminal. Use the -o flag or redirect",
        ));
    }
    check_target(path, "failed to export container")?;
    let engine = session.engine()?;
    let target = format!("/containers/{}/export", segment(&parsed.arguments[0]));
    let mut answer = engine.call("GET", &target, &Query::new(), Body::Empty)?;
    write(&mut answer.body, path)
}

/// Refuses a file whose folder is not there, or that is no plain file.
///
/// # Errors
/// In docker's words.
pub fn check_target(path: &str, what: &str) -> Outcome {
    let folder = std::path::Path::new(path)
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder
        && let Err(error) = folder.metadata()
    {
        let why = os_text(&error);
        return Err(Failure::new(format!(
            "{what}: invalid output path: stat {}: {why}",
            folder.display()
        )));
    }
    if std::path::Path::new(path).is_dir() {
        return Err(Failure::new(format!("{what}: cannot write to a directory")));
    }
    Ok(())
}

/// Writes a stream to standard output, or to a file that appears only when it is whole.
///
/// # Errors
/// When the stream breaks or the file cannot be written.
pub fn write(from: &mut impl io::Read, path: &str) -> Outcome {
    if path.is_empty() {
        return match io::copy(from, &mut io::stdout().lock()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::exit(141)),
            other => Ok(other.map(drop)?),
        };
    }
    let temporary = format!("{path}.{}", std::process::id());
    let cannot = |error: io::Error| Failure::new(format!("open {path}: {}", os_text(&error)));
    let written = File::create_new(&temporary)
        .and_then(|mut file| io::copy(from, &mut file).and_then(|_| file.sync_all()))
        .and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|error| {
        // The half-written file is of no use; that it may be gone already is fine.
        drop(std::fs::remove_file(&temporary));
        cannot(error)
    })
}

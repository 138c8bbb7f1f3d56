//! `save`, `load`, `import`.

use std::fs::File;
use std::io::{self, Read};

use super::progress::{self, Screen};
use super::{pull, reference};
use crate::connection::{Body, Query};
use crate::container::commit;
use crate::failure::{Failure, Outcome, os_text};
use crate::grammar::{COMMAND, Command, Count, Parsed, flag, option};
use crate::session::Session;
use crate::terminal;

/// `save`.
pub const SAVE: Command = Command {
    name: "save",
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Write images as a tar archive",
    flags: &[&[
        option(
            "output",
            "string",
            "File to write instead of standard output",
        )
        .short('o'),
        option(
            "platform",
            "string",
            "Platform to save, if there are several",
        ),
    ]],
    count: Count::AtLeast(1),
    run: save,
    ..COMMAND
};

/// `load`.
pub const LOAD: Command = Command {
    name: "load",
    usage: "[OPTIONS]",
    about: "Read images from a tar archive",
    flags: &[&[
        option("input", "string", "File to read instead of standard input").short('i'),
        option(
            "platform",
            "string",
            "Platform to load, if there are several",
        ),
        flag("quiet", "Do not show progress").short('q'),
    ]],
    run: load,
    ..COMMAND
};

/// `import`.
pub const IMPORT: Command = Command {
    name: "import",
    usage: "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
    about: "Make an image of a tar archive of files",
    flags: &[&[
        option("change", "list", "Dockerfile instruction to apply").short('c'),
        option("message", "string", "Message of the image").short('m'),
        option("platform", "string", "Platform of the image"),
    ]],
    count: Count::AtLeast(1),
    run: import,
    ..COMMAND
};

/// `linux/arm64/v8` as the engine reads it.
///
/// # Errors
/// For anything else.
pub fn platform(text: &str) -> Outcome<String> {
    let parts: Vec<&str> = text.split('/').collect();
    let (os, architecture, variant) = match parts.as_slice() {
        [os, architecture] => (*os, *architecture, ""),
        [os, architecture, variant] => (*os, *architecture, *variant),
        _ => {
            return Err(Failure::new(format!(
                "invalid platform: {}: os/architecture[/variant] is expected",
                crate::grammar::checks::quoted(text)
            )));
        }
    };
    let platform = gantry_api::image::Platform {
        os: os.to_owned(),
        architecture: architecture.to_owned(),
        variant: variant.to_owned(),
        ..gantry_api::image::Platform::default()
    };
    Ok(serde_json::to_string(&platform)?)
}

fn save(session: &Session, parsed: &Parsed) -> Outcome {
    let path = parsed.text("output");
    if path.is_empty() && terminal::is_terminal(io::stdout()) {
        return Err(Failure::new(
            "cowardly refusing to save to a terminal. Use the -o flag or redirect",
        ));
    }
    commit::check_target(path, "failed to save image")?;
    let mut query = Query::new();
    for name in &parsed.arguments {
        query = query.with("names", name);
    }
    if !parsed.text("platform").is_empty() {
        query = query.with("platform", &platform(parsed.text("platform"))?);
    }
    let mut answer = session
        .engine()?
        .call("GET", "/images/get", &query, Body::Empty)?;
    commit::write(&mut answer.body, path)
}

fn load(session: &Session, parsed: &Parsed) -> Outcome {
    let path = parsed.text("input");
    let (mut stdin, mut file);
    let input: &mut dyn Read = if path.is_empty() {
        if terminal::is_terminal(io::stdin()) {
            return Err(Failure::new(
                "requested load from stdin, but stdin is empty",
            ));
        }
        stdin = io::stdin();
        &mut stdin
    } else {
        file = File::open(path)
            .map_err(|error| Failure::new(format!("open {path}: {}", os_text(&error))))?;
        &mut file
    };
    let columns = pull::columns(io::stdout());
    let mut query = Query::new().with(
        "quiet",
        if parsed.is("quiet") || columns.is_none() {
            "1"
        } else {
            "0"
        },
    );
    if !parsed.text("platform").is_empty() {
        query = query.with("platform", &platform(parsed.text("platform"))?);
    }
    let answer = session.engine()?.call(
        "POST",
        "/images/load",
        &query,
        Body::Stream(input, "application/x-tar"),
    )?;
    progress::show(
        answer.body,
        &mut Screen {
            out: &mut io::stdout(),
            columns,
        },
        |_| Ok(()),
    )
}

fn import(session: &Session, parsed: &Parsed) -> Outcome {
    let source = &parsed.arguments[0];
    let (mut stdin, mut file);
    let remote = source.starts_with("http://") || source.starts_with("https://");
    let (from, body) = if source == "-" {
        stdin = io::stdin();
        ("-", Body::Stream(&mut stdin, "text/plain"))
    } else if remote {
        (source.as_str(), Body::Empty)
    } else {
        file = File::open(source)
            .map_err(|error| Failure::new(format!("open {source}: {}", os_text(&error))))?;
        ("-", Body::Stream(&mut file, "text/plain"))
    };
    let name = parsed
        .arguments
        .get(1)
        .map(String::as_str)
        .unwrap_or_default();
    if !name.is_empty() {
        reference::Name::parse(name)?;
    }
    let mut query = Query::new()
        .with("fromSrc", from)
        .maybe("repo", name)
        .maybe("message", parsed.text("message"))
        .maybe("platform", &parsed.text("platform").to_lowercase());
    for change in parsed.list("change") {
        query = query.with("changes", change);
    }
    let answer = session
        .engine()?
        .call("POST", "/images/create", &query, body)?;
    let columns = pull::columns(io::stdout());
    progress::show(
        answer.body,
        &mut Screen {
            out: &mut io::stdout(),
            columns,
        },
        |_| Ok(()),
    )
}

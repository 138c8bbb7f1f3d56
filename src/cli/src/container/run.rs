//! `run` and `create`: create (pull on 404), attach, wait, start, in that order, because a stream or a wait asked for
//! after the start may miss the beginning or the end.

use std::fs;
use std::io::ErrorKind;

use gantry_api::container::create::{CreateRequest, CreateResponse};

use super::options::{self, flags, host, refuse};
use super::streams::{self, Attached};
use super::{attach, readiness};
use crate::connection::{Body, Query};
use crate::failure::{Failure, Outcome, os_text};
use crate::grammar::{COMMAND, Command, Count, Parsed};
use crate::image::{pull, reference};
use crate::output;
use crate::session::{Engine, Session};
use crate::terminal;

/// `run`.
pub const RUN: Command = Command {
    name: "run",
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    about: "Create a container from an image and run a command in it",
    flags: &[
        flags::PROCESS,
        flags::LIMITS,
        flags::SURROUNDINGS,
        flags::RUN,
    ],
    count: Count::AtLeast(1),
    trailing: true,
    run,
    ..COMMAND
};

/// `create`.
pub const CREATE: Command = Command {
    name: "create",
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    about: "Create a container without starting it",
    flags: &[flags::PROCESS, flags::LIMITS, flags::SURROUNDINGS],
    count: Count::AtLeast(1),
    trailing: true,
    run: create_only,
    ..COMMAND
};

/// The failure of a whole `run`: docker's words, a hint, and the exit code its text means.
fn explain(parsed: &Parsed, error: Failure) -> Failure {
    if error.text.is_empty() {
        return error;
    }
    let has = |words: &[&str]| words.iter().any(|word| error.text.contains(word));
    let code = if has(&[
        "executable file not found",
        "no such file or directory",
        "system cannot find the file specified",
    ]) {
        127
    } else if has(&["permission denied", "is a directory"]) {
        126
    } else {
        125
    };
    with_hint(parsed, &error).with_code(code)
}

fn with_hint(parsed: &Parsed, error: &Failure) -> Failure {
    Failure::new(format!(
        "gantry: {}\n\nRun '{} --help' for more information",
        error.text, parsed.path
    ))
    .with_code(125)
}

/// The file `--cidfile` names, which must not exist yet; removed again if no container came of it.
struct IdFile(String);

impl IdFile {
    fn prepare(path: &str) -> Outcome<Option<Self>> {
        if path.is_empty() {
            return Ok(None);
        }
        match fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
        {
            Ok(_) => Ok(Some(Self(path.to_owned()))),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(Failure::new(format!(
                "container ID file found, make sure the other container isn't running or delete {path}"
            ))),
            Err(error) => Err(Failure::new(format!(
                "failed to create the container ID file: open {path}: {}",
                os_text(&error)
            ))),
        }
    }

    fn settle(&self, id: Option<&str>) -> Outcome {
        match id {
            Some(id) => fs::write(&self.0, id).map_err(|error| {
                Failure::new(format!(
                    "failed to write the container ID ({id}) to file: {}",
                    os_text(&error)
                ))
            }),
            None => Ok(fs::remove_file(&self.0)?),
        }
    }
}

/// Creates the container, pulling its image as `--pull` says.
fn create(
    session: &Session,
    engine: &Engine,
    parsed: &Parsed,
    request: &mut CreateRequest,
) -> Outcome<String> {
    let image = &request.config.image;
    let is_id = image.len() == 64 && image.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_id {
        reference::Name::parse(image)?;
    }
    if parsed.is("use-api-socket") {
        options::api_socket::mount(engine, request)?;
    }
    let file = IdFile::prepare(parsed.text("cidfile"))?;
    let created = create_pulling(session, engine, parsed, request);
    if let Some(file) = &file {
        file.settle(created.as_ref().ok().map(|created| created.id.as_str()))?;
    }
    let created = created?;
    for warning in created.warnings.unwrap_or_default() {
        output::complain(&format!("WARNING: {warning}"));
    }
    if parsed.is("use-api-socket") {
        options::api_socket::hand_over_logins(session, engine, &created.id)?;
    }
    Ok(created.id)
}

fn create_pulling(
    session: &Session,
    engine: &Engine,
    parsed: &Parsed,
    request: &CreateRequest,
) -> Outcome<CreateResponse> {
    let image = &request.config.image;
    let platform = parsed.text("platform");
    let policy = parsed.text("pull");
    let fetch = || pull::to_stderr(session, engine, image, platform, parsed.is("quiet"));
    if policy == "always" {
        fetch()?;
    }
    let query = Query::new()
        .maybe("name", parsed.text("name"))
        .maybe("platform", platform);
    let create = || engine.post_json("/containers/create", &query, request);
    match create() {
        Err(error)
            if error.is_not_found()
                && policy == "missing"
                && error.text.contains("No such image") =>
        {
            if let Ok(name) = reference::familiar(image) {
                if !parsed.is("quiet") {
                    output::complain(&format!("Unable to find image '{name}' locally"));
                }
                fetch()?;
                return create();
            }
            Err(error)
        }
        other => other,
    }
}

fn create_only(session: &Session, parsed: &Parsed) -> Outcome {
    let request = check_pull(parsed).and_then(|()| host::request(parsed));
    let mut request = request.map_err(|error| with_hint(parsed, &error))?;
    let engine = session.engine()?;
    output::line(&create(session, &engine, parsed, &mut request)?)
}

/// Refuses what `--pull` cannot be.
fn check_pull(parsed: &Parsed) -> Outcome {
    let policy = parsed.text("pull");
    if ["always", "missing", "never"].contains(&policy) {
        return Ok(());
    }
    Err(refuse(format!(
        "invalid pull option: '{policy}': must be one of \"always\", \"missing\" or \"never\""
    )))
}

fn run(session: &Session, parsed: &Parsed) -> Outcome {
    let request = check_pull(parsed).and_then(|()| host::request(parsed));
    let mut request = request.map_err(|error| with_hint(parsed, &error))?;
    check_streams(parsed, &mut request)?;
    let config = &request.config;
    let attached = config.attach_stdin || config.attach_stdout || config.attach_stderr;
    let proxied = !config.tty && parsed.is("sig-proxy") && !parsed.is("detach");
    let engine = session.engine().map_err(|error| explain(parsed, error))?;
    let signals = streams::Signals::block(proxied)?;
    let created = create(session, &engine, parsed, &mut request);
    let id = created.map_err(|error| explain(parsed, error))?;
    if !attached {
        return background(&engine, parsed, &id, request.host_config.auto_remove);
    }
    foreground(session, &engine, parsed, &request, &id, signals)
}

/// Settles which streams are attached, and refuses what cannot be.
fn check_streams(parsed: &Parsed, request: &mut CreateRequest) -> Outcome {
    let config = &mut request.config;
    if parsed.is("detach") {
        if parsed.given("attach") {
            let text = "conflicting options: cannot specify both --attach and --detach";
            return Err(Failure::new(text));
        }
        (
            config.attach_stdin,
            config.attach_stdout,
            config.attach_stderr,
        ) = (false, false, false);
        config.stdin_once = false;
    } else if parsed.given("wait") {
        let text =
            "--wait: only with --detach; without it the command waits for the container's end";
        return Err(refuse(text));
    }
    if config.attach_stdin && config.tty && !terminal::is_terminal(std::io::stdin()) {
        return Err(Failure::new("the input device is not a TTY"));
    }
    if config.tty
        && let Some((rows, columns)) = terminal::size(std::io::stdout())
    {
        request.host_config.console_size = [u64::from(rows), u64::from(columns)];
    }
    Ok(())
}

/// Attaches, starts, and stays until the container ends.
fn foreground(
    session: &Session,
    engine: &Engine,
    parsed: &Parsed,
    request: &CreateRequest,
    id: &str,
    signals: streams::Signals,
) -> Outcome {
    let config = &request.config;
    let removing = request.host_config.auto_remove;
    let path = format!("/containers/{id}");
    let keys = session.detach_keys(parsed);
    let query = Query::new()
        .with("stream", "1")
        .when("stdin", config.attach_stdin)
        .when("stdout", config.attach_stdout)
        .when("stderr", config.attach_stderr)
        .maybe("detachKeys", keys);
    let hijacked = engine
        .hijack(&format!("{path}/attach"), &query, Body::Empty)
        .map_err(|error| explain(parsed, error))?;
    let pending = attach::Pending::ask(engine, id, condition(removing))?;
    signals.proxy(engine, &path, config.tty);
    let mut stream = Attached::new(hijacked, config.tty, config.attach_stdin, keys)?;
    if let Err(error) = engine.post(&format!("{path}/start"), &Query::new()) {
        stream.abandon();
        if removing {
            // The engine removes a container that did not start; the error told is why it did not.
            drop(pending.status());
        }
        return Err(explain(parsed, error));
    }
    if config.tty {
        streams::resize(engine, &path);
    }
    if stream.copy()? == streams::Ended::Detached {
        return Ok(());
    }
    drop(stream);
    attach::finish(&pending.status()?)
}

/// What to wait for.
fn condition(removing: bool) -> &'static str {
    if removing { "removed" } else { "next-exit" }
}

/// Starts without attaching and prints the ID; waits as `--wait` says.
fn background(engine: &Engine, parsed: &Parsed, id: &str, removing: bool) -> Outcome {
    // Docker asks to be told of the end even here, so that engine logs read the same.
    let _pending = attach::Pending::ask(engine, id, condition(removing))?;
    engine
        .call(
            "POST",
            &format!("/containers/{id}/start"),
            &Query::new(),
            Body::Empty,
        )
        .map_err(|error| explain(parsed, error))?;
    if let Some(condition) = parsed.last("wait") {
        readiness::wait(engine, id, condition)?;
    }
    output::line(id)
}

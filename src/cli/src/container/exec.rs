//! `exec`.

use gantry_api::container::create::IdResponse;
use gantry_api::container::exec::{ExecInspect, ExecRequest, ExecStart};
use gantry_api::container::inspect::Inspect;

use super::options::{config, refuse};
use super::streams::{self, Attached, Ended};
use crate::connection::{Body, Query, query::segment};
use crate::failure::{Failure, Outcome};
use crate::grammar::{COMMAND as BASE, Command, Count, Flag, Parsed, checks, flag, option};
use crate::session::{Engine, Session};
use crate::terminal;

/// `exec`.
pub const COMMAND: Command = Command {
    name: "exec",
    usage: "[OPTIONS] CONTAINER COMMAND [ARG...]",
    about: "Run a command in a running container",
    flags: &[FLAGS],
    count: Count::AtLeast(2),
    trailing: true,
    run,
    ..BASE
};

const FLAGS: &[Flag] = &[
    flag("detach", "Run in the background").short('d'),
    option(
        "detach-keys",
        "string",
        "Keys that leave the command running",
    ),
    option("env", "list", "Environment variable")
        .short('e')
        .check(checks::environment),
    option("env-file", "list", "File of environment variables"),
    flag("interactive", "Keep standard input open").short('i'),
    flag("privileged", "Give the command the host's powers"),
    flag("tty", "Give the command a terminal").short('t'),
    option(
        "user",
        "string",
        "User to run as (name or number, with :group or without)",
    )
    .short('u'),
    option("workdir", "string", "Working directory in the container").short('w'),
];

fn run(session: &Session, parsed: &Parsed) -> Outcome {
    let detach = parsed.is("detach");
    let tty = parsed.is("tty");
    let stdin = !detach && parsed.is("interactive");
    let env = config::environment(parsed).map_err(|error| refuse(error.text).with_code(1))?;
    let keys = session.detach_keys(parsed);
    let console = tty
        .then(|| terminal::size(std::io::stdout()))
        .flatten()
        .map(|(rows, columns)| [u64::from(rows), u64::from(columns)]);
    let request = ExecRequest {
        user: parsed.text("user").to_owned(),
        privileged: parsed.is("privileged"),
        tty,
        console_size: console,
        attach_stdin: stdin,
        attach_stderr: !detach,
        attach_stdout: !detach,
        detach_keys: keys.to_owned(),
        env: Some(env).filter(|env| !env.is_empty()),
        working_dir: parsed.text("workdir").to_owned(),
        cmd: Some(parsed.arguments[1..].to_vec()),
    };
    let engine = session.engine()?;
    let path = format!("/containers/{}", segment(&parsed.arguments[0]));
    // The container must be there before the terminal is looked at: its absence is the better error.
    let container: Inspect = engine.get(&format!("{path}/json"), &Query::new())?;
    if stdin && tty && !terminal::is_terminal(std::io::stdin()) {
        return Err(Failure::new("the input device is not a TTY"));
    }
    drop(container);
    let signals = streams::Signals::block(false)?;
    let made: IdResponse = engine.post_json(&format!("{path}/exec"), &Query::new(), &request)?;
    let exec = format!("/exec/{}", made.id);
    let start = ExecStart {
        detach,
        tty,
        console_size: console,
    };
    if detach {
        let body = Body::Json(serde_json::to_vec(&start)?);
        return engine
            .call("POST", &format!("{exec}/start"), &Query::new(), body)?
            .bytes()
            .map(drop);
    }
    let hijacked = engine.hijack(
        &format!("{exec}/start"),
        &Query::new(),
        Body::Json(serde_json::to_vec(&start)?),
    )?;
    signals.proxy(&engine, &exec, tty);
    if tty && terminal::is_terminal(std::io::stdin()) {
        streams::resize(&engine, &exec);
    }
    let mut stream = Attached::new(hijacked, tty, stdin, keys)?.keeping_keys();
    if stream.copy()? == Ended::Detached {
        return Err(Failure::new("read escape sequence"));
    }
    drop(stream);
    ended(&engine, &exec)
}

/// Ends this command as the process ended.
fn ended(engine: &Engine, exec: &str) -> Outcome {
    let ended: ExecInspect = engine.get(&format!("{exec}/json"), &Query::new())?;
    match i32::try_from(ended.exit_code.unwrap_or(0)).unwrap_or(125) {
        0 => Ok(()),
        code => Err(Failure::exit(code)),
    }
}

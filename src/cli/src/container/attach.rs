//! `attach`, and waiting for a container's end.

use std::thread::{self, JoinHandle};

use gantry_api::container::inspect::Inspect;
use gantry_api::container::wait::WaitResponse;

use super::streams::{self, Attached, Ended};
use crate::connection::{Answer, Body, Query};
use crate::failure::{Failure, Outcome};
use crate::grammar::{COMMAND as BASE, Command, Count, Flag, Parsed, flag, option};
use crate::output;
use crate::session::{Engine, Session};
use crate::terminal;

/// `attach`.
pub const COMMAND: Command = Command {
    name: "attach",
    usage: "[OPTIONS] CONTAINER",
    about: "Attach this terminal to a running container",
    flags: &[FLAGS],
    count: Count::Exactly(1),
    run,
    ..BASE
};

const FLAGS: &[Flag] = &[
    option(
        "detach-keys",
        "string",
        "Keys that leave the container running",
    ),
    flag("no-stdin", "Do not attach standard input"),
    flag("sig-proxy", "Pass signals on to the process").default("true"),
];

/// A wait the engine has begun; its answer comes when the container ends.
pub struct Pending(JoinHandle<Outcome<WaitResponse>>);

impl Pending {
    /// Asks, and returns when the engine has begun to wait.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn ask(engine: &Engine, id: &str, condition: &str) -> Outcome<Self> {
        let query = Query::new().with("condition", condition);
        let answer = engine.call(
            "POST",
            &format!("/containers/{id}/wait"),
            &query,
            Body::Empty,
        )?;
        Ok(Self(thread::spawn(move || Answer::json(answer))))
    }

    /// The answer.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn status(self) -> Outcome<WaitResponse> {
        self.0
            .join()
            .unwrap_or_else(|_| Err(Failure::new("bug: the waiting thread panicked")))
    }
}

/// Ends this command as the container ended.
///
/// # Errors
/// Always, but for exit code 0.
pub fn finish(response: &WaitResponse) -> Outcome {
    if let Some(error) = &response.error
        && !error.message.is_empty()
    {
        output::complain(&format!("Error waiting for container: {}", error.message));
        return Err(Failure::exit(125));
    }
    match i32::try_from(response.status_code).unwrap_or(125) {
        0 => Ok(()),
        code => Err(Failure::exit(code)),
    }
}

fn run(session: &Session, parsed: &Parsed) -> Outcome {
    let name = &parsed.arguments[0];
    let engine = session.engine()?;
    let path = format!("/containers/{}", crate::connection::query::segment(name));
    let pending = Pending::ask(&engine, &crate::connection::query::segment(name), "")?;
    let container: Inspect = engine.get(&format!("{path}/json"), &Query::new())?;
    if !container.state.running {
        return Err(Failure::new(
            "You cannot attach to a stopped container, start it first",
        ));
    }
    if container.state.paused {
        return Err(Failure::new(
            "You cannot attach to a paused container, unpause it first",
        ));
    }
    if container.state.restarting {
        return Err(Failure::new(
            "You cannot attach to a restarting container, wait until it is running",
        ));
    }
    let tty = container.config.tty;
    let stdin = !parsed.is("no-stdin") && container.config.open_stdin;
    if tty && stdin && !terminal::is_terminal(std::io::stdin()) {
        return Err(Failure::new("the input device is not a TTY"));
    }
    let keys = session.detach_keys(parsed);
    let query = Query::new()
        .with("stream", "1")
        .when("stdin", stdin)
        .with("stdout", "1")
        .with("stderr", "1")
        .maybe("detachKeys", keys);
    let signals = streams::Signals::block(parsed.is("sig-proxy") && !tty)?;
    let hijacked = engine.hijack(&format!("{path}/attach"), &query, Body::Empty)?;
    signals.proxy(&engine, &path, tty);
    if tty && let Some((rows, columns)) = terminal::size(std::io::stdout()) {
        // A changed size makes full-screen programs draw themselves anew.
        let query = Query::new()
            .with("h", &(rows + 1).to_string())
            .with("w", &(columns + 1).to_string());
        drop(engine.post(&format!("{path}/resize"), &query));
        streams::resize(&engine, &path);
    }
    let mut stream = Attached::new(hijacked, tty, stdin, keys)?;
    match stream.copy()? {
        // Docker's attach and exec call it a failure, its run and start do not.
        Ended::Detached => Err(Failure::new("read escape sequence")),
        Ended::Closed => finish(&pending.status()?),
    }
}

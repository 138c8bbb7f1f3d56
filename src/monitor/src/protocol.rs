//! How the engine and a monitor talk.
//!
//! Files, all in the bundle directory, which is also the monitor's working directory:
//! `monitor.json` ([`Setup`], written by the engine), `monitor.sock` (the socket), `init.pid`.
//! The first line on the monitor's standard output is a [`Verdict`]; afterwards it is closed.
//!
//! On the socket both sides send frames: one byte kind, three zero bytes, four bytes length (big endian), payload. The
//! header has the shape of docker's multiplexed streams, so output frames go to an API client as they come.
//! ```text
//! engine → monitor   Message(Request)…   Stdin   StdinEnd
//! monitor → engine   Message(Reply)…     Stdout  Stderr
//! ```
//! A connection may send any number of requests; each is answered once, in order. `Attach` and `Exec` turn the
//! connection into a stream as well: output frames follow the answer, and the stream ends with `Exited` or
//! `ExecExited` after the last byte of output. A client that does not read slows the container's output down, as a
//! terminal would.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Bytes before every payload.
pub const HEADER: usize = 8;
/// The socket's name in the bundle directory.
pub const SOCKET: &str = "monitor.sock";
/// The setup's name in the bundle directory.
pub const SETUP: &str = "monitor.json";
/// The container's pid file in the bundle directory.
pub const PID_FILE: &str = "init.pid";

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Bytes for the process.
    Stdin = 0,
    /// Bytes from its standard output, or from its terminal.
    Stdout = 1,
    /// Bytes from its standard error.
    Stderr = 2,
    /// One [`Request`] or [`Reply`] as JSON.
    Message = 3,
    /// No more bytes for the process.
    StdinEnd = 4,
}

impl Kind {
    /// The kind a header's first byte names.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        [
            Self::Stdin,
            Self::Stdout,
            Self::Stderr,
            Self::Message,
            Self::StdinEnd,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }
}

/// The header of a frame of `length` payload bytes; no frame here is longer than 4 GiB.
#[must_use]
pub fn header(kind: Kind, length: usize) -> [u8; HEADER] {
    let size = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    [kind as u8, 0, 0, 0, size[0], size[1], size[2], size[3]]
}

/// A whole frame.
#[must_use]
pub fn frame(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(kind, payload.len()).to_vec();
    bytes.extend_from_slice(payload);
    bytes
}

/// A message frame around `message`.
///
/// # Errors
/// Only if `message` cannot be written as JSON.
pub fn message<T: Serialize>(message: &T) -> serde_json::Result<Vec<u8>> {
    Ok(frame(Kind::Message, &serde_json::to_vec(message)?))
}

/// Everything a monitor must know before it creates its container.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Setup {
    /// The container's id, given to the runtime.
    pub id: String,
    /// The runtime's program and its global arguments (`--root …`), without verb.
    pub runtime: Vec<String>,
    /// Whether the process gets a terminal.
    pub tty: bool,
    /// Whether its standard input is a pipe (else `/dev/null`); with a terminal: whether input is passed on.
    pub open_stdin: bool,
    /// Whether the first attached client's end of input ends the process' input (docker's `StdinOnce`).
    pub stdin_once: bool,
    /// Initial height and width of the terminal, in characters; 0 leaves the kernel's.
    pub size: (u16, u16),
    /// Where the exit record goes, durably.
    pub exit_record: PathBuf,
    /// The log to keep, if any.
    pub log: Option<LogSetup>,
}

/// A json-file log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogSetup {
    /// The current file.
    pub path: PathBuf,
    /// Bytes after which it is rotated; 0 never.
    pub max_size: u64,
    /// How many files are kept, the current one included; at least 1.
    pub max_file: u32,
    /// The `attrs` object of every entry.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub attributes: serde_json::Map<String, serde_json::Value>,
}

/// The first line of a monitor's standard output.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// The container is created; its first process waits.
    Created {
        /// That process, seen from the monitor's pid namespace.
        pid: i32,
    },
    /// It is not, and nothing of it is left.
    Failed {
        /// Why, in the runtime's words.
        message: String,
    },
}

/// What an engine may ask.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// Start the created container.
    Start,
    /// Take part in the container's stdio on this connection.
    Attach(Streams),
    /// Run one more process; its stdio is this connection's.
    Exec {
        /// The engine's name for the session.
        id: String,
        /// File that holds the OCI `process` object.
        process: PathBuf,
        /// Whether it gets a terminal.
        tty: bool,
        /// Initial height and width of that terminal; 0 leaves the kernel's.
        size: (u16, u16),
        /// Which of its streams this connection carries.
        streams: Streams,
    },
    /// Set the terminal's size of the container, or of an exec session.
    Resize {
        /// The session's name; none means the container.
        session: Option<String>,
        /// Rows.
        height: u16,
        /// Columns.
        width: u16,
    },
    /// Tell what is known.
    Status,
    /// Tell about every exit from now on, on this connection.
    Watch,
}

/// Which streams a connection carries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::struct_excessive_bools)]
pub struct Streams {
    /// Input to the process.
    pub stdin: bool,
    /// Its output.
    pub stdout: bool,
    /// Its error output.
    pub stderr: bool,
}

/// What a monitor answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// Done.
    Done,
    /// Not done.
    Failed {
        /// Why.
        message: String,
    },
    /// The exec session's process runs.
    Executed {
        /// Its pid, seen from the monitor's pid namespace.
        pid: i32,
    },
    /// The answer to `Status`.
    Status {
        /// The container's first process.
        pid: i32,
        /// Whether `Start` succeeded.
        started: bool,
        /// Exec sessions that run: name and pid.
        execs: Vec<(String, i32)>,
    },
    /// The container ended; its output is complete, its record written, the runtime's traces removed.
    Exited(Exit),
    /// An exec session's process ended.
    ExecExited {
        /// The session's name.
        id: String,
        /// Its exit code, 128+n for signal n.
        code: i32,
    },
}

/// The exit record, also on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit code, 128+n for signal n.
    pub code: i32,
    /// When, RFC 3339 with nanoseconds, UTC.
    pub at: String,
    /// Whether the kernel killed a process of the container for lack of memory.
    pub oom_killed: bool,
    /// Whether it had been started at all.
    pub started: bool,
}

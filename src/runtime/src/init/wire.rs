//! What the child and its maker say to each other, one message a packet.
//!
//! ```text
//! child  ── RuntimeHooks ─────▶ maker   hooks of the runtime's namespaces may run
//! child  ── Reborn + pidfd ───▶ maker   another process goes on in its place
//! child  ── Terminal + fd ────▶ maker   the master of the terminal
//! child  ── Listener + number ▶ maker   the descriptor for seccomp notifications may be taken
//! child  ── HandOver ─────────▶ maker   all is done but the gate
//! child  ── Ready ────────────▶ maker   stands before the gate
//! child  ── Failed + JSON ────▶ maker   and ends
//! maker  ── Continue ─────────▶ child   after Release, RuntimeHooks, Listener, HandOver; opens the gate of `run`
//! start  ── one byte ─────────▶ gate    and waits for the end of the answer fifo
//! ```
//! The channel is close-on-exec: its end without `Failed` after the gate says that the program runs.

use std::os::fd::{BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};
use sys::{Errno, socket};

use crate::error::{Error, Kernel, Kernelize, Result};

/// A message of the child.
#[derive(Debug)]
pub enum Message {
    /// It waits for the hooks.
    RuntimeHooks,
    /// The terminal's master.
    Terminal(OwnedFd),
    /// The process that goes on in its place.
    Reborn(OwnedFd),
    /// The number of its descriptor for notifications; it waits.
    Listener(i32),
    /// It waits for the record to be written.
    HandOver,
    /// It stands before the gate.
    Ready,
    /// It failed.
    Failed(Error),
    /// It is gone, or runs its program.
    Closed,
}

/// The byte with which the maker lets the child go on.
pub const CONTINUE: u8 = b'c';

/// The first byte of each message.
pub mod tag {
    /// [`super::Message::RuntimeHooks`].
    pub const RUNTIME_HOOKS: u8 = b'H';
    /// [`super::Message::Terminal`].
    pub const TERMINAL: u8 = b'T';
    /// [`super::Message::Reborn`].
    pub const REBORN: u8 = b'B';
    /// [`super::Message::Listener`].
    pub const LISTENER: u8 = b'L';
    /// [`super::Message::HandOver`].
    pub const HAND_OVER: u8 = b'P';
    /// [`super::Message::Ready`].
    pub const READY: u8 = b'R';
    /// [`super::Message::Failed`].
    pub const FAILED: u8 = b'E';
}

/// Receives the child's next message.
///
/// # Errors
/// The kernel's; [`Error::Bug`] for bytes that are no message.
pub fn receive(channel: BorrowedFd<'_>) -> Result<Message> {
    let (data, descriptors) = match socket::receive(channel) {
        Err(Errno::CONNRESET) => return Ok(Message::Closed),
        result => result.step(|| "channel to the child".to_owned(), "recvmsg")?,
    };
    let Some((tag, payload)) = data.split_first() else {
        return Ok(Message::Closed);
    };
    match *tag {
        tag::RUNTIME_HOOKS => Ok(Message::RuntimeHooks),
        tag::HAND_OVER => Ok(Message::HandOver),
        tag::READY => Ok(Message::Ready),
        tag::FAILED => Ok(Message::Failed(decode(payload))),
        tag::TERMINAL => {
            let master = descriptors.into_iter().next();
            master
                .map(Message::Terminal)
                .ok_or_else(|| Error::Bug("a terminal came without its descriptor".to_owned()))
        }
        tag::REBORN => {
            let child = descriptors.into_iter().next();
            child
                .map(Message::Reborn)
                .ok_or_else(|| Error::Bug("a process came without its descriptor".to_owned()))
        }
        tag::LISTENER => {
            let number = payload.try_into().map(i32::from_ne_bytes);
            number
                .map(Message::Listener)
                .map_err(|_| Error::Bug("a listener came without its number".to_owned()))
        }
        other => Err(Error::Bug(format!("the child said {other:#x}"))),
    }
}

#[derive(Serialize, Deserialize)]
enum Wire {
    Denied(String),
    NotFound(String),
    WrongState(String),
    Config(String, String),
    Unsupported(String, String),
    Kernel(String, String, String, i32),
    Hook(String),
    Timeout(String),
    Bug(String),
}

/// The payload of [`Message::Failed`].
#[must_use]
pub fn encode(error: &Error) -> Vec<u8> {
    let wire = match error.clone() {
        Error::Denied(text) => Wire::Denied(text),
        Error::NotFound(text) => Wire::NotFound(text),
        Error::WrongState(text) => Wire::WrongState(text),
        Error::InvalidConfig { path, reason } => Wire::Config(path, reason),
        Error::Unsupported { feature, missing } => Wire::Unsupported(feature, missing),
        Error::Kernel(it) => Wire::Kernel(it.step, it.call, it.arguments, it.errno.raw_os_error()),
        Error::Hook(text) => Wire::Hook(text),
        Error::Timeout(text) => Wire::Timeout(text),
        Error::Usage(text) | Error::AlreadyExists(text) | Error::Bug(text) => Wire::Bug(text),
    };
    let mut message = vec![tag::FAILED];
    message.extend(serde_json::to_vec(&wire).unwrap_or_default());
    message
}

/// The failure in a payload of [`Message::Failed`].
#[must_use]
pub fn decode(payload: &[u8]) -> Error {
    match serde_json::from_slice(payload) {
        Ok(Wire::Denied(text)) => Error::Denied(text),
        Ok(Wire::NotFound(text)) => Error::NotFound(text),
        Ok(Wire::WrongState(text)) => Error::WrongState(text),
        Ok(Wire::Config(path, reason)) => Error::InvalidConfig { path, reason },
        Ok(Wire::Unsupported(feature, missing)) => Error::Unsupported { feature, missing },
        Ok(Wire::Kernel(step, call, arguments, errno)) => Error::Kernel(Box::new(Kernel {
            step,
            call,
            arguments,
            errno: Errno::from_raw_os_error(errno),
        })),
        Ok(Wire::Hook(text)) => Error::Hook(text),
        Ok(Wire::Timeout(text)) => Error::Timeout(text),
        Ok(Wire::Bug(text)) => Error::Bug(text),
        Err(error) => Error::Bug(format!("the child's failure cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_survive_the_wire() {
        let failures = [
            Error::kernel("mount \"/proc\"", "fsmount", "x", Errno::PERM),
            Error::config("root.path", "required"),
            Error::NotFound("exec: \"x\": executable file not found in $PATH".to_owned()),
        ];
        for failure in failures {
            let message = encode(&failure);
            assert_eq!(message[0], tag::FAILED);
            assert_eq!(decode(&message[1..]), failure);
        }
    }
}

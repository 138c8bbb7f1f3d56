//! Clients on a container's stdio: bytes between a hijacked connection and the monitor, docker's frames and detach keys.

use std::sync::Arc;

use gantry_monitor::protocol::{self, Kind, Reply, Request, Streams};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::oneshot;

use super::{Container, Waiting, lock};
use crate::Engine;
use crate::error::{Error, Result};
use crate::monitor;

/// How one client wants its bytes.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Which streams.
    pub streams: Streams,
    /// Whether output goes unframed.
    pub raw: bool,
    /// The keys that detach; empty when there is no terminal input.
    pub detach_keys: Vec<u8>,
}

impl Wish {
    /// The wish for these streams; only typing on a terminal is watched for the detach keys (docker's notation).
    ///
    /// # Errors
    /// Invalid, docker's text, for keys that are none.
    pub fn new(streams: Streams, tty: bool, keys: &str) -> Result<Self> {
        let keys = parse_keys(keys)?;
        let watched = tty && streams.stdin;
        Ok(Self {
            streams,
            raw: tty,
            detach_keys: if watched { keys } else { Vec::new() },
        })
    }
}

/// How an attachment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The process ended.
    Process,
    /// The user typed the detach keys.
    Detached,
    /// The client went away.
    Left,
}

/// docker's notation for keys: `ctrl-p,ctrl-q`, `a`, `ctrl-@`.
///
/// # Errors
/// Invalid, docker's text.
pub fn parse_keys(text: &str) -> Result<Vec<u8>> {
    if text.is_empty() {
        return Ok(vec![16, 17]);
    }
    let key = |part: &str| {
        let refuse = || Error::invalid(format!("Unknown character: '{part}'"));
        if let Some(letter) = part.strip_prefix("ctrl-") {
            return match letter.as_bytes() {
                [letter @ b'a'..=b'z'] => Ok(letter - b'a' + 1),
                b"@" => Ok(0),
                b"[" => Ok(27),
                b"\\" => Ok(28),
                b"]" => Ok(29),
                b"^" => Ok(30),
                b"_" => Ok(31),
                _ => Err(refuse()),
            };
        }
        match part.as_bytes() {
            [byte] => Ok(*byte),
            _ => Err(refuse()),
        }
    };
    text.split(',').map(key).collect()
}

/// Looks for the detach keys in typed bytes; holds back what may be their beginning.
#[derive(Debug)]
struct Keys {
    keys: Vec<u8>,
    matched: usize,
}

impl Keys {
    /// The bytes to pass on, and whether the keys are complete.
    fn filter(&mut self, bytes: &[u8]) -> (Vec<u8>, bool) {
        if self.keys.is_empty() {
            return (bytes.to_vec(), false);
        }
        let mut out = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if *byte == self.keys[self.matched] {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    return (out, true);
                }
                continue;
            }
            out.extend_from_slice(&self.keys[..self.matched]);
            self.matched = usize::from(*byte == self.keys[0]);
            if self.matched == 0 {
                out.push(*byte);
            }
        }
        (out, false)
    }
}

impl Engine {
    /// Registers an attachment: now when the container lives, else for its next start. The receiver gives the connection.
    ///
    /// # Errors
    /// Conflict, docker's texts, for a container that is paused or restarting.
    pub async fn attach_container(
        &self,
        container: &Arc<Container>,
        streams: Streams,
    ) -> Result<oneshot::Receiver<UnixStream>> {
        use super::record::Phase;
        let (to, receiver) = oneshot::channel();
        let view = container.view();
        match view.state.phase {
            Phase::Paused => {
                return Err(Error::conflict(format!(
                    "Container {} is paused, unpause the container before attach.",
                    view.id
                )));
            }
            Phase::Restarting => {
                return Err(Error::conflict(format!(
                    "Container {} is restarting, wait until the container is running before attach.",
                    view.id
                )));
            }
            Phase::Running => {
                let mut stream = monitor::connect(&container.places.bundle)
                    .await
                    .map_err(|e| Error::kernel("monitor", e))?;
                monitor::ask(&mut stream, &Request::Attach(streams)).await?;
                drop(to.send(stream));
            }
            _ => lock(&container.waiting).push(Waiting { streams, to }),
        }
        self.container_event(&view, "attach", &[]);
        Ok(receiver)
    }
}

/// Passes bytes both ways until one side is through. `monitor` is attached already. `at_end` hears how the process ended
/// before the client sees the end of its stream, since what it asks next is how.
pub async fn pass<C>(
    mut client: C,
    monitor: UnixStream,
    wish: Wish,
    at_end: impl Fn(Reply),
) -> Ended
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let (mut from_monitor, mut to_monitor) = monitor.into_split();
    let mut keys = Keys {
        keys: wish.detach_keys.clone(),
        matched: 0,
    };
    let mut typed = vec![0; 16 * 1024];
    let mut typing = true;
    let mut frame = FrameReader::default();
    loop {
        tokio::select! {
            read = client.read(&mut typed), if typing => match read {
                Ok(0) => {
                    typing = false;
                    if wish.streams.stdin && to_monitor.write_all(&protocol::frame(Kind::StdinEnd, b"")).await.is_err() {
                        return Ended::Process;
                    }
                }
                Ok(count) => {
                    let (bytes, detached) = keys.filter(&typed[..count]);
                    if wish.streams.stdin && !send(&mut to_monitor, &bytes).await {
                        typing = false;
                    }
                    if detached {
                        return Ended::Detached;
                    }
                }
                Err(_) => return Ended::Left,
            },
            next = frame.next(&mut from_monitor) => match next {
                Ok(Some((Kind::Message, payload))) => {
                    if let Ok(reply @ (Reply::Exited(_) | Reply::ExecExited { .. })) = serde_json::from_slice(&payload) {
                        at_end(reply);
                        drop(client.shutdown().await);
                        return Ended::Process;
                    }
                }
                Ok(Some((kind, payload))) => {
                    let header = protocol::header(kind, payload.len());
                    let framed = wish.raw || client.write_all(&header).await.is_ok();
                    if !framed || client.write_all(&payload).await.is_err() || client.flush().await.is_err() {
                        return Ended::Left;
                    }
                }
                Ok(None) | Err(_) => {
                    drop(client.shutdown().await);
                    return Ended::Process;
                }
            },
        }
    }
}

/// Whether a message says that the attached process is through.
#[must_use]
pub fn is_end(payload: &[u8]) -> bool {
    matches!(
        serde_json::from_slice(payload),
        Ok(Reply::Exited(_) | Reply::ExecExited { .. })
    )
}

async fn send(to: &mut OwnedWriteHalf, bytes: &[u8]) -> bool {
    bytes.is_empty()
        || to
            .write_all(&protocol::frame(Kind::Stdin, bytes))
            .await
            .is_ok()
}

/// Reads frames so that an interrupted read loses nothing: `select!` drops the reading future at will.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: Vec<u8>,
}

impl FrameReader {
    /// The next frame; None at the end.
    ///
    /// # Errors
    /// The kernel's, and frames no monitor sends.
    pub async fn next(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
    ) -> std::io::Result<Option<(Kind, Vec<u8>)>> {
        loop {
            if let Some(header) = self.buffer.first_chunk::<{ protocol::HEADER }>() {
                let length =
                    u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
                let kind = Kind::from_byte(header[0]);
                let kind =
                    kind.ok_or_else(|| std::io::Error::other("monitor: a frame of unknown kind"))?;
                let whole = protocol::HEADER + length;
                if self.buffer.len() >= whole {
                    let payload = self.buffer[protocol::HEADER..whole].to_vec();
                    self.buffer.drain(..whole);
                    return Ok(Some((kind, payload)));
                }
            }
            if from.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_key_notation() {
        assert_eq!(parse_keys("").unwrap(), [16, 17]);
        assert_eq!(parse_keys("ctrl-a,x").unwrap(), [1, b'x']);
        assert!(parse_keys("ctrl-1").is_err());
    }

    #[test]
    fn holds_back_a_half_sequence() {
        let mut keys = Keys {
            keys: vec![16, 17],
            matched: 0,
        };
        assert_eq!(keys.filter(b"ab\x10"), (b"ab".to_vec(), false));
        assert_eq!(keys.filter(b"c"), (b"\x10c".to_vec(), false));
        assert_eq!(keys.filter(b"\x10\x11"), (Vec::new(), true));
    }
}

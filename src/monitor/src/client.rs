//! One connection of the engine.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use crate::protocol::{self, HEADER, Kind, Reply, Streams};

/// Above this many unread bytes the outputs this client is attached to are not read any more.
const FULL: usize = 1 << 20;
/// A longer message is no request of this protocol.
const LONGEST: usize = 1 << 20;

/// A connection's state.
#[derive(Debug)]
pub struct Client {
    /// The socket, non-blocking.
    pub stream: UnixStream,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    sent: usize,
    /// Which session's streams it carries.
    pub attached: Option<(u64, Streams)>,
    /// Whether it wants to hear of every exit.
    pub watches: bool,
    /// Whether its input side has ended.
    pub ended: bool,
    /// Whether the connection is of no more use.
    pub dead: bool,
}

impl Client {
    /// A fresh connection.
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            inbox: Vec::new(),
            outbox: Vec::new(),
            sent: 0,
            attached: None,
            watches: false,
            ended: false,
            dead: false,
        })
    }

    /// Reads what is there; marks the end of the client's input.
    pub fn receive(&mut self) {
        let mut buffer = [0_u8; 8192];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.ended = true,
            Ok(count) => self.inbox.extend_from_slice(&buffer[..count]),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Err(_) => {
                self.ended = true;
                self.dead = true;
            }
        }
    }

    /// The next whole frame; a broken one ends the connection.
    pub fn next_frame(&mut self) -> Option<(Kind, Vec<u8>)> {
        let header = self.inbox.first_chunk::<HEADER>()?;
        let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let Some(kind) = Kind::from_byte(header[0]).filter(|_| length <= LONGEST) else {
            self.dead = true;
            return None;
        };
        if self.inbox.len() < HEADER + length {
            return None;
        }
        let payload = self.inbox[HEADER..HEADER + length].to_vec();
        self.inbox.drain(..HEADER + length);
        if self.inbox.is_empty() {
            self.inbox = Vec::new();
        }
        Some((kind, payload))
    }

    /// Queues an answer.
    pub fn reply(&mut self, reply: &Reply) {
        match protocol::message(reply) {
            Ok(bytes) => self.send(&bytes),
            Err(_) => self.dead = true,
        }
    }

    /// Queues output.
    pub fn output(&mut self, kind: Kind, bytes: &[u8]) {
        self.outbox
            .extend_from_slice(&protocol::header(kind, bytes.len()));
        self.send(bytes);
    }

    fn send(&mut self, bytes: &[u8]) {
        self.outbox.extend_from_slice(bytes);
        self.flush();
    }

    /// Writes what the client takes now.
    pub fn flush(&mut self) {
        while self.sent < self.outbox.len() {
            match self.stream.write(&self.outbox[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.dead = true;
                    break;
                }
            }
        }
        self.outbox = Vec::new();
        self.sent = 0;
    }

    /// Whether bytes wait for the client.
    pub fn waits(&self) -> bool {
        !self.dead && self.sent < self.outbox.len()
    }

    /// Whether it holds so much unread output that its session must pause.
    pub fn full(&self) -> bool {
        !self.dead && self.outbox.len() - self.sent > FULL
    }
}

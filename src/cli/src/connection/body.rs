//! Bodies: what is sent, and reading what comes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

/// What a request carries.
pub enum Body<'a> {
    /// Nothing.
    Empty,
    /// JSON.
    Json(Vec<u8>),
    /// A stream of unknown length, sent in chunks.
    Stream(&'a mut dyn Read, &'static str),
}

/// How an answer's body ends.
pub enum Length {
    /// After so many bytes more.
    Bytes(u64),
    /// After the empty chunk; the number is what is left of this one.
    Chunked(u64),
    /// With the connection.
    Close,
    /// It has ended.
    Over,
}

/// Reads an answer's body.
pub struct BodyReader {
    /// The connection, the head already read.
    pub from: BufReader<File>,
    /// How it ends.
    pub length: Length,
}

impl BodyReader {
    /// Reads the size line of the next chunk.
    fn next_chunk(&mut self) -> io::Result<()> {
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        if line.trim().is_empty() {
            line.clear();
            self.from.read_line(&mut line)?;
        }
        let digits = line.trim().split(';').next().unwrap_or_default();
        let size = u64::from_str_radix(digits, 16)
            .map_err(|_| io::Error::new(io::ErrorKind::UnexpectedEof, "unexpected EOF"))?;
        if size > 0 {
            self.length = Length::Chunked(size);
            return Ok(());
        }
        self.length = Length::Over;
        loop {
            line.clear();
            if self.from.read_line(&mut line)? == 0 || line.trim().is_empty() {
                return Ok(());
            }
        }
    }
}

impl Read for BodyReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if let Length::Chunked(0) = self.length {
            self.next_chunk()?;
        }
        let left = match self.length {
            Length::Over => return Ok(0),
            Length::Close => return self.from.read(into),
            Length::Bytes(left) | Length::Chunked(left) => left,
        };
        let room = into.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = self.from.read(&mut into[..room])?;
        if count == 0 && room > 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "unexpected EOF",
            ));
        }
        let left = left - count as u64;
        self.length = match self.length {
            Length::Bytes(_) if left == 0 => Length::Over,
            Length::Bytes(_) => Length::Bytes(left),
            _ => Length::Chunked(left),
        };
        Ok(count)
    }
}

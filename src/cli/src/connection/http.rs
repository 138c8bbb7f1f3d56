//! HTTP/1.1, as much of it as the Engine API needs (RFC 9112): one request per connection.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};

use serde::de::DeserializeOwned;

use super::body::{Body, BodyReader, Length};
use crate::failure::{Failure, Outcome, os_text};

/// One request.
pub struct Request<'a, 'b> {
    /// `GET`, `POST`, ….
    pub method: &'a str,
    /// Path and query.
    pub target: String,
    /// Headers beyond the usual ones.
    pub headers: Vec<(String, String)>,
    /// What is sent.
    pub body: Body<'b>,
    /// Asks for the connection itself.
    pub upgrade: bool,
}

/// An answer whose head has been read.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    headers: Vec<(String, String)>,
    /// The body.
    pub body: BodyReader,
}

/// A connection an answer of 101 handed over.
pub struct Hijacked {
    /// What the engine sends.
    pub reader: BufReader<File>,
    /// What it is sent.
    pub writer: File,
    /// Whether the stream is in frames; otherwise as the content type says it is raw.
    pub multiplexed: Option<bool>,
}

impl Answer {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The whole body.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn bytes(mut self) -> Outcome<Vec<u8>> {
        let mut bytes = Vec::new();
        self.body.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The whole body as JSON.
    ///
    /// # Errors
    /// When the connection breaks or the body is something else.
    pub fn json<T: DeserializeOwned>(self) -> Outcome<T> {
        Ok(serde_json::from_slice(&self.bytes()?)?)
    }

    /// The answer if it is a success, else what the engine said.
    ///
    /// # Errors
    /// Every status from 400 on.
    pub fn check(self) -> Outcome<Self> {
        if self.status < 400 {
            return Ok(self);
        }
        let status = self.status;
        let bytes = self.bytes()?;
        let message = serde_json::from_slice::<gantry_api::error::Message>(&bytes).map_or_else(
            |_| String::from_utf8_lossy(&bytes).trim().to_owned(),
            |message| message.message,
        );
        Err(Failure::refused(status, message.trim_end()))
    }

    /// Takes the connection over.
    ///
    /// # Errors
    /// When the descriptor cannot be copied.
    pub fn hijack(self) -> Outcome<Hijacked> {
        let multiplexed = match self.header("Content-Type") {
            Some(gantry_api::MULTIPLEXED_STREAM) => Some(true),
            Some(gantry_api::RAW_STREAM) => Some(false),
            _ => None,
        };
        let writer = self.body.from.get_ref().try_clone()?;
        Ok(Hijacked {
            reader: self.body.from,
            writer,
            multiplexed,
        })
    }
}

/// Sends a request and reads the answer's head.
///
/// # Errors
/// When the connection breaks or what comes is no HTTP.
pub fn send(connection: File, request: Request<'_, '_>) -> Outcome<Answer> {
    let mut head = format!(
        "{} {} HTTP/1.1\r\nHost: api.moby.localhost\r\nUser-Agent: {}\r\n",
        request.method, request.target, AGENT
    );
    for (name, value) in &request.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if request.upgrade {
        head += "Connection: Upgrade\r\nUpgrade: tcp\r\n";
    }
    match &request.body {
        Body::Empty if request.method == "GET" || request.method == "HEAD" => {}
        Body::Empty => head += "Content-Length: 0\r\n",
        Body::Json(bytes) => {
            head += &format!(
                "Content-Type: application/json\r\nContent-Length: {}\r\n",
                bytes.len()
            )
        }
        Body::Stream(_, kind) => {
            head += &format!("Content-Type: {kind}\r\nTransfer-Encoding: chunked\r\n")
        }
    }
    head += "\r\n";
    let mut writer = &connection;
    let no_body = request.method == "HEAD";
    let mut unread = None;
    let sent = writer
        .write_all(head.as_bytes())
        .and_then(|()| match request.body {
            Body::Empty => Ok(()),
            Body::Json(bytes) => writer.write_all(&bytes),
            Body::Stream(from, _) => send_chunks(from, &mut writer, &mut unread),
        });
    if let Some(error) = unread {
        // The engine would wait for the rest for ever.
        return Err(Failure::new(format!(
            "error during connect: read: {}",
            os_text(&error)
        )));
    }
    // An engine that refuses early stops reading; what it says explains more than the broken pipe.
    match (sent, read_head(connection, no_body)) {
        (_, Ok(answer)) => Ok(answer),
        (Err(error), Err(_)) => Err(error.into()),
        (Ok(()), Err(error)) => Err(Failure::new(format!("error during connect: {error}"))),
    }
}

/// How this client names itself.
const AGENT: &str = concat!("gantry/", env!("CARGO_PKG_VERSION"), " (linux)");

/// Sends a stream in chunks; an error of the source goes to `unread`, what is returned is the connection's.
fn send_chunks(
    from: &mut dyn Read,
    to: &mut impl Write,
    unread: &mut Option<io::Error>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(count) => count,
            Err(error) => {
                *unread = Some(error);
                return Ok(());
            }
        };
        to.write_all(format!("{count:x}\r\n").as_bytes())?;
        to.write_all(&buffer[..count])?;
        to.write_all(b"\r\n")?;
        if count == 0 {
            return Ok(());
        }
    }
}

fn read_head(connection: File, no_body: bool) -> io::Result<Answer> {
    let mut from = BufReader::with_capacity(32 * 1024, connection);
    loop {
        let status = read_status(&mut from)?;
        let headers = read_headers(&mut from)?;
        if status == 100 {
            continue;
        }
        let header = |name: &str| {
            headers
                .iter()
                .find(|(known, _): &&(String, String)| known.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.as_str())
        };
        let length = if no_body || status == 204 || status == 304 {
            Length::Over
        } else if header("Transfer-Encoding")
            .is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
        {
            Length::Chunked(0)
        } else {
            match header("Content-Length").map(str::parse) {
                Some(Ok(0)) => Length::Over,
                Some(Ok(bytes)) => Length::Bytes(bytes),
                Some(Err(_)) => return Err(malformed("Content-Length")),
                None => Length::Close,
            }
        };
        return Ok(Answer {
            status,
            headers,
            body: BodyReader { from, length },
        });
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{what}: malformed HTTP response"),
    )
}

fn read_status(from: &mut impl BufRead) -> io::Result<u16> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "EOF"));
    }
    line.strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1))
        .and_then(|digits| digits.trim().parse().ok())
        .ok_or_else(|| malformed(line.trim()))
}

fn read_headers(from: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "EOF"));
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Ok(headers);
        }
        let (name, value) = line.split_once(':').ok_or_else(|| malformed(line))?;
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
}

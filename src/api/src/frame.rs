//! The 8-byte frames of an attach, exec or logs stream without a TTY: one byte of stream, three zero bytes, the payload's
//! length as a big-endian `u32`, then the payload.

use std::io::{self, Read, Write};

/// Length of a frame's header in bytes.
pub const HEADER: usize = 8;

/// Which stream a frame belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stream {
    /// The container's standard input, echoed by no engine today.
    Stdin = 0,
    /// Standard output.
    Stdout = 1,
    /// Standard error.
    Stderr = 2,
    /// An error of the engine itself, as text, after which the stream ends.
    System = 3,
}

impl Stream {
    /// The stream of a header's first byte.
    #[must_use]
    pub fn of(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Stdin),
            1 => Some(Self::Stdout),
            2 => Some(Self::Stderr),
            3 => Some(Self::System),
            _ => None,
        }
    }
}

/// The header of a frame with `length` bytes of payload.
#[must_use]
pub fn header(stream: Stream, length: u32) -> [u8; HEADER] {
    let [a, b, c, d] = length.to_be_bytes();
    [stream as u8, 0, 0, 0, a, b, c, d]
}

/// Appends one frame to `out`; a payload over 4 GiB becomes several frames.
pub fn encode(stream: Stream, payload: &[u8], out: &mut Vec<u8>) {
    for part in payload.chunks(u32::MAX as usize) {
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&header(stream, length));
        out.extend_from_slice(part);
    }
}

/// Reads a header: the stream and the payload's length; `None` for a first byte no stream has.
#[must_use]
pub fn parse_header(bytes: [u8; HEADER]) -> Option<(Stream, u32)> {
    let [kind, _, _, _, a, b, c, d] = bytes;
    Some((Stream::of(kind)?, u32::from_be_bytes([a, b, c, d])))
}

/// Copies a framed stream to two writers until it ends, flushing after every frame, and says how many bytes were written.
/// A stream that ends within a header ends quietly, as docker's client does.
///
/// # Errors
/// What reading or writing failed with; `InvalidData` for an unknown stream number; `Other` with the text of a
/// [`Stream::System`] frame.
pub fn copy(
    mut from: impl Read,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> io::Result<u64> {
    let mut written = 0;
    let mut buffer = vec![0; 32 * 1024];
    let mut head = [0; HEADER];
    loop {
        match from.read_exact(&mut head) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(written),
            Err(error) => return Err(error),
        }
        let Some((stream, length)) = parse_header(head) else {
            let text = format!("unrecognized stream: {}", head[0]);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        };
        let mut left = length as usize;
        if stream == Stream::System {
            let mut text = vec![0; left.min(64 * 1024)];
            from.read_exact(&mut text)?;
            let text = String::from_utf8_lossy(&text).into_owned();
            return Err(io::Error::other(format!(
                "error from daemon in stream: {text}"
            )));
        }
        let to: &mut dyn Write = if stream == Stream::Stderr {
            stderr
        } else {
            stdout
        };
        while left > 0 {
            let room = left.min(buffer.len());
            let count = from.read(&mut buffer[..room])?;
            if count == 0 {
                return Ok(written);
            }
            to.write_all(&buffer[..count])?;
            written += count as u64;
            left -= count;
        }
        to.flush()?;
    }
}

#[cfg(test)]
mod tests {
    use super::{Stream, copy, encode};

    #[test]
    fn what_is_encoded_comes_apart_again() {
        let mut wire = Vec::new();
        encode(Stream::Stdout, b"out", &mut wire);
        encode(Stream::Stderr, b"err", &mut wire);
        assert_eq!(wire[..11], *b"\x01\0\0\0\0\0\0\x03out");
        let (mut out, mut err) = (Vec::new(), Vec::new());
        assert_eq!(copy(wire.as_slice(), &mut out, &mut err).expect("copy"), 6);
        assert_eq!((out.as_slice(), err.as_slice()), (&b"out"[..], &b"err"[..]));
    }

    #[test]
    fn an_error_of_the_engine_ends_the_stream() {
        let mut wire = Vec::new();
        encode(Stream::System, b"gone", &mut wire);
        let error = copy(wire.as_slice(), &mut Vec::new(), &mut Vec::new()).expect_err("error");
        assert_eq!(error.to_string(), "error from daemon in stream: gone");
    }
}

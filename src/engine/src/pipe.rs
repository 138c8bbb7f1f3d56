//! Bridges between the asynchronous edge and blocking functions: a request's body as a reader, a writer whose bytes
//! become an answer's body.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::mpsc;

/// Parts that wait between both sides.
const DEPTH: usize = 16;

/// A request's body for a blocking thread.
#[derive(Debug)]
pub struct Reader {
    parts: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
}

/// Starts passing `body` on; must be called within the runtime.
pub fn reader(mut body: Incoming) -> Reader {
    let (sender, parts) = mpsc::channel(DEPTH);
    tokio::spawn(async move {
        while let Some(frame) = body.frame().await {
            let part = match frame {
                Ok(frame) => match frame.into_data() {
                    Ok(data) => Ok(data),
                    Err(_) => continue,
                },
                Err(error) => Err(io::Error::other(error)),
            };
            let broken = part.is_err();
            if sender.send(part).await.is_err() || broken {
                break;
            }
        }
    });
    Reader {
        parts,
        current: Bytes::new(),
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.parts.blocking_recv() {
                Some(part) => self.current = part?,
                None => return Ok(0),
            }
        }
        let count = buffer.len().min(self.current.len());
        self.current.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// What a blocking thread writes becomes parts of an answer.
#[derive(Debug, Clone)]
pub struct Writer(mpsc::Sender<io::Result<Bytes>>);

/// A writer and the parts it makes.
#[must_use]
pub fn writer() -> (Writer, mpsc::Receiver<io::Result<Bytes>>) {
    let (sender, parts) = mpsc::channel(DEPTH);
    (Writer(sender), parts)
}

impl Writer {
    /// Breaks the answer off, so that the client does not take it for whole.
    pub fn fail(&self, error: &crate::error::Error) {
        // A client that left needs no breaking off.
        drop(
            self.0
                .blocking_send(Err(io::Error::other(error.message.clone()))),
        );
    }

    /// Whether the client has left.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Returns once the client has left.
    pub async fn closed(&self) {
        self.0.closed().await;
    }

    /// Sends one part from asynchronous code; false when the client has left.
    pub async fn send(&self, part: impl Into<Bytes>) -> bool {
        self.0.send(Ok(part.into())).await.is_ok()
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let part = Bytes::copy_from_slice(bytes);
        match self.0.blocking_send(Ok(part)) {
            Ok(()) => Ok(bytes.len()),
            Err(_) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs a blocking function on the pool.
///
/// # Errors
/// The function's own; internal if it panicked.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> crate::error::Result<T> + Send + 'static,
) -> crate::error::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(crate::error::Error::internal(format!("bug: {error}"))),
    }
}

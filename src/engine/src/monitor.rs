//! The engine's end of a monitor's socket.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Stdio;

use bytes::Bytes;
use gantry_monitor::protocol::{self, Kind, Reply, Request, SOCKET, Verdict};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::Command;

use crate::error::{Error, Result};

/// A longer frame is not from a monitor.
const LONGEST: usize = 4 << 20;

/// Starts a monitor for `bundle`, which holds its setup, and waits for its verdict. Gives the pid of the container's
/// first process. The monitor is reaped in the background and does not end with this process.
///
/// # Errors
/// The runtime's refusal, in its words; whatever kept the monitor from starting.
pub async fn launch(program: &Path, bundle: &Path) -> Result<i32> {
    // Not this process' standard error: its reader may end before the container does.
    let complaints =
        File::create(bundle.join("monitor.err")).map_err(|e| Error::kernel(bundle.display(), e))?;
    let mut child = Command::new(program)
        .arg(bundle)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(complaints)
        .spawn()
        .map_err(|e| Error::kernel(format!("exec of the monitor {program:?}"), e))?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout)
            .read_line(&mut line)
            .await
            .map_err(|e| Error::kernel("monitor's verdict", e))?;
    }
    tokio::spawn(async move {
        if let Err(error) = child.wait().await {
            tracing::warn!("monitor: {error}");
        }
    });
    match serde_json::from_str(&line) {
        Ok(Verdict::Created { pid }) => Ok(pid),
        Ok(Verdict::Failed { message }) => Err(Error::internal(message)),
        Err(_) => Err(Error::internal("the monitor ended without a verdict")),
    }
}

/// Connects to the monitor of `bundle`.
///
/// # Errors
/// The kernel's; refused or not found means that no monitor lives there.
pub async fn connect(bundle: &Path) -> std::io::Result<UnixStream> {
    // A socket's address holds 108 bytes; the directory's own descriptor keeps it short.
    let directory = File::open(bundle)?;
    UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd())).await
}

/// Sends a request.
///
/// # Errors
/// The kernel's.
pub async fn send(stream: &mut UnixStream, request: &Request) -> std::io::Result<()> {
    stream.write_all(&protocol::message(request)?).await
}

/// The next frame; None at the end of the connection.
///
/// # Errors
/// The kernel's, and frames no monitor sends.
pub async fn next(
    stream: &mut (impl tokio::io::AsyncRead + Unpin),
) -> std::io::Result<Option<(Kind, Bytes)>> {
    let mut header = [0_u8; protocol::HEADER];
    match stream.read_exact(&mut header).await {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
    let kind = Kind::from_byte(header[0]).filter(|_| length <= LONGEST);
    let kind = kind.ok_or_else(|| std::io::Error::other("monitor: a frame of unknown kind"))?;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await?;
    Ok(Some((kind, payload.into())))
}

/// The next message; None at the end.
///
/// # Errors
/// As [`next`]; output frames where only messages are due are passed over.
pub async fn reply(stream: &mut UnixStream) -> std::io::Result<Option<Reply>> {
    while let Some((kind, payload)) = next(stream).await? {
        if kind == Kind::Message {
            return Ok(Some(serde_json::from_slice(&payload)?));
        }
    }
    Ok(None)
}

/// Sends a request on a connection and takes its answer; a refusal is an error.
///
/// # Errors
/// The monitor's refusal, or that it is gone.
pub async fn ask(stream: &mut UnixStream, request: &Request) -> Result<Reply> {
    send(stream, request)
        .await
        .map_err(|e| Error::kernel("monitor", e))?;
    match reply(stream)
        .await
        .map_err(|e| Error::kernel("monitor", e))?
    {
        Some(Reply::Failed { message }) => Err(Error::internal(message)),
        Some(reply) => Ok(reply),
        None => Err(Error::internal("the monitor is gone")),
    }
}

/// Asks one question on a connection of its own.
///
/// # Errors
/// As [`ask`], and when no monitor listens.
pub async fn once(bundle: &Path, request: &Request) -> Result<Reply> {
    let mut stream = connect(bundle)
        .await
        .map_err(|e| Error::kernel("monitor", e))?;
    ask(&mut stream, request).await
}

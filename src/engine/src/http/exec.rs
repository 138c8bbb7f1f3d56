//! Exec sessions.

use std::sync::Arc;

use gantry_api::RAW_STREAM;
use gantry_api::container::create::IdResponse;
use gantry_api::container::exec::{ExecRequest, ExecStart};
use gantry_api::frame;
use gantry_monitor::protocol::{Reply, Request, Streams};
use http::StatusCode;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::answer::{self, Answer};
use super::attach::{content_type, forward};
use super::{Call, hijack};
use crate::container::Container;
use crate::container::attach::{Ended, Wish, pass};
use crate::container::exec::Exec;
use crate::error::Error;
use crate::monitor;

/// `POST /containers/{id}/exec`.
pub async fn create(mut call: Call, id: &str) -> Answer {
    let container = call.engine.containers.find(id)?;
    let request: ExecRequest = call.json().await?;
    let id = call.engine.create_exec(&container, request)?;
    answer::json(StatusCode::CREATED, &IdResponse { id })
}

/// `POST /exec/{id}/start`.
pub async fn start(mut call: Call, id: &str) -> Answer {
    let (container, exec) = call.engine.find_exec(id)?;
    let start: ExecStart = call.json().await?;
    let size = start
        .console_size
        .or(exec.request.console_size)
        .unwrap_or_default();
    let size = size.map(|value| u16::try_from(value).unwrap_or(0));
    let tty = exec.request.tty;
    let streams = Streams {
        stdin: exec.request.attach_stdin,
        stdout: exec.request.attach_stdout,
        stderr: exec.request.attach_stderr && !tty,
    };
    let streams = if start.detach {
        Streams::default()
    } else {
        streams
    };
    let wish = Wish::new(streams, tty, &exec.request.detach_keys)?;
    call.engine.claim_exec(&container, &exec)?;
    let upgrade = hijack::take(&mut call).filter(|_| !start.detach);
    let kind = content_type(tty, call.version);
    let size = (size[0], size[1]);
    let Some(upgrade) = upgrade else {
        let mut stream = call
            .engine
            .start_exec(&container, &exec, streams, size)
            .await?;
        if start.detach {
            return answer::empty(StatusCode::OK);
        }
        let (sender, parts) = mpsc::channel(16);
        tokio::spawn(async move { forward(&mut stream, tty, &sender).await });
        return answer::stream(RAW_STREAM, parts);
    };
    let session = Hijacked {
        call,
        container,
        exec,
        wish,
        size,
    };
    tokio::spawn(session.serve(upgrade));
    Ok(hijack::switching(kind))
}

/// A session whose client has taken its connection over.
struct Hijacked {
    call: Call,
    container: Arc<Container>,
    exec: Arc<Exec>,
    wish: Wish,
    size: (u16, u16),
}

impl Hijacked {
    /// Runs the process once the client has its answer: some clients lose bytes that come together with it.
    async fn serve(self, upgrade: hyper::upgrade::OnUpgrade) {
        let engine = &self.call.engine;
        let _busy = engine.idle.busy();
        let Some(client) = hijack::connection(upgrade).await else {
            return;
        };
        let started = engine
            .start_exec(&self.container, &self.exec, self.wish.streams, self.size)
            .await;
        let stream = match started {
            Ok(stream) => stream,
            Err(error) => return tell(client, &error, self.wish.raw).await,
        };
        let note = |reply: Reply| {
            if let Reply::ExecExited { id, code } = reply {
                engine.exec_ended(&self.container, &id, code);
            }
        };
        if pass(client, stream, self.wish, note).await == Ended::Detached {
            let more = [("execID", self.exec.id.clone())];
            engine.container_event(&self.container.view(), "exec_detach", &more);
        }
    }
}

/// Writes an error to a hijacked connection and closes it.
async fn tell(mut client: impl AsyncWrite + Unpin, error: &Error, raw: bool) {
    let text = format!("{}\r\n", error.message);
    let mut bytes = Vec::new();
    if raw {
        bytes.extend_from_slice(text.as_bytes());
    } else {
        frame::encode(frame::Stream::Stdout, text.as_bytes(), &mut bytes);
    }
    if client.write_all(&bytes).await.is_ok() {
        drop(client.shutdown().await);
    }
}

/// `POST /exec/{id}/resize`.
pub async fn resize(call: Call, id: &str) -> Answer {
    let (container, exec) = call.engine.find_exec(id)?;
    let (height, width) = size(&call)?;
    let request = Request::Resize {
        session: Some(exec.id.clone()),
        height,
        width,
    };
    monitor::once(&container.places.bundle, &request).await?;
    answer::empty(StatusCode::OK)
}

/// The `h` and `w` parameters.
///
/// # Errors
/// Invalid if one is missing or no size.
pub fn size(call: &Call) -> crate::error::Result<(u16, u16)> {
    let read = |name: &str, long: &str| {
        let value = call
            .query
            .number(name)?
            .ok_or_else(|| Error::invalid(format!("invalid resize {long} \"\": invalid syntax")))?;
        u16::try_from(value).map_err(|_| {
            Error::invalid(format!(
                "invalid resize {long} \"{value}\": value out of range"
            ))
        })
    };
    Ok((read("h", "height")?, read("w", "width")?))
}

/// `GET /exec/{id}/json`.
pub fn inspect(call: &Call, id: &str) -> Answer {
    let (_, exec) = call.engine.find_exec(id)?;
    answer::ok(&exec.inspect())
}

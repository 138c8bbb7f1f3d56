//! Exec sessions.

use gantry_api::RAW_STREAM;
use gantry_api::container::create::IdResponse;
use gantry_api::container::exec::{ExecRequest, ExecStart};
use gantry_api::frame;
use gantry_monitor::protocol::{Request, Streams};
use http::StatusCode;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use super::answer::{self, Answer};
use super::attach::{content_type, forward};
use super::{Call, hijack};
use crate::container::attach::{Ended, Wish, pass};
use crate::error::{Error, Kind};
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
    if start.detach {
        call.engine
            .start_exec(&container, &exec, Streams::default(), (size[0], size[1]))
            .await?;
        return answer::empty(StatusCode::OK);
    }
    let streams = Streams {
        stdin: exec.request.attach_stdin,
        stdout: exec.request.attach_stdout,
        stderr: exec.request.attach_stderr && !tty,
    };
    let wish = Wish::new(streams, tty, &exec.request.detach_keys)?;
    let upgrade = hijack::take(&mut call);
    let kind = content_type(tty, call.version);
    let stream = call
        .engine
        .start_exec(&container, &exec, streams, (size[0], size[1]))
        .await;
    let Some(upgrade) = upgrade else {
        let mut stream = stream?;
        let (sender, parts) = mpsc::channel(16);
        tokio::spawn(async move { forward(&mut stream, tty, &sender).await });
        return answer::stream(RAW_STREAM, parts);
    };
    let stream = match stream {
        Ok(stream) => stream,
        Err(error) if error.kind == Kind::Conflict => return Err(error),
        // The client has asked for a stream: docker tells there what kept the process from running.
        Err(error) => {
            tokio::spawn(tell(upgrade, error, tty));
            return Ok(hijack::switching(kind));
        }
    };
    let (engine, busy) = (call.engine.clone(), call.engine.idle.busy());
    tokio::spawn(async move {
        let _busy = busy;
        let Some(client) = hijack::connection(upgrade).await else {
            return;
        };
        if pass(client, stream, wish).await == Ended::Detached {
            engine.container_event(
                &container.view(),
                "exec_detach",
                &[("execID", exec.id.clone())],
            );
        }
    });
    Ok(hijack::switching(kind))
}

/// Writes an error to a hijacked connection and closes it.
async fn tell(upgrade: hyper::upgrade::OnUpgrade, error: Error, raw: bool) {
    let Some(mut client) = hijack::connection(upgrade).await else {
        return;
    };
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

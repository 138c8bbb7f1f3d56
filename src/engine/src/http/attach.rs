//! `POST /containers/{id}/attach`.

use gantry_api::{MULTIPLEXED_STREAM, RAW_STREAM};
use gantry_monitor::protocol::Streams;
use tokio::sync::mpsc;

use super::answer::{self, Answer};
use super::{Call, hijack};
use crate::container::attach::{Ended, Wish, pass};
use crate::container::logs;
use crate::error::{Error, Result};
use crate::pipe;

/// The content type of a stream.
#[must_use]
pub fn content_type(tty: bool, version: u32) -> &'static str {
    if tty || version < 42 {
        RAW_STREAM
    } else {
        MULTIPLEXED_STREAM
    }
}

/// Attaches a client.
pub async fn attach(mut call: Call, id: &str) -> Answer {
    let container = call.engine.containers.find(id)?;
    let record = container.view();
    let query = &call.query;
    let streams = Streams {
        stdin: query.flag("stdin") && record.config.open_stdin,
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
    };
    let tty = record.config.tty;
    let wish = Wish::new(streams, tty, query.text("detachKeys"))?;
    let with_logs = query.flag("logs").then_some(logs::Wanted {
        stdout: streams.stdout,
        stderr: streams.stderr,
        ..Default::default()
    });
    let streaming = query.flag("stream");
    let upgrade = hijack::take(&mut call);
    let kind = content_type(tty, call.version);
    let receiver = if streaming {
        Some(call.engine.attach_container(&container, streams).await?)
    } else {
        None
    };
    let engine = call.engine.clone();
    let Some(upgrade) = upgrade else {
        let (sender, parts) = mpsc::channel(16);
        tokio::spawn(async move {
            let Some(receiver) = receiver else { return };
            if let Ok(mut stream) = receiver.await {
                forward(&mut stream, tty, &sender).await;
            }
        });
        return answer::stream(RAW_STREAM, parts);
    };
    let busy = engine.idle.busy();
    tokio::spawn(async move {
        let _busy = busy;
        let Some(mut client) = hijack::connection(upgrade).await else {
            return;
        };
        if let Some(wanted) = with_logs
            && let Err(error) = replay(&container, wanted, &mut client).await
        {
            tracing::debug!("attach: {error}");
        }
        let Some(receiver) = receiver else { return };
        let Ok(stream) = receiver.await else { return };
        if pass(client, stream, wish, |_| {}).await == Ended::Detached {
            engine.container_event(&container.view(), "detach", &[]);
        }
    });
    Ok(hijack::switching(kind))
}

/// Output only, for a client that did not ask to upgrade.
pub async fn forward(
    stream: &mut tokio::net::UnixStream,
    raw: bool,
    sender: &mpsc::Sender<std::io::Result<bytes::Bytes>>,
) {
    use gantry_monitor::protocol::{Kind, header};
    while let Ok(Some((kind, payload))) = crate::monitor::next(stream).await {
        if kind == Kind::Message {
            if crate::container::attach::is_end(&payload) {
                return;
            }
            continue;
        }
        let mut part = if raw {
            Vec::new()
        } else {
            header(kind, payload.len()).to_vec()
        };
        part.extend_from_slice(&payload);
        if sender.send(Ok(part.into())).await.is_err() {
            return;
        }
    }
}

async fn replay<C>(
    container: &std::sync::Arc<crate::container::Container>,
    wanted: logs::Wanted,
    client: &mut C,
) -> Result<()>
where
    C: tokio::io::AsyncWrite + Unpin,
{
    use tokio::io::AsyncWriteExt;
    let (mut writer, mut parts) = pipe::writer();
    let container = container.clone();
    let reading = tokio::task::spawn_blocking(move || logs::read(&container, &wanted, &mut writer));
    while let Some(Ok(part)) = parts.recv().await {
        client
            .write_all(&part)
            .await
            .map_err(|e| Error::kernel("client", e))?;
    }
    reading
        .await
        .map_err(|e| Error::internal(format!("bug: {e}")))?
}

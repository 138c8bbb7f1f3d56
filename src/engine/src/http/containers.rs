//! Containers, but for their streams.

use gantry_api::container::create::PruneReport;
use gantry_api::container::top::Top;
use gantry_api::container::update::UpdateRequest;
use gantry_monitor::protocol::Request;
use http::StatusCode;
use tokio::sync::mpsc;

use super::Call;
use super::answer::{self, Answer};
use super::router::no_content;
use crate::container::filter;
use crate::container::list::Wanted;
use crate::container::wait::{self, Condition};
use crate::error::{Error, Result};
use crate::monitor;
use crate::pipe::blocking;

/// `GET /containers/json`.
pub fn list(call: &Call) -> Answer {
    let query = &call.query;
    let wanted = Wanted {
        all: query.flag("all"),
        limit: query.number("limit")?.unwrap_or(0),
        size: query.flag("size"),
        filters: query.filters()?,
    };
    answer::ok(&call.engine.list_containers(&wanted)?)
}

/// `GET /containers/{id}/json`.
pub async fn inspect(call: &Call, id: &str) -> Answer {
    let container = call.engine.containers.find(id)?;
    if !call.query.flag("size") {
        return answer::ok(&call.engine.inspect_container(&container, false)?);
    }
    let engine = call.engine.clone();
    answer::ok(&blocking(move || engine.inspect_container(&container, true)).await?)
}

/// Does something that a client going away must not break off.
async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    tokio::spawn(work)
        .await
        .unwrap_or_else(|error| Err(Error::internal(format!("bug: {error}"))))
}

/// `POST /containers/{id}/start`.
pub async fn start(call: &Call, id: &str) -> Answer {
    let (engine, container) = (call.engine.clone(), call.engine.containers.find(id)?);
    if !call.query.text("checkpoint").is_empty() {
        return Err(Error::unsupported("checkpoint: this engine restores none"));
    }
    to_the_end(async move { engine.start_container(&container).await }).await?;
    no_content()
}

/// `POST /containers/{id}/stop`.
pub async fn stop(call: &Call, id: &str) -> Answer {
    let (engine, container) = (call.engine.clone(), call.engine.containers.find(id)?);
    let (signal, timeout) = (
        call.query.text("signal").to_owned(),
        call.query.number("t")?,
    );
    to_the_end(async move { engine.stop_container(&container, &signal, timeout).await }).await?;
    no_content()
}

/// `POST /containers/{id}/restart`.
pub async fn restart(call: &Call, id: &str) -> Answer {
    let (engine, container) = (call.engine.clone(), call.engine.containers.find(id)?);
    let (signal, timeout) = (
        call.query.text("signal").to_owned(),
        call.query.number("t")?,
    );
    to_the_end(async move { engine.restart_container(&container, &signal, timeout).await }).await?;
    no_content()
}

/// `POST /containers/{id}/kill`.
pub async fn kill(call: &Call, id: &str) -> Answer {
    let container = call.engine.containers.find(id)?;
    call.engine
        .kill_container(&container, call.query.text("signal"))
        .await?;
    no_content()
}

/// `POST /containers/{id}/pause`.
pub async fn pause(call: &Call, id: &str) -> Answer {
    let container = call.engine.containers.find(id)?;
    call.engine.pause_container(&container).await?;
    no_content()
}

/// `POST /containers/{id}/unpause`.
pub async fn unpause(call: &Call, id: &str) -> Answer {
    let container = call.engine.containers.find(id)?;
    call.engine.unpause_container(&container).await?;
    no_content()
}

/// `POST /containers/{id}/rename`.
pub async fn rename(call: &Call, id: &str) -> Answer {
    let container = call.engine.containers.find(id)?;
    call.engine
        .rename_container(&container, call.query.text("name"))
        .await?;
    no_content()
}

/// `POST /containers/{id}/update`.
pub async fn update(mut call: Call, id: &str) -> Answer {
    let container = call.engine.containers.find(id)?;
    let request: UpdateRequest = call.json().await?;
    answer::ok(&call.engine.update_container(&container, request).await?)
}

/// `POST /containers/{id}/wait`: the headers at once, the body when it is over.
pub fn wait(call: &Call, id: &str) -> Answer {
    let container = call.engine.containers.find(id)?;
    let condition = Condition::parse(call.query.text("condition"))?;
    let waiting = wait::wait(&container, condition);
    let (sender, parts) = mpsc::channel(1);
    tokio::spawn(async move {
        let left = sender.clone();
        tokio::select! {
            response = waiting => {
                let mut bytes = serde_json::to_vec(&response).unwrap_or_default();
                bytes.push(b'\n');
                // A client that left does not hear how it ended.
                drop(sender.send(Ok(bytes.into())).await);
            }
            () = left.closed() => {}
        }
    });
    answer::stream("application/json", parts)
}

/// `POST /containers/{id}/resize`.
pub async fn resize(call: &Call, id: &str) -> Answer {
    let container = call.engine.containers.find(id)?;
    let (height, width) = super::exec::size(call)?;
    if !container.view().state.lives() {
        return Err(Error::conflict(format!(
            "container {} is not running",
            container.id
        )));
    }
    monitor::once(
        &container.places.bundle,
        &Request::Resize {
            session: None,
            height,
            width,
        },
    )
    .await?;
    answer::empty(StatusCode::OK)
}

/// `GET /containers/{id}/top`.
pub async fn top(call: &Call, id: &str) -> Answer {
    let container = call.engine.containers.find(id)?;
    let arguments = call.query.text("ps_args");
    let arguments = if arguments.is_empty() {
        "-ef"
    } else {
        arguments
    };
    let top: Top = call.engine.container_top(&container, arguments).await?;
    answer::ok(&top)
}

/// `DELETE /containers/{id}`.
pub async fn remove(call: &Call, id: &str) -> Answer {
    if call.query.flag("link") {
        return Err(Error::unsupported(
            "link: removing a link is not available, remove the container instead",
        ));
    }
    let (engine, container) = (call.engine.clone(), call.engine.containers.find(id)?);
    let (force, volumes) = (call.query.flag("force"), call.query.flag("v"));
    to_the_end(async move { engine.remove_container(&container, force, volumes).await }).await?;
    no_content()
}

/// `POST /containers/prune`.
pub async fn prune(call: &Call) -> Answer {
    let filters = call.query.filters()?;
    let mut report = PruneReport::default();
    for container in call.engine.containers.all() {
        let record = container.view();
        if !filter::prunes(&filters, &record)?
            || record.state.lives()
            || record.state.phase == crate::container::record::Phase::Restarting
        {
            continue;
        }
        let (engine, own) = (call.engine.clone(), record.id.clone());
        let size = blocking(move || Ok(engine.store.rw(&own)?.size()?))
            .await
            .unwrap_or(0);
        if call
            .engine
            .remove_container(&container, false, false)
            .await
            .is_ok()
        {
            report.space_reclaimed += size;
            report
                .containers_deleted
                .get_or_insert_default()
                .push(record.id.clone());
        }
    }
    let attributes = [("reclaimed".to_owned(), report.space_reclaimed.to_string())].into();
    call.engine
        .events
        .emit("container", "prune", "", attributes);
    answer::ok(&report)
}

//! Volumes.

use gantry_api::filters::Filters;
use gantry_api::volume::{CreateRequest, List, PruneReport};
use http::StatusCode;

use super::Call;
use super::answer::{self, Answer};
use super::router::{no_content, nowhere};
use crate::Engine;
use crate::error::Error;
use crate::events::has_label;
use crate::pipe::blocking;
use crate::volume::Volume;

/// Routes below `/volumes`.
///
/// # Errors
/// The handler's.
pub async fn route(call: Call, verb: &str, parts: &[&str]) -> Answer {
    match (verb, parts) {
        ("GET", []) => list(&call),
        ("POST", ["create"]) => create(call).await,
        ("POST", ["prune"]) => prune(&call).await,
        ("GET", [name]) => answer::ok(&call.engine.volumes.find(name)?.view(&call.engine.volumes)),
        ("DELETE", [name]) => remove(&call, name).await,
        ("PUT", [_]) => Err(Error::unavailable(
            "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm \
             and try again.",
        )),
        _ => nowhere(),
    }
}

/// `GET /volumes`.
fn list(call: &Call) -> Answer {
    let filters = call.query.filters()?;
    filters.only(&["dangling", "driver", "label", "name"])?;
    let dangling = filters.boolean("dangling")?;
    let engine = &call.engine;
    let all = engine.volumes.all();
    let shown = all
        .iter()
        .filter(|volume| passes(engine, &filters, dangling, volume));
    let volumes = shown.map(|volume| volume.view(&engine.volumes)).collect();
    answer::ok(&List {
        volumes: Some(volumes),
        warnings: None,
    })
}

fn passes(engine: &Engine, filters: &Filters, dangling: Option<bool>, volume: &Volume) -> bool {
    let any = |name: &str, test: &dyn Fn(&str) -> bool| {
        !filters.contains(name) || filters.get(name).any(test)
    };
    any("name", &|name| volume.name.contains(name))
        && any("driver", &|driver| driver == "local")
        && labelled(filters, volume)
        && dangling.is_none_or(|wanted| wanted == engine.volume_users(&volume.name).is_empty())
}

fn labelled(filters: &Filters, volume: &Volume) -> bool {
    let labels = volume.labels.clone().unwrap_or_default();
    filters
        .get("label")
        .all(|wanted| has_label(&labels, wanted))
        && !filters
            .get("label!")
            .any(|unwanted| has_label(&labels, unwanted))
}

/// `POST /volumes/create`.
async fn create(mut call: Call) -> Answer {
    let request: CreateRequest = call.json().await?;
    let engine = call.engine.clone();
    let (volume, new) = blocking(move || engine.volumes.create(request)).await?;
    if new {
        call.engine.volume_event("create", &volume.name, &[]);
    }
    answer::json(StatusCode::CREATED, &volume.view(&call.engine.volumes))
}

/// `DELETE /volumes/{name}`.
async fn remove(call: &Call, name: &str) -> Answer {
    let (engine, name, force) = (
        call.engine.clone(),
        name.to_owned(),
        call.query.flag("force"),
    );
    blocking(move || engine.remove_volume(&name, force)).await?;
    no_content()
}

/// `POST /volumes/prune`.
async fn prune(call: &Call) -> Answer {
    let filters = call.query.filters()?;
    filters.only(&["all", "label", "label!"])?;
    let all = filters.boolean("all")?.unwrap_or(call.version < 42);
    let engine = call.engine.clone();
    let pruned = blocking(move || {
        engine.prune_volumes(|volume| (all || volume.anonymous()) && labelled(&filters, volume))
    });
    let (names, bytes) = pruned.await?;
    let attributes = [("reclaimed".to_owned(), bytes.to_string())].into();
    call.engine.events.emit("volume", "prune", "", attributes);
    answer::ok(&PruneReport {
        volumes_deleted: (!names.is_empty()).then_some(names),
        space_reclaimed: bytes,
    })
}

//! Networks.

use std::sync::Arc;

use gantry_api::filters::Filters;
use gantry_api::network::{
    ConnectRequest, CreateRequest, CreateResponse, DisconnectRequest, Network, PruneReport,
};
use http::StatusCode;

use super::Call;
use super::answer::{self, Answer};
use super::router::{no_content, nowhere};
use crate::Engine;
use crate::clock;
use crate::container::Container;
use crate::container::network::at_rest;
use crate::error::{Error, Result};
use crate::events::has_label;
use crate::network::connect::not_connected;
use crate::network::record::Record;
use crate::network::wish::{Wish, exclusive};
use crate::pipe::blocking;

/// Routes below `/networks`.
///
/// # Errors
/// The handler's.
pub async fn route(call: Call, verb: &str, parts: &[&str]) -> Answer {
    match (verb, parts) {
        ("GET", []) => list(&call),
        ("POST", ["create"]) => create(call).await,
        ("POST", ["prune"]) => prune(&call).await,
        ("GET", [name]) => answer::ok(&call.engine.networks.inspect(name)?),
        ("DELETE", [name]) => remove(&call, name).await,
        ("POST", [name, "connect"]) => connect(call, name).await,
        ("POST", [name, "disconnect"]) => disconnect(call, name).await,
        _ => nowhere(),
    }
}

/// `GET /networks`.
fn list(call: &Call) -> Answer {
    let filters = call.query.filters()?;
    filters.only(&["dangling", "driver", "id", "label", "name", "scope", "type"])?;
    let engine = &call.engine;
    let mut networks = Vec::new();
    for network in engine.networks.list() {
        if passes(engine, &filters, &network)? {
            networks.push(network);
        }
    }
    answer::ok(&networks)
}

fn passes(engine: &Engine, filters: &Filters, network: &Network) -> Result<bool> {
    let any = |name: &str, test: &dyn Fn(&str) -> bool| {
        !filters.contains(name) || filters.get(name).any(test)
    };
    let predefined = matches!(network.name.as_str(), "bridge" | "host" | "none");
    for kind in filters.get("type") {
        if !matches!(kind, "custom" | "builtin") {
            return Err(Error::invalid(format!("invalid filter: 'type'='{kind}'")));
        }
    }
    if let Some(dangling) = filters.boolean("dangling")?
        && dangling == (predefined || engine.networks.in_use(&network.id))
    {
        return Ok(false);
    }
    let labels = network.labels.clone().unwrap_or_default();
    Ok(any("driver", &|driver| network.driver == driver)
        && any("id", &|id| network.id.contains(id))
        && any("name", &|name| network.name.contains(name))
        && any("scope", &|scope| network.scope == scope)
        && any("type", &|kind| (kind == "builtin") == predefined)
        && filters
            .get("label")
            .all(|wanted| has_label(&labels, wanted)))
}

/// `POST /networks/create`.
async fn create(mut call: Call) -> Answer {
    let request: CreateRequest = call.json().await?;
    let engine = call.engine.clone();
    let network = blocking(move || engine.networks.create(request)).await?;
    let driver = network.driver.word();
    call.engine
        .network_event("create", &network.id, &network.name, driver, None);
    answer::json(
        StatusCode::CREATED,
        &CreateResponse {
            id: network.id,
            warning: String::new(),
        },
    )
}

/// `DELETE /networks/{id}`.
async fn remove(call: &Call, name: &str) -> Answer {
    let (engine, name) = (call.engine.clone(), name.to_owned());
    let network = blocking(move || engine.networks.remove(&name)).await?;
    call.engine.network_event(
        "destroy",
        &network.id,
        &network.name,
        network.driver.word(),
        None,
    );
    no_content()
}

/// `POST /networks/prune`.
async fn prune(call: &Call) -> Answer {
    let filters = call.query.filters()?;
    filters.only(&["label", "label!", "until"])?;
    let bounds: Vec<i64> = filters.get("until").filter_map(clock::parse).collect();
    let mut deleted = Vec::new();
    for network in call.engine.networks.list() {
        let labels = network.labels.clone().unwrap_or_default();
        let young = clock::nanos_of(&network.created)
            .is_some_and(|made| bounds.iter().any(|bound| made >= *bound));
        let wanted = !matches!(network.name.as_str(), "bridge" | "host" | "none")
            && filters.get("label").all(|label| has_label(&labels, label))
            && !filters.get("label!").any(|label| has_label(&labels, label))
            && !young;
        if !wanted || call.engine.networks.in_use(&network.id) {
            continue;
        }
        let (engine, id) = (call.engine.clone(), network.id.clone());
        // One that was joined since is in use and stays.
        match blocking(move || engine.networks.remove(&id)).await {
            Ok(network) => {
                call.engine.network_event(
                    "destroy",
                    &network.id,
                    &network.name,
                    network.driver.word(),
                    None,
                );
                deleted.push(network.name);
            }
            Err(error) => tracing::debug!("network {}: {error}", network.name),
        }
    }
    let attributes = [("reclaimed".to_owned(), "0".to_owned())].into();
    call.engine.events.emit("network", "prune", "", attributes);
    answer::ok(&PruneReport {
        networks_deleted: (!deleted.is_empty()).then_some(deleted),
    })
}

/// `POST /networks/{id}/connect`.
async fn connect(mut call: Call, name: &str) -> Answer {
    let request: ConnectRequest = call.json().await?;
    let engine = call.engine.clone();
    let container = engine.containers.find(&request.container)?;
    let network = engine.networks.find(name)?;
    let _life = container.life.lock().await;
    let endpoint = request.endpoint_config.unwrap_or_default();
    let own = container.clone();
    blocking(move || connect_now(&engine, &own, &network, endpoint)).await?;
    answer::empty(StatusCode::OK)
}

fn connect_now(
    engine: &Arc<Engine>,
    container: &Container,
    network: &Record,
    mut endpoint: gantry_api::network::EndpointSettings,
) -> Result<()> {
    let record = container.view();
    let wish = Wish::read(&record, container.places.home.clone())?;
    engine.networks.may_connect(&wish, network, &endpoint)?;
    endpoint.ipam_config.get_or_insert_default();
    endpoint.driver_opts.get_or_insert_default();
    endpoint.aliases.get_or_insert_default();
    if record.state.lives() {
        let settings = engine.networks.connect(&wish, network, endpoint.clone())?;
        container.change_state(|state| state.network = settings)?;
        engine.network_event(
            "connect",
            &network.id,
            &network.name,
            network.driver.word(),
            Some(&container.id),
        );
    } else if record.endpoints.contains_key(&network.name) {
        let (name, network) = (record.short_name(), &network.name);
        return Err(Error::denied(format!(
            "endpoint with name {name} already exists in network {network}"
        )));
    }
    endpoint.dns_names = network.has_names().then(|| wish.names(&endpoint));
    let name = network.name.clone();
    container.change(|record| drop(record.endpoints.insert(name, endpoint)));
    keep(container)
}

/// `POST /networks/{id}/disconnect`.
async fn disconnect(mut call: Call, name: &str) -> Answer {
    let request: DisconnectRequest = call.json().await?;
    let engine = call.engine.clone();
    let network = engine.networks.find(name)?;
    let container = engine.containers.find(&request.container)?;
    let _life = container.life.lock().await;
    let own = container.clone();
    blocking(move || disconnect_now(&engine, &own, &network)).await?;
    answer::empty(StatusCode::OK)
}

fn disconnect_now(engine: &Arc<Engine>, container: &Container, network: &Record) -> Result<()> {
    let record = container.view();
    let wish = Wish::read(&record, container.places.home.clone())?;
    if wish.mode == "host" && network.name == "host" {
        return Err(Error::invalid(
            "cannot disconnect container from host network - container was created in host network mode",
        ));
    }
    if wish.mode.starts_with("container:") {
        return Err(exclusive("host"));
    }
    if record.state.lives() {
        let settings = engine.networks.disconnect(&wish, network)?;
        container.change_state(|state| state.network = settings)?;
        engine.network_event(
            "disconnect",
            &network.id,
            &network.name,
            network.driver.word(),
            Some(&container.id),
        );
    } else if !record.endpoints.contains_key(&network.name) {
        return Err(not_connected(&container.id, &network.name));
    }
    let name = network.name.clone();
    container.change(|record| drop(record.endpoints.remove(&name)));
    keep(container)
}

/// Puts changed endpoints on disk, and what `inspect` shows of a container at rest in line with them.
fn keep(container: &Container) -> Result<()> {
    let record = container.view();
    record.save(&container.places.home)?;
    if record.state.lives() {
        return Ok(());
    }
    let settings = at_rest(&record);
    container.change_state(|state| state.network = settings)
}

//! Which handler answers which method and path.

use http::StatusCode;

use super::answer::{self, Answer};
use super::{
    Call, archive, attach, build, containers, create, exec, images, logs, networks, registry,
    stats, system, volumes,
};
use crate::error::Error;

/// Hands a call to its handler. `parts` is the path without version, decoded, split at slashes.
///
/// # Errors
/// The handler's; not found for a path nobody has.
pub async fn route(call: Call, verb: &str, parts: &[&str]) -> Answer {
    match (verb, parts) {
        ("GET" | "HEAD", ["_ping"]) => system::ping(verb == "HEAD"),
        ("GET", ["version"]) => system::version(&call),
        ("GET", ["info"]) => system::info(&call),
        ("GET", ["events"]) => system::events(call).await,
        ("GET", ["system", "df"]) => stats::df(&call).await,
        ("POST", ["build"]) => build::build(call).await,
        ("POST", ["build", "prune"]) => build::prune(&call).await,
        ("POST", ["system", "check"]) => stats::check(&call).await,
        ("POST", ["auth"]) => registry::auth(call).await,
        ("POST", ["commit"]) => archive::commit(call).await,
        ("GET", ["distribution", name @ .., "json"]) => {
            registry::distribution(call, &name.join("/")).await
        }
        ("GET", ["distribution", name @ .., "tags"]) => registry::tags(call, &name.join("/")).await,
        (_, ["containers", rest @ ..]) => containers_route(call, verb, rest).await,
        (_, ["exec", id, rest @ ..]) => match (verb, rest) {
            ("POST", ["start"]) => exec::start(call, id).await,
            ("POST", ["resize"]) => exec::resize(call, id).await,
            ("GET", ["json"]) => exec::inspect(&call, id),
            _ => nowhere(),
        },
        (_, ["images", rest @ ..]) => images::route(call, verb, rest).await,
        (_, ["networks", rest @ ..]) => networks::route(call, verb, rest).await,
        (_, ["volumes", rest @ ..]) => volumes::route(call, verb, rest).await,
        ("GET", ["plugins"]) => answer::ok(&Vec::<()>::new()),
        (
            _,
            [
                "swarm" | "nodes" | "services" | "tasks" | "secrets" | "configs",
                rest @ ..,
            ],
        ) => swarm(verb, parts[0], rest),
        _ => nowhere(),
    }
}

async fn containers_route(call: Call, verb: &str, parts: &[&str]) -> Answer {
    match (verb, parts) {
        ("GET", ["json"]) => containers::list(&call),
        ("POST", ["create"]) => create::create(call).await,
        ("POST", ["prune"]) => containers::prune(&call).await,
        ("GET", [id, "json"]) => containers::inspect(&call, id).await,
        ("POST", [id, "start"]) => containers::start(&call, id).await,
        ("POST", [id, "stop"]) => containers::stop(&call, id).await,
        ("POST", [id, "restart"]) => containers::restart(&call, id).await,
        ("POST", [id, "kill"]) => containers::kill(&call, id).await,
        ("POST", [id, "pause"]) => containers::pause(&call, id).await,
        ("POST", [id, "unpause"]) => containers::unpause(&call, id).await,
        ("POST", [id, "rename"]) => containers::rename(&call, id).await,
        ("POST", [id, "update"]) => containers::update(call, id).await,
        ("POST", [id, "wait"]) => containers::wait(&call, id),
        ("POST", [id, "attach"]) => attach::attach(call, id).await,
        ("POST", [id, "resize"]) => containers::resize(&call, id).await,
        ("GET", [id, "logs"]) => logs::logs(&call, id),
        ("GET", [id, "top"]) => containers::top(&call, id).await,
        ("POST", [id, "exec"]) => exec::create(call, id).await,
        ("GET", [id, "stats"]) => stats::stats(&call, id).await,
        ("GET", [id, "export"]) => archive::export(&call, id),
        ("GET", [id, "changes"]) => archive::changes(&call, id).await,
        ("HEAD", [id, "archive"]) => archive::head(&call, id).await,
        ("GET", [id, "archive"]) => archive::get(&call, id).await,
        ("PUT", [id, "archive"]) => archive::put(call, id).await,
        ("DELETE", [id]) => containers::remove(&call, id).await,
        _ => nowhere(),
    }
}

/// docker's answers where no swarm has been made.
fn swarm(verb: &str, room: &str, rest: &[&str]) -> Answer {
    let message = if room == "swarm" && rest == ["leave"] {
        "This node is not part of a swarm"
    } else if verb == "POST" && room == "swarm" && (rest == ["init"] || rest == ["join"]) {
        return Err(Error::unsupported(
            "swarm: this engine runs containers on one machine only",
        ));
    } else {
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again."
    };
    Err(Error::unavailable(message))
}

/// 404 for a path nobody has.
///
/// # Errors
/// Always.
pub fn nowhere() -> Answer {
    Err(Error::not_found("page not found"))
}

/// 204.
///
/// # Errors
/// None; a handler's shape.
pub fn no_content() -> Answer {
    answer::empty(StatusCode::NO_CONTENT)
}

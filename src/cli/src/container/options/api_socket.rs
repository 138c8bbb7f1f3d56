//! `--use-api-socket`: the engine's socket in the container, and this user's registry logins beside it.

use gantry_api::container::create::CreateRequest;
use gantry_api::container::host_config::Mount;
use serde_json::json;

use super::super::copy;
use super::refuse;
use crate::connection::Endpoint;
use crate::credentials;
use crate::failure::Outcome;
use crate::session::{Engine, Session};

/// Where the container finds the logins.
const FOLDER: &str = "/run/secrets/docker";

/// Adds the socket to what the container sees.
///
/// # Errors
/// When the engine is not on a socket of this host.
pub fn mount(engine: &Engine, request: &mut CreateRequest) -> Outcome {
    let Some(socket) = engine.socket() else {
        return Err(refuse(
            "flag --use-api-socket can only be used with unix sockets",
        ));
    };
    request.host_config.mounts.push(Mount {
        kind: "bind".to_owned(),
        source: Endpoint::Unix(socket.to_owned())
            .text()
            .trim_start_matches("unix://")
            .to_owned(),
        target: "/var/run/docker.sock".to_owned(),
        ..Mount::default()
    });
    let environment = request.config.env.get_or_insert_default();
    if !environment
        .iter()
        .any(|pair| pair.starts_with("DOCKER_CONFIG="))
    {
        environment.push(format!("DOCKER_CONFIG={FOLDER}"));
    }
    Ok(())
}

/// Puts the logins into the created container.
///
/// # Errors
/// When the engine refuses.
pub fn hand_over_logins(session: &Session, engine: &Engine, id: &str) -> Outcome {
    let names = session
        .configuration
        .values
        .get("auths")
        .and_then(serde_json::Value::as_object);
    let mut auths = serde_json::Map::new();
    for name in names.into_iter().flat_map(serde_json::Map::keys) {
        let login = credentials::get(&session.configuration, name)?;
        let both = format!("{}:{}", login.username, login.password);
        let auth = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, both);
        auths.insert(name.clone(), json!({ "auth": auth }));
    }
    let text = json!({ "auths": auths }).to_string();
    copy::put_file(
        engine,
        id,
        &format!("{FOLDER}/config.json"),
        text.as_bytes(),
        0o600,
    )
}

//! Logins to registries: in `config.json`, or with a credential helper.

use std::io::Write;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use gantry_api::system::auth::AuthConfig;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::configuration::Configuration;
use crate::failure::{Failure, Outcome, os_text};
use crate::session::Session;

/// The name under which Docker Hub's login is kept.
pub const HUB: &str = "https://index.docker.io/v1/";

/// The name under which a registry's login is kept.
#[must_use]
pub fn key(domain: &str) -> String {
    match domain {
        "" | "docker.io" | "index.docker.io" | HUB => HUB.to_owned(),
        other => other
            .trim_start_matches("https://")
            .trim_start_matches("http://")
            .split('/')
            .next()
            .unwrap_or(other)
            .to_owned(),
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Secret {
    #[serde(rename = "ServerURL", default)]
    server_url: String,
    username: String,
    secret: String,
}

/// The program that keeps a registry's login, if one does.
fn helper(configuration: &Configuration, key: &str) -> Option<String> {
    let own = configuration.map_text("credHelpers", key);
    own.or_else(|| configuration.text("credsStore"))
        .filter(|name| !name.is_empty())
        .map(|name| format!("docker-credential-{name}"))
}

fn ask(program: &str, verb: &str, input: &str) -> Outcome<Option<String>> {
    let cannot = |why: &str| Failure::new(format!("error getting credentials - err: {why}"));
    let mut child = Command::new(program)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| cannot(&format!("exec: \"{program}\": {}", os_text(&error))))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that needs no input may have closed it.
        drop(stdin.write_all(input.as_bytes()));
    }
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        return Ok(Some(text));
    }
    if text.contains("credentials not found") {
        return Ok(None);
    }
    Err(cannot(&format!("{}, out: `{text}`", output.status)))
}

/// The login for a registry, empty when there is none.
///
/// # Errors
/// When a helper fails.
pub fn get(configuration: &Configuration, key: &str) -> Outcome<AuthConfig> {
    if let Some(program) = helper(configuration, key) {
        let Some(text) = ask(&program, "get", key)? else {
            return Ok(AuthConfig::default());
        };
        let secret: Secret = serde_json::from_str(&text)
            .map_err(|error| Failure::new(format!("{program}: {error}")))?;
        let token = secret.username == "<token>";
        return Ok(AuthConfig {
            username: if token {
                String::new()
            } else {
                secret.username
            },
            password: if token {
                String::new()
            } else {
                secret.secret.clone()
            },
            identity_token: if token { secret.secret } else { String::new() },
            server_address: key.to_owned(),
            ..AuthConfig::default()
        });
    }
    let Some(stored) = configuration
        .values
        .get("auths")
        .and_then(|auths| auths.get(key))
    else {
        return Ok(AuthConfig::default());
    };
    let mut login: AuthConfig = serde_json::from_value(stored.clone()).unwrap_or_default();
    let both = STANDARD
        .decode(&login.auth)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default();
    if let Some((name, password)) = both.split_once(':') {
        name.clone_into(&mut login.username);
        password
            .trim_end_matches('\0')
            .clone_into(&mut login.password);
    }
    login.auth.clear();
    key.clone_into(&mut login.server_address);
    Ok(login)
}

/// Keeps a login.
///
/// # Errors
/// When it cannot be kept.
pub fn store(configuration: &mut Configuration, login: &AuthConfig) -> Outcome {
    let key = login.server_address.clone();
    if let Some(program) = helper(configuration, &key) {
        let token = !login.identity_token.is_empty();
        let secret = Secret {
            server_url: key.clone(),
            username: if token {
                "<token>".to_owned()
            } else {
                login.username.clone()
            },
            secret: if token {
                login.identity_token.clone()
            } else {
                login.password.clone()
            },
        };
        ask(&program, "store", &serde_json::to_string(&secret)?)?;
        set(configuration, &key, Some(json!({})));
        return configuration.save();
    }
    let mut entry =
        json!({ "auth": STANDARD.encode(format!("{}:{}", login.username, login.password)) });
    if !login.identity_token.is_empty() {
        entry = json!({ "auth": STANDARD.encode(format!("{}:", login.username)), "identitytoken": login.identity_token });
    }
    set(configuration, &key, Some(entry));
    configuration.save()
}

/// Forgets a login.
///
/// # Errors
/// When that cannot be written down.
pub fn erase(configuration: &mut Configuration, key: &str) -> Outcome {
    if let Some(program) = helper(configuration, key) {
        ask(&program, "erase", key)?;
    }
    let known = configuration
        .values
        .get("auths")
        .and_then(|auths| auths.get(key))
        .is_some();
    set(configuration, key, None);
    if known { configuration.save() } else { Ok(()) }
}

fn set(configuration: &mut Configuration, key: &str, entry: Option<Value>) {
    let auths = configuration
        .values
        .entry("auths")
        .or_insert_with(|| json!({}));
    if let Some(auths) = auths.as_object_mut() {
        match entry {
            Some(entry) => drop(auths.insert(key.to_owned(), entry)),
            None => drop(auths.remove(key)),
        }
    }
}

/// The `X-Registry-Auth` header for a registry: base64url JSON, `{}` when nobody is logged in.
///
/// # Errors
/// When a helper fails.
pub fn header(session: &Session, domain: &str) -> Outcome<String> {
    let login = get(&session.configuration, &key(domain))?;
    encode(&login)
}

/// A login as the header carries it.
///
/// # Errors
/// Never in practice: a login is plain text.
pub fn encode(login: &AuthConfig) -> Outcome<String> {
    Ok(URL_SAFE.encode(serde_json::to_vec(login)?))
}

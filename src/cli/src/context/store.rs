//! Docker's store of contexts: `contexts/meta/<sha256 of the name>/meta.json`.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::connection::Endpoint;
use crate::failure::{Failure, Outcome, os_text};

/// A context.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// What it is for.
    pub description: String,
    /// Its engine's address.
    pub host: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    name: String,
    #[serde(default)]
    metadata: serde_json::Value,
    #[serde(default)]
    endpoints: serde_json::Value,
}

/// The folder name of a context.
#[must_use]
pub fn identity(name: &str) -> String {
    Sha256::digest(name.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Refuses what is no name.
///
/// # Errors
/// In docker's words.
pub fn check_name(name: &str) -> Outcome {
    let good = name.len() >= 2
        && name.as_bytes()[0].is_ascii_alphanumeric()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte));
    if name == "default" {
        return Err(Failure::new("\"default\" is a reserved context name"));
    }
    if good {
        Ok(())
    } else {
        Err(Failure::new(format!(
            "context name \"{name}\" is invalid, names are validated against regexp \"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$\""
        )))
    }
}

/// Reads a context.
///
/// # Errors
/// When there is none of the name.
pub fn read(folder: &Path, name: &str) -> Outcome<Context> {
    let path = folder
        .join("contexts/meta")
        .join(identity(name))
        .join("meta.json");
    let bytes = fs::read(&path).map_err(|error| {
        Failure::new(format!(
            "context \"{name}\": context not found: open {}: {}",
            path.display(),
            os_text(&error)
        ))
    })?;
    let meta: Meta = serde_json::from_slice(&bytes)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    Ok(Context {
        description: text(&meta.metadata["Description"]),
        host: text(&meta.endpoints["docker"]["Host"]),
    })
}

/// The address of a context's engine.
///
/// # Errors
/// When there is no such context, or its address is not spoken here.
pub fn endpoint(folder: &Path, name: &str) -> Outcome<Endpoint> {
    let context = read(folder, name).map_err(|error| {
        Failure::new(format!(
            "Failed to initialize: unable to resolve docker endpoint: {}",
            error.text
        ))
    })?;
    Endpoint::parse(&context.host)
}

/// The names of all contexts but the default one.
#[must_use]
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder.join("contexts/meta"))
        .into_iter()
        .flatten()
        .flatten();
    entries
        .filter_map(|entry| fs::read(entry.path().join("meta.json")).ok())
        .filter_map(|bytes| serde_json::from_slice::<Meta>(&bytes).ok())
        .map(|meta| meta.name)
        .collect()
}

/// Writes a context.
///
/// # Errors
/// When the folder cannot be written.
pub fn write(folder: &Path, name: &str, context: &Context) -> Outcome {
    let place = folder.join("contexts/meta").join(identity(name));
    fs::create_dir_all(&place)?;
    let metadata = if context.description.is_empty() {
        json!({})
    } else {
        json!({ "Description": context.description })
    };
    let meta = json!({
        "Name": name,
        "Metadata": metadata,
        "Endpoints": { "docker": { "Host": context.host, "SkipTLSVerify": false } },
    });
    let temporary = place.join(format!("meta.json.{}", std::process::id()));
    fs::write(&temporary, meta.to_string())?;
    Ok(fs::rename(&temporary, place.join("meta.json"))?)
}

/// Removes a context.
///
/// # Errors
/// When there is none of the name.
pub fn remove(folder: &Path, name: &str) -> Outcome {
    read(folder, name)?;
    let id = identity(name);
    fs::remove_dir_all(folder.join("contexts/meta").join(&id))?;
    match fs::remove_dir_all(folder.join("contexts/tls").join(&id)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

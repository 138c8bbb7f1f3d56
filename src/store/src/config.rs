//! The image configuration, `application/vnd.oci.image.config.v1+json`, with docker's extensions (image-spec
//! "config.md" and docker's Healthcheck, OnBuild, Shell, ArgsEscaped, StopTimeout). Pulled configurations are kept as
//! bytes and only read through these types; those written here have their keys sorted as docker sorts them.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::digest::Digest;

/// A set in docker's JSON: `{"80/tcp": {}}`.
pub type Set = BTreeMap<String, Value>;

fn null_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The top level. Times are RFC 3339 texts, kept as written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// CPU architecture in Go's words: `amd64`.
    #[serde(deserialize_with = "null_default")]
    pub architecture: String,
    /// Who made it.
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub author: String,
    /// One-line note of docker commit and import.
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub comment: String,
    /// What a container of it runs with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<RunConfig>,
    /// Id of the container it was committed from.
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub container: String,
    /// That container's configuration, written by the classic builder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_config: Option<Value>,
    /// When it was made, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Version of the engine that made it.
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub docker_version: String,
    /// One entry per build step, oldest first.
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub history: Vec<HistoryEntry>,
    /// Operating system in Go's words: `linux`.
    #[serde(deserialize_with = "null_default")]
    pub os: String,
    /// Windows only.
    #[serde(
        rename = "os.features",
        deserialize_with = "null_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub os_features: Vec<String>,
    /// Windows only.
    #[serde(
        rename = "os.version",
        deserialize_with = "null_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub os_version: String,
    /// The layers, lowest first.
    #[serde(deserialize_with = "null_default")]
    pub rootfs: RootFs,
    /// CPU variant: `v8`.
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub variant: String,
    /// Keys this version does not know, kept.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

impl ImageConfig {
    /// Its JSON: the bytes whose digest becomes the image's id.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Strings, numbers and maps with string keys: nothing here can fail to become JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The layers of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// diffIDs, lowest first.
    #[serde(deserialize_with = "null_default")]
    pub diff_ids: Vec<Digest>,
}

impl Default for RootFs {
    fn default() -> RootFs {
        RootFs {
            kind: "layers".to_owned(),
            diff_ids: Vec::new(),
        }
    }
}

/// One step of the making of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryEntry {
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The instruction or command.
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub created_by: String,
    /// Who.
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub author: String,
    /// Note.
    #[serde(
        deserialize_with = "null_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub comment: String,
    /// True where the step changed the configuration only.
    #[serde(deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub empty_layer: bool,
}

/// What a container of the image runs with: docker's `container.Config`, in its order of keys. `None` is docker's
/// `null`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the fields are docker's, by name")]
pub struct RunConfig {
    #[serde(deserialize_with = "null_default")]
    pub hostname: String,
    #[serde(deserialize_with = "null_default")]
    pub domainname: String,
    #[serde(deserialize_with = "null_default")]
    pub user: String,
    #[serde(deserialize_with = "null_default")]
    pub attach_stdin: bool,
    #[serde(deserialize_with = "null_default")]
    pub attach_stdout: bool,
    #[serde(deserialize_with = "null_default")]
    pub attach_stderr: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposed_ports: Option<Set>,
    #[serde(deserialize_with = "null_default")]
    pub tty: bool,
    #[serde(deserialize_with = "null_default")]
    pub open_stdin: bool,
    #[serde(deserialize_with = "null_default")]
    pub stdin_once: bool,
    pub env: Option<Vec<String>>,
    pub cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    #[serde(deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub args_escaped: bool,
    #[serde(deserialize_with = "null_default")]
    pub image: String,
    pub volumes: Option<Set>,
    #[serde(deserialize_with = "null_default")]
    pub working_dir: String,
    pub entrypoint: Option<Vec<String>>,
    #[serde(deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub network_disabled: bool,
    #[serde(deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub mac_address: String,
    pub on_build: Option<Vec<String>>,
    pub labels: Option<BTreeMap<String, String>>,
    #[serde(deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub stop_signal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// Keys this version does not know, kept.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// Health check of an image; durations in nanoseconds, 0 = inherit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
#[allow(missing_docs, reason = "the fields are docker's, by name")]
pub struct Healthcheck {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<Vec<String>>,
    #[serde(deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub interval: i64,
    #[serde(deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub timeout: i64,
    #[serde(deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub start_period: i64,
    #[serde(deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub start_interval: i64,
    #[serde(deserialize_with = "null_default", skip_serializing_if = "is_default")]
    pub retries: i64,
}

/// `amd64`, `arm64`, …: this machine's architecture in Go's words.
#[must_use]
pub fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        "riscv64" => "riscv64",
        "loongarch64" => "loong64",
        other => other,
    }
}

/// Now, RFC 3339 with nanoseconds and `Z`, trailing zeros cut as Go does.
#[must_use]
pub fn now() -> String {
    jiff::Timestamp::now().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_fields_survive() {
        let text = r#"{"architecture":"amd64","config":{"Hostname":"","Domainname":"","User":"1:1","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":["A=1"],"Cmd":null,"Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":5000000000},"Image":"","Volumes":null,"WorkingDir":"/w","Entrypoint":null,"OnBuild":["RUN x"],"Labels":null,"StopSignal":"SIGINT","Shell":["/bin/sh"],"Memory":3},"created":"2026-11-20T20:34:38.62818354Z","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"moby.buildkit.x":1}"#;
        let config: ImageConfig = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&config).unwrap(), text);
    }

    #[test]
    fn nulls_are_taken() {
        let text = r#"{"architecture":"amd64","os":"linux","config":{"User":null,"Env":null,"Tty":null},"rootfs":{"type":"layers","diff_ids":null},"history":null}"#;
        let config: ImageConfig = serde_json::from_str(text).unwrap();
        assert!(config.rootfs.diff_ids.is_empty());
    }
}

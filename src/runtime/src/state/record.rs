//! The facts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::cgroups;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::rdt;

/// What is known of a container. Fields are only ever added.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The container's name.
    pub id: String,
    /// The init process in the pid namespace of its maker; 0 while there is none yet.
    pub pid: i32,
    /// When it started, in clock ticks since boot: with the pid the identity of a process.
    pub start_time: u64,
    /// Absolute path of the bundle.
    pub bundle: PathBuf,
    /// Absolute path of the root filesystem.
    pub rootfs: PathBuf,
    /// When it was made, RFC 3339 with nanoseconds, UTC.
    pub created: String,
    /// The cgroup.
    pub cgroup: cgroups::Record,
    /// Resources after `update`, as `linux.resources`; `None` as long as config.json's are in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Box<RawValue>>,
    /// The class and group of resctrl that the container is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rdt: Option<rdt::Record>,
    /// config.json as it was read at `create`.
    pub config: Box<RawValue>,
}

impl Record {
    /// The record of a container that is being made: no process yet.
    #[must_use]
    pub fn new(id: &str, config: &Config, raw: Box<RawValue>, cgroup: cgroups::Record) -> Self {
        Self {
            id: id.to_owned(),
            pid: 0,
            start_time: 0,
            bundle: config.bundle.clone(),
            rootfs: config.rootfs.clone(),
            created: sys::clock::rfc3339_nano(SystemTime::now()),
            cgroup,
            resources: None,
            rdt: None,
            config: raw,
        }
    }

    /// The typed configuration.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`], which `create` would have refused.
    pub fn config(&self) -> Result<Config> {
        Config::parse(self.config.get().as_bytes(), &self.bundle)
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|error| {
            Error::Denied(format!("state of the container cannot be read: {error}"))
        })
    }
}

/// What hooks and seccomp listeners are told of a container.
#[derive(Debug, Clone, Default)]
pub struct HookState {
    /// `ociVersion` of the state.
    pub version: String,
    /// The container's name.
    pub id: String,
    /// Absolute path of the bundle.
    pub bundle: PathBuf,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

impl HookState {
    /// The state as JSON, `pid` left out where there is none.
    #[must_use]
    pub fn json(&self, status: &str, pid: Option<i32>) -> Vec<u8> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct State<'a> {
            oci_version: &'a str,
            id: &'a str,
            status: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            pid: Option<i32>,
            bundle: &'a PathBuf,
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            annotations: &'a BTreeMap<String, String>,
        }
        let state = State {
            oci_version: &self.version,
            id: &self.id,
            status,
            pid,
            bundle: &self.bundle,
            annotations: &self.annotations,
        };
        serde_json::to_vec(&state).unwrap_or_default()
    }
}

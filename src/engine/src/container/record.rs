//! What is known of a container: fixed facts on disk before anybody hears of it, the run's state beside them.
//!
//! `config.json` is written durably when it changes; `state.json` without syncing, because after a power cut no container
//! runs and a lost state reads as one that ended.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use gantry_api::container::inspect::{Health, MountPoint, NetworkSettings};
use gantry_api::container::{Config, HostConfig};
use gantry_api::network::EndpointSettings;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::error::{Error, Result};

/// A container as of one moment.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Record {
    /// 64 hex digits.
    pub id: String,
    /// With the leading slash.
    pub name: String,
    /// RFC 3339.
    pub created: String,
    /// The program.
    pub path: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// The image's id.
    pub image: String,
    /// The portable part, the image's defaults merged in.
    pub config: Config,
    /// The host's part.
    pub host: HostConfig,
    /// Where what is mounted.
    pub mounts: Vec<Mounted>,
    /// Networks to join.
    pub endpoints: BTreeMap<String, EndpointSettings>,
    /// The run's state.
    #[serde(skip)]
    pub state: State,
}

/// A mount with what `inspect` does not show.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Mounted {
    /// What `inspect` shows.
    pub point: MountPoint,
    /// Options of the OCI mount beyond read-only and propagation.
    #[serde(default)]
    pub options: Vec<String>,
    /// Whether a volume's content comes from the image when it is empty.
    #[serde(default)]
    pub copy: bool,
    /// Path inside the volume.
    #[serde(default)]
    pub subpath: String,
    /// Whether the volume was made for this container alone.
    #[serde(default)]
    pub anonymous: bool,
    /// Whether a missing bind source is made.
    #[serde(default)]
    pub make_source: bool,
}

/// The phase a container is in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Never started.
    #[default]
    Created,
    /// Its process runs.
    Running,
    /// Frozen.
    Paused,
    /// Ended, to be started again soon.
    Restarting,
    /// Being removed.
    Removing,
    /// Ended.
    Exited,
    /// Its removal failed half way.
    Dead,
}

impl Phase {
    /// docker's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }
}

/// The run's state.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The phase.
    pub phase: Phase,
    /// The first process, 0 when none.
    pub pid: i32,
    /// Of the last run.
    pub exit_code: i32,
    /// Why the last start failed.
    pub error: String,
    /// RFC 3339, empty before the first start.
    pub started_at: String,
    /// RFC 3339, empty before the first end.
    pub finished_at: String,
    /// Whether the kernel killed for lack of memory.
    pub oom_killed: bool,
    /// Restarts by policy.
    pub restart_count: i64,
    /// Whether a user stopped it, which the restart policy respects.
    pub stopped_by_user: bool,
    /// How often it has ended.
    pub exits: u64,
    /// Health, where a probe is configured.
    pub health: Option<Health>,
    /// Addresses as the network room gave them.
    pub network: NetworkSettings,
}

impl State {
    /// Whether its process lives, frozen or not.
    #[must_use]
    pub fn lives(&self) -> bool {
        matches!(self.phase, Phase::Running | Phase::Paused)
    }
}

impl Record {
    /// The name without slash.
    #[must_use]
    pub fn short_name(&self) -> &str {
        self.name.trim_start_matches('/')
    }

    /// Writes the facts durably.
    ///
    /// # Errors
    /// The disk's.
    pub fn save(&self, directory: &Path) -> Result<()> {
        write(directory, "config.json", self, true)
    }

    /// Writes the state.
    ///
    /// # Errors
    /// The disk's.
    pub fn save_state(&self, directory: &Path) -> Result<()> {
        write(directory, "state.json", &self.state, false)
    }

    /// Reads a container back.
    ///
    /// # Errors
    /// A missing or damaged `config.json`; a damaged state is one that ended.
    pub fn load(directory: &Path) -> Result<Self> {
        let path = directory.join("config.json");
        let bytes = fs::read(&path).map_err(|e| Error::kernel(path.display(), e))?;
        let mut record: Self = serde_json::from_slice(&bytes)
            .map_err(|e| Error::internal(format!("{}: {e}", path.display())))?;
        let state = fs::read(directory.join("state.json")).ok();
        record.state = state
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_else(|| State {
                phase: Phase::Exited,
                finished_at: clock::now(),
                ..State::default()
            });
        Ok(record)
    }
}

fn write<T: Serialize>(directory: &Path, name: &str, value: &T, durable: bool) -> Result<()> {
    let (path, temporary) = (directory.join(name), directory.join(format!(".{name}.new")));
    let bytes = serde_json::to_vec(value).map_err(|e| Error::internal(format!("{name}: {e}")))?;
    let done = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(&bytes)?;
        if durable {
            file.sync_data()?;
        }
        fs::rename(&temporary, &path)?;
        if durable {
            File::open(directory)?.sync_all()
        } else {
            Ok(())
        }
    };
    done().map_err(|e| Error::kernel(path.display(), e))
}

/// The directories of one container.
#[derive(Debug, Clone)]
pub struct Places {
    /// What lasts: records, log, hosts file.
    pub home: PathBuf,
    /// The OCI bundle and the monitor's socket; gone with the machine.
    pub bundle: PathBuf,
}

impl Places {
    /// The log.
    #[must_use]
    pub fn log(&self, id: &str) -> PathBuf {
        self.home.join(format!("{id}-json.log"))
    }

    /// The monitor's exit record.
    #[must_use]
    pub fn exit_record(&self) -> PathBuf {
        self.home.join("exit.json")
    }
}

//! gantry's engine: containers, images, networks and volumes, and the Docker Engine API over them.
//!
//! One writer of the data root; containers live in their monitors' care and outlive this process. Asynchronous code
//! stands at the edges (`http`, the tasks that watch monitors); everything that touches the disk is a plain function.

pub mod build;
pub mod clock;
pub mod container;
pub mod error;
pub mod events;
pub mod http;
pub mod idle;
pub mod log;
pub mod machine;
pub mod monitor;
pub mod network;
pub mod oci_runtime;
pub mod options;
pub mod pipe;
pub mod serve;
pub mod volume;

use std::sync::Arc;

use gantry_store::Store;

use container::registry::Registry;
use error::{Error, Result};
use events::Events;
use idle::Idle;
use machine::Machine;
use network::Networks;
use options::Options;
use volume::Volumes;

/// The engine: its rooms.
#[derive(Debug)]
pub struct Engine {
    /// What it was told at its start.
    pub options: Options,
    /// What it found out about the machine.
    pub machine: Machine,
    /// Images and layers.
    pub store: Store,
    /// Results of build steps.
    pub build_cache: gantry_build::cache::Cache,
    /// Containers.
    pub containers: Registry,
    /// Networks.
    pub networks: Networks,
    /// Volumes.
    pub volumes: Volumes,
    /// What happens.
    pub events: Events,
    /// Whether anybody needs it.
    pub idle: Arc<Idle>,
}

impl Engine {
    /// Opens everything below the data root and loads what is there.
    ///
    /// # Errors
    /// Another engine holds the data root; the disk's.
    pub fn open(options: Options) -> Result<Self> {
        for directory in [
            &options.data_root.join("containers"),
            &options.exec_root.join("containers"),
        ] {
            std::fs::create_dir_all(directory)
                .map_err(|e| Error::kernel(directory.display(), e))?;
        }
        let store = Store::open(&options.data_root)?;
        let machine = Machine::probe(&options.data_root)?;
        let build_cache = Self::open_build_cache(&options.data_root, &store)?;
        let engine = Self {
            machine,
            build_cache,
            store,
            containers: Registry::default(),
            networks: Networks::open(network::Settings::read(&options)?)?,
            volumes: Volumes::open(&options.data_root)?,
            events: Events::default(),
            idle: Arc::default(),
            options,
        };
        engine.load_containers();
        let live = engine
            .containers
            .all()
            .into_iter()
            .filter(|container| container.view().state.lives());
        engine
            .networks
            .adopt(&live.map(|container| container.id.clone()).collect())?;
        Ok(engine)
    }
}

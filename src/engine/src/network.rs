//! Networks: what there are, who is on them, and what stands on the host for it.
//!
//! Plain functions behind one lock, called from blocking tasks: every change is a few milliseconds of netlink. Records of
//! networks last; records of sandboxes end with the machine, as what they describe does.

pub mod adopt;
pub mod attach;
pub mod connect;
pub mod create;
pub mod files;
pub mod record;
mod reserve;
pub mod sandbox;
pub mod wish;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use gantry_api::network::{EndpointResource, Network as View};
use gantry_network::ipam::Defaults;
use gantry_network::link::Links;
use gantry_network::nft::table::Table;
use gantry_network::server::client::Client;

use crate::error::{Error, Result};
use record::Record;
use sandbox::Sandbox;

/// What the engine decides for all its networks.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Directory of what lasts.
    pub data_root: PathBuf,
    /// Directory of what ends with the machine.
    pub exec_root: PathBuf,
    /// Name of the default bridge, and of the firewall table: two engines in one namespace need two.
    pub bridge: String,
    /// Address of the default bridge with its prefix length; chosen where absent.
    pub bip: Option<String>,
    /// DNS servers of containers that name none.
    pub dns: Vec<IpAddr>,
    /// Where subnets come from.
    pub pools: Defaults,
    /// The program that serves names and local ports, with its arguments.
    pub server: Vec<String>,
}

impl Settings {
    /// What the engine was told that concerns networks.
    ///
    /// # Errors
    /// A DNS server that is no address; the engine's own program cannot be found.
    pub fn read(options: &crate::options::Options) -> Result<Self> {
        let server = |text: &String| {
            text.parse()
                .map_err(|_| Error::invalid(format!("dns {text:?}: expected an IP address")))
        };
        let program = std::env::current_exe().map_err(|e| Error::kernel("/proc/self/exe", e))?;
        Ok(Self {
            data_root: options.data_root.clone(),
            exec_root: options.exec_root.clone(),
            bridge: bridge_name(&options.data_root),
            bip: options.bip.clone(),
            dns: options.dns.iter().map(server).collect::<Result<_>>()?,
            pools: Defaults::default(),
            server: vec![
                program.to_string_lossy().into_owned(),
                gantry_network::server::VERB.to_owned(),
            ],
        })
    }
}

/// The name of the default bridge of an engine with this data root: two engines on a machine must not share one.
#[must_use]
pub fn bridge_name(data_root: &Path) -> String {
    if data_root == Path::new("/var/lib/gantry") {
        return "gantry0".into();
    }
    // FNV-1a: a name, not a secret.
    let fold = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    let hash = data_root
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0x811c_9dc5, fold);
    format!("gantry{hash:08x}")
}

/// All networks of an engine.
#[derive(Debug)]
pub struct Networks {
    settings: Settings,
    state: Mutex<State>,
}

/// What the lock guards.
#[derive(Debug)]
struct State {
    networks: BTreeMap<String, Record>,
    sandboxes: BTreeMap<String, Sandbox>,
    links: Links,
    table: Table,
    server: Client,
    /// Whether the firewall table stands as this engine wants it.
    ready: bool,
}

impl From<gantry_network::Error> for Error {
    fn from(error: gantry_network::Error) -> Self {
        use gantry_network::Error as Network;
        let message = error.to_string();
        match error {
            Network::Invalid(_) => Self::invalid(message),
            Network::NotFound(_) => Self::not_found(message),
            Network::Taken(_) => Self::denied(message),
            Network::Exhausted(_) | Network::Kernel { .. } | Network::Server(_) => {
                Self::internal(message)
            }
        }
    }
}

impl Networks {
    /// Reads the records and makes the networks that are always there, on disk only: nothing on the host is touched before a
    /// container or a network needs it.
    ///
    /// # Errors
    /// The disk's or the kernel's.
    pub fn open(settings: Settings) -> Result<Self> {
        let networks: Vec<Record> = record::load_all(&settings.data_root.join("network"))?;
        let sandboxes: Vec<Sandbox> = record::load_all(&settings.exec_root.join("network"))?;
        let namespaces = settings.exec_root.join("netns");
        std::fs::create_dir_all(&namespaces).map_err(|e| Error::kernel(namespaces.display(), e))?;
        let server = Client::new(
            settings.exec_root.join("network.sock"),
            settings.server.clone(),
        );
        let mut state = State {
            networks: networks
                .into_iter()
                .map(|network| (network.id.clone(), network))
                .collect(),
            sandboxes: sandboxes
                .into_iter()
                .map(|sandbox| (sandbox.container.clone(), sandbox))
                .collect(),
            links: Links::open()?,
            table: Table::new(&settings.bridge),
            server,
            ready: false,
        };
        state.restore_addresses();
        let networks = Self {
            settings,
            state: Mutex::new(state),
        };
        networks.make_predefined()?;
        Ok(networks)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record_path(&self, id: &str) -> PathBuf {
        self.settings
            .data_root
            .join("network")
            .join(format!("{id}.json"))
    }

    fn sandbox_path(&self, container: &str) -> PathBuf {
        self.settings
            .exec_root
            .join("network")
            .join(format!("{container}.json"))
    }

    fn namespaces(&self) -> PathBuf {
        self.settings.exec_root.join("netns")
    }

    /// The network of this id, name, or unique beginning of an id.
    ///
    /// # Errors
    /// Not found; invalid for a beginning of several ids.
    pub fn find(&self, wanted: &str) -> Result<Record> {
        self.lock().find(wanted).cloned()
    }

    /// All networks as the API shows them, without containers.
    #[must_use]
    pub fn list(&self) -> Vec<View> {
        self.lock()
            .networks
            .values()
            .map(|network| network.view(BTreeMap::new()))
            .collect()
    }

    /// One network as the API shows it, with the running containers on it.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub fn inspect(&self, wanted: &str) -> Result<View> {
        let state = self.lock();
        let network = state.find(wanted)?;
        Ok(network.view(state.containers_on(&network.id)))
    }

    /// Whether a running container is on the network.
    #[must_use]
    pub fn in_use(&self, id: &str) -> bool {
        !self.lock().containers_on(id).is_empty()
    }

    /// Removes a network nobody is on, with its bridge and rules, and gives its record back.
    ///
    /// # Errors
    /// Denied, docker's texts, for one that is always there or in use; not found; the kernel's.
    pub fn remove(&self, wanted: &str) -> Result<Record> {
        let mut state = self.lock();
        let network = state.find(wanted)?.clone();
        if network.predefined() {
            return Err(Error::denied(format!(
                "{} is a pre-defined network and cannot be removed",
                network.name
            )));
        }
        let users = state.containers_on(&network.id);
        if !users.is_empty() {
            let short = |id: &str| id.get(..12).unwrap_or(id).to_owned();
            let list: Vec<_> = users
                .values()
                .map(|e| format!("name:\"{}\" id:\"{}\"", e.name, short(&e.endpoint_id)))
                .collect();
            let (name, list) = (&network.name, list.join(", "));
            return Err(Error::denied(format!(
                "error while removing network: network {name} has active endpoints ({list})"
            )));
        }
        // The record goes first: a bridge without record is found by nobody, a record without bridge is made whole at once.
        record::forget(&self.record_path(&network.id))?;
        state.networks.remove(&network.id);
        if wish::plugs(&network) {
            if state.ready {
                state.table.remove_zone(&network.zone())?;
            }
            gantry_network::forwarding::dismiss(&network.bridge);
            state.links.remove(&network.bridge)?;
        }
        Ok(network)
    }
}

impl State {
    fn find(&self, wanted: &str) -> Result<&Record> {
        if let Some(network) = self.networks.get(wanted) {
            return Ok(network);
        }
        if let Some(network) = self
            .networks
            .values()
            .find(|network| network.name == wanted)
        {
            return Ok(network);
        }
        let missing = || Error::not_found(format!("network {wanted} not found"));
        if wanted.is_empty() {
            return Err(missing());
        }
        let mut matches = self
            .networks
            .values()
            .filter(|network| network.id.starts_with(wanted));
        match (matches.next(), matches.next()) {
            (Some(network), None) => Ok(network),
            (Some(_), Some(_)) => Err(Error::invalid(format!(
                "network {wanted} is ambiguous (several matches found on ID prefix)"
            ))),
            (None, _) => Err(missing()),
        }
    }

    fn containers_on(&self, network: &str) -> BTreeMap<String, EndpointResource> {
        let places = self.sandboxes.values().flat_map(|sandbox| {
            let here = sandbox
                .endpoints
                .iter()
                .filter(|endpoint| endpoint.network == network);
            here.map(|endpoint| (sandbox.container.clone(), endpoint.resource(&sandbox.name)))
        });
        places.collect()
    }

    /// Takes the addresses of all sandboxes out of their networks' pools.
    fn restore_addresses(&mut self) {
        for network in self.networks.values_mut() {
            network
                .pools
                .iter_mut()
                .for_each(gantry_network::ipam::Pool::restore);
        }
        for endpoint in self
            .sandboxes
            .values()
            .flat_map(|sandbox| &sandbox.endpoints)
        {
            let Some(network) = self.networks.get_mut(&endpoint.network) else {
                continue;
            };
            for address in endpoint.addresses() {
                if let Some(pool) = network
                    .pools
                    .iter_mut()
                    .find(|pool| pool.subnet.contains(address))
                    && let Err(error) = pool.reserve(address)
                {
                    tracing::warn!("network {}: address {address}: {error}", network.name);
                }
            }
        }
    }
}

//! A network as its record on disk tells it, and as the API shows it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;

use gantry_api::network::{ConfigReference, EndpointResource, Ipam, IpamConfig, Network as View};
use gantry_api::word::Map;
use gantry_network::ipam::Pool;
use gantry_network::nft::table::Zone;
use gantry_network::sandbox::Bridge;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How a network is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// A bridge on the host.
    Bridge,
    /// The host's own namespace.
    Host,
    /// Loopback alone.
    Null,
}

impl Driver {
    /// docker's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Host => "host",
            Self::Null => "null",
        }
    }
}

/// A network.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// 64 hex digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// RFC 3339.
    pub created: String,
    /// How it is built.
    pub driver: Driver,
    /// The host's link; empty without a bridge.
    pub bridge: String,
    /// Where addresses come from, at most one of each family per subnet asked for.
    pub pools: Vec<Pool>,
    /// Whether the user named the gateway of the pool of the same index; `inspect` then shows it.
    pub named_gateways: Vec<bool>,
    /// Driver options.
    pub options: Map,
    /// Labels.
    pub labels: Map,
    /// Options of the address driver; null and empty differ in answers.
    pub ipam_options: Option<Map>,
    /// Whether nothing passes in or out.
    pub internal: bool,
    /// As asked for; only swarm gives it a meaning.
    pub attachable: bool,
    /// Whether containers get IPv4 addresses.
    pub ipv4: bool,
    /// Whether containers get IPv6 addresses.
    pub ipv6: bool,
}

const PREFIX: &str = "com.docker.network.bridge.";
/// The option that sets the largest packet.
pub const MTU: &str = "com.docker.network.driver.mtu";

impl Record {
    /// Whether it is one of the networks that are always there.
    #[must_use]
    pub fn predefined(&self) -> bool {
        matches!(self.name.as_str(), "bridge" | "host" | "none")
    }

    /// Whether containers find each other by name on it.
    #[must_use]
    pub fn has_names(&self) -> bool {
        self.driver == Driver::Bridge && !self.predefined()
    }

    /// A driver option of the bridge, by the last word of its name.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options
            .get(&format!("{PREFIX}{name}"))
            .map(String::as_str)
    }

    fn enabled(&self, name: &str) -> bool {
        self.option(name)
            .is_none_or(|value| value != "false" && value != "0")
    }

    /// Largest packet, bytes.
    #[must_use]
    pub fn mtu(&self) -> u32 {
        self.options
            .get(MTU)
            .and_then(|mtu| mtu.parse().ok())
            .filter(|mtu| *mtu > 0)
            .unwrap_or(1500)
    }

    /// The addresses a port is published on when the user names none.
    #[must_use]
    pub fn binding_addresses(&self, sixth: bool) -> Vec<IpAddr> {
        let named = self
            .option("host_binding_ipv4")
            .and_then(|a| a.parse::<IpAddr>().ok());
        match named.filter(|address| !address.is_unspecified()) {
            Some(address) => vec![address],
            None if sixth => vec![IpAddr::from([0; 4]), IpAddr::from([0; 16])],
            None => vec![IpAddr::from([0; 4])],
        }
    }

    /// The bridge on the host.
    #[must_use]
    pub fn plan(&self) -> Bridge {
        let inhibited = |pool: &&Pool| {
            pool.subnet.is_ipv4() && self.option("inhibit_ipv4").is_some_and(|v| v == "true")
        };
        let pools = self.pools.iter().filter(|pool| !inhibited(pool));
        let addresses = pools.map(|pool| (pool.gateway, pool.subnet)).collect();
        Bridge {
            name: self.bridge.clone(),
            addresses,
            mtu: self.mtu(),
        }
    }

    /// What the firewall table knows of it.
    #[must_use]
    pub fn zone(&self) -> Zone {
        Zone {
            bridge: self.bridge.clone(),
            subnets: self.pools.iter().map(|pool| pool.subnet).collect(),
            masquerade: self.enabled("enable_ip_masquerade"),
            communicate: self.enabled("enable_icc"),
            internal: self.internal,
        }
    }

    /// What the API shows, with these containers on it.
    #[must_use]
    pub fn view(&self, containers: BTreeMap<String, EndpointResource>) -> View {
        let config = |(at, pool): (usize, &Pool)| IpamConfig {
            subnet: pool.subnet.to_string(),
            ip_range: pool
                .range
                .map(|range| range.to_string())
                .unwrap_or_default(),
            gateway: if !pool.by_user || self.named_gateways.get(at) == Some(&true) {
                pool.gateway.to_string()
            } else {
                String::new()
            },
            auxiliary_addresses: pool
                .auxiliary
                .iter()
                .map(|(name, address)| (name.clone(), address.to_string()))
                .collect(),
        };
        let configured = self.driver == Driver::Bridge;
        View {
            name: self.name.clone(),
            id: self.id.clone(),
            created: self.created.clone(),
            scope: "local".into(),
            driver: self.driver.word().into(),
            enable_ipv4: self.ipv4,
            enable_ipv6: self.ipv6,
            ipam: Ipam {
                driver: "default".into(),
                options: self.ipam_options.clone(),
                config: configured.then(|| self.pools.iter().enumerate().map(config).collect()),
            },
            internal: self.internal,
            attachable: self.attachable,
            ingress: false,
            config_from: ConfigReference::default(),
            config_only: false,
            containers: Some(containers),
            options: Some(self.options.clone()),
            labels: Some(self.labels.clone()),
        }
    }
}

/// Writes `value` at `path` by a new file and a rename. A `durable` one is on disk before this returns.
///
/// # Errors
/// The disk's.
pub fn save<T: Serialize>(path: &Path, value: &T, durable: bool) -> Result<()> {
    let temporary = path.with_extension("new");
    let bytes = serde_json::to_vec(value)
        .map_err(|e| Error::internal(format!("{}: {e}", path.display())))?;
    let done = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(&bytes)?;
        if durable {
            file.sync_data()?;
        }
        fs::rename(&temporary, path)?;
        match path.parent() {
            Some(directory) if durable => File::open(directory)?.sync_all(),
            _ => Ok(()),
        }
    };
    done().map_err(|e| Error::kernel(path.display(), e))
}

/// Every record in `directory`, which is made if missing. One that cannot be read is left where it is and told of.
///
/// # Errors
/// The directory cannot be made or read.
pub fn load_all<T: for<'a> Deserialize<'a>>(directory: &Path) -> Result<Vec<T>> {
    let fail = |e| Error::kernel(directory.display(), e);
    fs::create_dir_all(directory).map_err(fail)?;
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let bytes = fs::read(&path).map_err(|e| Error::kernel(path.display(), e))?;
        match serde_json::from_slice(&bytes) {
            Ok(record) => all.push(record),
            Err(error) => tracing::warn!("{}: record not readable: {error}", path.display()),
        }
    }
    Ok(all)
}

/// Removes a record; none there is fine.
///
/// # Errors
/// The disk's.
pub fn forget(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::kernel(path.display(), e)),
        _ => Ok(()),
    }
}

//! A running container's side of its networks: what was built for it, kept as a record until it is taken down.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use gantry_api::container::host_config::{PortBinding, Ports};
use gantry_api::container::inspect::NetworkSettings;
use gantry_api::network::{EndpointResource, EndpointSettings};
use gantry_network::files::Upstream;
use gantry_network::names::directory;
use gantry_network::nft::table::Publication;
use gantry_network::sandbox::Interface;
use gantry_network::server::protocol::Binding;
use serde::{Deserialize, Serialize};

use super::record::{Driver, Record as Network};

/// What stands for one container. Written before it is built, so that whatever a killed engine left can be found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Sandbox {
    /// 64 hex digits.
    pub id: String,
    /// The container.
    pub container: String,
    /// Its name without slash.
    pub name: String,
    /// Its host name.
    #[serde(default)]
    pub hostname: String,
    /// Where its namespace is pinned; none for the host's.
    pub namespace: Option<PathBuf>,
    /// Its places on networks, in the order they were joined.
    pub endpoints: Vec<Endpoint>,
    /// The ports to be opened.
    pub bindings: Vec<Binding>,
    /// The ports that were opened.
    pub ports: Vec<Publication>,
    /// Ports of the container that are exposed, published or not, by docker's key.
    pub exposed: Vec<String>,
    /// The servers its resolver passes queries on to.
    pub upstreams: Vec<Upstream>,
    /// Whether `ndots` was set by the user or the host.
    pub ndots: bool,
    /// Default gateways in force.
    pub gateways: Vec<IpAddr>,
}

/// A container's place on one network.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Endpoint {
    /// 64 hex digits.
    pub id: String,
    /// The network's id.
    pub network: String,
    /// The network's name.
    pub network_name: String,
    /// The interface; none on host and none.
    pub interface: Option<Interface>,
    /// Gateways the network offers.
    pub gateways: Vec<IpAddr>,
    /// Names of the container there, where the network has names.
    pub names: Option<Vec<String>>,
    /// What the container calls others there, by alias.
    pub links: BTreeMap<String, String>,
    /// The wish it was made from.
    pub settings: EndpointSettings,
}

impl Endpoint {
    fn address(&self, v4: bool) -> Option<(IpAddr, u8)> {
        let addresses = self
            .interface
            .iter()
            .flat_map(|interface| &interface.addresses);
        addresses
            .into_iter()
            .find(|(address, _)| address.is_ipv4() == v4)
            .map(|(a, subnet)| (*a, subnet.prefix()))
    }

    fn gateway(&self, v4: bool) -> String {
        self.gateways
            .iter()
            .find(|g| g.is_ipv4() == v4)
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    /// Docker's order of a container's networks: highest priority first, then those with both families, then by name.
    fn rank(&self) -> (i64, std::cmp::Reverse<usize>, &str) {
        (
            -self.settings.gw_priority,
            std::cmp::Reverse(self.gateways.len()),
            &self.network_name,
        )
    }

    /// The addresses of the container here.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.interface
            .iter()
            .flat_map(|interface| &interface.addresses)
            .map(|(address, _)| *address)
    }

    /// What `inspect` shows of the container.
    #[must_use]
    pub fn settings(&self) -> EndpointSettings {
        let (v4, v6) = (self.address(true), self.address(false));
        let text = |a: Option<(IpAddr, u8)>| {
            a.map(|(address, _)| address.to_string())
                .unwrap_or_default()
        };
        let length = |a: Option<(IpAddr, u8)>| a.map_or(0, |(_, prefix)| i64::from(prefix));
        EndpointSettings {
            mac_address: self
                .interface
                .as_ref()
                .map(|i| i.mac.to_string())
                .unwrap_or_default(),
            network_id: self.network.clone(),
            endpoint_id: self.id.clone(),
            gateway: self.gateway(true),
            ip_address: text(v4),
            ip_prefix_len: length(v4),
            ipv6_gateway: self.gateway(false),
            global_ipv6_address: text(v6),
            global_ipv6_prefix_len: length(v6),
            dns_names: self.names.clone(),
            ..self.settings.clone()
        }
    }

    /// What `network inspect` shows.
    #[must_use]
    pub fn resource(&self, container: &str) -> EndpointResource {
        let text = |a: Option<(IpAddr, u8)>| {
            a.map(|(address, prefix)| format!("{address}/{prefix}"))
                .unwrap_or_default()
        };
        EndpointResource {
            name: container.to_owned(),
            endpoint_id: self.id.clone(),
            mac_address: self
                .interface
                .as_ref()
                .map(|i| i.mac.to_string())
                .unwrap_or_default(),
            ipv4_address: text(self.address(true)),
            ipv6_address: text(self.address(false)),
        }
    }
}

impl Sandbox {
    /// The container's `NetworkSettings`.
    #[must_use]
    pub fn settings(&self, namespaces: &std::path::Path) -> NetworkSettings {
        let key = self
            .namespace
            .clone()
            .unwrap_or_else(|| namespaces.join("default"));
        let networks = self
            .endpoints
            .iter()
            .map(|e| (e.network_name.clone(), e.settings()))
            .collect();
        let mut settings = NetworkSettings {
            sandbox_id: self.id.clone(),
            sandbox_key: key.to_string_lossy().into_owned(),
            ports: Some(self.published()),
            networks: Some(networks),
            ..NetworkSettings::default()
        };
        // The fields from before there were several networks repeat the default bridge's.
        if let Some(endpoint) = self.endpoints.iter().find(|e| e.network_name == "bridge") {
            let own = endpoint.settings();
            settings.endpoint_id = own.endpoint_id;
            settings.gateway = own.gateway;
            settings.ip_address = own.ip_address;
            settings.ip_prefix_len = own.ip_prefix_len;
            settings.ipv6_gateway = own.ipv6_gateway;
            settings.global_ipv6_address = own.global_ipv6_address;
            settings.global_ipv6_prefix_len = own.global_ipv6_prefix_len;
            settings.mac_address = own.mac_address;
        }
        settings
    }

    fn published(&self) -> Ports {
        let mut ports: Ports = self.exposed.iter().map(|key| (key.clone(), None)).collect();
        for port in &self.ports {
            let protocol = format!("{:?}", port.protocol).to_lowercase();
            let list = ports
                .entry(format!("{}/{protocol}", port.container_port))
                .or_default();
            let binding = PortBinding {
                host_ip: port.host.to_string(),
                host_port: port.host_port.to_string(),
            };
            list.get_or_insert_default().push(binding);
        }
        ports
    }

    /// The endpoints that give the default routes, IPv4 and IPv6: the first in docker's order that has a gateway.
    #[must_use]
    pub fn gateway_endpoints(&self) -> [Option<&Endpoint>; 2] {
        [true, false].map(|v4| {
            let able = |e: &&Endpoint| e.gateways.iter().any(|g| g.is_ipv4() == v4);
            self.endpoints.iter().filter(able).min_by_key(|e| e.rank())
        })
    }

    /// The default gateways the sandbox should have.
    #[must_use]
    pub fn wanted_gateways(&self) -> Vec<IpAddr> {
        let [fourth, sixth] = self.gateway_endpoints();
        let pick = |endpoint: Option<&Endpoint>, v4: bool| {
            endpoint?
                .gateways
                .iter()
                .find(|g| g.is_ipv4() == v4)
                .copied()
        };
        [pick(fourth, true), pick(sixth, false)]
            .into_iter()
            .flatten()
            .collect()
    }

    /// What the network server is to know of the container's names; none if it is on no network with names.
    #[must_use]
    pub fn names(&self, outside: bool) -> Option<directory::Sandbox> {
        let namespace = self.namespace.clone()?;
        let mut order: Vec<&Endpoint> = self.endpoints.iter().collect();
        order.sort_by_key(|e| e.rank());
        let named = order
            .into_iter()
            .filter_map(|e| Some((e, e.names.clone()?)));
        let endpoints: Vec<directory::Endpoint> = named
            .map(|(e, names)| directory::Endpoint {
                network: e.network.clone(),
                domain: e.network_name.clone(),
                addresses: e.addresses().collect(),
                names,
                links: e.links.clone(),
            })
            .collect();
        let upstreams = if outside {
            self.upstreams.clone()
        } else {
            Vec::new()
        };
        let id = self.container.clone();
        (!endpoints.is_empty()).then_some(directory::Sandbox {
            id,
            namespace,
            upstreams,
            ndots: self.ndots,
            endpoints,
        })
    }

    /// The first name of the form `ethN` that is free.
    #[must_use]
    pub fn next_interface(&self) -> String {
        let used: Vec<&str> = self
            .endpoints
            .iter()
            .filter_map(|e| Some(e.interface.as_ref()?.name.as_str()))
            .collect();
        (0..)
            .map(|n| format!("eth{n}"))
            .find(|name| !used.contains(&name.as_str()))
            .unwrap_or_default()
    }
}

/// The gateways `network` offers a container: its own addresses, none if it is internal.
#[must_use]
pub fn gateways(network: &Network) -> Vec<IpAddr> {
    if network.internal || network.driver != Driver::Bridge {
        return Vec::new();
    }
    network.pools.iter().map(|pool| pool.gateway).collect()
}

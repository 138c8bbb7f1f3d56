//! What a container gets of its networks, decided before anything is built: addresses, names, ports.

use std::net::IpAddr;
use std::path::Path;

use gantry_api::network::EndpointSettings;
use gantry_network::mac::Mac;
use gantry_network::sandbox::Interface;
use gantry_network::server::protocol::Binding;
use gantry_network::subnet::Subnet;

use super::State;
use super::attach::{plain, setting_up};
use super::record::Record as Network;
use super::sandbox::{Endpoint, Sandbox, gateways};
use super::wish::{self, Wish};
use crate::container::names;
use crate::error::{Error, Result};

impl State {
    /// Gives the container addresses on `network`, and plans its interface there.
    pub(super) fn reserve(
        &mut self,
        network: &Network,
        wish: &Wish,
        sandbox: &Sandbox,
    ) -> Result<Endpoint> {
        let mut endpoint = plain(network, wish)?;
        let settings = &endpoint.settings;
        wish::check(network, settings).map_err(|error| wish::unfit(&network.name, error))?;
        let ipam = settings.ipam_config.clone().unwrap_or_default();
        let pools = self
            .networks
            .get_mut(&network.id)
            .map(|n| &mut n.pools)
            .into_iter()
            .flatten();
        let mut addresses: Vec<(IpAddr, Subnet)> = Vec::new();
        for pool in pools {
            let v4 = pool.subnet.is_ipv4();
            if addresses.iter().any(|(address, _)| address.is_ipv4() == v4) {
                continue;
            }
            let fixed = if v4 {
                &ipam.ipv4_address
            } else {
                &ipam.ipv6_address
            };
            let taken = match fixed.parse::<IpAddr>() {
                Ok(address) if !pool.subnet.contains(address) => continue,
                Ok(address) => pool.reserve(address).map(|()| address),
                Err(_) => pool.allocate(),
            };
            match taken {
                Ok(address) => addresses.push((address, pool.subnet)),
                Err(error) => {
                    for (address, _) in addresses {
                        self.give_back(&network.id, address);
                    }
                    return Err(setting_up(Error::internal(error.to_string())));
                }
            }
        }
        let mac = settings.mac_address.parse().ok();
        let mac = mac
            .or_else(|| addresses.first().map(|(address, _)| Mac::from_ip(*address)))
            .unwrap_or(Mac([2, 0x42, 0, 0, 0, 0]));
        let bytes: [u8; 4] = names::random()?;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        endpoint.interface = Some(Interface {
            name: sandbox.next_interface(),
            host_name: format!("veth{}", &hex[..7]),
            bridge: network.bridge.clone(),
            mac,
            mtu: network.mtu(),
            addresses,
        });
        endpoint.gateways = gateways(network);
        endpoint.names = network.has_names().then(|| wish.names(&endpoint.settings));
        endpoint.links = self.links_on(wish, &endpoint.settings);
        Ok(endpoint)
    }

    /// `--link other:alias` on a network with names: alias to the other's main name.
    fn links_on(
        &self,
        wish: &Wish,
        settings: &EndpointSettings,
    ) -> std::collections::BTreeMap<String, String> {
        let own = settings
            .links
            .iter()
            .flatten()
            .filter_map(|link| link.split_once(':'));
        let own = own.map(|(other, alias)| {
            (
                alias.to_lowercase(),
                other.trim_start_matches('/').to_owned(),
            )
        });
        let all = wish
            .links
            .iter()
            .map(|(other, alias)| (alias.to_lowercase(), other.clone()));
        own.chain(all).collect()
    }

    pub(super) fn release(&mut self, endpoint: &Endpoint) {
        for address in endpoint.addresses().collect::<Vec<_>>() {
            self.give_back(&endpoint.network, address);
        }
    }

    fn give_back(&mut self, network: &str, address: IpAddr) {
        let pools = self
            .networks
            .get_mut(network)
            .map(|n| &mut n.pools)
            .into_iter()
            .flatten();
        pools
            .filter(|pool| pool.subnet.contains(address))
            .for_each(|pool| pool.release(address));
    }

    pub(super) fn bindings(&self, wish: &Wish, sandbox: &Sandbox) -> Vec<Binding> {
        let [fourth, sixth] = sandbox.gateway_endpoints();
        let Some(main) = fourth.or(sixth) else {
            return Vec::new();
        };
        let Some(network) = self.networks.get(&main.network) else {
            return Vec::new();
        };
        let family = |endpoint: Option<&Endpoint>, v4: bool| {
            endpoint?.addresses().find(|a| a.is_ipv4() == v4)
        };
        let containers: Vec<IpAddr> = [family(fourth, true), family(sixth, false)]
            .into_iter()
            .flatten()
            .collect();
        let defaults = network.binding_addresses(Path::new("/proc/net/if_inet6").exists());
        let wanted = wish
            .ports
            .iter()
            .flat_map(|port| port.bindings.iter().map(move |binding| (port, binding)));
        wanted
            .map(|(port, (host, ports))| Binding {
                protocol: port.protocol,
                hosts: host.map_or_else(|| defaults.clone(), |host| vec![host]),
                ports: *ports,
                containers: containers.clone(),
                container_port: port.number,
            })
            .collect()
    }

    pub(super) fn reaches_outside(&self, sandbox: &Sandbox) -> bool {
        let open = |endpoint: &Endpoint| {
            self.networks
                .get(&endpoint.network)
                .is_some_and(|network| !network.internal)
        };
        sandbox.endpoints.iter().any(open)
    }

    /// The address `host-gateway` stands for: the default bridge's.
    pub(super) fn host_gateway(&self) -> Option<IpAddr> {
        self.networks
            .values()
            .find(|network| network.name == "bridge")?
            .pools
            .first()
            .map(|pool| pool.gateway)
    }

    /// Hosts lines of `--link` between containers of the default bridge: alias, short id, name.
    pub(super) fn link_lines(&self, wish: &Wish, sandbox: &Sandbox) -> Vec<(IpAddr, String)> {
        let on_bridge = |s: &Sandbox| {
            s.endpoints
                .iter()
                .find(|e| e.network_name == "bridge")
                .cloned()
        };
        if on_bridge(sandbox).is_none() {
            return Vec::new();
        }
        let line = |(other, alias): &(String, String)| {
            let known = self
                .sandboxes
                .values()
                .find(|s| s.name == *other || s.container.starts_with(other))?;
            let address = on_bridge(known)?.addresses().next()?;

            Some((
                address,
                format!("{alias} {} {}", known.hostname, known.name),
            ))
        };
        wish.links.iter().filter_map(line).collect()
    }

    pub(super) fn joined_networks(&self, sandbox: &Sandbox) -> Vec<(String, String, &'static str)> {
        let network = |endpoint: &Endpoint| {
            let driver = self
                .networks
                .get(&endpoint.network)
                .map_or("bridge", |network| network.driver.word());
            (
                endpoint.network.clone(),
                endpoint.network_name.clone(),
                driver,
            )
        };
        sandbox.endpoints.iter().map(network).collect()
    }
}

//! What a container asks of its networks, read from its record and checked against the networks there are.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use gantry_api::container::host_config::Ports;
use gantry_api::network::EndpointSettings;
use gantry_network::files::Overrides;
use gantry_network::mac::Mac;
use gantry_network::nft::table::Protocol;

use super::record::{Driver, Record as Network};
use crate::container::record::Record;
use crate::error::{Error, Result};

/// A container's wishes.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The container.
    pub id: String,
    /// Its name without slash.
    pub name: String,
    /// Its host name.
    pub hostname: String,
    /// Its domain.
    pub domain: String,
    /// `HostConfig.NetworkMode`.
    pub mode: String,
    /// Endpoints by network name; the one of the mode is among them.
    pub endpoints: BTreeMap<String, EndpointSettings>,
    /// Ports to publish and ports only exposed.
    pub ports: Vec<Port>,
    /// DNS wishes.
    pub dns: Overrides,
    /// `--add-host` lines: address and name; `host-gateway` is still to be filled in.
    pub extra_hosts: Vec<(String, String)>,
    /// `--link` on the default bridge: container and alias.
    pub links: Vec<(String, String)>,
    /// Where hosts, hostname and resolv.conf go.
    pub home: PathBuf,
}

/// A port of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The port in the container.
    pub number: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// Host addresses and port ranges; none for a port only exposed.
    pub bindings: Vec<(Option<IpAddr>, (u16, u16))>,
}

impl Port {
    /// docker's key: `80/tcp`.
    #[must_use]
    pub fn key(&self) -> String {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        };
        format!("{}/{protocol}", self.number)
    }
}

impl Wish {
    /// Reads the record of a container whose files lie in `home`.
    ///
    /// # Errors
    /// Invalid for an address, a port or a host line that is none.
    pub fn read(record: &Record, home: PathBuf) -> Result<Self> {
        let (config, host) = (&record.config, &record.host);
        let servers = host.dns.iter().flatten().map(|text| {
            text.parse().map_err(|_| {
                Error::invalid(format!("invalid DNS server {text}: expected an IP address"))
            })
        });
        let dns = Overrides {
            servers: servers.collect::<Result<_>>()?,
            search: host.dns_search.clone().unwrap_or_default(),
            options: host.dns_options.clone().unwrap_or_default(),
        };
        let lines = host.extra_hosts.iter().flatten().map(|line| {
            let (name, address) = line.split_once([':', '=']).ok_or_else(|| bad_host(line))?;
            Ok((address.trim_matches(['[', ']']).to_owned(), name.to_owned()))
        });
        let links = host.links.iter().flatten().map(|link| {
            let (container, alias) = link.split_once(':').unwrap_or((link, link));
            (
                container.trim_start_matches('/').to_owned(),
                alias.rsplit('/').next().unwrap_or(alias).to_owned(),
            )
        });
        Ok(Self {
            id: record.id.clone(),
            name: record.short_name().to_owned(),
            hostname: config.hostname.clone(),
            domain: config.domainname.clone(),
            mode: mode(&host.network_mode).to_owned(),
            endpoints: record.endpoints.clone(),
            ports: ports(
                host.port_bindings.as_ref(),
                config.exposed_ports.keys(),
                host.publish_all_ports,
            )?,
            dns,
            extra_hosts: lines.collect::<Result<_>>()?,
            links: links.collect(),
            home,
        })
    }

    /// The names the container has on a network of its own names, docker's order.
    #[must_use]
    pub fn names(&self, endpoint: &EndpointSettings) -> Vec<String> {
        names(&self.name, &self.id, &self.hostname, endpoint)
    }
}

/// The names of a container on a network with names: its name, aliases, short id, host name.
#[must_use]
pub fn names(name: &str, id: &str, hostname: &str, endpoint: &EndpointSettings) -> Vec<String> {
    let short = id.get(..12).unwrap_or(id);
    let aliases = endpoint.aliases.iter().flatten().map(String::as_str);
    let mut all: Vec<String> = Vec::new();
    for next in std::iter::once(name)
        .chain(aliases)
        .chain([short, hostname])
    {
        if !next.is_empty() && !all.iter().any(|known| known == next) {
            all.push(next.to_owned());
        }
    }
    all
}

fn bad_host(line: &str) -> Error {
    Error::invalid(format!("bad format for add-host: {line:?}"))
}

/// docker's default mode is the default bridge.
#[must_use]
pub fn mode(text: &str) -> &str {
    if matches!(text, "" | "default") {
        "bridge"
    } else {
        text
    }
}

/// The container another one's mode `container:X` names.
#[must_use]
pub fn shared_with(mode: &str) -> Option<&str> {
    mode.strip_prefix("container:")
}

fn ports<'a>(
    bindings: Option<&Ports>,
    exposed: impl Iterator<Item = &'a String>,
    all: bool,
) -> Result<Vec<Port>> {
    let mut list: Vec<Port> = Vec::new();
    for (key, wanted) in bindings.into_iter().flatten() {
        let mut port = port(key)?;
        for binding in wanted.iter().flatten() {
            let host = match binding.host_ip.as_str() {
                "" => None,
                text => Some(
                    text.parse()
                        .map_err(|_| Error::invalid(format!("invalid IP address: {text}")))?,
                ),
            };
            port.bindings.push((host, range(&binding.host_port)?));
        }
        list.push(port);
    }
    for key in exposed {
        let mut next = port(key)?;
        if !list
            .iter()
            .any(|known| known.number == next.number && known.protocol == next.protocol)
        {
            if all {
                next.bindings.push((None, (0, 0)));
            }
            list.push(next);
        }
    }
    Ok(list)
}

fn port(key: &str) -> Result<Port> {
    let (number, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
    let bad = || Error::invalid(format!("invalid port specification: \"{key}\""));
    let protocol = match protocol.to_ascii_lowercase().as_str() {
        "tcp" | "" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => return Err(bad()),
    };
    let number = number.parse().ok().filter(|n| *n != 0).ok_or_else(bad)?;
    Ok(Port {
        number,
        protocol,
        bindings: Vec::new(),
    })
}

fn range(text: &str) -> Result<(u16, u16)> {
    let bad = || {
        Error::invalid(format!(
            "invalid hostPort: {text}: expected a port or a range of ports"
        ))
    };
    if text.is_empty() {
        return Ok((0, 0));
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range: (u16, u16) = (
        first.parse().map_err(|_| bad())?,
        last.parse().map_err(|_| bad())?,
    );
    if range.0 <= range.1 {
        Ok(range)
    } else {
        Err(bad())
    }
}

/// Whether a container may be on `network` with these wishes; `user_network` is false for the predefined ones.
///
/// # Errors
/// docker's list of what is wrong.
pub fn check(network: &Network, endpoint: &EndpointSettings) -> Result<()> {
    let ipam = endpoint.ipam_config.clone().unwrap_or_default();
    let mut faults = Vec::new();
    let fixed = [(&ipam.ipv4_address, true), (&ipam.ipv6_address, false)];
    let fixed: Vec<_> = fixed
        .into_iter()
        .filter(|(text, _)| !text.is_empty())
        .collect();
    if network.predefined()
        && endpoint
            .aliases
            .as_ref()
            .is_some_and(|aliases| !aliases.is_empty())
    {
        faults
            .push("network-scoped aliases are only supported for user-defined networks".to_owned());
    }
    if !fixed.is_empty() && network.predefined() {
        faults.push(
            "user specified IP address is supported on user defined networks only".to_owned(),
        );
    }
    for (text, v4) in fixed {
        let address: Option<IpAddr> = text.parse().ok().filter(|a: &IpAddr| a.is_ipv4() == v4);
        let pools: Vec<_> = network
            .pools
            .iter()
            .filter(|p| p.subnet.is_ipv4() == v4 && p.by_user)
            .collect();
        match address {
            None => faults.push(format!("invalid IPv{} address: {text}", if v4 { 4 } else { 6 })),
            Some(_) if pools.is_empty() => faults.push(
                "user specified IP address is supported only when connecting to networks with user configured subnets".into(),
            ),
            Some(address) if !pools.iter().any(|p| p.subnet.contains(address)) => {
                faults.push(format!("no configured subnet or ip-range contain the IP address {address}"));
            }
            Some(_) => {}
        }
    }
    if !endpoint.mac_address.is_empty()
        && let Err(why) = endpoint.mac_address.parse::<Mac>()
    {
        faults.push(why);
    }
    let list = match faults.as_slice() {
        [] => return Ok(()),
        [one] => one.clone(),
        several => several
            .iter()
            .map(|f| format!("* {f}"))
            .collect::<Vec<_>>()
            .join("\n"),
    };
    Err(Error::invalid(format!(
        "invalid endpoint settings:\n{list}"
    )))
}

/// Completes what a client asked for at creation: the mode's own endpoint is there, and endpoints are keyed by network name.
///
/// # Errors
/// Modes that exclude other networks; an endpoint its network cannot give.
pub fn complete(record: &mut Record, find: &dyn Fn(&str) -> Option<Network>) -> Result<()> {
    let mode = mode(&record.host.network_mode).to_owned();
    record.host.network_mode.clone_from(&mode);
    let asked = std::mem::take(&mut record.endpoints);
    if shared_with(&mode).is_some() {
        return Ok(());
    }
    let name_of = |key: &str| find(key).map_or_else(|| key.to_owned(), |network| network.name);
    let main = name_of(&mode);
    for (key, mut endpoint) in asked {
        let name = if matches!(key.as_str(), "default") {
            "bridge".to_owned()
        } else {
            name_of(&key)
        };
        endpoint.network_id.clear();
        record.endpoints.insert(name, endpoint);
    }
    let mac = record.config.mac_address.clone();
    let endpoint = record.endpoints.entry(main).or_default();
    if endpoint.mac_address.is_empty() {
        endpoint.mac_address = mac;
    }
    let private = record
        .endpoints
        .keys()
        .find(|name| matches!(name.as_str(), "none" | "host"));
    if let (Some(private), true) = (private, record.endpoints.len() > 1) {
        return Err(exclusive(private));
    }
    for (name, endpoint) in &record.endpoints {
        if let Some(network) = find(name) {
            check(&network, endpoint).map_err(|error| unfit(name, error))?;
        }
    }
    Ok(())
}

/// A fault of an endpoint, with the network it was meant for.
#[must_use]
pub fn unfit(network: &str, error: Error) -> Error {
    Error {
        message: format!("invalid config for network {network}: {error}"),
        ..error
    }
}

/// Why a container on this network cannot be on another.
#[must_use]
pub fn exclusive(network: &str) -> Error {
    Error::invalid(if network == "none" {
        "container cannot be connected to multiple networks with one of the networks in private (none) mode"
    } else {
        "container sharing network namespace with another container or host cannot be connected to any other network"
    })
}

/// Whether the network gives a container an interface.
#[must_use]
pub fn plugs(network: &Network) -> bool {
    network.driver == Driver::Bridge
}

//! New networks: what was asked for, checked and given a subnet and a bridge.

use std::collections::BTreeMap;

use gantry_api::network::{CreateRequest, Ipam};
use gantry_api::word::Map;
use gantry_network::ipam::{Pool, Wish, unique_local};
use gantry_network::link::NAME_LIMIT;
use gantry_network::subnet::Subnet;

use super::record::{Driver, Record};
use super::{Networks, State, record};
use crate::clock;
use crate::container::names;
use crate::error::{Error, Result};

impl Networks {
    /// Makes a network and gives its record.
    ///
    /// # Errors
    /// Docker's texts: a name that is taken or predefined, an unknown driver, a subnet that overlaps another; the kernel's.
    pub fn create(&self, request: CreateRequest) -> Result<Record> {
        let mut state = self.lock();
        check_name(&state, &request.name)?;
        check_driver(&request)?;
        if request.config_only
            || request
                .config_from
                .as_ref()
                .is_some_and(|from| !from.network.is_empty())
        {
            return Err(Error::unsupported(
                "configuration-only networks are not supported: create the network with its options",
            ));
        }
        let ipv6 = request.enable_ipv6.unwrap_or(false);
        let ipv4 = request.enable_ipv4.unwrap_or(true);
        if !ipv4 && !ipv6 {
            return Err(Error::invalid("IPv4 or IPv6 must be enabled"));
        }
        let (pools, named_gateways) = self.pools(
            &mut state,
            &request.ipam.clone().unwrap_or_default(),
            ipv4,
            ipv6,
        )?;
        let id = names::id()?;
        let options = request.options.unwrap_or_default();
        let bridge = match options
            .get("com.docker.network.bridge.name")
            .filter(|name| !name.is_empty())
        {
            Some(name) => name.clone(),
            None => format!("br-{}", &id[..NAME_LIMIT - 3]),
        };
        let ipam_options = request
            .ipam
            .and_then(|ipam| ipam.options)
            .unwrap_or_default();
        let network = Record {
            id,
            name: request.name,
            created: clock::now(),
            driver: Driver::Bridge,
            bridge,
            pools,
            named_gateways,
            options,
            labels: request.labels.unwrap_or_default(),
            ipam_options: Some(ipam_options),
            internal: request.internal,
            attachable: request.attachable,
            ipv4,
            ipv6,
        };
        self.settle(&mut state, &network)?;
        state.networks.insert(network.id.clone(), network.clone());
        Ok(network)
    }

    /// Puts a checked network on disk and, as far as it needs it, on the host.
    fn settle(&self, state: &mut State, network: &Record) -> Result<()> {
        network.plan().validate()?;
        let taken = state
            .networks
            .values()
            .find(|other| other.bridge == network.bridge);
        if let Some(other) = taken {
            let (id, bridge, other) = (&network.id, &network.bridge, &other.id);
            return Err(Error::denied(format!(
                "cannot create network {id} ({bridge}): conflicts with network {other} ({bridge}): networks have same bridge name"
            )));
        }
        record::save(&self.record_path(&network.id), network, true)?;
        let built = self.prepare(state).and_then(|()| {
            let made = network.plan().ensure(&mut state.links)?;
            let entered = state
                .table
                .add_zone(&network.zone())
                .and_then(|()| gantry_network::forwarding::admit(&network.bridge));
            if entered.is_err() && made {
                state.links.remove(&network.bridge)?;
            }
            Ok(entered?)
        });
        if built.is_err() {
            record::forget(&self.record_path(&network.id))?;
        }
        built
    }

    fn pools(
        &self,
        state: &mut State,
        ipam: &Ipam,
        ipv4: bool,
        ipv6: bool,
    ) -> Result<(Vec<Pool>, Vec<bool>)> {
        if !matches!(ipam.driver.as_str(), "" | "default") {
            return Err(Error::not_found(format!(
                "plugin \"{}\" not found",
                ipam.driver
            )));
        }
        let mut used = state.used()?;
        let (mut pools, mut named) = (Vec::new(), Vec::new());
        for config in ipam.config.iter().flatten() {
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            let wish = Wish {
                subnet: some(&config.subnet),
                range: some(&config.ip_range),
                gateway: some(&config.gateway),
                auxiliary: config.auxiliary_addresses.clone(),
            };
            let pool = wish.check(|| self.settings.pools.free(&used))?;
            // Only other networks count for a subnet of the user's: a route of the host may be meant to be covered.
            let clash = state
                .networks
                .values()
                .flat_map(|n| &n.pools)
                .any(|p| p.subnet.overlaps(&pool.subnet));
            if clash || pools.iter().any(|p: &Pool| p.subnet.overlaps(&pool.subnet)) {
                return Err(Error::denied(
                    "invalid pool request: Pool overlaps with other one on this address space",
                ));
            }
            named.push(wish.gateway.is_some());
            used.push(pool.subnet);
            pools.push(pool);
        }
        if ipv4 && !pools.iter().any(|pool| pool.subnet.is_ipv4()) {
            pools.insert(
                0,
                Wish::default().check(|| self.settings.pools.free(&used))?,
            );
            named.insert(0, false);
        }
        if ipv6 && !pools.iter().any(|pool| !pool.subnet.is_ipv4()) {
            pools.push(Wish::default().check(|| unique_local(seed(&self.settings.bridge), &used))?);
            named.push(false);
        }
        if !ipv6 && let Some(pool) = pools.iter().find(|pool| !pool.subnet.is_ipv4()) {
            return Err(Error::invalid(format!(
                "invalid network config:\ninvalid subnet {}: IPv6 has not been enabled for this network",
                pool.subnet
            )));
        }
        Ok((pools, named))
    }

    /// Makes the records of bridge, host and none where they are missing.
    pub(super) fn make_predefined(&self) -> Result<()> {
        let mut state = self.lock();
        for (name, driver) in [
            ("none", Driver::Null),
            ("host", Driver::Host),
            ("bridge", Driver::Bridge),
        ] {
            if state.networks.values().any(|network| network.name == name) {
                continue;
            }
            let mut network = Record {
                id: names::id()?,
                name: name.to_owned(),
                created: clock::now(),
                driver,
                bridge: String::new(),
                pools: Vec::new(),
                named_gateways: Vec::new(),
                options: Map::new(),
                labels: Map::new(),
                ipam_options: None,
                internal: false,
                attachable: false,
                ipv4: true,
                ipv6: false,
            };
            if driver == Driver::Bridge {
                self.default_bridge(&mut state, &mut network)?;
            }
            record::save(&self.record_path(&network.id), &network, true)?;
            state.networks.insert(network.id.clone(), network);
        }
        Ok(())
    }

    fn default_bridge(&self, state: &mut State, network: &mut Record) -> Result<()> {
        let used = state.used()?;
        let wish = match &self.settings.bip {
            Some(bip) => {
                let gateway = bip.split('/').next().unwrap_or_default().to_owned();
                Wish {
                    subnet: Some(bip.clone()),
                    gateway: Some(gateway),
                    ..Wish::default()
                }
            }
            None => Wish::default(),
        };
        let mut pool = wish.check(|| self.settings.pools.free(&used))?;
        pool.by_user = false;
        network.pools = vec![pool];
        network.bridge.clone_from(&self.settings.bridge);
        let options = [
            ("com.docker.network.bridge.default_bridge", "true"),
            ("com.docker.network.bridge.enable_icc", "true"),
            ("com.docker.network.bridge.enable_ip_masquerade", "true"),
            ("com.docker.network.bridge.host_binding_ipv4", "0.0.0.0"),
            ("com.docker.network.bridge.name", &self.settings.bridge),
            (record::MTU, "1500"),
        ];
        network.options = options
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        Ok(())
    }
}

impl State {
    /// What new subnets must keep clear of: other networks and the host's routes.
    fn used(&mut self) -> Result<Vec<Subnet>> {
        let mut used = self.links.routed()?;
        used.extend(
            self.networks
                .values()
                .flat_map(|network| &network.pools)
                .map(|pool| pool.subnet),
        );
        Ok(used)
    }
}

fn check_name(state: &State, name: &str) -> Result<()> {
    if matches!(name, "bridge" | "host" | "none" | "default") {
        return Err(Error::denied(format!(
            "operation is not permitted on predefined {name} network"
        )));
    }
    if name.is_empty() {
        return Err(Error::invalid("invalid name: name is empty"));
    }
    if name.trim() != name {
        return Err(Error::invalid(format!(
            "invalid network name: {name:?}: expected a name without blanks around it"
        )));
    }
    if state.networks.values().any(|network| network.name == name) {
        return Err(Error::conflict(format!(
            "network with name {name} already exists"
        )));
    }
    Ok(())
}

fn check_driver(request: &CreateRequest) -> Result<()> {
    match request.driver.as_str() {
        "" | "default" | "bridge" => {}
        one @ ("host" | "null") => {
            return Err(Error::denied(format!(
                "only one instance of \"{one}\" network is allowed"
            )));
        }
        "overlay" => {
            return Err(Error::unavailable(
                "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to \
                 swarm and try again.",
            ));
        }
        other => return Err(Error::not_found(format!("plugin \"{other}\" not found"))),
    }
    if request.ingress {
        return Err(Error::unavailable(
            "ingress networks need swarm: expected a network without --ingress",
        ));
    }
    if let Some(text) = request
        .options
        .as_ref()
        .and_then(|options: &BTreeMap<_, _>| options.get(record::MTU))
        && text.parse::<u32>().is_err()
    {
        return Err(Error::invalid(format!(
            "invalid {}: {text}: expected a number of bytes",
            record::MTU
        )));
    }
    Ok(())
}

/// Five bytes that stay the same for an engine: the identity of its unique local IPv6 prefix.
fn seed(name: &str) -> [u8; 5] {
    let machine = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in machine.bytes().chain(name.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    let [a, b, c, d, e, ..] = hash.to_be_bytes();
    [a, b, c, d, e]
}

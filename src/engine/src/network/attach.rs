//! Building and taking down what a container needs of its networks.

use std::path::PathBuf;

use gantry_api::container::inspect::NetworkSettings;

use gantry_network::netns::Namespace;
use gantry_network::sandbox::{Attached, loopback, reroute};

use super::record::{Driver, Record as Network};
use super::sandbox::{Endpoint, Sandbox};
use super::wish::{self, Wish};
use super::{Networks, State, files, record};
use crate::container::names;
use crate::error::{Error, Result};

/// What a container got.
#[derive(Debug, Clone)]
pub struct Joined {
    /// The namespace to run in; none for the host's.
    pub namespace: Option<PathBuf>,
    /// What `inspect` shows.
    pub settings: NetworkSettings,
    /// The networks joined, for events: id, name and driver.
    pub networks: Vec<(String, String, &'static str)>,
}

impl Networks {
    /// Builds everything for a container that is about to start.
    ///
    /// # Errors
    /// Docker's texts for what cannot be had; the kernel's. Then nothing is left.
    pub fn attach(&self, wish: &Wish) -> Result<Joined> {
        let mut state = self.lock();
        if let Some(old) = state.sandboxes.get(&wish.id).cloned() {
            self.tear_down(&mut state, &old)?;
        }
        let mut sandbox = Sandbox {
            id: names::id()?,
            container: wish.id.clone(),
            name: wish.name.clone(),
            hostname: wish.hostname.clone(),
            ..Sandbox::default()
        };
        match self.build(&mut state, wish, &mut sandbox) {
            Ok(()) => {
                let joined = self.joined(&state, &sandbox);
                state.sandboxes.insert(wish.id.clone(), sandbox);
                Ok(joined)
            }
            Err(error) => {
                if let Err(second) = self.tear_down(&mut state, &sandbox) {
                    tracing::warn!("container {}: network not taken down: {second}", wish.id);
                }
                Err(error)
            }
        }
    }

    /// Takes down what stands for a container and says which networks it left; none is fine.
    ///
    /// # Errors
    /// The kernel's, after every step was tried.
    pub fn detach(&self, container: &str) -> Result<Vec<(String, String, &'static str)>> {
        let mut state = self.lock();
        let Some(sandbox) = state.sandboxes.get(container).cloned() else {
            return Ok(Vec::new());
        };
        let left = state.joined_networks(&sandbox);
        self.tear_down(&mut state, &sandbox)?;
        Ok(left)
    }

    /// The namespace a running container is in: none for the host's.
    ///
    /// # Errors
    /// The container has no sandbox.
    pub fn namespace_of(&self, container: &str) -> Result<Option<PathBuf>> {
        let state = self.lock();
        let sandbox = state.sandboxes.get(container);
        let missing = || {
            Error::conflict(format!(
                "cannot join network namespace of a non running container: {container}"
            ))
        };
        Ok(sandbox.ok_or_else(missing)?.namespace.clone())
    }

    /// What `inspect` shows of a running container.
    #[must_use]
    pub fn settings_of(&self, container: &str) -> Option<NetworkSettings> {
        self.lock()
            .sandboxes
            .get(container)
            .map(|sandbox| sandbox.settings(&self.namespaces()))
    }

    fn joined(&self, state: &State, sandbox: &Sandbox) -> Joined {
        Joined {
            namespace: sandbox.namespace.clone(),
            settings: sandbox.settings(&self.namespaces()),
            networks: state.joined_networks(sandbox),
        }
    }

    fn build(&self, state: &mut State, wish: &Wish, sandbox: &mut Sandbox) -> Result<()> {
        let order = order(wish);
        let networks = order
            .iter()
            .map(|name| state.find(name).cloned().map_err(setting_up))
            .collect::<Result<Vec<_>>>()?;
        let mut resolver = files::host_resolver();
        let mut dns = wish.dns.clone();
        if dns.servers.is_empty() {
            dns.servers.clone_from(&self.settings.dns);
        }
        resolver = resolver.with(&dns);
        sandbox.upstreams = resolver.upstreams();
        sandbox.ndots = resolver.ndots().is_some_and(|ndots| ndots != "0");
        sandbox.exposed = wish.ports.iter().map(wish::Port::key).collect();
        if networks
            .iter()
            .any(|network| network.driver == Driver::Host)
        {
            sandbox.exposed.clear();
            sandbox.endpoints = networks
                .iter()
                .map(|n| plain(n, wish))
                .collect::<Result<_>>()?;
            record::save(&self.sandbox_path(&wish.id), sandbox, false)?;
            return files::write_host(wish, &resolver);
        }
        sandbox.namespace = Some(self.namespaces().join(&sandbox.id[..12]));
        for network in &networks {
            let endpoint = if wish::plugs(network) {
                state.reserve(network, wish, sandbox)?
            } else {
                plain(network, wish)?
            };
            sandbox.endpoints.push(endpoint);
        }
        // From here on things are made: whoever finds the record can take them down.
        // A network server started meanwhile is told of all containers, and this must be one of them.
        state.sandboxes.insert(wish.id.clone(), sandbox.clone());
        record::save(&self.sandbox_path(&wish.id), sandbox, false)?;
        self.wire(state, sandbox, &networks)?;
        self.publish(state, wish, sandbox)?;
        self.announce(state, sandbox)?;
        record::save(&self.sandbox_path(&wish.id), sandbox, false)?;
        let links = state.link_lines(wish, sandbox);
        files::write(wish, sandbox, &resolver, state.host_gateway(), &links)
    }

    /// Makes the namespace and the links.
    fn wire(&self, state: &mut State, sandbox: &mut Sandbox, networks: &[Network]) -> Result<()> {
        let Some(path) = &sandbox.namespace else {
            return Ok(());
        };
        let namespace = Namespace::create(path)?;
        loopback(&namespace)?;
        for network in networks.iter().filter(|network| wish::plugs(network)) {
            self.stand(state, network)?;
        }
        for interface in sandbox
            .endpoints
            .iter()
            .filter_map(|endpoint| endpoint.interface.as_ref())
        {
            // What is made here is taken down by the record.
            let _attached: Attached = interface.attach(&mut state.links, &namespace)?;
        }
        let wanted = sandbox.wanted_gateways();
        reroute(&namespace, &sandbox.gateways, &wanted)?;
        sandbox.gateways = wanted;
        Ok(())
    }

    /// Makes sure the network's bridge stands and the firewall knows it.
    pub(super) fn stand(&self, state: &mut State, network: &Network) -> Result<()> {
        self.prepare(state)?;
        network.plan().ensure(&mut state.links)?;
        Ok(())
    }

    /// Opens the published ports on the endpoints that lead outside.
    pub(super) fn publish(
        &self,
        state: &mut State,
        wish: &Wish,
        sandbox: &mut Sandbox,
    ) -> Result<()> {
        sandbox.bindings = state.bindings(wish, sandbox);
        if sandbox.bindings.is_empty() {
            return Ok(());
        }
        let [fourth, sixth] = sandbox.gateway_endpoints();
        let endpoint = fourth.or(sixth).map(|e| e.id.clone()).unwrap_or_default();
        let refuse = |error: gantry_network::Error| {
            let name = &wish.name;
            Error::internal(format!(
                "failed to set up container networking: driver failed programming external connectivity on endpoint \
                 {name} ({endpoint}): {error}"
            ))
        };
        sandbox.ports = state
            .server
            .publish(&wish.id, sandbox.bindings.clone())
            .map_err(refuse)?;
        self.renewed(state)?;
        let rewritten: Vec<_> = sandbox
            .ports
            .iter()
            .copied()
            .filter(|p| p.host.is_ipv4() == p.container.is_ipv4())
            .collect();
        state.table.add_ports(&rewritten).map_err(refuse)
    }

    /// Tells the network server the container's names.
    pub(super) fn announce(&self, state: &mut State, sandbox: &Sandbox) -> Result<()> {
        match sandbox.names(state.reaches_outside(sandbox)) {
            Some(names) => {
                state.server.name(names)?;
                self.renewed(state)
            }
            None => Ok(()),
        }
    }

    /// Takes down everything a sandbox record tells of. Each step is tried, whatever became of the others.
    pub(super) fn tear_down(&self, state: &mut State, sandbox: &Sandbox) -> Result<()> {
        let mut failures: Vec<String> = Vec::new();
        let mut note = |result: std::result::Result<(), gantry_network::Error>| {
            failures.extend(result.err().map(|e| e.to_string()))
        };
        if !sandbox.ports.is_empty() || !sandbox.bindings.is_empty() {
            note(state.server.unpublish(&sandbox.container));
        }
        if state.ready {
            for port in sandbox
                .ports
                .iter()
                .filter(|p| p.host.is_ipv4() == p.container.is_ipv4())
            {
                note(absent_is_fine(state.table.remove_ports(&[*port])));
            }
        }
        if sandbox.names(false).is_some() {
            note(state.server.unname(&sandbox.container));
        }
        for endpoint in &sandbox.endpoints {
            if let Some(interface) = &endpoint.interface {
                note(Attached::recorded(interface).detach(&mut state.links));
            }
            state.release(endpoint);
        }
        if let Some(path) = &sandbox.namespace {
            note(Namespace::remove(path));
        }
        if failures.is_empty() {
            state.sandboxes.remove(&sandbox.container);
            return record::forget(&self.sandbox_path(&sandbox.container));
        }
        Err(Error::internal(failures.join("; ")))
    }
}

/// An element that is not in the table, or a table that is gone, is what taking down wants.
fn absent_is_fine(
    result: std::result::Result<(), gantry_network::Error>,
) -> std::result::Result<(), gantry_network::Error> {
    match result {
        Err(e) if e.errno() == Some(nix::errno::Errno::ENOENT as i32) => Ok(()),
        other => other,
    }
}

/// The container's networks, the mode's own first.
fn order(wish: &Wish) -> Vec<String> {
    let mut order: Vec<String> = wish.endpoints.keys().cloned().collect();
    order.sort_by_key(|name| *name != wish.mode);
    if order.is_empty() {
        order.push(wish.mode.clone());
    }
    order
}

pub(super) fn setting_up(error: Error) -> Error {
    Error {
        kind: error.kind,
        message: format!("failed to set up container networking: {}", error.message),
    }
}

pub(super) fn plain(network: &Network, wish: &Wish) -> Result<Endpoint> {
    Ok(Endpoint {
        id: names::id()?,
        network: network.id.clone(),
        network_name: network.name.clone(),
        interface: None,
        gateways: Vec::new(),
        names: None,
        links: std::collections::BTreeMap::new(),
        settings: wish
            .endpoints
            .get(&network.name)
            .cloned()
            .unwrap_or_default(),
    })
}

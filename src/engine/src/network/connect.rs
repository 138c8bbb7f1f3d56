//! Networks joined and left while the container runs.

use gantry_api::container::inspect::NetworkSettings;
use gantry_api::network::EndpointSettings;
use gantry_network::netns::Namespace;
use gantry_network::sandbox::{Attached, reroute};

use super::record::{Driver, Record as Network};
use super::sandbox::Sandbox;
use super::wish::{self, Wish};
use super::{Networks, State, files, record};
use crate::error::{Error, Result};

impl Networks {
    /// Whether the container of `wish` may join `network` at all.
    ///
    /// # Errors
    /// Docker's texts for what excludes it.
    pub fn may_connect(
        &self,
        wish: &Wish,
        network: &Network,
        endpoint: &EndpointSettings,
    ) -> Result<()> {
        if wish::shared_with(&wish.mode).is_some() || wish.mode == "host" {
            return Err(wish::exclusive("host"));
        }
        if network.driver == Driver::Host {
            return Err(Error::invalid(
                "cannot connect container to host network - container must be created in host network mode",
            ));
        }
        if wish.mode == "none" || (network.driver == Driver::Null && !wish.endpoints.is_empty()) {
            return Err(wish::exclusive("none"));
        }
        wish::check(network, endpoint)
    }

    /// Gives a running container one more network and says what `inspect` now shows.
    ///
    /// # Errors
    /// It is on the network already, or it cannot be had; then nothing changed.
    pub fn connect(
        &self,
        wish: &Wish,
        network: &Network,
        settings: EndpointSettings,
    ) -> Result<NetworkSettings> {
        let mut state = self.lock();
        let before = state.running(&wish.id)?;
        if before
            .endpoints
            .iter()
            .any(|endpoint| endpoint.network == network.id)
        {
            let (name, network) = (&wish.name, &network.name);
            return Err(Error::denied(format!(
                "endpoint with name {name} already exists in network {network}"
            )));
        }
        let mut wish = wish.clone();
        wish.endpoints.insert(network.name.clone(), settings);
        let mut sandbox = before.clone();
        let endpoint = state.reserve(network, &wish, &sandbox)?;
        sandbox.endpoints.push(endpoint.clone());
        record::save(&self.sandbox_path(&wish.id), &sandbox, false)?;
        let plugged = self.plug(&mut state, network, &wish, &mut sandbox);
        if let Err(error) = plugged {
            if let Some(interface) = &endpoint.interface {
                Attached::recorded(interface).detach(&mut state.links)?;
            }
            state.release(&endpoint);
            record::save(&self.sandbox_path(&wish.id), &before, false)?;
            return Err(error);
        }
        let resolver = files::host_resolver().with(&wish.dns);
        let come: Vec<_> = endpoint.addresses().collect();
        let names = gantry_network::files::own_names(&wish.hostname, &wish.domain);
        files::amend(&wish.home, &[], &come, &names)?;
        files::rewrite_resolv(&wish.home, &before, &sandbox, &resolver)?;
        self.keep(&mut state, sandbox)
    }

    fn plug(
        &self,
        state: &mut State,
        network: &Network,
        wish: &Wish,
        sandbox: &mut Sandbox,
    ) -> Result<()> {
        let path = sandbox
            .namespace
            .clone()
            .ok_or_else(|| wish::exclusive("host"))?;
        let namespace = Namespace::open(&path)?;
        self.stand(state, network)?;
        if let Some(interface) = sandbox
            .endpoints
            .last()
            .and_then(|endpoint| endpoint.interface.as_ref())
        {
            // What is made here is taken down by the record.
            let _attached: Attached = interface.attach(&mut state.links, &namespace)?;
        }
        self.follow(state, wish, sandbox, &namespace)
    }

    /// Takes a network from a running container and says what `inspect` now shows.
    ///
    /// # Errors
    /// It is not on the network; the kernel's.
    pub fn disconnect(&self, wish: &Wish, network: &Network) -> Result<NetworkSettings> {
        let mut state = self.lock();
        let before = state.running(&wish.id)?;
        let mut sandbox = before.clone();
        let at = sandbox
            .endpoints
            .iter()
            .position(|endpoint| endpoint.network == network.id);
        let endpoint = sandbox
            .endpoints
            .remove(at.ok_or_else(|| not_connected(&wish.id, &network.name))?);
        if let Some(interface) = &endpoint.interface {
            Attached::recorded(interface).detach(&mut state.links)?;
        }
        state.release(&endpoint);
        if let Some(path) = &sandbox.namespace {
            let namespace = Namespace::open(path)?;
            self.follow(&mut state, wish, &mut sandbox, &namespace)?;
        }
        let gone: Vec<_> = endpoint.addresses().collect();
        let names = gantry_network::files::own_names(&wish.hostname, &wish.domain);
        files::amend(&wish.home, &gone, &[], &names)?;
        self.keep(&mut state, sandbox)
    }

    /// Brings routes, ports and names in line with changed endpoints.
    fn follow(
        &self,
        state: &mut State,
        wish: &Wish,
        sandbox: &mut Sandbox,
        namespace: &Namespace,
    ) -> Result<()> {
        let wanted = sandbox.wanted_gateways();
        if wanted != sandbox.gateways {
            reroute(namespace, &sandbox.gateways, &wanted)?;
            sandbox.gateways = wanted;
            // The ports follow the endpoint that leads outside; numbers chosen once stay.
            self.republish(state, wish, sandbox)?;
        }
        match sandbox.names(false) {
            Some(_) => self.announce(state, sandbox),
            None => Ok(state.server.unname(&wish.id)?),
        }
    }

    fn republish(&self, state: &mut State, wish: &Wish, sandbox: &mut Sandbox) -> Result<()> {
        let rewritten: Vec<_> = sandbox
            .ports
            .iter()
            .copied()
            .filter(|p| p.host.is_ipv4() == p.container.is_ipv4())
            .collect();
        if !sandbox.ports.is_empty() {
            state.table.remove_ports(&rewritten)?;
            state.server.unpublish(&wish.id)?;
        }
        let mut wish = wish.clone();
        for port in &mut wish.ports {
            let chosen = sandbox
                .ports
                .iter()
                .filter(|p| p.container_port == port.number && p.protocol == port.protocol);
            let mut numbers: Vec<u16> = chosen.map(|p| p.host_port).collect();
            numbers.dedup();
            for ((_, range), number) in port.bindings.iter_mut().zip(numbers) {
                *range = (number, number);
            }
        }
        sandbox.ports.clear();
        self.publish(state, &wish, sandbox)
    }

    fn keep(&self, state: &mut State, sandbox: Sandbox) -> Result<NetworkSettings> {
        record::save(&self.sandbox_path(&sandbox.container), &sandbox, false)?;
        let settings = sandbox.settings(&self.namespaces());
        state.sandboxes.insert(sandbox.container.clone(), sandbox);
        Ok(settings)
    }

    /// Tells everybody a running container's new name.
    ///
    /// # Errors
    /// The disk's or the network server's.
    pub fn rename(&self, wish: &Wish) -> Result<Option<NetworkSettings>> {
        let mut state = self.lock();
        let Ok(mut sandbox) = state.running(&wish.id) else {
            return Ok(None);
        };
        sandbox.name.clone_from(&wish.name);
        for endpoint in sandbox
            .endpoints
            .iter_mut()
            .filter(|endpoint| endpoint.names.is_some())
        {
            endpoint.names = Some(wish.names(&endpoint.settings));
        }
        self.announce(&mut state, &sandbox)?;
        self.keep(&mut state, sandbox).map(Some)
    }
}

/// docker's text for leaving a network the container is not on.
#[must_use]
pub fn not_connected(container: &str, network: &str) -> Error {
    Error::internal(format!(
        "container {container} is not connected to network {network}"
    ))
}

impl State {
    fn running(&self, container: &str) -> Result<Sandbox> {
        let missing = || Error::conflict(format!("container {container} is not running"));
        self.sandboxes.get(container).cloned().ok_or_else(missing)
    }
}

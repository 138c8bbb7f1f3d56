//! Taking over: the firewall table as this engine wants it, a new network server told everything, and what a killed engine left.

use std::collections::BTreeSet;
use std::time::Duration;

use gantry_network::forwarding;
use gantry_network::nft::table::Publication;
use gantry_network::nft::watch::Watch;
use gantry_network::server::protocol::Binding;

use super::sandbox::Sandbox;
use super::{Networks, State, wish};
use crate::error::Result;

/// How long a killed network server may stay unnoticed.
const PATIENCE: Duration = Duration::from_secs(2);

impl Networks {
    /// Takes over what an engine before this one built: what belongs to the containers in `live` is completed, the rest is taken
    /// down. Does nothing to the host where there is neither.
    ///
    /// # Errors
    /// The kernel's. Sandboxes that could not be taken down are told of and tried again next time.
    pub fn adopt(&self, live: &BTreeSet<String>) -> Result<()> {
        let mut state = self.lock();
        let (kept, left): (Vec<Sandbox>, Vec<Sandbox>) = state
            .sandboxes
            .values()
            .cloned()
            .partition(|sandbox| live.contains(&sandbox.container));
        if kept.is_empty() && left.is_empty() {
            return Ok(());
        }
        for sandbox in left {
            if let Err(error) = self.tear_down(&mut state, &sandbox) {
                tracing::warn!(
                    "container {}: network not taken down: {error}",
                    sandbox.container
                );
            }
        }
        if kept.is_empty() {
            return Ok(());
        }
        self.prepare(&mut state)?;
        let standing: Vec<_> = state
            .networks
            .values()
            .filter(|network| wish::plugs(network))
            .cloned()
            .collect();
        for network in standing.iter().filter(|n| {
            kept.iter()
                .flat_map(|s| &s.endpoints)
                .any(|e| e.network == n.id)
        }) {
            network.plan().ensure(&mut state.links)?;
        }
        self.reconcile(&mut state)
    }

    /// Makes the firewall table hold exactly the networks and open ports there are; once per engine.
    pub(super) fn prepare(&self, state: &mut State) -> Result<()> {
        if state.ready {
            return Ok(());
        }
        let guard = forwarding::enable(&self.settings.exec_root.join("forwarding"))?;
        let zones: Vec<_> = state
            .networks
            .values()
            .filter(|n| wish::plugs(n))
            .map(super::record::Record::zone)
            .collect();
        let ports: Vec<Publication> = state
            .sandboxes
            .values()
            .flat_map(|sandbox| &sandbox.ports)
            .copied()
            .collect();
        let rewritten: Vec<_> = ports
            .into_iter()
            .filter(|p| p.host.is_ipv4() == p.container.is_ipv4())
            .collect();
        state.table.replace(guard, &zones, &rewritten)?;
        for zone in &zones {
            forwarding::admit(&zone.bridge)?;
        }
        state.ready = true;
        Ok(())
    }

    /// After a new network server had to be started: tells it of every container.
    pub(super) fn renewed(&self, state: &mut State) -> Result<()> {
        if state.server.take_renewed() {
            self.reconcile(state)
        } else {
            Ok(())
        }
    }

    /// Keeps the firewall table and the network server standing, whoever flushes or kills them. Never returns but for an error;
    /// for a thread of its own.
    ///
    /// # Errors
    /// The kernel's notifications cannot be had.
    pub fn keep_standing(&self) -> Result<()> {
        let watch = Watch::open(PATIENCE)?;
        loop {
            let removed = watch.wait()?;
            let mut state = self.lock();
            if let Err(error) = self.look_after(&mut state, removed) {
                tracing::warn!("network: {error}");
            }
        }
    }

    fn look_after(&self, state: &mut State, removed: bool) -> Result<()> {
        if removed && state.ready && !state.table.exists()? {
            tracing::info!(
                "network: the firewall table was removed by another program, making it again"
            );
            state.ready = false;
            self.prepare(state)?;
        }
        let served =
            |sandbox: &Sandbox| !sandbox.ports.is_empty() || sandbox.names(false).is_some();
        if state.sandboxes.values().any(served) {
            state.server.ensure()?;
            return self.renewed(state);
        }
        Ok(())
    }

    /// Brings the network server's knowledge in line with the sandboxes.
    fn reconcile(&self, state: &mut State) -> Result<()> {
        state.server.ensure()?;
        state.server.take_renewed();
        let (named, published) = state.server.list()?;
        let sandboxes: Vec<Sandbox> = state.sandboxes.values().cloned().collect();
        for id in named
            .iter()
            .filter(|id| !sandboxes.iter().any(|s| s.container == **id))
        {
            state.server.unname(id)?;
        }
        for id in published
            .iter()
            .filter(|id| !sandboxes.iter().any(|s| s.container == **id))
        {
            state.server.unpublish(id)?;
        }
        for sandbox in sandboxes {
            if let Some(names) = sandbox.names(state.reaches_outside(&sandbox)) {
                state.server.name(names)?;
            }
            if !sandbox.ports.is_empty() && !published.contains(&sandbox.container) {
                let bindings = sandbox.ports.iter().map(fixed).collect();
                // A port somebody else took in between is lost for loopback only; the firewall still rewrites it.
                if let Err(error) = state.server.publish(&sandbox.container, bindings) {
                    tracing::warn!(
                        "container {}: port not taken again: {error}",
                        sandbox.container
                    );
                }
            }
        }
        Ok(())
    }
}

fn fixed(port: &Publication) -> Binding {
    Binding {
        protocol: port.protocol,
        hosts: vec![port.host],
        ports: (port.host_port, port.host_port),
        containers: vec![port.container],
        container_port: port.container_port,
    }
}

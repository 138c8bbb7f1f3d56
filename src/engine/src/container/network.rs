//! How a container gets its networks at its start and loses them at its end.

use std::path::{Path, PathBuf};

use gantry_api::container::inspect::NetworkSettings;
use gantry_api::container::{Config, HostConfig};
use gantry_api::word::Map;

use super::record::{Places, Record};
use super::{Container, record};
use crate::Engine;
use crate::error::{Error, Result};
use crate::network::wish::{self, Wish};

/// What a start gets.
#[derive(Debug, Clone, Default)]
pub struct Joined {
    /// As [`super::spec::Surroundings::network`].
    pub namespace: Option<PathBuf>,
    /// What `inspect` shows.
    pub settings: NetworkSettings,
}

impl Engine {
    /// Brings `record` to its networks and writes its hosts, hostname and resolv.conf.
    ///
    /// # Errors
    /// Not found for a network or container; conflict for one that does not run; a port that is taken.
    pub fn join_networks(&self, record: &Record, places: &Places) -> Result<Joined> {
        if let Some(other) = wish::shared_with(&record.host.network_mode) {
            return self.join_container(other, places);
        }
        let wish = Wish::read(record, places.home.clone())?;
        let joined = self.networks.attach(&wish)?;
        for (id, name, driver) in &joined.networks {
            self.network_event("connect", id, name, driver, Some(&record.id));
        }
        Ok(Joined {
            namespace: Some(joined.namespace.unwrap_or_default()),
            settings: joined.settings,
        })
    }

    fn join_container(&self, other: &str, places: &Places) -> Result<Joined> {
        let joining = |error: Error| Error {
            message: format!("joining network namespace of container: {error}"),
            ..error
        };
        let target = self.containers.find(other).map_err(joining)?;
        let view = target.view();
        if !view.state.lives() {
            let (name, phase) = (view.short_name(), view.state.phase.word());
            return Err(Error::conflict(format!(
                "cannot join network namespace of a non running container: container {name} is {phase}"
            )));
        }
        for name in ["hosts", "resolv.conf", "hostname"] {
            link(&target.places.home.join(name), &places.home.join(name))?;
        }
        let namespace = match self.networks.namespace_of(&view.id) {
            Ok(namespace) => namespace.unwrap_or_default(),
            // The other one shares a third one's namespace itself.
            Err(_) => PathBuf::from(format!("/proc/{}/ns/net", view.state.pid)),
        };
        let networks = Some(std::collections::BTreeMap::new());
        Ok(Joined {
            namespace: Some(namespace),
            settings: NetworkSettings {
                networks,
                ..NetworkSettings::default()
            },
        })
    }

    /// Takes a container's network down again.
    ///
    /// # Errors
    /// The kernel's; what could be taken down is.
    pub fn leave_networks(&self, container: &Container) -> Result<()> {
        let record = container.view();
        let known = self
            .networks
            .settings_of(&record.id)
            .and_then(|settings| settings.networks)
            .unwrap_or_default();
        let left = self.networks.detach(&record.id)?;
        if left.is_empty() {
            return Ok(());
        }
        for (id, name, driver) in &left {
            self.network_event("disconnect", id, name, driver, Some(&record.id));
        }
        container.change(|record| {
            for (id, name, _) in &left {
                if let Some(endpoint) = record.endpoints.get_mut(name) {
                    endpoint.network_id.clone_from(id);
                    endpoint.dns_names = known.get(name).and_then(|was| was.dns_names.clone());
                }
            }
        });
        let settings = at_rest(&container.view());
        container.change_state(|state: &mut record::State| state.network = settings)
    }

    /// Settles what the network mode decides of a new container, and gives docker's warnings.
    ///
    /// # Errors
    /// Docker's texts for options that a shared namespace excludes, and for links to nobody.
    pub fn settle_network(&self, config: &mut Config, host: &HostConfig) -> Result<Vec<String>> {
        for (other, _) in links(host) {
            // Not the 404 of the search: a client would take that for a missing image.
            self.containers.find(&other).map_err(|error| {
                Error::invalid(format!("could not get container for {other}: {error}"))
            })?;
        }
        let published = host
            .port_bindings
            .as_ref()
            .is_some_and(|ports| !ports.is_empty());
        if host.network_mode == "host" && published {
            return Ok(vec![
                "Published ports are discarded when using host network mode".to_owned(),
            ]);
        }
        let Some(other) = wish::shared_with(&host.network_mode) else {
            return Ok(Vec::new());
        };
        let given = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
        for (there, what) in [
            (!config.hostname.is_empty(), "hostname and the network mode"),
            (
                given(&host.links),
                "container type network can't be used with links. This would result in undefined behavior",
            ),
            (given(&host.dns), "dns and the network mode"),
            (
                given(&host.extra_hosts),
                "custom host-to-IP mapping and the network mode",
            ),
            (
                !config.mac_address.is_empty(),
                "mac-address and the network mode",
            ),
            (
                published || host.publish_all_ports,
                "port publishing and the container type network mode",
            ),
        ] {
            if there {
                return Err(Error::invalid(format!("conflicting options: {what}")));
            }
        }
        // The host name is the other container's; if that is gone, the start will say so.
        if let Ok(target) = self.containers.find(other) {
            config.hostname.clone_from(&target.view().config.hostname);
        }
        Ok(Vec::new())
    }

    /// The variables that tell a container of the ones it is linked to on the default bridge.
    #[must_use]
    pub fn link_environment(&self, record: &Record) -> Vec<String> {
        let on_bridge = wish::mode(&record.host.network_mode) == "bridge";
        let linked = links(&record.host).into_iter().filter(|_| on_bridge);
        linked
            .filter_map(|(other, alias)| {
                Some(variables(
                    record,
                    &self.containers.find(&other).ok()?.view(),
                    &alias,
                ))
            })
            .flatten()
            .collect()
    }

    /// Gives a running container its new name on its networks: two small messages to the network server.
    ///
    /// # Errors
    /// The network room's.
    pub fn rename_on_networks(&self, container: &Container) -> Result<()> {
        let wish = Wish::read(&container.view(), container.places.home.clone())?;
        match self.networks.rename(&wish)? {
            Some(settings) => container.change_state(|state| state.network = settings),
            None => Ok(()),
        }
    }

    /// Tells the world what happened to a network.
    pub fn network_event(
        &self,
        action: &str,
        id: &str,
        name: &str,
        driver: &str,
        container: Option<&str>,
    ) {
        let mut attributes: Map = [
            ("name".to_owned(), name.to_owned()),
            ("type".to_owned(), driver.to_owned()),
        ]
        .into();
        if let Some(container) = container {
            attributes.insert("container".to_owned(), container.to_owned());
        }
        self.events.emit("network", action, id, attributes);
    }
}

/// `--link` as container and alias.
fn links(host: &HostConfig) -> Vec<(String, String)> {
    let split = |link: &String| {
        let (container, alias) = link.split_once(':').unwrap_or((link, link));
        (
            container.trim_start_matches('/').to_owned(),
            alias.rsplit('/').next().unwrap_or(alias).to_owned(),
        )
    };
    host.links.iter().flatten().map(split).collect()
}

fn variables(own: &Record, other: &Record, alias: &str) -> Vec<String> {
    let prefix = alias.to_uppercase().replace('-', "_");
    let networks = other.state.network.networks.iter().flatten();
    let address = networks
        .filter(|(name, _)| *name == "bridge")
        .map(|(_, e)| e.ip_address.clone())
        .next()
        .unwrap_or_default();
    let bound = other
        .host
        .port_bindings
        .iter()
        .flat_map(|ports| ports.keys());
    let ports: std::collections::BTreeSet<(u16, String)> = bound
        .chain(other.config.exposed_ports.keys())
        .filter_map(|key| {
            let (number, protocol) = key.split_once('/').unwrap_or((key, "tcp"));
            Some((number.parse().ok()?, protocol.to_owned()))
        })
        .collect();
    let mut all = vec![format!("{prefix}_NAME={}/{alias}", own.name)];
    if let Some((number, protocol)) = ports.first() {
        all.push(format!("{prefix}_PORT={protocol}://{address}:{number}"));
    }
    for (number, protocol) in &ports {
        let port = format!("{prefix}_PORT_{number}_{}", protocol.to_uppercase());
        all.push(format!("{port}={protocol}://{address}:{number}"));
        all.push(format!("{port}_ADDR={address}"));
        all.push(format!("{port}_PORT={number}"));
        all.push(format!("{port}_PROTO={protocol}"));
    }
    let told = other
        .config
        .env
        .iter()
        .flatten()
        .filter(|entry| !entry.starts_with("PATH=") && !entry.starts_with("HOME="));
    all.extend(told.map(|entry| format!("{prefix}_ENV_{entry}")));
    all
}

/// What `inspect` shows of a container that does not run: its wishes, and the networks it was on last.
#[must_use]
pub fn at_rest(record: &Record) -> NetworkSettings {
    NetworkSettings {
        ports: Some(std::collections::BTreeMap::new()),
        networks: Some(record.endpoints.clone()),
        ..NetworkSettings::default()
    }
}

/// Makes `own` the same file as `other`, so that what the other container edits is seen in both.
fn link(other: &Path, own: &Path) -> Result<()> {
    if let Err(error) = std::fs::remove_file(own)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(Error::kernel(own.display(), error));
    }
    std::fs::hard_link(other, own).map_err(|e| Error::kernel(own.display(), e))
}

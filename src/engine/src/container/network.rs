//! How a container gets its networks at its start and loses them at its end.

use std::path::{Path, PathBuf};

use gantry_api::container::inspect::NetworkSettings;
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
        let target = self.containers.find(other)?;
        let view = target.view();
        if !view.state.lives() {
            return Err(Error::conflict(format!(
                "cannot join network namespace of a non running container: {}",
                view.id
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
                }
            }
        });
        let wish = Wish::read(&container.view(), container.places.home.clone())?;
        let settings = self.networks.at_rest(&wish);
        container.change_state(|state: &mut record::State| state.network = settings)
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

/// Makes `own` the same file as `other`, so that what the other container edits is seen in both.
fn link(other: &Path, own: &Path) -> Result<()> {
    if let Err(error) = std::fs::remove_file(own)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(Error::kernel(own.display(), error));
    }
    std::fs::hard_link(other, own).map_err(|e| Error::kernel(own.display(), e))
}

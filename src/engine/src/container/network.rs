//! How a container gets its network: the modes that need no network of ours are decided here.

use std::path::{Path, PathBuf};

use gantry_api::container::inspect::NetworkSettings;

use super::record::{Places, Record};
use crate::Engine;
use crate::error::{Error, Result};

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
    /// Not found for a network or container; conflict for one that does not run.
    pub fn join_networks(&self, record: &Record, places: &Places) -> Result<Joined> {
        let mode = record.host.network_mode.as_str();
        write(
            &places.home.join("hostname"),
            &format!("{}\n", record.config.hostname),
        )?;
        if let Some(other) = mode.strip_prefix("container:") {
            return self.join_container(other, places);
        }
        match mode {
            "host" => {
                copy(Path::new("/etc/hosts"), &places.home.join("hosts"))?;
                copy(
                    Path::new("/etc/resolv.conf"),
                    &places.home.join("resolv.conf"),
                )?;
                Ok(Joined {
                    namespace: Some(PathBuf::new()),
                    settings: settings(record, "host"),
                })
            }
            "none" => {
                write(&places.home.join("hosts"), &hosts(record))?;
                copy(
                    Path::new("/etc/resolv.conf"),
                    &places.home.join("resolv.conf"),
                )?;
                Ok(Joined {
                    namespace: None,
                    settings: settings(record, "none"),
                })
            }
            name => Err(Error::not_found(format!("network {name} not found"))),
        }
    }

    fn join_container(&self, other: &str, places: &Places) -> Result<Joined> {
        let target = self.containers.find(other)?;
        let view = target.view();
        if !view.state.lives() {
            return Err(Error::conflict(format!(
                "cannot join network of a non running container: {}",
                view.id
            )));
        }
        for name in ["hosts", "resolv.conf", "hostname"] {
            copy(&target.places.home.join(name), &places.home.join(name))?;
        }
        let namespace = PathBuf::from(format!("/proc/{}/ns/net", view.state.pid));
        Ok(Joined {
            namespace: Some(namespace),
            settings: NetworkSettings::default(),
        })
    }

    /// Takes a container's network down again.
    ///
    /// # Errors
    /// The kernel's; what could be taken down is.
    pub fn leave_networks(&self, _record: &Record) -> Result<()> {
        Ok(())
    }
}

fn settings(record: &Record, name: &str) -> NetworkSettings {
    let endpoint = record.endpoints.get(name).cloned().unwrap_or_default();
    NetworkSettings {
        ports: Some(std::collections::BTreeMap::new()),
        networks: Some([(name.to_owned(), endpoint)].into()),
        ..NetworkSettings::default()
    }
}

/// docker's hosts file without addresses of its own.
fn hosts(record: &Record) -> String {
    let mut text = String::from(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n\
         ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n",
    );
    for entry in record.host.extra_hosts.iter().flatten() {
        if let Some((name, address)) = entry.split_once(':') {
            text.push_str(&format!("{address}\t{name}\n"));
        }
    }
    text
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|e| Error::kernel(path.display(), e))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    match std::fs::read(from) {
        Ok(bytes) => std::fs::write(to, bytes).map_err(|e| Error::kernel(to.display(), e)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => write(to, ""),
        Err(error) => Err(Error::kernel(from.display(), error)),
    }
}

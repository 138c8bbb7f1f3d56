//! Who is called what on which network. Pure: a directory is told of sandboxes and answers look-ups.
//!
//! Docker's rules: a container finds another by container name, short id, alias or host name, only on a network both are on, and
//! by `name.network` as well; the asker's networks are searched in order and the first that knows the name answers.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::files::Upstream;

/// A container's place on one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Identity of the network.
    pub network: String,
    /// The network's name, the domain of its names.
    pub domain: String,
    /// The container's addresses there.
    pub addresses: Vec<IpAddr>,
    /// The container's names there; the first is its main one.
    pub names: Vec<String>,
    /// What the container calls others there (`--link other:alias`), by alias.
    #[serde(default)]
    pub links: BTreeMap<String, String>,
}

/// A container's network namespace as its resolver knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// Identity of the container.
    pub id: String,
    /// Where the namespace is pinned.
    pub namespace: PathBuf,
    /// The servers other names are asked of; empty where the container may not reach outside.
    pub upstreams: Vec<Upstream>,
    /// Whether single-label names unknown here stay unanswered, so that the client tries its search list first.
    pub ndots: bool,
    /// The container's places, in the order they are searched.
    pub endpoints: Vec<Endpoint>,
}

/// All sandboxes with names.
#[derive(Debug, Default)]
pub struct Directory {
    sandboxes: BTreeMap<String, Sandbox>,
}

impl Directory {
    /// Adds a sandbox, or replaces what was known of it.
    pub fn insert(&mut self, sandbox: Sandbox) {
        self.sandboxes.insert(sandbox.id.clone(), sandbox);
    }

    /// Forgets a sandbox.
    pub fn remove(&mut self, id: &str) {
        self.sandboxes.remove(id);
    }

    /// A sandbox by the container's identity.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Sandbox> {
        self.sandboxes.get(id)
    }

    /// All sandboxes, by identity.
    pub fn iter(&self) -> impl Iterator<Item = &Sandbox> {
        self.sandboxes.values()
    }

    /// The addresses `asker` finds `name` at; `None` if no network it is on knows the name.
    #[must_use]
    pub fn addresses(&self, asker: &str, name: &str) -> Option<Vec<IpAddr>> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.sandboxes
            .get(asker)?
            .endpoints
            .iter()
            .find_map(|place| {
                let local = name
                    .strip_suffix(&place.domain.to_ascii_lowercase())
                    .and_then(|n| n.strip_suffix('.'));
                let wanted = |name: &str| {
                    place
                        .links
                        .get(name)
                        .map_or_else(|| name.to_string(), |target| target.to_ascii_lowercase())
                };
                let found = |name: &str| {
                    self.on(place, |other| {
                        other.names.iter().any(|n| n.eq_ignore_ascii_case(name))
                    })
                };
                found(&wanted(&name)).or_else(|| found(&wanted(local?)))
            })
    }

    /// The full name `asker` knows the holder of `address` by.
    #[must_use]
    pub fn name(&self, asker: &str, address: IpAddr) -> Option<String> {
        self.sandboxes
            .get(asker)?
            .endpoints
            .iter()
            .find_map(|place| {
                let others = self
                    .neighbours(place)
                    .find(|other| other.addresses.contains(&address))?;
                Some(format!("{}.{}", others.names.first()?, place.domain))
            })
    }

    fn neighbours(&self, place: &Endpoint) -> impl Iterator<Item = &Endpoint> {
        self.sandboxes
            .values()
            .flat_map(|s| &s.endpoints)
            .filter(move |other| other.network == place.network)
    }

    fn on(&self, place: &Endpoint, named: impl Fn(&Endpoint) -> bool) -> Option<Vec<IpAddr>> {
        let mut holders = self
            .neighbours(place)
            .filter(|other| named(other))
            .peekable();
        holders.peek()?;
        Some(
            holders
                .flat_map(|other| other.addresses.iter().copied())
                .collect(),
        )
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::names) fn sandbox(id: &str, places: &[(&str, &str, &[&str])]) -> Sandbox {
        let endpoints = places
            .iter()
            .map(|(network, address, names)| Endpoint {
                network: format!("id-{network}"),
                domain: (*network).into(),
                addresses: vec![address.parse().expect("address")],
                names: names.iter().map(ToString::to_string).collect(),
                links: BTreeMap::new(),
            })
            .collect();
        Sandbox {
            id: id.into(),
            namespace: PathBuf::new(),
            upstreams: Vec::new(),
            ndots: false,
            endpoints,
        }
    }

    fn found(directory: &Directory, asker: &str, name: &str) -> Option<String> {
        let list = directory.addresses(asker, name)?;
        Some(
            list.iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" "),
        )
    }

    #[test]
    fn only_neighbours_are_found() {
        let mut directory = Directory::default();
        directory.insert(sandbox(
            "a",
            &[("n1", "10.1.0.2", &["a"]), ("n2", "10.2.0.2", &["a"])],
        ));
        directory.insert(sandbox("b", &[("n1", "10.1.0.3", &["b", "web"])]));
        directory.insert(sandbox("c", &[("n2", "10.2.0.3", &["c", "web"])]));
        let mut asker = sandbox("d", &[("n2", "10.2.0.4", &["d"])]);
        asker.endpoints[0].links.insert("db".into(), "c".into());
        directory.insert(asker);
        assert_eq!(found(&directory, "a", "B.").as_deref(), Some("10.1.0.3"));
        assert_eq!(
            found(&directory, "a", "web").as_deref(),
            Some("10.1.0.3"),
            "the first network answers"
        );
        assert_eq!(
            found(&directory, "a", "web.n2").as_deref(),
            Some("10.2.0.3")
        );
        assert_eq!(found(&directory, "d", "b"), None);
        assert_eq!(found(&directory, "d", "db").as_deref(), Some("10.2.0.3"));
        assert_eq!(
            directory
                .name("a", "10.2.0.3".parse().expect("address"))
                .as_deref(),
            Some("c.n2")
        );
        assert_eq!(
            directory.name("d", "10.1.0.3".parse().expect("address")),
            None
        );
        directory.remove("b");
        assert_eq!(found(&directory, "a", "web").as_deref(), Some("10.2.0.3"));
    }
}

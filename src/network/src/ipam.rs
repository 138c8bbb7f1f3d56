//! Which address belongs to whom: pools of addresses, and the subnets new networks get.
//!
//! Pure: the state of a pool is a record its owner keeps. Docker's rules: the gateway is the first address unless named,
//! the network's and the broadcast address are never given out, and the first free address is the next one given.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::subnet::{Subnet, successor};

/// One subnet of a network as the user wrote it: `docker network create --subnet … --ip-range … --gateway …`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// `--subnet`; chosen from the default pools where absent.
    pub subnet: Option<String>,
    /// `--ip-range`: the part of the subnet that addresses are given from.
    pub range: Option<String>,
    /// `--gateway`.
    pub gateway: Option<String>,
    /// `--aux-address name=ip`: addresses never given out.
    pub auxiliary: BTreeMap<String, String>,
}

/// A subnet with its gateway, and which of its addresses are out. Made by [`Wish::check`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// All addresses of the network.
    pub subnet: Subnet,
    /// The part addresses are given from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Subnet>,
    /// The bridge's own address.
    pub gateway: IpAddr,
    /// Addresses never given out, by the name the user gave them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub auxiliary: BTreeMap<String, IpAddr>,
    /// Whether the user named the subnet; only then may a container ask for a fixed address in it.
    pub by_user: bool,
    #[serde(skip)]
    taken: BTreeSet<IpAddr>,
}

impl Wish {
    /// Checks the wish against itself and gives the pool it describes, taking a free subnet from `defaults` where none is named.
    ///
    /// # Errors
    /// Every fault of the wish, one a line as docker lists them; or no default pool is free.
    pub fn check(&self, free: impl FnOnce() -> Option<Subnet>) -> Result<Pool> {
        let (subnet, by_user) = match &self.subnet {
            Some(text) => {
                let subnet = text
                    .parse()
                    .map_err(|why| refused(&[format!("invalid subnet {text}: {why}")]))?;
                (subnet, true)
            }
            None => (free().ok_or_else(exhausted)?, false),
        };
        let mut faults = Vec::new();
        let range = self.range_in(subnet, &mut faults);
        let gateway = match self.gateway.as_deref().filter(|g| !g.is_empty()) {
            Some(text) => address_in(subnet, "gateway", text, &mut faults),
            None => None,
        };
        let mut auxiliary = BTreeMap::new();
        for (name, text) in &self.auxiliary {
            if let Some(address) = address_in(subnet, "auxiliary address", text, &mut faults) {
                auxiliary.insert(name.clone(), address);
            }
        }
        if !faults.is_empty() {
            return Err(refused(&faults));
        }
        let mut pool = Pool {
            subnet,
            range,
            gateway: subnet.base(),
            auxiliary,
            by_user,
            taken: BTreeSet::new(),
        };
        pool.gateway = match gateway {
            Some(address) => address,
            None => pool
                .first_free(range.unwrap_or(subnet))
                .ok_or_else(|| full(subnet))?,
        };
        if pool.unusable(pool.gateway) {
            let gateway = pool.gateway;
            return Err(Error::Taken(format!(
                "failed to allocate gateway ({gateway}): Address already in use"
            )));
        }
        pool.restore();
        Ok(pool)
    }

    fn range_in(&self, subnet: Subnet, faults: &mut Vec<String>) -> Option<Subnet> {
        let text = self.range.as_deref().filter(|r| !r.is_empty())?;
        match text.parse::<Subnet>() {
            Ok(range) if subnet.covers(&range) => return Some(range),
            Ok(_) => faults.push(format!(
                "invalid ip-range {text}: parent subnet {subnet} doesn't contain ip-range"
            )),
            Err(why) => faults.push(format!("invalid ip-range {text}: {why}")),
        }
        None
    }
}

fn address_in(subnet: Subnet, what: &str, text: &str, faults: &mut Vec<String>) -> Option<IpAddr> {
    match text.parse::<IpAddr>() {
        Ok(address) if subnet.contains(address) => return Some(address),
        Ok(_) => faults.push(format!(
            "invalid {what} {text}: parent subnet {subnet} doesn't contain this address"
        )),
        Err(_) => faults.push(format!("invalid {what} {text}: invalid address")),
    }
    None
}

fn refused(faults: &[String]) -> Error {
    Error::Invalid(format!("invalid network config:\n{}", faults.join("\n")))
}

fn exhausted() -> Error {
    Error::Exhausted("all predefined address pools have been fully subnetted".into())
}

fn full(subnet: Subnet) -> Error {
    Error::Exhausted(format!(
        "no available IPv{} addresses on this network's address pools: {subnet}",
        if subnet.is_ipv4() { 4 } else { 6 }
    ))
}

impl Pool {
    /// Makes a pool just read from its record ready: gateway and auxiliary addresses are taken, nothing else is.
    pub fn restore(&mut self) {
        self.taken = self.auxiliary.values().copied().collect();
        self.taken.insert(self.gateway);
    }

    /// Takes the first free address, as docker does.
    ///
    /// # Errors
    /// No address is free.
    pub fn allocate(&mut self) -> Result<IpAddr> {
        let next = self.first_free(self.range.unwrap_or(self.subnet));
        let address = next.ok_or_else(|| full(self.subnet))?;
        self.taken.insert(address);
        Ok(address)
    }

    /// Takes exactly `address`.
    ///
    /// # Errors
    /// It lies outside of the subnet, or is taken already.
    pub fn reserve(&mut self, address: IpAddr) -> Result<()> {
        if !self.subnet.contains(address) || self.unusable(address) {
            return Err(Error::Invalid(format!(
                "invalid address {address}: not in subnet {}",
                self.subnet
            )));
        }
        if !self.taken.insert(address) {
            return Err(Error::Taken("Address already in use".into()));
        }
        Ok(())
    }

    /// Gives `address` back; the gateway and auxiliary addresses stay taken.
    pub fn release(&mut self, address: IpAddr) {
        if address != self.gateway && !self.auxiliary.values().any(|a| *a == address) {
            self.taken.remove(&address);
        }
    }

    fn first_free(&self, range: Subnet) -> Option<IpAddr> {
        let mut candidate = range.base();
        while range.contains(candidate) {
            if !self.unusable(candidate) && !self.taken.contains(&candidate) {
                return Some(candidate);
            }
            candidate = successor(candidate)?;
        }
        None
    }

    /// The network's own address, and for IPv4 the broadcast address. /31 and /32 have neither (RFC 3021).
    fn unusable(&self, address: IpAddr) -> bool {
        let tiny = self.subnet.is_ipv4() && self.subnet.prefix() >= 31;
        !tiny
            && (address == self.subnet.base()
                || (self.subnet.is_ipv4() && address == self.subnet.last()))
    }
}

/// Where the subnets of networks without `--subnet` come from: a base network and the size of its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defaults {
    pools: Vec<(Subnet, u8)>,
}

impl Default for Defaults {
    /// Docker's list: 172.17 to 172.31 as /16, 192.168 as /20.
    fn default() -> Self {
        let v4 = |a: u8, b: u8| IpAddr::from([a, b, 0, 0]);
        let bases = [
            (v4(172, 17), 16, 16),
            (v4(172, 18), 16, 16),
            (v4(172, 19), 16, 16),
            (v4(172, 20), 14, 16),
        ];
        let rest = [
            (v4(172, 24), 14, 16),
            (v4(172, 28), 14, 16),
            (v4(192, 168), 16, 20),
        ];
        let all = bases.into_iter().chain(rest);
        Self {
            pools: all
                .filter_map(|(base, prefix, size)| Some((Subnet::new(base, prefix)?, size)))
                .collect(),
        }
    }
}

impl Defaults {
    /// A list of the administrator's own: `default-address-pools` of daemon.json, each a base and the size of its parts.
    #[must_use]
    pub fn new(pools: Vec<(Subnet, u8)>) -> Self {
        Self { pools }
    }

    /// The first IPv4 part that overlaps none of `used` (other networks and the host's routes).
    #[must_use]
    pub fn free(&self, used: &[Subnet]) -> Option<Subnet> {
        let parts = self
            .pools
            .iter()
            .flat_map(|(base, size)| base.split(*size))
            .filter(Subnet::is_ipv4);
        parts
            .into_iter()
            .find(|part| !used.iter().any(|other| other.overlaps(part)))
    }
}

/// The /64 of unique local addresses (RFC 4193) for the IPv6 side of network `index` of the engine whose identity is `seed`.
///
/// Docker does the same: the 40-bit global id comes from the engine's identity, so it is stable and unlikely to clash.
#[must_use]
pub fn unique_local(seed: [u8; 5], used: &[Subnet]) -> Option<Subnet> {
    let [a, b, c, d, e] = seed;
    let site = IpAddr::from([0xfd, a, b, c, d, e, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    Subnet::new(site, 48)?
        .split(64)
        .find(|part| !used.iter().any(|other| other.overlaps(part)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pool(subnet: &str, range: Option<&str>) -> Pool {
        let wish = Wish {
            subnet: Some(subnet.into()),
            range: range.map(Into::into),
            ..Wish::default()
        };
        wish.check(|| None).expect("valid")
    }

    #[test]
    fn first_free_is_next() {
        let mut p = pool("10.1.0.0/29", None);
        assert_eq!(p.gateway.to_string(), "10.1.0.1");
        let got: Vec<_> = (0..5)
            .map(|_| p.allocate().expect("free").to_string())
            .collect();
        assert_eq!(
            got,
            ["10.1.0.2", "10.1.0.3", "10.1.0.4", "10.1.0.5", "10.1.0.6"]
        );
        assert!(p.allocate().is_err());
        p.release("10.1.0.3".parse().expect("address"));
        assert_eq!(p.allocate().expect("free").to_string(), "10.1.0.3");
        p.release(p.gateway);
        assert!(p.allocate().is_err(), "the gateway is never given out");
    }

    #[test]
    fn range_gateway_and_fixed() {
        let mut p = pool("10.1.0.0/16", Some("10.1.5.0/24"));
        assert_eq!(p.gateway.to_string(), "10.1.5.0");
        assert_eq!(p.allocate().expect("free").to_string(), "10.1.5.1");
        p.reserve("10.1.9.9".parse().expect("address"))
            .expect("in the subnet");
        assert!(matches!(
            p.reserve("10.1.9.9".parse().expect("address")),
            Err(Error::Taken(_))
        ));
        assert!(matches!(
            p.reserve("10.2.0.1".parse().expect("address")),
            Err(Error::Invalid(_))
        ));
    }

    #[test]
    fn docker_default_pools_in_order() {
        let defaults = Defaults::default();
        let mut used = Vec::new();
        while let Some(next) = defaults.free(&used) {
            used.push(next);
        }
        assert_eq!(used.len(), 3 + 12 + 16);
        assert_eq!(used[0].to_string(), "172.17.0.0/16");
        assert_eq!(used[14].to_string(), "172.31.0.0/16");
        assert_eq!(used[15].to_string(), "192.168.0.0/20");
    }

    #[test]
    fn faults_are_listed_together() {
        let wish = Wish {
            subnet: Some("10.9.0.0/24".into()),
            range: Some("10.8.0.0/25".into()),
            gateway: Some("10.8.0.1".into()),
            ..Wish::default()
        };
        let text = wish.check(|| None).expect_err("refused").to_string();
        assert_eq!(
            text,
            "invalid network config:\ninvalid ip-range 10.8.0.0/25: parent subnet 10.9.0.0/24 doesn't contain ip-range\n\
             invalid gateway 10.8.0.1: parent subnet 10.9.0.0/24 doesn't contain this address"
        );
    }

    proptest! {
        #[test]
        fn never_twice_never_outside(prefix in 20u8..31, releases in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut p = pool(&format!("10.7.0.0/{prefix}"), None);
            let mut out = BTreeSet::new();
            for step in releases {
                if let Ok(address) = p.allocate() {
                    prop_assert!(p.subnet.contains(address) && address != p.gateway);
                    prop_assert!(address != p.subnet.base() && address != p.subnet.last());
                    prop_assert!(out.insert(address), "{} twice", address);
                }
                if step % 3 == 0 && let Some(first) = out.pop_first() {
                    p.release(first);
                }
            }
        }
    }
}

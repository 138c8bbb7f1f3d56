//! What stands on the host for one container: its namespace, and a link into each of its networks.
//!
//! Plans are plain values. Applying one gives an [`Attached`] that knows exactly what was made, so that undo takes away that
//! and nothing else; a failure half-way has already undone its own part.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::link::{Links, NAME_LIMIT, Pair};
use crate::mac::Mac;
use crate::netns::Namespace;
use crate::subnet::Subnet;

/// A bridge to be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bridge {
    /// Name of the link.
    pub name: String,
    /// The host's own addresses on it: the gateways of the network, none if the host keeps out.
    pub addresses: Vec<(IpAddr, Subnet)>,
    /// Largest packet in bytes; 0 for the kernel's choice.
    pub mtu: u32,
}

/// A container's interface on a bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Name in the container, such as `eth0`.
    pub name: String,
    /// Name of the host's end.
    pub host_name: String,
    /// The bridge it is plugged into.
    pub bridge: String,
    /// Ethernet address.
    pub mac: Mac,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// Addresses with their subnets.
    pub addresses: Vec<(IpAddr, Subnet)>,
}

/// Proof that an interface was made.
#[derive(Debug)]
#[must_use = "an attached interface stays until it is detached"]
pub struct Attached {
    host_name: String,
}

impl Bridge {
    /// Checks the plan.
    ///
    /// # Errors
    /// The name is no interface name.
    pub fn validate(&self) -> Result<()> {
        let valid = !self.name.is_empty()
            && self.name.len() <= NAME_LIMIT
            && !matches!(self.name.as_str(), "." | "..")
            && !self
                .name
                .contains(|c: char| c == '/' || c == ':' || c.is_whitespace());
        if valid {
            return Ok(());
        }
        Err(Error::Invalid(format!(
            "invalid bridge name {:?}: expected 1 to {NAME_LIMIT} bytes without slash, colon or space",
            self.name
        )))
    }

    /// Makes the bridge with its addresses unless it stands already, and says whether it had to be made.
    ///
    /// # Errors
    /// The name belongs to a link of another kind, or a kernel call failed; a bridge half made is taken away again.
    pub fn ensure(&self, links: &mut Links) -> Result<bool> {
        self.validate()?;
        match links.is_bridge(&self.name)? {
            Some(true) => return Ok(false),
            Some(false) => {
                return Err(Error::Taken(format!(
                    "interface {:?} exists and is not a bridge",
                    self.name
                )));
            }
            None => {}
        }
        let index = links.add_bridge(&self.name, self.mtu)?;
        let addressed = self.addresses.iter().try_for_each(|(address, subnet)| {
            if address.is_ipv6() {
                set_sysctl(&format!("net/ipv6/conf/{}/disable_ipv6", self.name), "0")?;
            }
            links.add_address(index, *address, *subnet)
        });
        if let Err(error) = addressed {
            links.remove(&self.name)?;
            return Err(error);
        }
        Ok(true)
    }
}

impl Interface {
    /// Makes the interface: a pair of links, the container's end addressed and up. Default routes are the sandbox's affair.
    ///
    /// # Errors
    /// A kernel call failed; then nothing is left.
    pub fn attach(&self, links: &mut Links, namespace: &Namespace) -> Result<Attached> {
        let bridge = links.index(&self.bridge)?;
        let bridge =
            bridge.ok_or_else(|| Error::NotFound(format!("bridge {:?} not found", self.bridge)))?;
        links.add_pair(&Pair {
            host: &self.host_name,
            bridge,
            container: &self.name,
            mac: self.mac,
            mtu: self.mtu,
            namespace: namespace.file().as_fd(),
        })?;
        let attached = Attached {
            host_name: self.host_name.clone(),
        };
        let configured = links
            .set_hairpin(&self.host_name)
            .and_then(|()| namespace.within(|| self.configure()));
        if let Err(error) = configured {
            attached.detach(links)?;
            return Err(error);
        }
        Ok(attached)
    }

    fn configure(&self) -> Result<()> {
        let mut links = Links::open()?;
        let index = links.index(&self.name)?;
        let index = index.ok_or_else(|| {
            Error::NotFound(format!(
                "interface {:?} not found in its namespace",
                self.name
            ))
        })?;
        let sixth = self.addresses.iter().any(|(address, _)| address.is_ipv6());
        set_sysctl(
            &format!("net/ipv6/conf/{}/disable_ipv6", self.name),
            if sixth { "0" } else { "1" },
        )?;
        for (address, subnet) in &self.addresses {
            links.add_address(index, *address, *subnet)?;
        }
        links.set_up(index)
    }
}

impl Attached {
    /// What [`Interface::attach`] made, as told by a record: for taking down what an engine before this one built.
    pub fn recorded(interface: &Interface) -> Self {
        Self {
            host_name: interface.host_name.clone(),
        }
    }

    /// Takes the interface away; both ends go together. One that went with its namespace is fine.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn detach(self, links: &mut Links) -> Result<()> {
        links.remove(&self.host_name)
    }
}

/// Replaces the namespace's default routes: those via `old` go, those via `new` come.
///
/// # Errors
/// A kernel call failed.
pub fn reroute(namespace: &Namespace, old: &[IpAddr], new: &[IpAddr]) -> Result<()> {
    namespace.within(|| {
        let mut links = Links::open()?;
        for gateway in old.iter().filter(|g| !new.contains(g)) {
            match links.remove_default_route(*gateway) {
                // The route goes with its link.
                Err(e) if e.errno() == Some(nix::errno::Errno::ESRCH as i32) => {}
                other => other?,
            }
        }
        new.iter()
            .filter(|g| !old.contains(g))
            .try_for_each(|gateway| links.add_default_route(*gateway))
    })
}

/// Takes the loopback link of the namespace up.
///
/// # Errors
/// A kernel call failed.
pub fn loopback(namespace: &Namespace) -> Result<()> {
    namespace.within(|| {
        let mut links = Links::open()?;
        let index = links.index("lo")?;
        links.set_up(index.ok_or_else(|| Error::NotFound("interface \"lo\" not found".into()))?)
    })
}

/// Writes a kernel parameter of the calling thread's network namespace, given as a path below /proc/sys. One that the kernel does
/// not have (IPv6 compiled out) is fine when the value asked for is "1" of a `disable_` switch.
pub(crate) fn set_sysctl(path: &str, value: &str) -> Result<()> {
    match fs::write(format!("/proc/sys/{path}"), value) {
        Err(e)
            if e.kind() == io::ErrorKind::NotFound
                && path.contains("/disable_")
                && value == "1" =>
        {
            Ok(())
        }
        other => other.map_err(|e| {
            Error::kernel(
                "kernel parameter",
                format!("write {value:?} to /proc/sys/{path}"),
                e,
            )
        }),
    }
}

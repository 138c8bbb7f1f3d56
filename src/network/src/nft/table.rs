//! The engine's table: a fixed skeleton of chains, and sets that say which networks and ports there are.
//!
//! The rules never change while containers come and go; only set elements do, a few microseconds each. The whole table stands
//! in one namespace-wide name, so several engines on a machine (other bridge names) do not see each other. Own tables of others
//! are left alone: a packet passes only if every table lets it, so a foreign `FORWARD` policy of drop still has to be opened
//! (see [`crate::forwarding`]).
//!
//! - prerouting, output: a published port becomes the container's address. Loopback is left to the local forwarder.
//! - postrouting: what leaves a network takes the host's address; so does what reaches a container by a published port from a
//!   container, else the answer would take a way past the rewriting.
//! - forward: inside one network all (or, without inter-container communication, nothing new); into a network only answers and
//!   published ports; out of one all; into or out of an internal one nothing.

use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::expression::{Expressions, Field, Meta, R0, Verdict};
use super::set::{Part, Set, Tuple, address, interface};
use super::wire::{Attributes, Batch, Family, Request, table_exists};
use crate::error::{Error, Result};
use crate::subnet::Subnet;

/// A connection protocol that ports can be published for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// The protocol's number in IP headers.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

/// What the table knows of one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// Name of the bridge.
    pub bridge: String,
    /// The network's subnets.
    pub subnets: Vec<Subnet>,
    /// Whether packets that leave take the host's address.
    pub masquerade: bool,
    /// Whether containers of the network reach each other.
    pub communicate: bool,
    /// Whether nothing passes in or out.
    pub internal: bool,
}

/// One published port: who connects to `host` ends at `container`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Publication {
    /// The protocol.
    pub protocol: Protocol,
    /// The address on the host; unspecified (`0.0.0.0`, `::`) for all.
    pub host: IpAddr,
    /// The port on the host.
    pub host_port: u16,
    /// The container's address, of the same family.
    pub container: IpAddr,
    /// The port in the container.
    pub container_port: u16,
}

const BRIDGES: Set = Set {
    name: "bridges",
    key: &[Part::Interface],
    value: &[],
    interval: false,
};
const INTERNAL: Set = Set {
    name: "internal",
    key: &[Part::Interface],
    value: &[],
    interval: false,
};
const INTRA: Set = Set {
    name: "intra",
    key: &[Part::Interface, Part::Interface],
    value: &[],
    interval: false,
};
const SUBNETS4: Set = Set {
    name: "subnets4",
    key: &[Part::Address4],
    value: &[],
    interval: true,
};
const SUBNETS6: Set = Set {
    name: "subnets6",
    key: &[Part::Address6],
    value: &[],
    interval: true,
};
const MASQUERADED4: Set = Set {
    name: "masqueraded4",
    key: &[Part::Address4],
    value: &[],
    interval: true,
};
const MASQUERADED6: Set = Set {
    name: "masqueraded6",
    key: &[Part::Address6],
    value: &[],
    interval: true,
};
const TARGET4: &[Part] = &[Part::Address4, Part::Port];
const TARGET6: &[Part] = &[Part::Address6, Part::Port];
const ANY4: Set = Set {
    name: "published4",
    key: &[Part::Protocol, Part::Port],
    value: TARGET4,
    interval: false,
};
const ANY6: Set = Set {
    name: "published6",
    key: &[Part::Protocol, Part::Port],
    value: TARGET6,
    interval: false,
};
const ONE4: Set = Set {
    name: "published4_at",
    key: &[Part::Address4, Part::Protocol, Part::Port],
    value: TARGET4,
    interval: false,
};
const ONE6: Set = Set {
    name: "published6_at",
    key: &[Part::Address6, Part::Protocol, Part::Port],
    value: TARGET6,
    interval: false,
};
const SETS: [&Set; 11] = [
    &BRIDGES,
    &INTERNAL,
    &INTRA,
    &SUBNETS4,
    &SUBNETS6,
    &MASQUERADED4,
    &MASQUERADED6,
    &ANY4,
    &ANY6,
    &ONE4,
    &ONE6,
];

pub(super) const IPV4: u8 = 2;
const IPV6: u8 = 10;

/// The engine's table by name.
#[derive(Debug, Clone)]
pub struct Table {
    name: String,
}

impl Table {
    /// The table `name`; nothing is made yet.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    /// Replaces whatever the table held by the skeleton with exactly these networks and ports, in one transaction.
    ///
    /// With `guard`, what concerns no network of the table is not forwarded: the engine turned forwarding on for its containers,
    /// and the host must not become a router by it.
    ///
    /// # Errors
    /// The kernel refused a request; then nothing changed.
    pub fn replace(&self, guard: bool, zones: &[Zone], ports: &[Publication]) -> Result<()> {
        let mut batch = Batch::default();
        let name = Attributes::default().text(1, &self.name);
        for request in [Request::NewTable, Request::DelTable, Request::NewTable] {
            batch.push(request, Family::Inet, "table", &name);
        }
        for (id, set) in (1..).zip(SETS) {
            set.make(&mut batch, Family::Inet, &self.name, id);
        }
        self.chains(&mut batch, guard);
        for zone in zones {
            self.zone(&mut batch, Request::NewElement, zone);
        }
        for port in ports {
            self.port(&mut batch, Request::NewElement, port);
        }
        self.commit(batch, "replace")
    }

    /// Removes the table with all it holds; none there is fine.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn remove(&self) -> Result<()> {
        let mut batch = Batch::default();
        let name = Attributes::default().text(1, &self.name);
        batch.push(Request::NewTable, Family::Inet, "table", &name);
        batch.push(Request::DelTable, Family::Inet, "table", &name);
        self.commit(batch, "remove")
    }

    /// Whether the table is there.
    ///
    /// # Errors
    /// The kernel's.
    pub fn exists(&self) -> Result<bool> {
        let fail = |e| {
            Error::kernel(
                format!("firewall table {:?}", self.name),
                "nf_tables(get table)",
                e,
            )
        };
        table_exists(Family::Inet, &self.name).map_err(fail)
    }

    /// Adds a network.
    ///
    /// # Errors
    /// It is there, or the kernel refused.
    pub fn add_zone(&self, zone: &Zone) -> Result<()> {
        let mut batch = Batch::default();
        self.zone(&mut batch, Request::NewElement, zone);
        self.commit(batch, &format!("add {:?}", zone.bridge))
    }

    /// Removes a network.
    ///
    /// # Errors
    /// It is not there, or the kernel refused.
    pub fn remove_zone(&self, zone: &Zone) -> Result<()> {
        let mut batch = Batch::default();
        self.zone(&mut batch, Request::DelElement, zone);
        self.commit(batch, &format!("remove {:?}", zone.bridge))
    }

    /// Opens published ports, all or none.
    ///
    /// # Errors
    /// One is open already, or the kernel refused.
    pub fn add_ports(&self, ports: &[Publication]) -> Result<()> {
        self.ports(Request::NewElement, ports, "publish")
    }

    /// Closes published ports, all or none.
    ///
    /// # Errors
    /// One is not open, or the kernel refused.
    pub fn remove_ports(&self, ports: &[Publication]) -> Result<()> {
        self.ports(Request::DelElement, ports, "unpublish")
    }

    fn ports(&self, request: Request, ports: &[Publication], step: &str) -> Result<()> {
        let mut batch = Batch::default();
        ports
            .iter()
            .for_each(|port| self.port(&mut batch, request, port));
        self.commit(batch, step)
    }

    fn commit(&self, batch: Batch, step: &str) -> Result<()> {
        let step = format!("firewall table {:?}, {step}", self.name);
        batch
            .commit()
            .map_err(|(request, error)| Error::kernel(step, format!("nf_tables({request})"), error))
    }

    fn zone(&self, batch: &mut Batch, request: Request, zone: &Zone) {
        let table = (Family::Inet, self.name.as_str());
        let bridge = interface(&zone.bridge);
        BRIDGES.element(batch, request, table, std::slice::from_ref(&bridge), &[]);
        if zone.internal {
            INTERNAL.element(batch, request, table, std::slice::from_ref(&bridge), &[]);
        }
        if zone.communicate {
            INTRA.element(batch, request, table, &[bridge.clone(), bridge], &[]);
        }
        for subnet in &zone.subnets {
            let (all, masqueraded) = if subnet.is_ipv4() {
                (SUBNETS4, MASQUERADED4)
            } else {
                (SUBNETS6, MASQUERADED6)
            };
            all.subnet(batch, request, table, *subnet);
            if zone.masquerade && !zone.internal {
                masqueraded.subnet(batch, request, table, *subnet);
            }
        }
    }

    fn port(&self, batch: &mut Batch, request: Request, port: &Publication) {
        if port.host.is_loopback() {
            return; // Only the local forwarder listens there.
        }
        let table = (Family::Inet, self.name.as_str());
        let tail = [
            vec![port.protocol.number()],
            port.host_port.to_be_bytes().to_vec(),
        ];
        let value = [
            address(port.container),
            port.container_port.to_be_bytes().to_vec(),
        ];
        let (any, one) = if port.container.is_ipv4() {
            (ANY4, ONE4)
        } else {
            (ANY6, ONE6)
        };
        if port.host.is_unspecified() {
            any.element(batch, request, table, &tail, &value);
        } else {
            let key: Tuple = std::iter::once(address(port.host)).chain(tail).collect();
            one.element(batch, request, table, &key, &value);
        }
    }

    fn chains(&self, batch: &mut Batch, guard: bool) {
        self.chain(batch, "prerouting", ("nat", 0, -100), destinations(false));
        self.chain(batch, "output", ("nat", 3, -100), destinations(true));
        self.chain(batch, "postrouting", ("nat", 4, 100), sources());
        self.chain(batch, "forward", ("filter", 2, 0), passage(guard));
    }

    fn chain(
        &self,
        batch: &mut Batch,
        name: &str,
        hook: (&str, u32, i32),
        rules: Vec<Expressions>,
    ) {
        base_chain(batch, Family::Inet, &self.name, name, hook);
        for rule in rules {
            append(batch, Family::Inet, &self.name, name, &rule);
        }
    }
}

pub(super) fn base_chain(
    batch: &mut Batch,
    family: Family,
    table: &str,
    name: &str,
    (kind, number, priority): (&str, u32, i32),
) {
    let hook = Attributes::default()
        .number(1, number)
        .bytes(2, &priority.to_be_bytes());
    let chain = Attributes::default()
        .text(1, table)
        .text(3, name)
        .nest(4, &hook)
        .text(7, kind);
    batch.push(Request::NewChain, family, format!("chain {name}"), &chain);
}

pub(super) fn append(
    batch: &mut Batch,
    family: Family,
    table: &str,
    chain: &str,
    rule: &Expressions,
) {
    let data = Attributes::default()
        .text(1, table)
        .text(2, chain)
        .nest(4, rule.attributes());
    batch.push(Request::NewRule, family, format!("rule in {chain}"), &data);
}

/// The rules that send a published port to its container; from this host itself loopback is spared.
fn destinations(own: bool) -> Vec<Expressions> {
    let result = R0 + 8;
    let mut rules = Vec::new();
    for family in [IPV4, IPV6] {
        let (field, words, any, one) = match family {
            IPV4 => (Field::Destination4, 1, ANY4.name, ONE4.name),
            _ => (Field::Destination6, 4, ANY6.name, ONE6.name),
        };
        let mut start = Expressions::default().family(family);
        if own {
            start = match family {
                IPV4 => start
                    .field(Field::Destination4Net, R0)
                    .compare(R0, false, &[127]),
                _ => start
                    .field(field, R0)
                    .compare(R0, false, &Ipv6Addr::LOCALHOST.octets()),
            };
        }
        let start = start.to_local();
        let exact = start
            .clone()
            .field(field, R0)
            .meta(Meta::Protocol, R0 + words)
            .field(Field::Port, R0 + words + 1);
        let all = start.meta(Meta::Protocol, R0).field(Field::Port, R0 + 1);
        for (keyed, map) in [(exact, one), (all, any)] {
            rules.push(keyed.mapped(map, R0, result).destination_nat(
                family.into(),
                result,
                result + words,
            ));
        }
    }
    rules
}

fn sources() -> Vec<Expressions> {
    let mut rules = Vec::new();
    for (family, field, masqueraded, subnets) in [
        (IPV4, Field::Source4, MASQUERADED4, SUBNETS4),
        (IPV6, Field::Source6, MASQUERADED6, SUBNETS6),
    ] {
        let from = |set: Set| {
            Expressions::default()
                .family(family)
                .field(field, R0)
                .within(set.name, R0, true)
        };
        rules.push(
            from(masqueraded)
                .meta(Meta::OutputName, R0)
                .within(BRIDGES.name, R0, false)
                .masquerade(),
        );
        rules.push(from(subnets).rewritten_destination().masquerade());
    }
    rules
}

fn passage(guard: bool) -> Vec<Expressions> {
    let incoming = |set: Set| {
        Expressions::default()
            .meta(Meta::InputName, R0)
            .within(set.name, R0, true)
    };
    let outgoing = |set: Set| {
        Expressions::default()
            .meta(Meta::OutputName, R0)
            .within(set.name, R0, true)
    };
    let both = Expressions::default()
        .meta(Meta::InputName, R0)
        .meta(Meta::OutputName, R0 + 4);
    let mut rules = vec![
        both.within(INTRA.name, R0, true).verdict(Verdict::Accept),
        incoming(INTERNAL).verdict(Verdict::Drop),
        outgoing(INTERNAL).verdict(Verdict::Drop),
        outgoing(BRIDGES)
            .known_connection()
            .verdict(Verdict::Accept),
        outgoing(BRIDGES)
            .rewritten_destination()
            .verdict(Verdict::Accept),
        outgoing(BRIDGES).verdict(Verdict::Drop),
        incoming(BRIDGES).verdict(Verdict::Accept),
    ];
    if guard {
        rules.push(Expressions::default().verdict(Verdict::Drop));
    }
    rules
}

//! Sets and maps of nf_tables: the parts of the table that change while containers come and go.

use std::net::IpAddr;

use super::wire::{Attributes, Batch, Family, Request};
use crate::subnet::{Subnet, successor};

/// A part of a key or value, with the number `nft list` knows it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// IPv4 address.
    Address4,
    /// IPv6 address.
    Address6,
    /// Number of the transport protocol.
    Protocol,
    /// Port.
    Port,
    /// Interface name.
    Interface,
}

impl Part {
    fn number(self) -> u32 {
        match self {
            Self::Address4 => 7,
            Self::Address6 => 8,
            Self::Protocol => 12,
            Self::Port => 13,
            Self::Interface => 41,
        }
    }

    fn length(self) -> u32 {
        match self {
            Self::Address4 => 4,
            Self::Address6 | Self::Interface => 16,
            Self::Protocol => 1,
            Self::Port => 2,
        }
    }
}

/// The shape of a set (`value` empty) or a map.
#[derive(Debug, Clone, Copy)]
pub struct Set {
    /// Its name in the table.
    pub name: &'static str,
    /// The parts of the key.
    pub key: &'static [Part],
    /// The parts of what it maps to.
    pub value: &'static [Part],
    /// Whether keys are ranges.
    pub interval: bool,
}

/// A key or value: the parts' bytes in network order.
pub type Tuple = Vec<Vec<u8>>;

/// Several parts are each padded to 4 bytes; a part alone has its own length.
fn shape(parts: &[Part]) -> (u32, u32) {
    match parts {
        [one] => (one.number(), one.length()),
        several => several.iter().fold((0, 0), |(kind, length), part| {
            (
                kind << 6 | part.number(),
                length + part.length().next_multiple_of(4),
            )
        }),
    }
}

fn concatenated(parts: &[Vec<u8>]) -> Vec<u8> {
    if let [one] = parts {
        return one.clone();
    }
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend(part);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// An interface name as a part: 16 bytes, zero padded.
#[must_use]
pub fn interface(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(16, 0);
    bytes
}

/// An address as a part.
#[must_use]
pub fn address(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}

impl Set {
    /// Asks for the set to be made.
    pub fn make(&self, batch: &mut Batch, family: Family, table: &str, id: u32) {
        let (kind, length) = shape(self.key);
        // NFT_SET_INTERVAL is 4, NFT_SET_MAP is 8.
        let flags = u32::from(self.interval) * 4 + u32::from(!self.value.is_empty()) * 8;
        let mut set = Attributes::default()
            .text(1, table)
            .text(2, self.name)
            .number(3, flags);
        set = set.number(4, kind).number(5, length).number(10, id);
        if self.key == [Part::Interface] {
            // NFTA_SET_USERDATA: the byte order (1, the host's) that `nft list` needs to print a name; the kernel ignores it.
            let order = [[0, 4].as_slice(), &1u32.to_ne_bytes()].concat();
            set = set.bytes(13, &order);
        }
        if !self.value.is_empty() {
            let (kind, length) = shape(self.value);
            set = set.number(6, kind).number(7, length);
        }
        batch.push(Request::NewSet, family, format!("set {}", self.name), &set);
    }

    /// Asks for one element to be added or removed.
    pub fn element(
        &self,
        batch: &mut Batch,
        request: Request,
        table: (Family, &str),
        key: &[Vec<u8>],
        value: &[Vec<u8>],
    ) {
        let mut element =
            Attributes::default().nest(1, &Attributes::default().bytes(1, &concatenated(key)));
        if !value.is_empty() && request == Request::NewElement {
            element = element.nest(2, &Attributes::default().bytes(1, &concatenated(value)));
        }
        self.elements(
            batch,
            request,
            table,
            &Attributes::default().nest(1, &element),
        );
    }

    /// Asks for a range of addresses to be added to, or removed from, an interval set.
    pub fn subnet(
        &self,
        batch: &mut Batch,
        request: Request,
        table: (Family, &str),
        subnet: Subnet,
    ) {
        let key =
            |a: IpAddr| Attributes::default().nest(1, &Attributes::default().bytes(1, &address(a)));
        let mut list = Attributes::default().nest(1, &key(subnet.base()));
        if let Some(end) = successor(subnet.last()) {
            // NFT_SET_ELEM_INTERVAL_END
            list = list.nest(1, &Attributes::default().number(3, 1).join(&key(end)));
        }
        self.elements(batch, request, table, &list);
    }

    fn elements(
        &self,
        batch: &mut Batch,
        request: Request,
        (family, table): (Family, &str),
        list: &Attributes,
    ) {
        let data = Attributes::default()
            .text(1, table)
            .text(2, self.name)
            .nest(3, list);
        batch.push(request, family, format!("element of {}", self.name), &data);
    }
}

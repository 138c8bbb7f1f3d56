//! A range of IP addresses with a prefix length, as in `172.17.0.0/16`: pure arithmetic, no state.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An IP network: the host bits of `base` are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet {
    base: IpAddr,
    prefix: u8,
}

impl Subnet {
    /// The network that `address` with `prefix` bits lies in; `None` if the prefix is longer than the address.
    #[must_use]
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        if prefix > width(address) {
            return None;
        }
        let mask = mask(width(address), prefix);
        Some(Self {
            base: from_number(number(address) & mask, address.is_ipv4()),
            prefix,
        })
    }

    /// The first address: all host bits zero.
    #[must_use]
    pub fn base(&self) -> IpAddr {
        self.base
    }

    /// The last address: all host bits one. For IPv4 this is the broadcast address.
    #[must_use]
    pub fn last(&self) -> IpAddr {
        let mask = mask(width(self.base), self.prefix);
        let full = if self.is_ipv4() {
            u128::from(u32::MAX)
        } else {
            u128::MAX
        };
        from_number(number(self.base) | (full & !mask), self.is_ipv4())
    }

    /// The number of network bits.
    #[must_use]
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether this is an IPv4 network.
    #[must_use]
    pub fn is_ipv4(&self) -> bool {
        self.base.is_ipv4()
    }

    /// Whether `address` is of the same family and within the range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.is_ipv4()
            && number(address) & mask(width(address), self.prefix) == number(self.base)
    }

    /// Whether the two ranges share an address.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.contains(other.base) || other.contains(self.base)
    }

    /// Whether every address of `other` lies in this range.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.base)
    }

    /// The address `index` above the base; `None` past the last.
    #[must_use]
    pub fn nth(&self, index: u128) -> Option<IpAddr> {
        let value = number(self.base).checked_add(index)?;
        (value <= number(self.last())).then(|| from_number(value, self.is_ipv4()))
    }

    /// The networks of `prefix` bits this one splits into, in order; none if `prefix` is shorter than its own.
    pub fn split(&self, prefix: u8) -> impl Iterator<Item = Self> + use<> {
        let (base, v4, own, bits) = (
            number(self.base),
            self.is_ipv4(),
            self.prefix,
            width(self.base),
        );
        let count: u128 = match prefix.checked_sub(own) {
            Some(extra) if prefix <= bits && extra < 127 => 1 << extra,
            _ => 0,
        };
        (0..count).map(move |index| Self {
            base: from_number(base + (index << (bits - prefix)), v4),
            prefix,
        })
    }
}

/// The address one above; `None` at the end of the family's space.
#[must_use]
pub fn successor(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(a) => u32::from(a)
            .checked_add(1)
            .map(|n| Ipv4Addr::from(n).into()),
        IpAddr::V6(a) => u128::from(a)
            .checked_add(1)
            .map(|n| Ipv6Addr::from(n).into()),
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u128::from(u32::from(a)),
        IpAddr::V6(a) => u128::from(a),
    }
}

fn from_number(value: u128, v4: bool) -> IpAddr {
    if v4 {
        IpAddr::V4(Ipv4Addr::from(u32::try_from(value).unwrap_or(u32::MAX)))
    } else {
        Ipv6Addr::from(value).into()
    }
}

fn mask(width: u8, prefix: u8) -> u128 {
    let full = if width == 32 {
        u128::from(u32::MAX)
    } else {
        u128::MAX
    };
    let host = width - prefix;
    if host >= 128 { 0 } else { full >> host << host }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

impl TryFrom<String> for Subnet {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Subnet {
    type Err = String;

    /// Reads `address/prefix`; host bits are dropped, as docker does.
    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || "invalid CIDR block notation".to_string();
        let (address, prefix) = text.split_once('/').ok_or_else(invalid)?;
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        Self::new(address, prefix.parse().map_err(|_| invalid())?).ok_or_else(invalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Subnet {
        text.parse().expect(text)
    }

    #[test]
    fn arithmetic() {
        let n = net("172.17.3.4/16");
        assert_eq!(n.to_string(), "172.17.0.0/16");
        assert_eq!(n.last().to_string(), "172.17.255.255");
        assert_eq!(
            n.nth(1).map(|a| a.to_string()).as_deref(),
            Some("172.17.0.1")
        );
        assert_eq!(n.nth(65536), None);
        assert!(n.contains("172.17.9.9".parse().expect("address")));
        assert!(!n.contains("::1".parse().expect("address")));
        assert_eq!(net("0.0.0.0/0").last().to_string(), "255.255.255.255");
        assert_eq!(
            net("fd00::/8").last().to_string(),
            "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
        );
    }

    #[test]
    fn overlap_and_split() {
        assert!(net("10.0.0.0/8").overlaps(&net("10.1.0.0/16")));
        assert!(net("10.1.0.0/16").overlaps(&net("10.0.0.0/8")));
        assert!(!net("10.0.0.0/16").overlaps(&net("10.1.0.0/16")));
        let parts: Vec<_> = net("192.168.0.0/16")
            .split(20)
            .map(|n| n.to_string())
            .collect();
        assert_eq!(parts.len(), 16);
        assert_eq!(parts[1], "192.168.16.0/20");
        assert_eq!(net("10.0.0.0/24").split(16).count(), 0);
    }

    #[test]
    fn refusals() {
        for text in ["1.2.3.0/99", "1.2.3.4", "x/8", "::/129"] {
            assert_eq!(
                text.parse::<Subnet>(),
                Err("invalid CIDR block notation".to_string()),
                "{text}"
            );
        }
    }
}

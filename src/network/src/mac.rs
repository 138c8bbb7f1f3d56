//! Ethernet addresses of container interfaces.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A 48-bit Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The address docker gives the holder of an IPv4 address: `02:42` and its four bytes. A restarted container that
    /// gets its address back is then found in the neighbours' caches at once.
    #[must_use]
    pub fn from_ipv4(address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Self([0x02, 0x42, a, b, c, d])
    }

    /// The address for an interface that holds `address`; of an IPv6 address the last four bytes are taken.
    #[must_use]
    pub fn from_ip(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::from_ipv4(address),
            IpAddr::V6(address) => {
                let o = address.octets();
                Self([0x02, 0x42, o[12], o[13], o[14], o[15]])
            }
        }
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

impl TryFrom<String> for Mac {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Mac {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2);
            *byte = part
                .and_then(|p| u8::from_str_radix(p, 16).ok())
                .ok_or_else(|| invalid(text))?;
        }
        if parts.next().is_some() {
            Err(invalid(text))
        } else {
            Ok(Self(bytes))
        }
    }
}

fn invalid(text: &str) -> String {
    format!(
        "invalid MAC address: {text}: expected six bytes in hexadecimal, as in 02:42:ac:11:00:02"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text() {
        assert_eq!(
            Mac::from_ipv4(Ipv4Addr::new(192, 168, 16, 2)).to_string(),
            "02:42:c0:a8:10:02"
        );
        assert_eq!(
            "02:42:AC:11:00:02".parse(),
            Ok(Mac([2, 0x42, 0xac, 0x11, 0, 2]))
        );
        for bad in [
            "",
            "02:42",
            "02:42:ac:11:00:02:03",
            "0g:42:ac:11:00:02",
            "2:42:ac:11:0:2",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }
}

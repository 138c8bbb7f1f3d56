//! rtnetlink messages as far as moving a device needs them (linux/rtnetlink.h, if_link.h, if_addr.h).

use std::os::fd::{AsFd as _, OwnedFd};

use sys::{Errno, Result, netlink, socket};

pub(super) const NEW_LINK: u16 = 16;
pub(super) const GET_LINK: u16 = 18;
pub(super) const NEW_ADDRESS: u16 = 20;
pub(super) const GET_ADDRESS: u16 = 22;

const REQUEST: u16 = 1;
const ACKNOWLEDGE: u16 = 4;
const DUMP: u16 = 0x300;
/// `NLM_F_CREATE | NLM_F_EXCL`.
pub(super) const CREATE: u16 = 0x600;

const ERROR: u16 = 2;
const DONE: u16 = 3;

pub(super) const IFLA_IFNAME: u16 = 3;
pub(super) const IFLA_NET_NS_FD: u16 = 28;
pub(super) const IFA_FLAGS: u16 = 8;

pub(super) const IFF_UP: u32 = 1;
pub(super) const IFA_F_PERMANENT: u32 = 0x80;

const HEADER: usize = 16;

/// A message under construction: the fixed part, then attributes.
pub(super) struct Message(Vec<u8>);

impl Message {
    /// `ifinfomsg`: a device by index (0: by name), with flags to set and which of them count.
    pub fn link(index: i32, flags: u32, change: u32) -> Self {
        let mut body = vec![0; 4];
        body.extend(index.to_ne_bytes());
        body.extend(flags.to_ne_bytes());
        body.extend(change.to_ne_bytes());
        Self(body)
    }

    /// Attributes only, for an attribute that holds others.
    #[cfg(test)]
    pub fn nested() -> Self {
        Self(Vec::new())
    }

    #[cfg(test)]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// `ifaddrmsg`.
    pub fn address(fixed: [u8; 4], index: i32) -> Self {
        let mut body = fixed.to_vec();
        body.extend(index.to_ne_bytes());
        Self(body)
    }

    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        // A value comes from this crate or from the kernel, in either case far below 64 KiB.
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    pub fn name(self, kind: u16, name: &str) -> Self {
        let mut value = name.as_bytes().to_vec();
        value.push(0);
        self.attribute(kind, &value)
    }

    fn framed(self, kind: u16, flags: u16) -> Vec<u8> {
        let length = u32::try_from(HEADER + self.0.len()).unwrap_or(u32::MAX);
        let mut whole = length.to_ne_bytes().to_vec();
        whole.extend(kind.to_ne_bytes());
        whole.extend((flags | REQUEST).to_ne_bytes());
        whole.extend([0; 8]);
        whole.extend(self.0);
        whole
    }
}

/// Attributes of a message, by kind; malformed rests are left out.
pub(super) fn attributes(mut rest: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while let (Some(length), Some(kind)) = (half(rest, 0), half(rest, 2)) {
        let length = usize::from(length);
        let Some(value) = rest.get(4..length) else {
            break;
        };
        // The two high bits say "nested" and "network byte order".
        found.push((kind & 0x3fff, value));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// A socket with requests on it, one after another.
pub(super) struct Route(OwnedFd);

impl Route {
    /// A socket in this thread's network namespace.
    pub fn open() -> Result<Self> {
        netlink::route().map(Self)
    }

    /// A change; the kernel's answer is its errno.
    pub fn change(&self, kind: u16, flags: u16, message: Message) -> Result<()> {
        self.exchange(message.framed(kind, flags | ACKNOWLEDGE))
            .map(drop)
    }

    /// The one object asked for, without its header.
    pub fn get(&self, kind: u16, message: Message) -> Result<Vec<u8>> {
        self.exchange(message.framed(kind, ACKNOWLEDGE))?
            .pop()
            .ok_or(Errno::NODEV)
    }

    /// All objects, without their headers.
    pub fn dump(&self, kind: u16, message: Message) -> Result<Vec<Vec<u8>>> {
        self.exchange(message.framed(kind, DUMP))
    }

    fn exchange(&self, request: Vec<u8>) -> Result<Vec<Vec<u8>>> {
        socket::send(self.0.as_fd(), &request, &[])?;
        let mut objects = Vec::new();
        loop {
            let (datagram, _) = socket::receive(self.0.as_fd())?;
            let mut rest = &datagram[..];
            while let (Some(length), Some(kind)) = (word(rest, 0), half(rest, 4)) {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let body = rest.get(HEADER..length).ok_or(Errno::BADMSG)?;
                match kind {
                    DONE => return Ok(objects),
                    ERROR => {
                        let code = word(body, 0).ok_or(Errno::BADMSG)?.cast_signed();
                        return if code == 0 {
                            Ok(objects)
                        } else {
                            Err(Errno::from_raw_os_error(-code))
                        };
                    }
                    _ => objects.push(body.to_vec()),
                }
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
            if datagram.is_empty() {
                return Err(Errno::BADMSG);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_read_back() {
        let message = Message::link(7, 0, 0)
            .name(IFLA_IFNAME, "eth0")
            .attribute(IFLA_NET_NS_FD, &9i32.to_ne_bytes());
        let body = &message.0[16..];
        assert_eq!(
            attributes(body),
            [
                (IFLA_IFNAME, &b"eth0\0"[..]),
                (IFLA_NET_NS_FD, &9i32.to_ne_bytes()[..])
            ]
        );
        let whole = message.framed(NEW_LINK, CREATE);
        assert_eq!(word(&whole, 0), Some(u32::try_from(whole.len()).unwrap()));
    }

    #[test]
    fn hostile_lengths_end_the_list() {
        for bytes in [
            &[0u8, 0, 1, 0][..],
            &[3, 0, 1, 0],
            &[255, 255, 1, 0, 1],
            &[5],
        ] {
            assert_eq!(attributes(bytes), []);
        }
    }
}

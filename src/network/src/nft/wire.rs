//! The bytes of nf_tables over netlink: attributes, messages, and the batch that makes them one transaction.
//!
//! linux/netfilter/nfnetlink.h and nf_tables.h; all integers inside nf_tables attributes are big endian. A batch is applied
//! as a whole or not at all (kernel 3.13 and newer), which is what lets a firewall change never be half there.

use std::io;

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_APPEND: u16 = 0x800;
const NLMSG_ERROR: u16 = 2;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const SUBSYSTEM_NFTABLES: u16 = 10;
const NESTED: u16 = 0x8000;

/// The address families of nf_tables that are used here (NFPROTO_*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4 and IPv6 together.
    Inet = 1,
    /// IPv4 alone.
    Ipv4 = 2,
}

/// The requests of nf_tables that are used here (NFT_MSG_*).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Make a table; fine if it is there.
    NewTable = 0,
    /// Ask for a table.
    GetTable = 1,
    /// Remove a table with all in it.
    DelTable = 2,
    /// Make a chain.
    NewChain = 3,
    /// Append a rule to a chain.
    NewRule = 6,
    /// Make a set or map.
    NewSet = 9,
    /// Add elements.
    NewElement = 12,
    /// Remove elements; all must be there.
    DelElement = 14,
}

/// A list of netlink attributes being written.
#[derive(Debug, Default, Clone)]
pub struct Attributes(Vec<u8>);

impl Attributes {
    /// An attribute of raw bytes.
    #[must_use]
    pub fn bytes(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    /// A zero-terminated text.
    #[must_use]
    pub fn text(self, kind: u16, value: &str) -> Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    /// A 32-bit number.
    #[must_use]
    pub fn number(self, kind: u16, value: u32) -> Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    /// A list inside the list.
    #[must_use]
    pub fn nest(self, kind: u16, inner: &Self) -> Self {
        self.bytes(kind | NESTED, &inner.0)
    }

    /// Another list's attributes after this one's.
    #[must_use]
    pub fn join(mut self, other: &Self) -> Self {
        self.0.extend(&other.0);
        self
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Requests that take effect together.
#[derive(Debug)]
pub struct Batch {
    data: Vec<u8>,
    sequence: u32,
    names: Vec<String>,
}

impl Default for Batch {
    fn default() -> Self {
        let mut batch = Self {
            data: Vec::new(),
            sequence: 0,
            names: Vec::new(),
        };
        batch.message(
            BATCH_BEGIN,
            NLM_F_REQUEST,
            0,
            SUBSYSTEM_NFTABLES,
            &Attributes::default(),
        );
        batch
    }
}

impl Batch {
    /// Adds a request; `name` says in an error which one it was.
    pub fn push(
        &mut self,
        request: Request,
        family: Family,
        name: impl Into<String>,
        attributes: &Attributes,
    ) {
        let flags = match request {
            Request::NewRule => NLM_F_CREATE | NLM_F_APPEND,
            Request::NewTable | Request::NewChain | Request::NewSet => NLM_F_CREATE,
            Request::NewElement => NLM_F_CREATE | NLM_F_EXCL,
            Request::GetTable | Request::DelTable | Request::DelElement => 0,
        };
        self.names.push(name.into());
        let kind = SUBSYSTEM_NFTABLES << 8 | request as u16;
        self.message(
            kind,
            NLM_F_REQUEST | NLM_F_ACK | flags,
            family as u8,
            0,
            attributes,
        );
    }

    /// Whether nothing was asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn message(
        &mut self,
        kind: u16,
        flags: u16,
        family: u8,
        resource: u16,
        attributes: &Attributes,
    ) {
        let length = u32::try_from(20 + attributes.0.len()).unwrap_or(u32::MAX);
        self.data.extend(length.to_ne_bytes());
        self.data.extend(kind.to_ne_bytes());
        self.data.extend(flags.to_ne_bytes());
        self.data.extend(self.sequence.to_ne_bytes());
        self.data.extend(0u32.to_ne_bytes());
        self.data.extend([family, 0]);
        self.data.extend(resource.to_be_bytes());
        self.data.extend(&attributes.0);
        self.sequence += 1;
    }

    /// Sends the batch in the calling thread's network namespace and waits for every answer.
    ///
    /// # Errors
    /// The first request that was refused, by name, and why; then nothing of the batch took effect.
    pub fn commit(mut self) -> Result<(), (String, io::Error)> {
        if self.is_empty() {
            return Ok(());
        }
        self.message(
            BATCH_END,
            NLM_F_REQUEST,
            0,
            SUBSYSTEM_NFTABLES,
            &Attributes::default(),
        );
        let whole = |e: io::Error| ("batch".to_string(), e);
        let mut socket = Socket::new(NETLINK_NETFILTER).map_err(whole)?;
        socket.bind_auto().map_err(whole)?;
        // The kernel answers a batch at once, before the send returns: every answer must fit the buffer.
        socket
            .set_rx_buf_sz(i32::try_from(self.names.len() * 1024 + 65536).unwrap_or(i32::MAX))
            .map_err(whole)?;
        socket
            .send_to(&self.data, &SocketAddr::new(0, 0), 0)
            .map_err(whole)?;
        let mut answers = 0;
        while answers < self.names.len() {
            let (data, _) = socket.recv_from_full().map_err(whole)?;
            for (sequence, errno) in acknowledgements(&data) {
                if errno != 0 {
                    let name = usize::try_from(sequence)
                        .ok()
                        .and_then(|s| self.names.get(s.wrapping_sub(1)));
                    return Err((
                        name.cloned().unwrap_or_else(|| "batch".into()),
                        io::Error::from_raw_os_error(errno),
                    ));
                }
                answers += 1;
            }
        }
        Ok(())
    }
}

/// Whether table `name` exists in the calling thread's network namespace.
///
/// # Errors
/// The kernel's.
pub fn table_exists(family: Family, name: &str) -> io::Result<bool> {
    let mut query = Batch {
        data: Vec::new(),
        sequence: 1,
        names: Vec::new(),
    };
    let kind = SUBSYSTEM_NFTABLES << 8 | Request::GetTable as u16;
    query.message(
        kind,
        NLM_F_REQUEST | NLM_F_ACK,
        family as u8,
        0,
        &Attributes::default().text(1, name),
    );
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    socket.send_to(&query.data, &SocketAddr::new(0, 0), 0)?;
    loop {
        let (data, _) = socket.recv_from_full()?;
        match acknowledgements(&data).first() {
            Some((_, 0)) => return Ok(true),
            Some((_, errno)) if *errno == nix::errno::Errno::ENOENT as i32 => return Ok(false),
            Some((_, errno)) => return Err(io::Error::from_raw_os_error(*errno)),
            None => {}
        }
    }
}

/// The (sequence, error number) of each acknowledgement in a received buffer.
fn acknowledgements(mut data: &[u8]) -> Vec<(u32, i32)> {
    let mut list = Vec::new();
    while let Some((header, rest)) = data.split_first_chunk::<16>() {
        let [l0, l1, l2, l3, t0, t1, _, _, s0, s1, s2, s3, ..] = *header;
        let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
        if u16::from_ne_bytes([t0, t1]) == NLMSG_ERROR
            && let Some(code) = rest.first_chunk::<4>()
        {
            list.push((
                u32::from_ne_bytes([s0, s1, s2, s3]),
                -i32::from_ne_bytes(*code),
            ));
        }
        match data.get(length.next_multiple_of(4).max(16)..) {
            Some(next) => data = next,
            None => break,
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_nested() {
        let inner = Attributes::default().text(1, "ab");
        let outer = Attributes::default().nest(2, &inner).number(3, 1);
        assert_eq!(outer.0.len() % 4, 0);
        assert_eq!(outer.0[..4], [12, 0, 2, 0x80]);
        assert_eq!(outer.0[4..12], [7, 0, 1, 0, b'a', b'b', 0, 0]);
        assert_eq!(outer.0[12..], [8, 0, 3, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn a_cut_answer_is_not_read_past_its_end() {
        assert_eq!(acknowledgements(&[1, 0, 0]), vec![]);
        let mut data = vec![255, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0];
        data.extend((-17i32).to_ne_bytes());
        assert_eq!(acknowledgements(&data), vec![(7, 17)]);
    }
}

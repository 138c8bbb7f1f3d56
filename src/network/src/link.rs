//! Links, addresses and routes by netlink (rtnetlink(7)): blocking, one socket in the namespace of the thread that opened it.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{
    DefaultNla, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope,
};
use netlink_packet_route::link::{
    InfoBridgePort, InfoData, InfoKind, InfoMacVlan, InfoPortData, InfoPortKind, InfoVeth,
    LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use crate::error::{Error, Result};
use crate::mac::Mac;
use crate::subnet::Subnet;

/// The longest interface name the kernel takes, in bytes.
pub const NAME_LIMIT: usize = 15;

/// A connection to the kernel's link, address and route tables.
#[derive(Debug)]
pub struct Links {
    socket: Socket,
    sequence: u32,
}

/// One end of a pair of virtual Ethernet links in the host, the other in a container.
#[derive(Debug)]
pub struct Pair<'a> {
    /// Name of the host's end.
    pub host: &'a str,
    /// The bridge the host's end joins, by index.
    pub bridge: u32,
    /// Name of the container's end.
    pub container: &'a str,
    /// Ethernet address of the container's end.
    pub mac: Mac,
    /// Largest packet of both ends, in bytes.
    pub mtu: u32,
    /// The container's namespace.
    pub namespace: BorrowedFd<'a>,
}

impl Links {
    /// Opens a connection for the calling thread's network namespace.
    ///
    /// # Errors
    /// The kernel refused the socket.
    pub fn open() -> Result<Self> {
        let fail = |e: io::Error| Error::kernel("links", "socket(NETLINK_ROUTE)", e);
        let mut socket = Socket::new(NETLINK_ROUTE).map_err(fail)?;
        socket.bind_auto().map_err(fail)?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// The index of link `name`, if there is one.
    ///
    /// # Errors
    /// The kernel refused for another reason.
    pub fn index(&mut self, name: &str) -> Result<Option<u32>> {
        Ok(self.link(name)?.map(|link| link.header.index))
    }

    /// The Ethernet address of link `name`, if there is one.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn mac(&mut self, name: &str) -> Result<Option<Mac>> {
        let link = self.link(name)?;
        Ok(link.and_then(|link| {
            link.attributes.iter().find_map(|a| match a {
                LinkAttribute::Address(bytes) => bytes.as_slice().try_into().ok().map(Mac),
                _ => None,
            })
        }))
    }

    /// Whether link `name` is a bridge; `None` if there is no such link.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn is_bridge(&mut self, name: &str) -> Result<Option<bool>> {
        let bridge = |a: &LinkAttribute| match a {
            LinkAttribute::LinkInfo(infos) => infos
                .iter()
                .any(|i| matches!(i, LinkInfo::Kind(InfoKind::Bridge))),
            _ => false,
        };
        Ok(self
            .link(name)?
            .map(|link| link.attributes.iter().any(bridge)))
    }

    fn link(&mut self, name: &str) -> Result<Option<LinkMessage>> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.into()));
        match self.request(RouteNetlinkMessage::GetLink(message), 0, || {
            format!("get link {name:?}")
        }) {
            Ok(answers) => Ok(answers.into_iter().find_map(|answer| match answer {
                RouteNetlinkMessage::NewLink(link) => Some(link),
                _ => None,
            })),
            Err(error) if error.errno() == Some(nix::errno::Errno::ENODEV as i32) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes the bridge `name`, up, and gives its index. `mtu` 0 leaves the kernel's.
    ///
    /// # Errors
    /// A link of the name exists, or the kernel refused.
    pub fn add_bridge(&mut self, name: &str, mtu: u32) -> Result<u32> {
        let mut message = up();
        message.attributes.push(LinkAttribute::IfName(name.into()));
        if mtu > 0 {
            message.attributes.push(LinkAttribute::Mtu(mtu));
        }
        message
            .attributes
            .push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(
                InfoKind::Bridge,
            )]));
        self.change(
            RouteNetlinkMessage::NewLink(message),
            NLM_F_CREATE | NLM_F_EXCL,
            || format!("add bridge {name:?}"),
        )?;
        self.index(name)?
            .ok_or_else(|| Error::NotFound(format!("bridge {name:?} went away while it was made")))
    }

    /// Makes a pair: the host's end on its bridge and up, the container's end in its namespace with its final name, still down.
    ///
    /// # Errors
    /// A name is taken, the bridge is full, or the kernel refused.
    pub fn add_pair(&mut self, pair: &Pair<'_>) -> Result<()> {
        let mut peer = LinkMessage::default();
        peer.attributes
            .push(LinkAttribute::IfName(pair.container.into()));
        peer.attributes
            .push(LinkAttribute::Address(pair.mac.0.to_vec()));
        peer.attributes.push(LinkAttribute::Mtu(pair.mtu));
        peer.attributes
            .push(LinkAttribute::NetNsFd(pair.namespace.as_raw_fd()));
        let mut message = up();
        message
            .attributes
            .push(LinkAttribute::IfName(pair.host.into()));
        message.attributes.push(LinkAttribute::Mtu(pair.mtu));
        message
            .attributes
            .push(LinkAttribute::Controller(pair.bridge));
        let data = InfoData::Veth(InfoVeth::Peer(peer));
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(data),
        ]));
        self.change(
            RouteNetlinkMessage::NewLink(message),
            NLM_F_CREATE | NLM_F_EXCL,
            || format!("add pair {:?} and {:?}", pair.host, pair.container),
        )
    }

    /// Lets a bridge send a frame back through the port it came from: with br_netfilter, a container's packet to its own
    /// published port is rewritten while still inside the bridge.
    ///
    /// # Errors
    /// The link is no bridge port, or the kernel refused.
    pub fn set_hairpin(&mut self, name: &str) -> Result<()> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.into()));
        let port = InfoPortData::BridgePort(vec![InfoBridgePort::HairpinMode(true)]);
        let kind = LinkInfo::PortKind(InfoPortKind::Bridge);
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            kind,
            LinkInfo::PortData(port),
        ]));
        self.change(RouteNetlinkMessage::NewLink(message), 0, || {
            format!("set hairpin of {name:?}")
        })
    }

    /// Makes a macvlan link on `parent` inside `namespace`.
    ///
    /// # Errors
    /// A name is taken, the parent refuses, or the kernel lacks the driver.
    pub fn add_macvlan(
        &mut self,
        name: &str,
        parent: u32,
        mode: u32,
        mac: Mac,
        namespace: BorrowedFd<'_>,
    ) -> Result<()> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.into()));
        message
            .attributes
            .push(LinkAttribute::Address(mac.0.to_vec()));
        message.attributes.push(LinkAttribute::Link(parent));
        message
            .attributes
            .push(LinkAttribute::NetNsFd(namespace.as_raw_fd()));
        // IFLA_MACVLAN_MODE
        let data = InfoData::MacVlan(vec![InfoMacVlan::Other(DefaultNla::new(
            1,
            mode.to_ne_bytes().to_vec(),
        ))]);
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::MacVlan),
            LinkInfo::Data(data),
        ]));
        self.change(
            RouteNetlinkMessage::NewLink(message),
            NLM_F_CREATE | NLM_F_EXCL,
            || format!("add macvlan {name:?}"),
        )
    }

    /// Takes the link up.
    ///
    /// # Errors
    /// There is no such link, or the kernel refused.
    pub fn set_up(&mut self, index: u32) -> Result<()> {
        let mut message = up();
        message.header.index = index;
        self.change(RouteNetlinkMessage::SetLink(message), 0, || {
            format!("set link {index} up")
        })
    }

    /// Removes the link; none there is fine.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn remove(&mut self, name: &str) -> Result<()> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.into()));
        match self.change(RouteNetlinkMessage::DelLink(message), 0, || {
            format!("remove link {name:?}")
        }) {
            Err(error) if error.errno() == Some(nix::errno::Errno::ENODEV as i32) => Ok(()),
            other => other,
        }
    }

    /// Gives the link an address with the prefix length of its subnet. IPv6 addresses are used at once, without the second of
    /// duplicate detection, as the engine hands them out itself.
    ///
    /// # Errors
    /// It has the address, or the kernel refused.
    pub fn add_address(&mut self, index: u32, address: IpAddr, subnet: Subnet) -> Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = family(address);
        message.header.prefix_len = subnet.prefix();
        message.header.scope = AddressScope::Universe;
        message.header.index = index;
        message.attributes.push(AddressAttribute::Address(address));
        match (address, subnet.last()) {
            (IpAddr::V4(_), IpAddr::V4(last)) => {
                message.attributes.push(AddressAttribute::Local(address));
                if subnet.prefix() < 31 {
                    message.attributes.push(AddressAttribute::Broadcast(last));
                }
            }
            _ => message.header.flags = AddressHeaderFlags::Nodad,
        }
        self.change(
            RouteNetlinkMessage::NewAddress(message),
            NLM_F_CREATE | NLM_F_EXCL,
            || format!("add address {address}/{} to link {index}", subnet.prefix()),
        )
    }

    /// Sends everything without a better route to `gateway`.
    ///
    /// # Errors
    /// There is such a route, the gateway is in no subnet of the namespace, or the kernel refused.
    pub fn add_default_route(&mut self, gateway: IpAddr) -> Result<()> {
        self.default_route(gateway, true)
    }

    /// Takes that route away.
    ///
    /// # Errors
    /// There is no such route, or the kernel refused.
    pub fn remove_default_route(&mut self, gateway: IpAddr) -> Result<()> {
        self.default_route(gateway, false)
    }

    fn default_route(&mut self, gateway: IpAddr, add: bool) -> Result<()> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(gateway);
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Boot;
        message.header.scope = RouteScope::Universe;
        message.header.kind = RouteType::Unicast;
        message
            .attributes
            .push(RouteAttribute::Gateway(match gateway {
                IpAddr::V4(a) => RouteAddress::Inet(a),
                IpAddr::V6(a) => RouteAddress::Inet6(a),
            }));
        if add {
            let flags = NLM_F_CREATE | NLM_F_EXCL;
            self.change(RouteNetlinkMessage::NewRoute(message), flags, || {
                format!("add default route via {gateway}")
            })
        } else {
            self.change(RouteNetlinkMessage::DelRoute(message), 0, || {
                format!("remove default route via {gateway}")
            })
        }
    }

    /// The subnets this namespace has routes to, default routes left out.
    ///
    /// # Errors
    /// The kernel refused.
    pub fn routed(&mut self) -> Result<Vec<Subnet>> {
        let answers = self.request(
            RouteNetlinkMessage::GetRoute(RouteMessage::default()),
            NLM_F_DUMP,
            || "get routes".into(),
        )?;
        let subnet = |answer| {
            let RouteNetlinkMessage::NewRoute(route) = answer else {
                return None;
            };
            let prefix = route.header.destination_prefix_length;
            let main = route.header.table == RouteHeader::RT_TABLE_MAIN;
            route
                .attributes
                .iter()
                .filter(|_| main && prefix > 0)
                .find_map(|attribute| match attribute {
                    RouteAttribute::Destination(RouteAddress::Inet(a)) => {
                        Subnet::new((*a).into(), prefix)
                    }
                    RouteAttribute::Destination(RouteAddress::Inet6(a)) => {
                        Subnet::new((*a).into(), prefix)
                    }
                    _ => None,
                })
        };
        Ok(answers.into_iter().filter_map(subnet).collect())
    }

    fn change(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        call: impl Fn() -> String,
    ) -> Result<()> {
        self.request(message, flags | NLM_F_ACK, call).map(drop)
    }

    fn request(
        &mut self,
        message: RouteNetlinkMessage,
        flags: u16,
        call: impl Fn() -> String,
    ) -> Result<Vec<RouteNetlinkMessage>> {
        let fail = |error: io::Error| Error::kernel("links", call(), error);
        self.sequence += 1;
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message));
        packet.finalize();
        let mut data = vec![0; packet.buffer_len()];
        packet.serialize(&mut data);
        self.socket
            .send_to(&data, &SocketAddr::new(0, 0), 0)
            .map_err(fail)?;
        let mut answers = Vec::new();
        loop {
            let (data, _) = self.socket.recv_from_full().map_err(fail)?;
            let mut rest = data.as_slice();
            while !rest.is_empty() {
                let packet = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest)
                    .map_err(|e| fail(io::Error::other(e.to_string())))?;
                let length = (packet.header.length as usize).next_multiple_of(4).max(16);
                rest = rest.get(length..).unwrap_or_default();
                if packet.header.sequence_number != self.sequence {
                    continue;
                }
                match packet.payload {
                    NetlinkPayload::Error(error) => {
                        return error.code.map_or(Ok(answers), |_| Err(fail(error.to_io())));
                    }
                    NetlinkPayload::Done(_) => return Ok(answers),
                    NetlinkPayload::InnerMessage(answer) => answers.push(answer),
                    _ => {}
                }
            }
            // A single get is answered by one message and no acknowledgement.
            if flags & (NLM_F_ACK | NLM_F_DUMP) == 0 && !answers.is_empty() {
                return Ok(answers);
            }
        }
    }
}

fn up() -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    }
}

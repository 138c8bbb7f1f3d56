//! `linux.netDevices` (runtime-spec 1.3.0): network devices of the host moved into the container's network namespace, renamed
//! on the way, with their permanent global addresses, and set up. The kernel takes addresses away at the move; they are read
//! before and given again. Devices are not moved back: the kernel returns physical ones when the namespace ends.

mod wire;

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};

use sys::{file, namespace};
use wire::{Message, Route};

use crate::error::{Error, Kernelize as _, Result};

/// One device to be moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its name on the host.
    pub host: String,
    /// Its name in the container; `%d` stands for the first free number.
    pub inside: String,
}

/// The orders for what the config names: host name and name inside.
#[must_use]
pub fn plan(devices: &[(String, Option<String>)]) -> Vec<Order> {
    let order = |(host, inside): &(String, Option<String>)| Order {
        host: host.clone(),
        inside: inside.as_ref().unwrap_or(host).clone(),
    };
    devices.iter().map(order).collect()
}

/// An address as the kernel told it.
struct Address {
    /// Family, prefix length, flags, scope.
    fixed: [u8; 4],
    attributes: Vec<(u16, Vec<u8>)>,
}

/// Moves all devices into `netns`, in the parent, from its own network namespace; the thread enters `netns` for a moment to
/// give the addresses back, and returns.
///
/// # Errors
/// The kernel's, by device: `ENODEV` where there is none of that name, `EEXIST` where the name is taken inside.
pub fn apply(orders: &[Order], netns: BorrowedFd<'_>) -> Result<()> {
    if orders.is_empty() {
        return Ok(());
    }
    let step = || "network devices".to_owned();
    let home = file::open_read(file::here(), c"/proc/thread-self/ns/net").step(step, "open")?;
    let outside = Route::open().step(step, "socket")?;
    let inside = within(netns, home.as_fd(), || Route::open().step(step, "socket"))?;
    for order in orders {
        one(order, &outside, &inside, netns)
            .map_err(|error| error.within(&format!("network device {:?}", order.host)))?;
    }
    Ok(())
}

/// Runs `body` in `netns`. A socket made there stays there.
fn within<T>(
    netns: BorrowedFd<'_>,
    home: BorrowedFd<'_>,
    body: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let step = || "network namespace".to_owned();
    namespace::join(netns, namespace::kind::NETWORK).step(step, "setns")?;
    let result = body();
    namespace::join(home, namespace::kind::NETWORK).step(step, "setns")?;
    result
}

fn one(order: &Order, outside: &Route, inside: &Route, netns: BorrowedFd<'_>) -> Result<()> {
    let step = |what: &'static str| move || what.to_owned();
    let found = outside.get(
        wire::GET_LINK,
        Message::link(0, 0, 0).name(wire::IFLA_IFNAME, &order.host),
    );
    let index = index_of(&found.step(step("find"), "RTM_GETLINK")?)?;
    let addresses = addresses(outside, index)?;
    let before = indexes(inside)?;
    let down = Message::link(index, 0, wire::IFF_UP);
    outside
        .change(wire::NEW_LINK, 0, down)
        .step(step("set down"), "RTM_NEWLINK")?;
    let moved = Message::link(index, 0, 0)
        .attribute(wire::IFLA_NET_NS_FD, &netns.as_raw_fd().to_ne_bytes())
        .name(wire::IFLA_IFNAME, &order.inside);
    let as_name = || format!("move as {:?}", order.inside);
    outside
        .change(wire::NEW_LINK, 0, moved)
        .step(as_name, "RTM_NEWLINK")?;
    // The index is another one where the old was taken inside, and the name is unknown where it was a template.
    let index = indexes(inside)?
        .into_iter()
        .find(|index| !before.contains(index));
    let index = index.ok_or_else(|| Error::NotFound("vanished while it was moved".to_owned()))?;
    for address in addresses {
        let mut message = Message::address(address.fixed, index);
        for (kind, value) in &address.attributes {
            message = message.attribute(*kind, value);
        }
        inside
            .change(wire::NEW_ADDRESS, wire::CREATE, message)
            .step(step("give its address back"), "RTM_NEWADDR")?;
    }
    let up = Message::link(index, wire::IFF_UP, wire::IFF_UP);
    inside
        .change(wire::NEW_LINK, 0, up)
        .step(step("set up"), "RTM_NEWLINK")
}

fn index_of(link: &[u8]) -> Result<i32> {
    let index = wire::word(link, 4).and_then(|index| i32::try_from(index).ok());
    index.ok_or_else(|| Error::Bug("the kernel describes a device without its index".to_owned()))
}

fn indexes(route: &Route) -> Result<Vec<i32>> {
    let links = route.dump(wire::GET_LINK, Message::link(0, 0, 0));
    links
        .step(|| "list".to_owned(), "RTM_GETLINK")?
        .iter()
        .map(|link| index_of(link))
        .collect()
}

/// The permanent addresses of global scope; the kernel makes all others anew.
fn addresses(route: &Route, index: i32) -> Result<Vec<Address>> {
    // The label repeats the old name, the cache info is the kernel's own.
    const IFA_LABEL: u16 = 3;
    const IFA_CACHEINFO: u16 = 6;
    let all = route.dump(wire::GET_ADDRESS, Message::address([0; 4], 0));
    let all = all.step(|| "read its addresses".to_owned(), "RTM_GETADDR")?;
    let kept = |message: &Vec<u8>| {
        let fixed: [u8; 4] = message.get(..4)?.try_into().ok()?;
        let attributes = wire::attributes(message.get(8..)?);
        let flags = attributes
            .iter()
            .find(|(kind, _)| *kind == wire::IFA_FLAGS)
            .and_then(|(_, value)| wire::word(value, 0));
        let flags = flags.unwrap_or_else(|| u32::from(fixed[2]));
        let wanted =
            index_of(message) == Ok(index) && fixed[3] == 0 && flags & wire::IFA_F_PERMANENT != 0;
        let attributes = attributes
            .into_iter()
            .filter(|(kind, _)| !matches!(*kind, wire::IFA_FLAGS | IFA_CACHEINFO | IFA_LABEL));
        wanted.then(|| Address {
            fixed,
            attributes: attributes
                .map(|(kind, value)| (kind, value.to_vec()))
                .collect(),
        })
    };
    Ok(all.iter().filter_map(kept).collect())
}

#[cfg(test)]
mod tests;

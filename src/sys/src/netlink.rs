//! Sockets to the kernel's network configuration, rtnetlink(7). Messages are encoded by whoever sends them.

use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::Result;

/// A socket of protocol 0, `NETLINK_ROUTE`, in the calling thread's network namespace, close-on-exec. Datagrams go to and come from it by
/// [`crate::socket::send`] and [`crate::socket::receive`].
///
/// # Errors
/// What socket(2) returns.
pub fn route() -> Result<OwnedFd> {
    rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )
}

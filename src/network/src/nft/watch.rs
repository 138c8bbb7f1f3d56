//! Tells when somebody removes a firewall table: another program's `flush ruleset` takes every table, ours too.

use std::io;
use std::time::Duration;

use netlink_sys::{Socket, protocols::NETLINK_NETFILTER};
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::time::{TimeVal, TimeValLike};

use crate::error::{Error, Result};

/// NFNLGRP_NFTABLES, linux/netfilter/nfnetlink.h.
const GROUP: u32 = 7;
/// NFT_MSG_DELTABLE of the nf_tables subsystem.
const TABLE_REMOVED: u16 = 10 << 8 | 2;

/// The kernel's notifications of the calling thread's network namespace, from its opening on.
#[derive(Debug)]
pub struct Watch {
    socket: Socket,
}

impl Watch {
    /// Starts listening; waits of [`Self::wait`] end after `patience` at the latest.
    ///
    /// # Errors
    /// The kernel refused the socket.
    pub fn open(patience: Duration) -> Result<Self> {
        let fail =
            |call: &'static str| move |e: io::Error| Error::kernel("firewall watch", call, e);
        let mut socket = Socket::new(NETLINK_NETFILTER).map_err(fail("socket"))?;
        socket.bind_auto().map_err(fail("bind"))?;
        socket
            .add_membership(GROUP)
            .map_err(fail("add membership"))?;
        let timeout =
            TimeVal::milliseconds(i64::try_from(patience.as_millis()).unwrap_or(i64::MAX));
        setsockopt(&socket, ReceiveTimeout, &timeout).map_err(|e| fail("set timeout")(e.into()))?;
        Ok(Self { socket })
    }

    /// Waits for the next notification, or until patience ends. Says whether a table may have been removed.
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait(&self) -> Result<bool> {
        match self.socket.recv_from_full() {
            Ok((data, _)) => Ok(removals(&data)),
            // More happened than the socket holds: anything may have.
            Err(e) if e.raw_os_error() == Some(nix::errno::Errno::ENOBUFS as i32) => Ok(true),
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(false)
            }
            Err(e) => Err(Error::kernel("firewall watch", "recv", e)),
        }
    }
}

fn removals(mut data: &[u8]) -> bool {
    while let Some((header, _)) = data.split_first_chunk::<16>() {
        let [l0, l1, l2, l3, t0, t1, ..] = *header;
        if u16::from_ne_bytes([t0, t1]) == TABLE_REMOVED {
            return true;
        }
        let length = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
        data = data
            .get(length.next_multiple_of(4).max(16)..)
            .unwrap_or_default();
    }
    false
}

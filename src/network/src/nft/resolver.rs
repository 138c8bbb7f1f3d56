//! The way from 127.0.0.11 port 53 inside a container's namespace to the sockets of its resolver.

use std::net::Ipv4Addr;

use super::expression::{Expressions, Field, Meta, R0};
use super::table::{IPV4, Protocol, append, base_chain};
use super::wire::{Attributes, Batch, Family, Request};
use crate::error::{Error, Result};

/// The address containers find their resolver at.
pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// In the calling thread's network namespace: sends queries for 127.0.0.11 port 53 to the resolver's real ports.
///
/// The resolver does not listen on port 53 itself, because a name server in the container may want `0.0.0.0:53`.
///
/// # Errors
/// The kernel refused; then nothing changed.
pub fn redirect_resolver(udp: u16, tcp: u16) -> Result<()> {
    let table = "gantry_resolver";
    let mut batch = Batch::default();
    let name = Attributes::default().text(1, table);
    for request in [Request::NewTable, Request::DelTable, Request::NewTable] {
        batch.push(request, Family::Ipv4, "table", &name);
    }
    base_chain(&mut batch, Family::Ipv4, table, "output", ("nat", 3, -100));
    for (protocol, port) in [(Protocol::Udp, udp), (Protocol::Tcp, tcp)] {
        let rule = Expressions::default()
            .field(Field::Destination4, R0)
            .compare(R0, true, &RESOLVER.octets());
        let rule = rule
            .meta(Meta::Protocol, R0)
            .compare(R0, true, &[protocol.number()]);
        let rule = rule
            .field(Field::Port, R0)
            .compare(R0, true, &53u16.to_be_bytes());
        let rule = rule
            .constant(R0, &RESOLVER.octets())
            .constant(R0 + 1, &port.to_be_bytes());
        append(
            &mut batch,
            Family::Ipv4,
            table,
            "output",
            &rule.destination_nat(IPV4.into(), R0, R0 + 1),
        );
    }
    batch.commit().map_err(|(request, error)| {
        Error::kernel("resolver", format!("nf_tables({request})"), error)
    })
}

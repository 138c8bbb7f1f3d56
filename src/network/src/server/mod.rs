//! The network server: one small process for all containers of an engine, which answers names and forwards local ports.
//!
//! It is a process of its own, and not a part of the engine, because containers must not notice when the engine is killed or
//! replaced; and one for all, not one a container, because its memory then is paid once. It keeps no file: what it knows it was
//! told by the engine, which compares on connecting ([`protocol::Request::List`]) and tells a new server everything again.

pub mod client;
pub mod process;
pub mod protocol;

/// The word that makes the engine's program a network server.
pub const VERB: &str = "network-server";

/// Serves on the listening socket that is standard input, until told to leave or no longer needed.
///
/// # Errors
/// Standard input is no listening socket; no runtime can be had.
pub fn serve() -> crate::error::Result<()> {
    let listener = client::inherited()?;
    process::run(listener).map_err(|e| crate::error::Error::kernel("network server", "accept", e))
}

//! The network server: one small process for all containers of an engine, which answers names and forwards local ports.
//!
//! It is a process of its own, and not a part of the engine, because containers must not notice when the engine is killed or
//! replaced; and one for all, not one a container, because its memory then is paid once. It keeps no file: what it knows it was
//! told by the engine, which compares on connecting ([`protocol::Request::List`]) and tells a new server everything again.

pub mod client;
pub mod process;
pub mod protocol;

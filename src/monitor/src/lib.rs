//! One process per container run: it has the OCI runtime create and start the container, is the subreaper that reaps
//! it, owns its pty or pipes, writes the json-file log and the exit record, and serves any number of attached clients
//! on a socket. It outlives the engine on purpose: one thread, one poll loop, a few pages of private memory.
//!
//! `protocol` is what the engine needs to talk to it; everything else is the process itself.

mod cgroup;
mod client;
mod ends;
pub mod error;
pub mod init;
mod jobs;
pub mod jsonlog;
mod process;
pub mod protocol;
mod requests;
mod runtime;
mod session;

pub use process::run;
pub use sys::clock::rfc3339_nano;

//! keel, a low-level OCI runtime: spec → `Config` → `Plan` → init. One shot, one thread, no async.

pub mod annotations;
pub mod cgroups;
pub mod checkpoint;
pub mod cli;
pub mod compat;
pub mod config;
pub mod coresched;
pub mod error;
pub mod features;
pub mod hooks;
pub mod host;
pub mod init;
pub mod landlock;
pub mod lifecycle;
pub mod log;
pub mod lsm;
pub mod mounts;
pub mod namespaces;
pub mod netdev;
pub mod plan;
pub mod process;
pub mod query;
pub mod rdt;
pub mod seccomp;
pub mod spec;
pub mod state;

//! keel, a low-level OCI runtime: spec → `Config` → `Plan` → init. One shot, one thread, no async.

pub mod cgroups;
pub mod cli;
pub mod compat;
pub mod config;
pub mod error;
pub mod features;
pub mod log;
pub mod query;
pub mod seccomp;
pub mod spec;

//! Containers: one file per request or answer.

pub mod changes;
pub mod config;
pub mod create;
pub mod exec;
pub mod host_config;
pub mod inspect;
pub mod list;
pub mod stats;
pub mod top;
pub mod update;
pub mod wait;

pub use config::{Config, Healthcheck};
pub use host_config::{HostConfig, Resources};

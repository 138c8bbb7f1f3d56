//! Networks of containers: addresses, links, firewall rules, published ports and names.
//!
//! Plans are pure values (`ipam`, `files`, `names::directory`); appliers turn them into kernel state by netlink and remember
//! exactly what they did. Nothing here knows images or container records.

pub mod error;
pub mod files;
pub mod forward;
pub mod forwarding;
pub mod ipam;
pub mod link;
pub mod mac;
pub mod names;
pub mod netns;
pub mod nft;
pub mod sandbox;
pub mod server;
pub mod subnet;

pub use error::{Error, Result};

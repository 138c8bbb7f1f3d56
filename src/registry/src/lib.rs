//! Registries: references, credentials and the distribution protocol (OCI distribution-spec 1.1, docker's registry v2).
//! Synchronous: one thread per blob under way, for what follows a download (hash, inflate, unpack) is blocking work.

mod ask;
mod auth;
mod client;
mod credentials;
mod endpoint;
mod error;
mod manifest;
mod progress;
mod pull;
mod push;

pub use ask::{Distribution, Hit, distribution, domain_of, login, search, tags};
pub use credentials::Credentials;
pub use endpoint::Settings;
pub use error::{Error, Result};
pub use gantry_store::reference::{AnyReference, Reference};
pub use manifest::{Descriptor, Platform};
pub use progress::{Observer, Progress};
pub use pull::{PullOptions, pull};
pub use push::push;

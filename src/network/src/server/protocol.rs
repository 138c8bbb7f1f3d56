//! What engine and network server say to each other: one JSON object a line on a unix stream, an answer to each request.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::names::directory::Sandbox;
use crate::nft::table::{Protocol, Publication};

/// The language's version: a server of another one is told to leave, and its successor told everything again.
pub const VERSION: u32 = 1;

/// A port of a container to be opened on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The protocol.
    pub protocol: Protocol,
    /// The host's addresses, all with the same port. Where the container has no address of the family, the forwarder translates.
    pub hosts: Vec<IpAddr>,
    /// The first and last port to try; 0 and 0 for any of the kernel's ephemeral range.
    pub ports: (u16, u16),
    /// The container's addresses.
    pub containers: Vec<IpAddr>,
    /// The port in the container.
    pub container_port: u16,
}

/// What the engine asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Request {
    /// Which language is spoken.
    Hello,
    /// Name a sandbox; its resolver starts with the first time, later times replace what is known of it.
    Name {
        /// The sandbox.
        sandbox: Sandbox,
    },
    /// End a sandbox's resolver.
    Unname {
        /// The container.
        id: String,
    },
    /// Open ports, all or none.
    Publish {
        /// The container.
        id: String,
        /// The ports.
        bindings: Vec<Binding>,
    },
    /// Close all ports of a container.
    Unpublish {
        /// The container.
        id: String,
    },
    /// Which containers have a resolver, and which have ports.
    List,
    /// End the process; another server takes over.
    Leave,
}

/// What the server answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// To [`Request::Hello`].
    Version {
        /// See [`VERSION`].
        version: u32,
    },
    /// It is done.
    Done,
    /// The ports that were opened, in the order asked, one for each host address.
    Published {
        /// The ports.
        ports: Vec<Publication>,
    },
    /// To [`Request::List`].
    Known {
        /// Containers with a resolver.
        named: Vec<String>,
        /// Containers with ports.
        published: Vec<String>,
    },
    /// A port is taken.
    Taken {
        /// Why, as docker says it.
        message: String,
    },
    /// Anything else that went wrong.
    Failed {
        /// What.
        message: String,
    },
}

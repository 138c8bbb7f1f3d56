//! `POST /containers/create`, and the configuration part of `POST /commit`.

use std::collections::BTreeMap;

use super::{Config, HostConfig};
use crate::network::EndpointSettings;
use crate::word::object;

object! {
    /// The body: the configuration with the host's and the networks' beside it.
    CreateRequest {
        .. config: Config,
        "HostConfig" host_config: HostConfig,
        "NetworkingConfig" networking_config: NetworkingConfig,
    }
}

object! {
    /// The networks to join, by name.
    NetworkingConfig {
        "EndpointsConfig" endpoints_config: Option<BTreeMap<String, Option<EndpointSettings>>>,
    }
}

object! {
    /// The answer (201).
    CreateResponse {
        "Id" id: String,
        "Warnings" warnings: Option<Vec<String>>,
    }
}

object! {
    /// The answer of `POST /commit` and of `POST /containers/{id}/exec` (201).
    IdResponse {
        "Id" id: String,
    }
}

object! {
    /// `POST /containers/prune`.
    PruneReport {
        "ContainersDeleted" containers_deleted: Option<Vec<String>>,
        "SpaceReclaimed" space_reclaimed: u64,
    }
}

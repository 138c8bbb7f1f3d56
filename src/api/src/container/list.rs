//! `GET /containers/json`.

use std::collections::BTreeMap;

use super::inspect::MountPoint;
use crate::network::EndpointSettings;
use crate::word::{Map, object};

object! {
    /// One container of the list.
    Summary {
        "Id" id: String,
        "Names" names: Option<Vec<String>>,
        "Image" image: String,
        "ImageID" image_id: String,
        "ImageManifestDescriptor"? image_manifest_descriptor: Option<crate::image::Descriptor>,
        "Command" command: String,
        /// Seconds since 1970.
        "Created" created: i64,
        "Ports" ports: Option<Vec<Port>>,
        /// Bytes; with `size=1` only.
        "SizeRw"? size_rw: i64,
        /// Bytes; with `size=1` only.
        "SizeRootFs"? size_root_fs: i64,
        "Labels" labels: Option<Map>,
        "State" state: String,
        "Status" status: String,
        "HostConfig" host_config: SummaryHostConfig,
        "NetworkSettings" network_settings: SummaryNetworkSettings,
        "Mounts" mounts: Option<Vec<MountPoint>>,
    }
}

object! {
    /// One port of the list.
    Port {
        "IP"? ip: String,
        "PrivatePort" private_port: u16,
        "PublicPort"? public_port: u16,
        /// `tcp`, `udp` or `sctp`.
        "Type" kind: String,
    }
}

object! {
    /// The part of the host configuration the list shows.
    SummaryHostConfig {
        "NetworkMode"? network_mode: String,
        "Annotations"? annotations: Map,
    }
}

object! {
    /// The networks of a container of the list.
    SummaryNetworkSettings {
        "Networks" networks: Option<BTreeMap<String, EndpointSettings>>,
    }
}

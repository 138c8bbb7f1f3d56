//! Images: one file per request or answer.

pub mod delete;
pub mod history;
pub mod inspect;
pub mod list;
pub mod search;

use crate::word::{Map, object};

object! {
    /// An OCI content descriptor.
    Descriptor {
        "mediaType" media_type: String,
        "digest" digest: String,
        /// Bytes.
        "size" size: i64,
        "urls"? urls: Vec<String>,
        "annotations"? annotations: Map,
        "platform"? platform: Option<Platform>,
        "artifactType"? artifact_type: String,
    }
}

object! {
    /// An OCI platform.
    Platform {
        "architecture" architecture: String,
        "os" os: String,
        "os.version"? os_version: String,
        "os.features"? os_features: Vec<String>,
        "variant"? variant: String,
    }
}

object! {
    /// `GET /distribution/{name}/json`.
    DistributionInspect {
        "Descriptor" descriptor: Descriptor,
        "Platforms" platforms: Option<Vec<Platform>>,
    }
}

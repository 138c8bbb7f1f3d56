//! `GET /images/{name}/json`.

use crate::container::Healthcheck;
use crate::container::inspect::GraphDriver;
use crate::word::{Map, Set, object};

object! {
    /// Everything known about one image.
    Inspect {
        "Id" id: String,
        "RepoTags" repo_tags: Option<Vec<String>>,
        "RepoDigests" repo_digests: Option<Vec<String>>,
        "Parent" parent: String,
        "Comment" comment: String,
        "Created"? created: String,
        "DockerVersion" docker_version: String,
        "Author" author: String,
        "Architecture" architecture: String,
        "Variant"? variant: String,
        "Os" os: String,
        "OsVersion"? os_version: String,
        /// Bytes.
        "Size" size: i64,
        "GraphDriver" graph_driver: GraphDriver,
        "RootFS" root_fs: RootFs,
        "Metadata" metadata: Metadata,
        "Descriptor"? descriptor: Option<super::Descriptor>,
        "Config" config: Option<ImageConfig>,
    }
}

object! {
    /// The layers' diff IDs, lowest first.
    RootFs {
        "Type"? kind: String,
        "Layers"? layers: Vec<String>,
    }
}

object! {
    /// When the image was last tagged; Go's zero time if never.
    Metadata {
        "LastTagTime"? last_tag_time: String,
    }
}

object! {
    /// What a container of the image inherits, in API 1.50's trimmed form.
    ImageConfig {
        "ArgsEscaped"? args_escaped: bool,
        "Cmd"* cmd: Option<Vec<String>>,
        "Entrypoint"* entrypoint: Option<Vec<String>>,
        "Env" env: Option<Vec<String>>,
        "ExposedPorts"? exposed_ports: Set,
        "Healthcheck"? healthcheck: Option<Healthcheck>,
        "Labels" labels: Option<Map>,
        "OnBuild" on_build: Option<Vec<String>>,
        "Shell"? shell: Vec<String>,
        "StopSignal"? stop_signal: String,
        "User" user: String,
        "Volumes" volumes: Option<Set>,
        "WorkingDir" working_dir: String,
    }
}

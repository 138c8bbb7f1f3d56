//! `GET /version`.

use crate::word::{Map, object};

object! {
    /// The engine's version and its parts'.
    Version {
        "Platform" platform: Platform,
        "Components"? components: Vec<Component>,
        "Version" version: String,
        "ApiVersion" api_version: String,
        "MinAPIVersion"? min_api_version: String,
        "GitCommit" git_commit: String,
        "GoVersion" go_version: String,
        "Os" os: String,
        "Arch" arch: String,
        "KernelVersion"? kernel_version: String,
        "Experimental"? experimental: bool,
        "BuildTime"? build_time: String,
    }
}

object! {
    /// The product's name.
    Platform {
        "Name" name: String,
    }
}

object! {
    /// One part.
    Component {
        "Name" name: String,
        "Version" version: String,
        "Details"? details: Map,
    }
}

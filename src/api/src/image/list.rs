//! `GET /images/json`.

use crate::word::{Map, object};

object! {
    /// One image of the list; `Containers` and `SharedSize` are -1 when not counted.
    Summary {
        "Containers" containers: i64,
        /// Seconds since 1970.
        "Created" created: i64,
        "Id" id: String,
        "Labels" labels: Option<Map>,
        "ParentId" parent_id: String,
        "Descriptor"? descriptor: Option<super::Descriptor>,
        "RepoDigests" repo_digests: Option<Vec<String>>,
        "RepoTags" repo_tags: Option<Vec<String>>,
        /// Bytes shared with other images.
        "SharedSize" shared_size: i64,
        /// Bytes.
        "Size" size: i64,
    }
}

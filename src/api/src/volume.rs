//! Volumes.

use crate::word::{Map, object};

object! {
    /// `GET /volumes/{name}`, the answer of `POST /volumes/create`, and each of `GET /volumes`.
    Volume {
        "CreatedAt"? created_at: String,
        "Driver" driver: String,
        "Labels" labels: Option<Map>,
        "Mountpoint" mountpoint: String,
        "Name" name: String,
        "Options" options: Option<Map>,
        "Scope" scope: String,
        "Status"? status: std::collections::BTreeMap<String, serde_json::Value>,
        /// In `GET /system/df` only.
        "UsageData"? usage_data: Option<UsageData>,
    }
}

object! {
    /// Who uses a volume and how large it is; -1 where unknown.
    UsageData {
        "RefCount" ref_count: i64,
        /// Bytes.
        "Size" size: i64,
    }
}

object! {
    /// `GET /volumes`.
    List {
        "Volumes" volumes: Option<Vec<Volume>>,
        "Warnings" warnings: Option<Vec<String>>,
    }
}

object! {
    /// `POST /volumes/create`; the name is made up when empty.
    CreateRequest {
        "Driver"? driver: String,
        "DriverOpts"? driver_opts: Map,
        "Labels"? labels: Map,
        "Name"? name: String,
    }
}

object! {
    /// `POST /volumes/prune`.
    PruneReport {
        "VolumesDeleted" volumes_deleted: Option<Vec<String>>,
        /// Bytes.
        "SpaceReclaimed" space_reclaimed: u64,
    }
}

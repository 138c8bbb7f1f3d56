//! `GET /system/df`, in the form before API 1.52.

use crate::word::object;

object! {
    /// What takes up the disk.
    DiskUsage {
        /// Bytes of all layers, each counted once.
        "LayersSize" layers_size: i64,
        "Images" images: Option<Vec<crate::image::list::Summary>>,
        "Containers" containers: Option<Vec<crate::container::list::Summary>>,
        "Volumes" volumes: Option<Vec<crate::volume::Volume>>,
        "BuildCache" build_cache: Option<Vec<BuildCache>>,
    }
}

object! {
    /// One record of the build cache.
    BuildCache {
        "ID" id: String,
        "Parents"? parents: Vec<String>,
        "Type" kind: String,
        "Description" description: String,
        "InUse" in_use: bool,
        "Shared" shared: bool,
        /// Bytes.
        "Size" size: i64,
        "CreatedAt" created_at: String,
        "LastUsedAt" last_used_at: Option<String>,
        "UsageCount" usage_count: i64,
    }
}

//! `DELETE /images/{name}` and `POST /images/prune`.

use crate::word::object;

object! {
    /// One thing removed: a name (`Untagged`) or an image (`Deleted`).
    Removed {
        "Untagged"? untagged: String,
        "Deleted"? deleted: String,
    }
}

object! {
    /// `POST /images/prune`.
    PruneReport {
        "ImagesDeleted" images_deleted: Option<Vec<Removed>>,
        "SpaceReclaimed" space_reclaimed: u64,
    }
}

object! {
    /// `POST /build/prune`.
    BuildPruneReport {
        "CachesDeleted" caches_deleted: Option<Vec<String>>,
        "SpaceReclaimed" space_reclaimed: u64,
    }
}

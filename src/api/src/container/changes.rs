//! `GET /containers/{id}/changes`.

use crate::word::object;

object! {
    /// One changed path.
    Change {
        "Path" path: String,
        /// 0 changed, 1 added, 2 deleted.
        "Kind" kind: u64,
    }
}

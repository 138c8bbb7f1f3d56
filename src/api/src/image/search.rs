//! `GET /images/search`.

use crate::word::object;

object! {
    /// One repository a registry found.
    Found {
        "star_count" star_count: i64,
        "is_official" is_official: bool,
        "name" name: String,
        "is_automated" is_automated: bool,
        "description" description: String,
    }
}

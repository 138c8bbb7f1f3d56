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

object! {
    /// The tags of one repository, as `GET /v2/{name}/tags/list` of a registry gives them.
    Tags {
        "name" name: String,
        "tags" tags: Option<Vec<String>>,
    }
}

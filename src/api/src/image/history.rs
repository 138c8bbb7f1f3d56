//! `GET /images/{name}/history`.

use crate::word::object;

object! {
    /// One step, the newest first.
    Step {
        "Comment" comment: String,
        /// Seconds since 1970.
        "Created" created: i64,
        "CreatedBy" created_by: String,
        /// `<missing>` where no image of its own exists.
        "Id" id: String,
        /// Bytes.
        "Size" size: i64,
        "Tags" tags: Option<Vec<String>>,
    }
}

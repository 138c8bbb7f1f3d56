//! `GET /containers/{id}/top`.

use crate::word::object;

object! {
    /// The lines of `ps`, cut at its titles.
    Top {
        "Processes" processes: Option<Vec<Vec<String>>>,
        "Titles" titles: Option<Vec<String>>,
    }
}

//! `POST /containers/{id}/wait`.

use crate::word::object;

object! {
    /// How the container ended.
    WaitResponse {
        "Error"? error: Option<WaitError>,
        "StatusCode" status_code: i64,
    }
}

object! {
    /// Why waiting (or the removal waited for) failed.
    WaitError {
        "Message"? message: String,
    }
}

//! `POST /containers/{id}/update`.

use super::host_config::{Resources, RestartPolicy};
use crate::word::object;

object! {
    /// The limits and the restart policy to change.
    UpdateRequest {
        .. resources: Resources,
        "RestartPolicy" restart_policy: RestartPolicy,
    }
}

object! {
    /// The answer.
    UpdateResponse {
        "Warnings" warnings: Option<Vec<String>>,
    }
}

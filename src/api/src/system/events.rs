//! `GET /events`: one object per line.

use crate::word::{Map, object};

object! {
    /// One event; `status`, `id` and `from` repeat the others for old clients, container and image events only.
    Event {
        "status"? status: String,
        "id"? id: String,
        "from"? from: String,
        "Type" kind: String,
        "Action" action: String,
        "Actor" actor: Actor,
        "scope"? scope: String,
        /// Seconds since 1970.
        "time"? time: i64,
        /// Nanoseconds since 1970.
        "timeNano"? time_nano: i64,
    }
}

object! {
    /// What the event happened to.
    Actor {
        "ID" id: String,
        "Attributes" attributes: Map,
    }
}

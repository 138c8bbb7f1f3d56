//! The lines of a pull, push, load, import or build: one JSON object each, ended by `\r\n`.

use crate::word::object;

object! {
    /// One line. A line with `error` is the last one and makes the command fail.
    Line {
        "stream"? stream: String,
        "status"? status: String,
        "progressDetail"? detail: Option<Detail>,
        /// The bar as old clients want it, drawn by the engine.
        "progress"? progress: String,
        /// The layer or tag the line is about.
        "id"? id: String,
        "from"? from: String,
        "time"? time: i64,
        "timeNano"? time_nano: i64,
        "errorDetail"? error_detail: Option<ErrorDetail>,
        "error"? error: String,
        /// What programs read: the built image's ID, the pushed digest.
        "aux"? aux: Option<serde_json::Value>,
    }
}

object! {
    /// How far a transfer is; `{}` when there is nothing to say.
    Detail {
        "current"? current: i64,
        "total"? total: i64,
        "start"? start: i64,
        "hidecounts"? hide_counts: bool,
        "units"? units: String,
    }
}

object! {
    /// The failure that ended a stream.
    ErrorDetail {
        "code"? code: i32,
        "message"? message: String,
    }
}

object! {
    /// What a push says last, as `aux`.
    Pushed {
        "Tag" tag: String,
        "Digest" digest: String,
        "Size" size: i64,
    }
}

object! {
    /// What a build says about the image it made, as `aux`.
    Built {
        "ID" id: String,
    }
}

impl Line {
    /// The line that ends a failed stream.
    #[must_use]
    pub fn failure(code: i32, message: &str) -> Self {
        Self {
            error: message.to_owned(),
            error_detail: Some(ErrorDetail {
                code,
                message: message.to_owned(),
            }),
            ..Self::default()
        }
    }

    /// The line's bytes on the wire, `\r\n` included.
    #[must_use]
    pub fn to_wire(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}

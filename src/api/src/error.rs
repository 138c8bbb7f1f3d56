//! The body of every answer that is not a success.

use crate::word::object;

object! {
    /// `{"message":"…"}`, what the command line prints after `Error response from daemon: `.
    Message {
        "message" message: String,
    }
}

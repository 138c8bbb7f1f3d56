//! The Docker Engine API's words (API 1.50): every request and answer as a type, the 8-byte stream framing, filters and
//! boolean query parameters. Shared by the engine and the command line; no logic, no I/O of its own.
//!
//! Field names are docker's, in `snake_case`. What dockerd always writes is always written, in dockerd's order; `Option`
//! of a list or map is dockerd's choice between `null` and `[]`/`{}`. Times are RFC 3339 strings with nanoseconds where
//! docker writes them so, durations are nanoseconds, sizes are bytes.

pub mod container;
pub mod error;
pub mod filters;
pub mod frame;
pub mod image;
pub mod network;
pub mod progress;
pub mod query;
pub mod system;
pub mod volume;
pub mod word;

/// The newest API version spoken here.
pub const VERSION: &str = "1.50";

/// The oldest API version answered here.
pub const MINIMUM_VERSION: &str = "1.24";

/// Content type of an attach, exec or logs stream with a TTY: bytes as they come.
pub const RAW_STREAM: &str = "application/vnd.docker.raw-stream";

/// Content type of an attach, exec or logs stream without a TTY: frames of [`frame`].
pub const MULTIPLEXED_STREAM: &str = "application/vnd.docker.multiplexed-stream";

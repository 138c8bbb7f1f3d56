//! Talking to the engine: where it is, HTTP/1.1 over its socket, streams that take the connection over.

pub mod body;
pub mod endpoint;
pub mod http;
pub mod launch;
pub mod query;

pub use body::Body;
pub use endpoint::Endpoint;
pub use http::{Answer, Hijacked};
pub use query::Query;

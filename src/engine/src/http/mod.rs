//! The Docker Engine API: words to calls, error kinds to status codes. One file a resource; none decides anything.

pub mod answer;
mod hijack;
pub mod query;
pub mod router;
pub mod server;

mod archive;
mod attach;
mod build;
mod containers;
mod create;
mod exec;
mod images;
mod logs;
mod networks;
mod registry;
mod stats;
mod system;
mod volumes;

pub use answer::{Answer, Body};
pub use query::Query;

use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::{Bytes, Incoming};

use crate::Engine;
use crate::error::{Error, Result};

/// The largest JSON body taken, bytes.
const LARGEST: usize = 4 << 20;

/// One request with what every handler needs.
pub struct Call {
    /// The engine.
    pub engine: Arc<Engine>,
    /// The request as it came.
    pub request: Request<Incoming>,
    /// Its query parameters.
    pub query: Query,
    /// The API version asked for, minor number of 1.x.
    pub version: u32,
}

impl Call {
    /// The whole body.
    ///
    /// # Errors
    /// Invalid if it is too large or breaks off.
    pub async fn bytes(&mut self) -> Result<Bytes> {
        let body = http_body_util::Limited::new(self.request.body_mut(), LARGEST);
        let collected = body
            .collect()
            .await
            .map_err(|e| Error::invalid(format!("request body: {e}")))?;
        Ok(collected.to_bytes())
    }

    /// The body as JSON; an empty one is the type's default, as docker's clients expect.
    ///
    /// # Errors
    /// Invalid if it is not the JSON expected.
    pub async fn json<T: serde::de::DeserializeOwned + Default>(&mut self) -> Result<T> {
        let bytes = self.bytes().await?;
        if bytes.iter().all(u8::is_ascii_whitespace) || bytes.as_ref() == b"null" {
            return Ok(T::default());
        }
        serde_json::from_slice(&bytes).map_err(|e| Error::invalid(format!("invalid JSON: {e}")))
    }

    /// The body as it arrives, as a blocking reader for the store's functions.
    #[must_use]
    pub fn reader(self) -> crate::pipe::Reader {
        crate::pipe::reader(self.request.into_body())
    }

    /// A header's text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.headers().get(name)?.to_str().ok()
    }
}

//! Answers: JSON, empty ones, streams, errors.

use std::io;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::error::{Error, Kind, Result};

/// Every answer's body.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;
/// What a handler gives.
pub type Answer = Result<Response<Body>>;

/// A body of known bytes.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// `status` with `value` as JSON and docker's trailing newline.
///
/// # Errors
/// Internal if the value cannot be written, which none of the API's types can cause.
pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Answer {
    let mut bytes =
        serde_json::to_vec(value).map_err(|e| Error::internal(format!("answer: {e}")))?;
    bytes.push(b'\n');
    let mut response = Response::new(full(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    Ok(response)
}

/// 200 with JSON.
///
/// # Errors
/// As [`json`].
pub fn ok<T: Serialize>(value: &T) -> Answer {
    json(StatusCode::OK, value)
}

/// An empty answer.
///
/// # Errors
/// None; a handler's shape.
pub fn empty(status: StatusCode) -> Answer {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = status;
    Ok(response)
}

/// 200 with a body that is sent as its parts come; headers go out at once.
///
/// # Errors
/// None; a handler's shape.
pub fn stream(content_type: &'static str, parts: mpsc::Receiver<io::Result<Bytes>>) -> Answer {
    let frames = futures_util::stream::unfold(parts, |mut parts| async {
        let part = parts.recv().await?;
        Some((part.map(Frame::data), parts))
    });
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(response)
}

/// The answer of a refusal.
#[must_use]
pub fn refusal(error: &Error) -> Response<Body> {
    let bytes = if error.kind == Kind::NotModified {
        Vec::new()
    } else {
        let message = gantry_api::error::Message {
            message: error.message.clone(),
        };
        let mut bytes = serde_json::to_vec(&message).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    };
    let has_body = !bytes.is_empty();
    let mut response = Response::new(full(bytes));
    *response.status_mut() = error.status();
    if has_body {
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
    }
    response
}

//! Connections that stop being HTTP: 101, then bytes both ways.

use http::{HeaderValue, Response, StatusCode, header};
use hyper::ext::ReasonPhrase;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;

use super::Call;
use super::answer::{Body, full};

/// The connection of a request that asked to upgrade it; none when it did not.
pub fn take(call: &mut Call) -> Option<OnUpgrade> {
    let wants = call.request.headers().contains_key(header::UPGRADE);
    wants.then(|| hyper::upgrade::on(&mut call.request))
}

/// The answer that turns the connection over.
#[must_use]
pub fn switching(content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response
        .extensions_mut()
        .insert(ReasonPhrase::from_static(b"UPGRADED"));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("tcp"));
    response
}

/// The raw connection, once the answer is out; none when the client has left.
pub async fn connection(upgrade: OnUpgrade) -> Option<TokioIo<Upgraded>> {
    match upgrade.await {
        Ok(upgraded) => Some(TokioIo::new(upgraded)),
        Err(error) => {
            tracing::debug!("hijack: {error}");
            None
        }
    }
}

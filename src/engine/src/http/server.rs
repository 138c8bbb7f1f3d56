//! Sockets and connections: version prefix, docker's headers on every answer, errors by kind.

use std::convert::Infallible;
use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Body, Call, Query, answer, query, router};
use crate::Engine;
use crate::error::{Error, Result};

/// The API's newest and oldest minor versions.
const NEWEST: u32 = 50;
const OLDEST: u32 = 24;

/// Serves one connection until it ends or is hijacked.
pub async fn serve<S>(engine: Arc<Engine>, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| handle(engine.clone(), request));
    let connection = http1::Builder::new()
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!("connection: {error}");
    }
}

async fn handle(
    engine: Arc<Engine>,
    request: Request<Incoming>,
) -> std::result::Result<Response<Body>, Infallible> {
    engine.idle.touch();
    let method = request.method().clone();
    let target = request.uri().path().to_owned();
    let _busy = engine.idle.busy();
    let mut response = match dispatch(engine, request).await {
        Ok(response) => response,
        Err(error) => {
            tracing::debug!("{method} {target}: {error}");
            answer::refusal(&error)
        }
    };
    let headers = response.headers_mut();
    let version = concat!("Docker/", env!("CARGO_PKG_VERSION"), " (linux)");
    headers.insert("Api-Version", HeaderValue::from_static(gantry_api::VERSION));
    headers.insert("Docker-Experimental", HeaderValue::from_static("false"));
    headers.insert("Ostype", HeaderValue::from_static("linux"));
    headers.insert("Server", HeaderValue::from_static(version));
    Ok(response)
}

async fn dispatch(engine: Arc<Engine>, request: Request<Incoming>) -> answer::Answer {
    let path = request.uri().path().to_owned();
    let (version, path) = split_version(&path)?;
    let segments: Vec<String> = path
        .split('/')
        .filter(|part| !part.is_empty())
        .map(|part| query::decode(part, false))
        .collect();
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let method = request.method().clone();
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let head = method == Method::HEAD;
    let call = Call {
        engine,
        request,
        query,
        version,
    };
    let verb = if head && parts.as_slice() != ["_ping"] && parts.last() != Some(&"archive") {
        "GET"
    } else {
        method.as_str()
    };
    router::route(call, verb, &parts).await
}

/// The minor version a path asks for and the rest of it.
fn split_version(path: &str) -> Result<(u32, &str)> {
    let Some((first, rest)) = path
        .strip_prefix("/v")
        .and_then(|path| path.split_once('/'))
    else {
        return Ok((NEWEST, path));
    };
    let Some((major, minor)) = first.split_once('.') else {
        return Ok((NEWEST, path));
    };
    let (Ok(major), Ok(minor)) = (major.parse::<u32>(), minor.parse::<u32>()) else {
        return Ok((NEWEST, path));
    };
    if (major, minor) > (1, NEWEST) {
        let newest = gantry_api::VERSION;
        return Err(Error::invalid(format!(
            "client version {first} is too new. Maximum supported API version is {newest}"
        )));
    }
    if (major, minor) < (1, OLDEST) {
        let oldest = gantry_api::MINIMUM_VERSION;
        return Err(Error::invalid(format!(
            "client version {first} is too old. Minimum supported API version is {oldest}, please upgrade your client to a newer version"
        )));
    }
    Ok((minor, rest))
}

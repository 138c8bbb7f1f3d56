//! Requests to one registry for one repository: the way there that answers, authorization when it is asked for, errors
//! in the words Go's client uses, for that is what users of docker search for.

use std::io::Read;
use std::sync::{Mutex, PoisonError};

use ureq::http::header::{HeaderMap, WWW_AUTHENTICATE};
use ureq::http::{Method, Request, Response};
use ureq::{Body, SendBody};

use crate::auth::{Challenge, Tokens};
use crate::credentials::Credentials;
use crate::endpoint::{Endpoint, Settings};
use crate::error::{Error, Result, Told};

/// Bytes of an error's body that are read.
const ERROR_MAX: u64 = 64 * 1024;

/// A registry that answered, seen from one repository.
#[derive(Debug)]
pub(crate) struct Remote {
    endpoint: Endpoint,
    credentials: Credentials,
    /// Scopes asked for, separated by spaces.
    scopes: Mutex<String>,
    tokens: Tokens,
    challenge: Option<Challenge>,
}

/// What a request carries.
pub(crate) enum Load<'a> {
    /// Nothing.
    None,
    /// These bytes.
    Bytes(&'a [u8]),
    /// So many bytes of a stream; cannot be sent twice.
    Stream(&'a mut dyn Read, u64),
}

/// `Get "URL": why`, as Go's http client prints.
pub(crate) fn go_error(method: &str, url: &str, error: &ureq::Error) -> String {
    format!("{method} {url:?}: {}", why(url, error))
}

fn why(url: &str, error: &ureq::Error) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.split('/').next().unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let port = if scheme == "https" { ":443" } else { ":80" };
    let address = if host.contains(':') {
        host.to_owned()
    } else {
        format!("{host}{port}")
    };
    match error {
        ureq::Error::HostNotFound => format!("dial tcp: lookup {name}: no such host"),
        ureq::Error::Io(e) => match e.kind() {
            std::io::ErrorKind::ConnectionRefused => {
                format!("dial tcp {address}: connect: connection refused")
            }
            std::io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
            std::io::ErrorKind::InvalidData if scheme == "https" && is_plain_http(e) => {
                "http: server gave HTTP response to HTTPS client".to_owned()
            }
            std::io::ErrorKind::InvalidData if scheme == "https" => format!("tls: {e}"),
            _ => e.to_string(),
        },
        ureq::Error::ConnectionFailed => format!("dial tcp {address}: connect: connection refused"),
        ureq::Error::Timeout(which) => format!("net/http: request canceled: timeout ({which})"),
        other => other.to_string(),
    }
}

/// rustls names what it got instead of a handshake.
fn is_plain_http(error: &std::io::Error) -> bool {
    let text = error.to_string();
    text.contains("InvalidContentType") || text.contains("corrupt message")
}

impl Remote {
    /// Finds the way that answers. `actions`: `pull` or `pull,push`; empty `path` = no repository.
    ///
    /// # Errors
    /// No way answers: the error of the registry's own first.
    pub(crate) fn connect(
        settings: &Settings,
        domain: &str,
        path: &str,
        actions: &str,
        credentials: &Credentials,
    ) -> Result<Remote> {
        let mirrors = actions == "pull";
        let ways = settings.endpoints(domain, mirrors)?;
        Remote::first(ways, path, actions, credentials)
    }

    /// As [`Remote::connect`] without mirrors: for what a mirror did not have.
    pub(crate) fn connect_itself(
        settings: &Settings,
        domain: &str,
        path: &str,
        actions: &str,
        credentials: &Credentials,
    ) -> Result<Remote> {
        Remote::first(
            settings.endpoints(domain, false)?,
            path,
            actions,
            credentials,
        )
    }

    fn first(
        ways: Vec<Endpoint>,
        path: &str,
        actions: &str,
        credentials: &Credentials,
    ) -> Result<Remote> {
        let mut failure = None;
        for endpoint in ways {
            let scopes = if path.is_empty() {
                String::new()
            } else {
                format!("repository:{path}:{actions}")
            };
            // A mirror gets no credentials of the registry it stands for.
            let credentials = if endpoint.mirror {
                Credentials::default()
            } else {
                credentials.clone()
            };
            let mut remote = Remote {
                endpoint,
                credentials,
                scopes: Mutex::new(scopes),
                tokens: Tokens::default(),
                challenge: None,
            };
            match remote.ping() {
                Ok(()) => return Ok(remote),
                Err(error) => {
                    tracing::debug!("registry at {}: {error}", remote.endpoint.url);
                    failure.get_or_insert(error);
                }
            }
        }
        Err(failure
            .unwrap_or_else(|| Error::Unavailable("no endpoint for this registry".to_owned())))
    }

    /// `GET /v2/`: is it a registry, and what does it ask for?
    fn ping(&mut self) -> Result<()> {
        let url = format!("{}/v2/", self.endpoint.url);
        let response = self.endpoint.agent.get(&url).call();
        let mut response = response.map_err(|e| Error::Unavailable(go_error("Get", &url, &e)))?;
        match response.status().as_u16() {
            200 => Ok(()),
            401 => {
                self.challenge = challenge(response.headers());
                if self.challenge.is_none() {
                    return Err(Told::read(401, &error_body(&mut response)).plain(401));
                }
                Ok(())
            }
            status => Err(Told::read(status, &error_body(&mut response)).plain(status)),
        }
    }

    /// True where this is a mirror.
    pub(crate) fn is_mirror(&self) -> bool {
        self.endpoint.mirror
    }

    /// The registry's URL without `/v2/`.
    pub(crate) fn url(&self) -> &str {
        &self.endpoint.url
    }

    pub(crate) fn challenge(&self) -> Option<&Challenge> {
        self.challenge.as_ref()
    }

    pub(crate) fn agent(&self) -> &ureq::Agent {
        &self.endpoint.agent
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Also asks to read another repository: what a mount from it takes.
    pub(crate) fn also_pull(&self, path: &str) {
        let scope = format!("repository:{path}:pull");
        let mut scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        if !scopes.split(' ').any(|known| known == scope) {
            *scopes = format!("{scopes} {scope}");
        }
    }

    /// Sends one request; authorization is got when asked for. `path` begins after the host, or is a whole URL.
    ///
    /// # Errors
    /// The way there; credentials. A status is no error.
    pub(crate) fn send(
        &self,
        method: &Method,
        path: &str,
        headers: &[(&str, &str)],
        mut load: Load<'_>,
    ) -> Result<Response<Body>> {
        let url = if path.contains("://") {
            path.to_owned()
        } else {
            format!("{}{path}", self.endpoint.url)
        };
        let scopes = self
            .scopes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        // Credentials are for this registry, not for where it sends uploads to.
        let own = url
            .strip_prefix(&self.endpoint.url)
            .is_some_and(|rest| rest.starts_with('/'));
        let mut authorization = None;
        if let Some(challenge) = self.challenge.as_ref().filter(|_| own) {
            authorization = Some(match self.tokens.known(&scopes) {
                Some(known) => known,
                None => self.authorize(method, &url, challenge, &scopes)?,
            });
        }
        let response = self.once(method, &url, headers, authorization.as_deref(), &mut load)?;
        let again = matches!(load, Load::None | Load::Bytes(_));
        if response.status() != 401 || !again || !own {
            return Ok(response);
        }
        let Some(challenge) = challenge(response.headers()) else {
            return Ok(response);
        };
        // Basic credentials that were sent and refused will be refused again.
        if challenge == Challenge::Basic && authorization.is_some() {
            return Ok(response);
        }
        let authorization = self.authorize(method, &url, &challenge, &scopes)?;
        self.once(method, &url, headers, Some(&authorization), &mut load)
    }

    fn authorize(
        &self,
        method: &Method,
        url: &str,
        challenge: &Challenge,
        scopes: &str,
    ) -> Result<String> {
        let answered =
            self.tokens
                .answer(&self.endpoint.agent, challenge, scopes, &self.credentials);
        answered.map_err(|error| match error {
            Error::Unauthorized(text) => {
                Error::Unauthorized(format!("{} {url:?}: {text}", go_method(method)))
            }
            other => other,
        })
    }

    fn once(
        &self,
        method: &Method,
        url: &str,
        headers: &[(&str, &str)],
        authorization: Option<&str>,
        load: &mut Load<'_>,
    ) -> Result<Response<Body>> {
        let wrong = |e: ureq::http::Error| Error::Protocol(format!("request {method} {url}: {e}"));
        let mut request = Request::builder().method(method.clone()).uri(url);
        for (name, value) in headers
            .iter()
            .chain(authorization.map(|a| ("Authorization", a)).iter())
        {
            request = request.header(*name, *value);
        }
        let agent = &self.endpoint.agent;
        let sent = match load {
            Load::None => agent.run(request.body(()).map_err(wrong)?),
            Load::Bytes(bytes) => agent.run(request.body(&**bytes).map_err(wrong)?),
            Load::Stream(from, size) => {
                let request = request.header("Content-Length", size.to_string());
                agent.run(request.body(SendBody::from_reader(from)).map_err(wrong)?)
            }
        };
        sent.map_err(|e| Error::Unavailable(go_error(go_method(method), url, &e)))
    }
}

/// `Get`, `Head`: Go prints methods so.
fn go_method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "Get",
        "HEAD" => "Head",
        "POST" => "Post",
        "PUT" => "Put",
        "PATCH" => "Patch",
        _ => "Delete",
    }
}

/// The first challenge understood.
fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .find_map(|value| Challenge::parse(value.to_str().ok()?))
}

/// What an error's answer says.
pub(crate) fn error_body(response: &mut Response<Body>) -> Vec<u8> {
    // An error while the error is read leaves the status to speak.
    response
        .body_mut()
        .with_config()
        .limit(ERROR_MAX)
        .read_to_vec()
        .unwrap_or_default()
}

/// The answer as the registry's error.
pub(crate) fn told(response: &mut Response<Body>) -> (u16, Told) {
    let status = response.status().as_u16();
    let body = error_body(response);
    (status, Told::read(status, &body))
}

/// A header as text.
pub(crate) fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_as_go_prints_them() {
        let refused = ureq::Error::Io(std::io::ErrorKind::ConnectionRefused.into());
        assert_eq!(
            go_error("Get", "https://127.0.0.1:5000/v2/", &refused),
            r#"Get "https://127.0.0.1:5000/v2/": dial tcp 127.0.0.1:5000: connect: connection refused"#
        );
        assert_eq!(
            go_error("Get", "https://nope/v2/", &ureq::Error::HostNotFound),
            r#"Get "https://nope/v2/": dial tcp: lookup nope: no such host"#
        );
    }
}

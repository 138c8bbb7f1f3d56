//! One run of the command: its global flags, the configuration file, and the engine once it is asked for.

use std::cell::OnceCell;
use std::env;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::configuration::Configuration;
use crate::connection::http::{self, Request};
use crate::connection::{Answer, Body, Endpoint, Hijacked, Query, launch};
use crate::failure::{Failure, Outcome};
use crate::grammar::Parsed;

/// What every command is given.
pub struct Session {
    /// `-H`.
    pub host: Option<String>,
    /// `--context`.
    pub context: Option<String>,
    /// `~/.docker/config.json`.
    pub configuration: Configuration,
    endpoint: OnceCell<(Endpoint, bool)>,
    version: OnceCell<String>,
}

/// The socket of an engine nobody named.
pub const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

// The engine is asked by several threads at once (attach, wait, resize), each with a copy of what was settled.
/// An engine whose version is settled.
#[derive(Clone, Debug)]
pub struct Engine {
    endpoint: Endpoint,
    own: bool,
    /// The API version spoken.
    pub version: String,
}

impl Session {
    /// A session with these global flags.
    ///
    /// # Errors
    /// When the configuration file cannot be read.
    pub fn new(globals: &Parsed) -> Outcome<Self> {
        let hosts = globals.list("host");
        if hosts.len() > 1 {
            return Err(Failure::new("Specify only one -H"));
        }
        let folder = globals.last("config").map(Into::into);
        Ok(Self {
            host: hosts.first().cloned(),
            context: globals.last("context").map(str::to_owned),
            configuration: Configuration::load(folder)?,
            endpoint: OnceCell::new(),
            version: OnceCell::new(),
        })
    }

    /// The context in use.
    #[must_use]
    pub fn context_name(&self) -> String {
        if self.host.is_some() {
            return "default".to_owned();
        }
        if let Some(name) = &self.context {
            return name.clone();
        }
        if env::var_os("DOCKER_HOST").is_some_and(|value| !value.is_empty()) {
            return "default".to_owned();
        }
        match env::var("DOCKER_CONTEXT") {
            Ok(name) if !name.is_empty() => name,
            _ => self
                .configuration
                .text("currentContext")
                .filter(|name| !name.is_empty())
                .unwrap_or("default")
                .to_owned(),
        }
    }

    /// The detach keys: the flag's, else the configuration file's; empty means docker's own.
    #[must_use]
    pub fn detach_keys<'a>(&'a self, parsed: &'a Parsed) -> &'a str {
        parsed
            .last("detach-keys")
            .or_else(|| self.configuration.text("detachKeys"))
            .unwrap_or_default()
    }

    /// Where the engine is, and whether it is ours to start.
    ///
    /// # Errors
    /// For an address or a context that cannot be read.
    pub fn endpoint(&self) -> Outcome<&(Endpoint, bool)> {
        if let Some(found) = self.endpoint.get() {
            return Ok(found);
        }
        let found = self.find_endpoint()?;
        Ok(self.endpoint.get_or_init(|| found))
    }

    fn find_endpoint(&self) -> Outcome<(Endpoint, bool)> {
        if self.host.is_some() && self.context.is_some() {
            return Err(Failure::new(
                "conflicting options: cannot specify both --host and --context",
            ));
        }
        let name = self.context_name();
        if name != "default" {
            return Ok((
                crate::context::store::endpoint(&self.configuration.folder, &name)?,
                false,
            ));
        }
        let named = self
            .host
            .clone()
            .or_else(|| env::var("DOCKER_HOST").ok())
            .filter(|host| !host.is_empty());
        match named {
            Some(host) => Ok((Endpoint::parse(&host)?, false)),
            None => Ok((Endpoint::Unix(DEFAULT_SOCKET.into()), true)),
        }
    }

    /// The engine, its version settled: `DOCKER_API_VERSION`, or the lesser of what both sides know.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn engine(&self) -> Outcome<Engine> {
        let (endpoint, own) = self.endpoint()?;
        let mut engine = Engine {
            endpoint: endpoint.clone(),
            own: *own,
            version: gantry_api::VERSION.to_owned(),
        };
        if let Some(version) = self.version.get() {
            engine.version.clone_from(version);
            return Ok(engine);
        }
        let version = match env::var("DOCKER_API_VERSION") {
            Ok(version) if !version.is_empty() => version.trim_start_matches('v').to_owned(),
            _ => engine.negotiate()?,
        };
        engine
            .version
            .clone_from(self.version.get_or_init(|| version));
        Ok(engine)
    }
}

/// The numbers of an API version, for comparison.
fn numbers(version: &str) -> (u32, u32) {
    let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
    (major.parse().unwrap_or(0), minor.parse().unwrap_or(0))
}

impl Engine {
    fn negotiate(&self) -> Outcome<String> {
        let answer = self.ping()?;
        let theirs = answer.header("Api-Version").unwrap_or("1.24");
        let lesser = if numbers(theirs) < numbers(gantry_api::VERSION) {
            theirs
        } else {
            gantry_api::VERSION
        };
        Ok(lesser.to_owned())
    }

    /// `HEAD /_ping`.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn ping(&self) -> Outcome<Answer> {
        let request = |method| Request {
            method,
            target: "/_ping".to_owned(),
            headers: Vec::new(),
            body: Body::Empty,
            upgrade: false,
        };
        let answer = http::send(self.connect()?, request("HEAD"))?;
        if answer.status == 200 {
            Ok(answer)
        } else {
            http::send(self.connect()?, request("GET"))
        }
    }

    /// Opens a connection, starting our own engine if need be.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn connect(&self) -> Outcome<std::fs::File> {
        match &self.endpoint {
            Endpoint::Unix(path) if self.own => launch::connect(path),
            endpoint => endpoint.connect(),
        }
    }

    /// The socket's path, when there is one on this host.
    #[must_use]
    pub fn socket(&self) -> Option<&std::path::Path> {
        match &self.endpoint {
            Endpoint::Unix(path) => Some(path),
            _ => None,
        }
    }

    /// Sends any request; the answer may be a refusal.
    ///
    /// # Errors
    /// When the connection breaks.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        query: &Query,
        headers: Vec<(String, String)>,
        body: Body<'_>,
    ) -> Outcome<Answer> {
        let target = format!("/v{}{path}{}", self.version, query.text());
        http::send(
            self.connect()?,
            Request {
                method,
                target,
                headers,
                body,
                upgrade: false,
            },
        )
    }

    /// Sends a request that must succeed.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn call(&self, method: &str, path: &str, query: &Query, body: Body<'_>) -> Outcome<Answer> {
        self.send(method, path, query, Vec::new(), body)?.check()
    }

    /// `GET` of JSON.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn get<T: DeserializeOwned>(&self, path: &str, query: &Query) -> Outcome<T> {
        self.call("GET", path, query, Body::Empty)?.json()
    }

    /// `POST` of nothing, for its effect.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn post(&self, path: &str, query: &Query) -> Outcome {
        self.call("POST", path, query, Body::Empty)?
            .bytes()
            .map(drop)
    }

    /// `POST` of JSON, answered by JSON.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &Query,
        body: &impl Serialize,
    ) -> Outcome<T> {
        self.call("POST", path, query, Body::Json(serde_json::to_vec(body)?))?
            .json()
    }

    /// `DELETE`.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn delete(&self, path: &str, query: &Query) -> Outcome<Answer> {
        self.call("DELETE", path, query, Body::Empty)
    }

    /// `POST` that takes the connection over. A body belongs to exec alone: the engine takes an attached stream over
    /// without reading one, so that it would end up in the container's standard input.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn hijack(&self, path: &str, query: &Query, body: Body<'_>) -> Outcome<Hijacked> {
        let target = format!("/v{}{path}{}", self.version, query.text());
        let request = Request {
            method: "POST",
            target,
            headers: Vec::new(),
            body,
            upgrade: true,
        };
        http::send(self.connect()?, request)?.check()?.hijack()
    }
}

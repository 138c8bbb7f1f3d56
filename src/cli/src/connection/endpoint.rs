//! Where the engine listens: `-H`, `DOCKER_HOST`, a context, or the default socket.

use std::fs::File;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, io};

use crate::failure::{Failure, Outcome, os_text};

/// An engine's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A unix socket.
    Unix(PathBuf),
    /// `host:port`, unencrypted.
    Tcp(String),
    /// Another host's engine, through its `docker system dial-stdio`.
    Ssh(String),
}

impl Endpoint {
    /// Reads an address as `-H` gives it.
    ///
    /// # Errors
    /// For schemes that are not spoken here.
    pub fn parse(text: &str) -> Outcome<Self> {
        match text.split_once("://") {
            Some(("unix", path)) => Ok(Self::Unix(PathBuf::from(path))),
            Some(("tcp" | "http", host)) => {
                let host = host.trim_end_matches('/');
                let port = if host
                    .rsplit(']')
                    .next()
                    .is_some_and(|rest| rest.contains(':'))
                {
                    ""
                } else {
                    ":2375"
                };
                if env::var_os("DOCKER_TLS_VERIFY").is_some_and(|value| !value.is_empty()) {
                    return Err(Failure::new(format!(
                        "{text}: TLS is not supported; use ssh:// or unix://"
                    )));
                }
                Ok(Self::Tcp(format!("{host}{port}")))
            }
            Some(("ssh", _)) => Ok(Self::Ssh(text.to_owned())),
            Some(_) => Err(Failure::new(format!(
                "{text}: unsupported protocol; use unix://, tcp:// or ssh://"
            ))),
            None => Self::parse(&format!("tcp://{text}")),
        }
    }

    /// The address as text.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Unix(path) => format!("unix://{}", path.display()),
            Self::Tcp(host) => format!("tcp://{host}"),
            Self::Ssh(url) => url.clone(),
        }
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// Docker's words when nobody answers.
    pub fn connect(&self) -> Outcome<File> {
        match self {
            Self::Unix(path) => match UnixStream::connect(path) {
                Ok(stream) => Ok(File::from(OwnedFd::from(stream))),
                Err(error) => Err(self.unreachable(&error, path)),
            },
            Self::Tcp(host) => {
                let host = if host.starts_with(':') {
                    format!("127.0.0.1{host}")
                } else {
                    host.clone()
                };
                let stream = TcpStream::connect(host).map_err(|_| self.nobody())?;
                stream.set_nodelay(true)?;
                Ok(File::from(OwnedFd::from(stream)))
            }
            Self::Ssh(url) => dial(url),
        }
    }

    fn nobody(&self) -> Failure {
        Failure::new(format!(
            "Cannot connect to the Docker daemon at {}. Is the docker daemon running?",
            self.text()
        ))
    }

    fn unreachable(&self, error: &io::Error, path: &Path) -> Failure {
        if error.kind() == io::ErrorKind::PermissionDenied {
            return Failure::new(format!(
                "permission denied while trying to connect to the Docker daemon socket at {}: dial unix {}: connect: {}",
                self.text(),
                path.display(),
                os_text(error)
            ));
        }
        self.nobody()
    }
}

fn dial(url: &str) -> Outcome<File> {
    let rest = url.trim_start_matches("ssh://");
    let (host, path) = rest
        .split_once('/')
        .map_or((rest, ""), |(host, path)| (host, path));
    if host.starts_with('-') || host.is_empty() {
        return Err(Failure::new(format!(
            "{url}: no host; ssh://[user@]host[:port] is expected"
        )));
    }
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => (host, Some(port)),
        _ => (host, None),
    };
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new("ssh");
    command.args(["-o", "ConnectTimeout=30", "-T"]);
    if let Some(port) = port {
        command.args(["-p", port]);
    }
    command.args(["--", host, "docker"]);
    if !path.is_empty() {
        command.args(["--host", &format!("unix:///{path}")]);
    }
    command.args(["system", "dial-stdio"]);
    let theirs = OwnedFd::from(theirs);
    command
        .stdin(Stdio::from(theirs.try_clone()?))
        .stdout(Stdio::from(theirs));
    command
        .spawn()
        .map_err(|error| Failure::new(format!("ssh: {}", os_text(&error))))?;
    Ok(File::from(OwnedFd::from(ours)))
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn addresses_are_read_and_named_again() {
        assert_eq!(
            Endpoint::parse("tcp://h")
                .map(|endpoint| endpoint.text())
                .ok()
                .as_deref(),
            Some("tcp://h:2375")
        );
        assert_eq!(
            Endpoint::parse("unix:///a")
                .map(|endpoint| endpoint.text())
                .ok()
                .as_deref(),
            Some("unix:///a")
        );
        assert!(Endpoint::parse("npipe://x").is_err());
        assert_eq!(
            Endpoint::parse("x").ok(),
            Some(Endpoint::Tcp("x:2375".to_owned()))
        );
    }
}

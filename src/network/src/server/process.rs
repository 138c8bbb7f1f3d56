//! The server's own side: state, dispatch, and the life of the process.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixListener as Listener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;

use super::protocol::{Answer, Binding, Request, VERSION};
use crate::error::Error;
use crate::forward::{self, Forward};
use crate::names::directory::Directory;
use crate::names::serve::{self, Service};
use crate::nft::table::{Protocol, Publication};

/// How long a server without containers waits for its engine to come back.
const LINGER: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Server {
    directory: Arc<Mutex<Directory>>,
    resolvers: BTreeMap<String, Service>,
    published: BTreeMap<String, Vec<(Publication, Forward)>>,
    /// The port given out last from the ephemeral range, so that a port just closed is not given to the next container.
    newest: u16,
    engines: usize,
}

type Shared = Arc<Mutex<Server>>;

/// Serves on `listener` until told to leave, or until there are no containers and no engine for a while.
///
/// # Errors
/// The runtime or the listener could not be set up.
pub fn run(listener: Listener) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        let (server, leave) = (Shared::default(), Arc::new(Notify::new()));
        let mut idle_since = tokio::time::Instant::now();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let (stream, _) = accepted?;
                    lock(&server).engines += 1;
                    tokio::spawn(converse(stream, Arc::clone(&server), Arc::clone(&leave)));
                }
                () = leave.notified() => return Ok(()),
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
            if lock(&server).needed() {
                idle_since = tokio::time::Instant::now();
            } else if idle_since.elapsed() > LINGER {
                return Ok(());
            }
        }
    })
}

fn lock(server: &Shared) -> std::sync::MutexGuard<'_, Server> {
    server.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn converse(stream: UnixStream, server: Shared, leave: Arc<Notify>) {
    let (input, mut output) = stream.into_split();
    let mut lines = BufReader::new(input).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let answer = match serde_json::from_str::<Request>(&line) {
            Ok(Request::Leave) => {
                leave.notify_one();
                Answer::Done
            }
            Ok(request) => lock(&server).answer(request),
            Err(error) => Answer::Failed {
                message: format!("request not understood: {error}"),
            },
        };
        let Ok(mut text) = serde_json::to_vec(&answer) else {
            break;
        };
        text.push(b'\n');
        if output.write_all(&text).await.is_err() {
            break;
        }
    }
    lock(&server).engines -= 1;
}

impl Server {
    fn needed(&self) -> bool {
        self.engines > 0 || !self.resolvers.is_empty() || !self.published.is_empty()
    }

    fn names(&self) -> std::sync::MutexGuard<'_, Directory> {
        self.directory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&mut self, request: Request) -> Answer {
        match request {
            Request::Hello => Answer::Version { version: VERSION },
            Request::Name { sandbox } => self.name(sandbox),
            Request::Unname { id } => {
                self.resolvers.remove(&id);
                self.names().remove(&id);
                Answer::Done
            }
            Request::Publish { id, bindings } => self.publish(id, &bindings),
            Request::Unpublish { id } => {
                self.published.remove(&id);
                Answer::Done
            }
            Request::List => Answer::Known {
                named: self.resolvers.keys().cloned().collect(),
                published: self.published.keys().cloned().collect(),
            },
            Request::Leave => Answer::Done,
        }
    }

    fn name(&mut self, sandbox: crate::names::directory::Sandbox) -> Answer {
        let (id, namespace) = (sandbox.id.clone(), sandbox.namespace.clone());
        self.names().insert(sandbox);
        if self.resolvers.contains_key(&id) {
            return Answer::Done;
        }
        match serve::start(&id, namespace, Arc::clone(&self.directory)) {
            Ok(service) => {
                self.resolvers.insert(id, service);
                Answer::Done
            }
            Err(error) => {
                self.names().remove(&id);
                Answer::Failed {
                    message: error.to_string(),
                }
            }
        }
    }

    fn publish(&mut self, id: String, bindings: &[Binding]) -> Answer {
        let mut opened = Vec::new();
        for binding in bindings {
            match self.open(binding, &opened) {
                Ok(ports) => opened.extend(ports),
                Err(Error::Taken(message)) => return Answer::Taken { message },
                Err(error) => {
                    return Answer::Failed {
                        message: error.to_string(),
                    };
                }
            }
        }
        let ports = opened.iter().map(|(port, _)| *port).collect();
        if !opened.is_empty() {
            self.published.entry(id).or_default().extend(opened);
        }
        Answer::Published { ports }
    }

    /// Opens one port on all its host addresses, the first of the range that is free on all.
    fn open(
        &mut self,
        binding: &Binding,
        before: &[(Publication, Forward)],
    ) -> Result<Vec<(Publication, Forward)>, Error> {
        let candidates: Vec<u16> = match binding.ports {
            (0, _) => {
                let (first, last) = ephemeral();
                let start = if (first..last).contains(&self.newest) {
                    self.newest + 1
                } else {
                    first
                };
                (start..=last).chain(first..start).collect()
            }
            (first, last) => (first..=last.max(first)).collect(),
        };
        let mut refusal = Error::Exhausted("no port to try".into());
        for port in candidates {
            match self.open_at(binding, port, before) {
                Ok(opened) => {
                    if binding.ports.0 == 0 {
                        self.newest = port;
                    }
                    return Ok(opened);
                }
                Err(error @ Error::Taken(_)) => refusal = error,
                Err(error) => return Err(error),
            }
        }
        Err(refusal)
    }

    fn open_at(
        &self,
        binding: &Binding,
        port: u16,
        before: &[(Publication, Forward)],
    ) -> Result<Vec<(Publication, Forward)>, Error> {
        let protocol = binding.protocol;
        let mut opened: Vec<(Publication, Forward)> = Vec::new();
        for host in &binding.hosts {
            let all = self.published.values().flatten().chain(before);
            if all
                .map(|(p, _)| p)
                .any(|p| p.protocol == protocol && p.host_port == port && clash(p.host, *host))
            {
                return Err(Error::Taken(format!(
                    "Bind for {} failed: port is already allocated",
                    SocketAddr::new(*host, port)
                )));
            }
            let same = binding
                .containers
                .iter()
                .find(|c| c.is_ipv4() == host.is_ipv4());
            let Some(container) = same.or(binding.containers.first()).copied() else {
                return Err(Error::Invalid(
                    "port published for a container without address".into(),
                ));
            };
            let forward = forward::start(
                protocol,
                SocketAddr::new(*host, port),
                SocketAddr::new(container, binding.container_port),
            )
            .map_err(|error| {
                refused(
                    protocol,
                    SocketAddr::new(*host, port),
                    SocketAddr::new(container, binding.container_port),
                    &error,
                )
            })?;
            let container_port = binding.container_port;
            opened.push((
                Publication {
                    protocol,
                    host: *host,
                    host_port: port,
                    container,
                    container_port,
                },
                forward,
            ));
        }
        Ok(opened)
    }
}

fn refused(
    protocol: Protocol,
    address: SocketAddr,
    container: SocketAddr,
    error: &io::Error,
) -> Error {
    let name = match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    };
    let text = match error.kind() {
        io::ErrorKind::AddrInUse => "address already in use".into(),
        io::ErrorKind::AddrNotAvailable => "cannot assign requested address".into(),
        _ => error.to_string(),
    };
    Error::Taken(format!(
        "failed to bind host port for {address}:{container}/{name}: {text}"
    ))
}

/// Whether two addresses of a host cannot both have the port.
fn clash(one: IpAddr, other: IpAddr) -> bool {
    one == other
        || (one.is_ipv4() == other.is_ipv4() && (one.is_unspecified() || other.is_unspecified()))
}

/// The kernel's range of ports for outgoing connections, as docker uses it for published ports without number.
fn ephemeral() -> (u16, u16) {
    let text =
        std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut numbers = text.split_whitespace().filter_map(|n| n.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(first), Some(last)) if first <= last => (first, last),
        // The kernel's own default, ip(7).
        _ => (32768, 60999),
    }
}

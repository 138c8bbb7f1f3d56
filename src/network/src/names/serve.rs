//! The resolver at 127.0.0.11: sockets in a container's namespace, answered from the directory or by the upstream servers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use simple_dns::{Packet, RCODE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::answer::{Outcome, decide, failure};
use super::directory::Directory;
use crate::error::{Error, Result};
use crate::files::Upstream;
use crate::netns::Namespace;
use crate::nft::resolver::{RESOLVER, redirect_resolver};

const UPSTREAM_PATIENCE: Duration = Duration::from_secs(4);
const CLIENT_PATIENCE: Duration = Duration::from_secs(10);
const UPSTREAMS: usize = 3;
const IN_FLIGHT: usize = 1024;
/// The largest UDP message asked for or passed on.
const MESSAGE: usize = 65535;

/// A resolver that runs until dropped.
#[derive(Debug)]
pub struct Service {
    _tasks: JoinSet<()>,
}

struct Asker {
    id: String,
    namespace: PathBuf,
    directory: Arc<Mutex<Directory>>,
    turn: AtomicUsize,
    slots: Semaphore,
}

/// Opens the sockets in the sandbox's namespace, points 127.0.0.11 port 53 at them, and answers. Needs a tokio runtime.
///
/// # Errors
/// The namespace or a socket could not be opened, or the kernel refused the redirection.
pub fn start(id: &str, namespace: PathBuf, directory: Arc<Mutex<Directory>>) -> Result<Service> {
    let fail = |e: std::io::Error| Error::kernel("resolver", "bind 127.0.0.11", e);
    let (udp, tcp) = Namespace::open(&namespace)?.within(|| {
        let udp = std::net::UdpSocket::bind((RESOLVER, 0)).map_err(fail)?;
        let tcp = std::net::TcpListener::bind((RESOLVER, 0)).map_err(fail)?;
        udp.set_nonblocking(true).map_err(fail)?;
        tcp.set_nonblocking(true).map_err(fail)?;
        redirect_resolver(
            udp.local_addr().map_err(fail)?.port(),
            tcp.local_addr().map_err(fail)?.port(),
        )?;
        Ok((udp, tcp))
    })?;
    let udp = UdpSocket::from_std(udp).map_err(fail)?;
    let tcp = TcpListener::from_std(tcp).map_err(fail)?;
    let slots = Semaphore::new(IN_FLIGHT);
    let asker = Arc::new(Asker {
        id: id.into(),
        namespace,
        directory,
        turn: AtomicUsize::new(0),
        slots,
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(serve_udp(Arc::new(udp), Arc::clone(&asker)));
    tasks.spawn(serve_tcp(tcp, asker));
    Ok(Service { _tasks: tasks })
}

async fn serve_udp(socket: Arc<UdpSocket>, asker: Arc<Asker>) {
    let mut data = vec![0; 4096];
    // Queries under way end with the service: the set aborts them when dropped.
    let mut queries = JoinSet::new();
    loop {
        while queries.try_join_next().is_some() {}
        let Ok((length, client)) = socket.recv_from(&mut data).await else {
            continue;
        };
        let query = data[..length].to_vec();
        match asker.decide(&query) {
            Outcome::Reply(answer) => note(socket.send_to(&answer, client).await),
            Outcome::Ignore => {}
            Outcome::Forward => {
                let (socket, asker) = (Arc::clone(&socket), Arc::clone(&asker));
                queries.spawn(async move {
                    if let Some(answer) = asker.forward(&query, false).await {
                        note(socket.send_to(&answer, client).await);
                    }
                });
            }
        }
    }
}

async fn serve_tcp(listener: TcpListener, asker: Arc<Asker>) {
    let mut clients = JoinSet::new();
    loop {
        while clients.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                clients.spawn(serve_stream(stream, Arc::clone(&asker)));
            }
            // Out of descriptors: wait for one rather than spin.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn serve_stream(mut stream: TcpStream, asker: Arc<Asker>) {
    while let Ok(Ok(query)) = timeout(CLIENT_PATIENCE, read_message(&mut stream)).await {
        let answer = match asker.decide(&query) {
            Outcome::Reply(answer) => Some(answer),
            Outcome::Ignore => None,
            Outcome::Forward => asker.forward(&query, true).await,
        };
        let Some(answer) = answer else { return };
        if write_message(&mut stream, &answer).await.is_err() {
            return;
        }
    }
}

/// Over TCP a message is preceded by its length in two bytes (RFC 1035, 4.2.2).
async fn read_message(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut data = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut data).await?;
    Ok(data)
}

async fn write_message(stream: &mut TcpStream, data: &[u8]) -> std::io::Result<()> {
    let length = u16::try_from(data.len()).map_err(|_| std::io::ErrorKind::InvalidInput)?;
    let framed = [&length.to_be_bytes(), data].concat();
    stream.write_all(&framed).await
}

impl Asker {
    fn decide(&self, query: &[u8]) -> Outcome {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let directory = self
            .directory
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        decide(&directory, &self.id, query, turn)
    }

    fn upstreams(&self) -> Vec<Upstream> {
        let directory = self
            .directory
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        directory
            .get(&self.id)
            .map(|s| s.upstreams.iter().take(UPSTREAMS).copied().collect())
            .unwrap_or_default()
    }

    /// Asks the upstream servers in turn; the first that gives a usable answer is believed.
    async fn forward(&self, query: &[u8], stream: bool) -> Option<Vec<u8>> {
        let _slot = self.slots.try_acquire().ok()?;
        for upstream in self.upstreams() {
            let asked = async {
                if stream {
                    self.ask_tcp(upstream, query).await
                } else {
                    self.ask_udp(upstream, query).await
                }
            };
            if let Ok(Ok(answer)) = timeout(UPSTREAM_PATIENCE, asked).await
                && usable(&answer)
            {
                return Some(answer);
            }
        }
        match failure(query, RCODE::ServerFailure) {
            Outcome::Reply(answer) => Some(answer),
            Outcome::Forward | Outcome::Ignore => None,
        }
    }

    async fn ask_udp(&self, upstream: Upstream, query: &[u8]) -> std::io::Result<Vec<u8>> {
        let socket = self.open(upstream, || {
            std::net::UdpSocket::bind((any(upstream.address), 0))
        })?;
        socket.set_nonblocking(true)?;
        let socket = UdpSocket::from_std(socket)?;
        socket.connect((upstream.address, 53)).await?;
        socket.send(query).await?;
        let mut data = vec![0; MESSAGE];
        loop {
            let length = socket.recv(&mut data).await?;
            if data[..length].starts_with(query.get(..2).unwrap_or_default()) {
                data.truncate(length);
                return Ok(data);
            }
        }
    }

    async fn ask_tcp(&self, upstream: Upstream, query: &[u8]) -> std::io::Result<Vec<u8>> {
        let to = SocketAddr::from((upstream.address, 53));
        let stream = if upstream.host {
            TcpStream::connect(to).await?
        } else {
            let namespace = self.namespace.clone();
            let connect = move || {
                let connected = Namespace::open(&namespace)?.within(|| {
                    std::net::TcpStream::connect_timeout(&to, UPSTREAM_PATIENCE)
                        .map_err(|e| Error::kernel("resolver", format!("connect to {to}"), e))
                });
                connected.and_then(|s| {
                    s.set_nonblocking(true)
                        .map(|()| s)
                        .map_err(|e| Error::kernel("resolver", "fcntl", e))
                })
            };
            let connected = tokio::task::spawn_blocking(connect)
                .await
                .map_err(std::io::Error::other)?;
            TcpStream::from_std(connected.map_err(std::io::Error::other)?)?
        };
        let mut stream = stream;
        write_message(&mut stream, query).await?;
        read_message(&mut stream).await
    }

    /// Opens a socket where the upstream's address is meant: on the host, or in the container.
    fn open<T: Send>(
        &self,
        upstream: Upstream,
        socket: impl FnOnce() -> std::io::Result<T> + Send,
    ) -> std::io::Result<T> {
        if upstream.host {
            return socket();
        }
        let inside = Namespace::open(&self.namespace)
            .and_then(|n| n.within(|| socket().map_err(|e| Error::kernel("resolver", "bind", e))));
        inside.map_err(std::io::Error::other)
    }
}

/// A server that fails or refuses is passed over for the next.
fn usable(answer: &[u8]) -> bool {
    Packet::parse(answer).map_or(true, |p| {
        !matches!(p.rcode(), RCODE::ServerFailure | RCODE::Refused)
    })
}

fn any(peer: IpAddr) -> IpAddr {
    if peer.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    }
}

/// A client that is gone before its answer is no fault of ours.
fn note(sent: std::io::Result<usize>) {
    if let Err(error) = sent {
        tracing::debug!("resolver: answer not sent: {error}");
    }
}

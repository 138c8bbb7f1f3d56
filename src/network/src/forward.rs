//! The local forwarder: accepts on the host's address and connects to the container, for what the firewall table does not
//! rewrite. That is loopback, and IPv6 in front of a container that has only IPv4. Its sockets also are what keeps a published
//! port from being taken by somebody else on the host.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::sockopt::{Ipv6V6Only, ReuseAddr};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket,
};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::nft::table::Protocol;

const CONNECT_PATIENCE: Duration = Duration::from_secs(30);
/// How long a UDP exchange without a packet is remembered.
const IDLE: Duration = Duration::from_secs(90);
const DATAGRAM: usize = 65535;

/// A forwarded port; it is free again when this is dropped.
#[derive(Debug)]
pub struct Forward {
    _tasks: JoinSet<()>,
}

/// Takes `host` for `protocol` and sends what comes there to `container`. Needs a tokio runtime. SCTP is only rewritten by the
/// firewall table: taking the port would need the kernel's SCTP, which few hosts load.
///
/// # Errors
/// The address or port cannot be bound, most often because it is in use.
pub fn start(protocol: Protocol, host: SocketAddr, container: SocketAddr) -> io::Result<Forward> {
    let mut tasks = JoinSet::new();
    match protocol {
        Protocol::Tcp => {
            let listener = std::net::TcpListener::from(bound(SockType::Stream, host)?);
            tasks.spawn(serve_tcp(TcpListener::from_std(listener)?, container));
        }
        Protocol::Udp => {
            let socket = std::net::UdpSocket::from(bound(SockType::Datagram, host)?);
            tasks.spawn(serve_udp(Arc::new(UdpSocket::from_std(socket)?), container));
        }
        Protocol::Sctp => {}
    }
    Ok(Forward { _tasks: tasks })
}

fn bound(kind: SockType, address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let socket = socket(
        family,
        kind,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        None,
    )?;
    if address.is_ipv6() {
        // 0.0.0.0 and :: are published side by side.
        setsockopt(&socket, Ipv6V6Only, &true)?;
    }
    if kind == SockType::Stream {
        setsockopt(&socket, ReuseAddr, &true)?;
    }
    bind(
        std::os::fd::AsRawFd::as_raw_fd(&socket),
        &SockaddrStorage::from(address),
    )?;
    if kind == SockType::Stream {
        listen(&socket, Backlog::MAXCONN)?;
    }
    Ok(socket)
}

async fn serve_tcp(listener: TcpListener, container: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((client, _)) => {
                connections.spawn(carry(client, container));
            }
            // Out of descriptors: wait for one rather than spin.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn carry(mut client: TcpStream, container: SocketAddr) {
    match timeout(CONNECT_PATIENCE, TcpStream::connect(container)).await {
        Ok(Ok(mut server)) => {
            if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut server).await {
                tracing::debug!("forward to {container}: {error}");
            }
        }
        Ok(Err(error)) => tracing::debug!("forward to {container}: {error}"),
        Err(_) => tracing::debug!(
            "forward to {container}: no answer within {} s",
            CONNECT_PATIENCE.as_secs()
        ),
    }
}

async fn serve_udp(host: Arc<UdpSocket>, container: SocketAddr) {
    let mut data = vec![0; DATAGRAM];
    let mut clients: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut exchanges: JoinSet<SocketAddr> = JoinSet::new();
    loop {
        tokio::select! {
            Some(ended) = exchanges.join_next() => {
                if let Ok(client) = ended {
                    clients.remove(&client);
                }
            }
            Ok((length, client)) = host.recv_from(&mut data) => {
                let server = match clients.get(&client) {
                    Some(server) => Arc::clone(server),
                    None => {
                        let Ok(server) = towards(container).await else { continue };
                        let server = Arc::new(server);
                        clients.insert(client, Arc::clone(&server));
                        exchanges.spawn(answers(Arc::clone(&host), Arc::clone(&server), client));
                        server
                    }
                };
                if let Err(error) = server.send(&data[..length]).await {
                    tracing::debug!("forward to {container}: {error}");
                }
            }
        }
    }
}

async fn towards(container: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match container {
        SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(container).await?;
    Ok(socket)
}

/// Carries the answers of one exchange until it has been idle for long; gives the client back.
async fn answers(host: Arc<UdpSocket>, server: Arc<UdpSocket>, client: SocketAddr) -> SocketAddr {
    let mut data = vec![0; DATAGRAM];
    let mut last = Instant::now();
    while last.elapsed() < IDLE {
        match timeout(IDLE, server.recv(&mut data)).await {
            Ok(Ok(length)) => {
                last = Instant::now();
                if host.send_to(&data[..length], client).await.is_err() {
                    break;
                }
            }
            // Port unreachable: the container may listen later.
            Ok(Err(_)) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(_) => break,
        }
    }
    client
}

//! The network server in a host's namespace of the test's own, with one container: names over UDP and TCP, upstream servers,
//! published ports over loopback.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use gantry_network::files::Upstream;
use gantry_network::link::Links;
use gantry_network::mac::Mac;
use gantry_network::names::directory::{Endpoint, Sandbox};
use gantry_network::netns::Namespace;
use gantry_network::nft::table::Protocol;
use gantry_network::sandbox::{Bridge, Interface, loopback};
use gantry_network::server::client::Client;
use gantry_network::server::process;
use gantry_network::server::protocol::Binding;
use gantry_network::{Error, Result};
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, QCLASS, QTYPE, Question, TYPE};

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 1));
const CONTAINER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 1, 0, 2));

struct Directory(PathBuf);

impl Directory {
    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        for name in ["host", "container"] {
            Namespace::remove(&self.path(name)).expect("namespace removed");
        }
        std::fs::remove_dir_all(&self.0).expect("directory removed");
    }
}

fn io(error: std::io::Error) -> Error {
    Error::kernel("test traffic", "socket", error)
}

fn wire(host: &Namespace, container: &Namespace) -> Result<()> {
    let subnet = "10.1.0.0/24".parse().expect("subnet");
    loopback(host)?;
    loopback(container)?;
    host.within(|| {
        let mut links = Links::open()?;
        Bridge {
            name: "gantry0".into(),
            addresses: vec![(HOST, subnet)],
            mtu: 0,
        }
        .ensure(&mut links)?;
        let addresses = vec![(CONTAINER, subnet)];
        let (name, bridge, mac) = ("eth0".into(), "gantry0".into(), Mac::from_ip(CONTAINER));
        let interface = Interface {
            name,
            host_name: "v0".into(),
            bridge,
            mac,
            mtu: 1500,
            addresses,
        };
        interface.attach(&mut links, container).map(drop)
    })
}

fn query(name: &str) -> Vec<u8> {
    let mut packet = Packet::new_query(99);
    packet.questions.push(Question::new(
        Name::new_unchecked(name),
        QTYPE::TYPE(TYPE::A),
        QCLASS::CLASS(CLASS::IN),
        false,
    ));
    packet.build_bytes_vec().expect("query")
}

fn shown(answer: &[u8]) -> String {
    let packet = Packet::parse(answer).expect("answer");
    let address = packet.answers.iter().find_map(|r| match &r.rdata {
        RData::A(a) => Some(Ipv4Addr::from(a.address).to_string()),
        _ => None,
    });
    address.unwrap_or_else(|| format!("{:?}", packet.rcode()))
}

fn ask_udp(name: &str) -> Result<String> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(io)?;
    socket
        .set_read_timeout(Some(Duration::from_secs(2)))
        .map_err(io)?;
    socket.connect("127.0.0.11:53").map_err(io)?;
    socket.send(&query(name)).map_err(io)?;
    let mut data = [0; 2000];
    let length = socket.recv(&mut data).map_err(io)?;
    Ok(shown(&data[..length]))
}

fn ask_tcp(name: &str) -> Result<String> {
    let mut stream = TcpStream::connect("127.0.0.11:53").map_err(io)?;
    let data = query(name);
    stream
        .write_all(
            &[
                &u16::try_from(data.len()).expect("short").to_be_bytes()[..],
                &data,
            ]
            .concat(),
        )
        .map_err(io)?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).map_err(io)?;
    let mut data = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut data).map_err(io)?;
    Ok(shown(&data))
}

/// Answers one query with 192.0.2.99, as an upstream server.
fn upstream(host: &Namespace) -> Result<thread::JoinHandle<()>> {
    let socket = host.within(|| UdpSocket::bind("127.0.0.1:53").map_err(io))?;
    Ok(thread::spawn(move || {
        let mut data = [0; 2000];
        let (length, client) = socket.recv_from(&mut data).expect("query");
        let query = Packet::parse(&data[..length]).expect("query");
        let mut answer = Packet::new_reply(query.id());
        let address = RData::A(simple_dns::rdata::A {
            address: Ipv4Addr::new(192, 0, 2, 99).into(),
        });
        answer.answers.push(simple_dns::ResourceRecord::new(
            query.questions[0].qname.clone(),
            CLASS::IN,
            1,
            address,
        ));
        socket
            .send_to(&answer.build_bytes_vec().expect("answer"), client)
            .expect("sent");
    }))
}

#[test]
fn names_and_ports() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: names_and_ports: needs root to make network namespaces");
        return;
    }
    let place =
        Directory(std::env::temp_dir().join(format!("gantry-server-{}", std::process::id())));
    std::fs::create_dir(&place.0).expect("directory");
    let host = Namespace::create(&place.path("host")).expect("namespace");
    let container = Namespace::create(&place.path("container")).expect("namespace");
    wire(&host, &container).expect("links");
    let listener = UnixListener::bind(place.path("socket")).expect("socket");
    thread::scope(|scope| {
        let server = scope.spawn(|| host.within(|| process::run(listener).map_err(io)));
        let mut client = Client::new(place.path("socket"), Vec::new());
        let done = serving(&mut client, &host, &container, &place.path("container"));
        leave(&place.path("socket"));
        server.join().expect("server thread").expect("server");
        done.expect("all steps");
    });
}

fn leave(socket: &Path) {
    let mut stream = UnixStream::connect(socket).expect("connect");
    stream.write_all(b"{\"ask\":\"leave\"}\n").expect("write");
    let mut answer = String::new();
    BufReader::new(stream)
        .read_line(&mut answer)
        .expect("answer");
}

fn serving(
    client: &mut Client,
    host: &Namespace,
    container: &Namespace,
    namespace: &Path,
) -> Result<()> {
    let place = Endpoint {
        network: "1".into(),
        domain: "n1".into(),
        addresses: vec![CONTAINER],
        names: vec!["web".into()],
        links: std::iter::once(("w".to_string(), "web".to_string())).collect(),
    };
    let upstreams = vec![Upstream {
        address: IpAddr::from([127, 0, 0, 1]),
        host: true,
    }];
    let endpoints = vec![place];
    client.name(Sandbox {
        id: "c".into(),
        namespace: namespace.into(),
        upstreams,
        ndots: false,
        endpoints,
    })?;
    for (name, address) in [
        ("web", "10.1.0.2"),
        ("WEB.n1", "10.1.0.2"),
        ("w", "10.1.0.2"),
    ] {
        assert_eq!(container.within(|| ask_udp(name))?, address, "{name}");
        assert_eq!(container.within(|| ask_tcp(name))?, address, "{name}");
    }
    let server = upstream(host)?;
    assert_eq!(container.within(|| ask_udp("example.com"))?, "192.0.2.99");
    server.join().expect("upstream");
    assert_eq!(
        container.within(|| ask_udp("example.com"))?,
        "ServerFailure",
        "nobody listens any more"
    );
    ports(client, host, container)?;
    assert_eq!(
        client.list()?,
        (vec!["c".to_string()], vec!["c".to_string()])
    );
    client.unpublish("c")?;
    client.unname("c")?;
    assert_eq!(client.list()?, (Vec::new(), Vec::new()));
    host.within(|| TcpListener::bind("0.0.0.0:8080").map(drop).map_err(io))
}

fn ports(client: &mut Client, host: &Namespace, container: &Namespace) -> Result<()> {
    let any = vec![
        Ipv4Addr::UNSPECIFIED.into(),
        std::net::Ipv6Addr::UNSPECIFIED.into(),
    ];
    let binding = |protocol, first, last| Binding {
        protocol,
        hosts: any.clone(),
        ports: (first, last),
        containers: vec![CONTAINER],
        container_port: 80,
    };
    let opened = client.publish(
        "c",
        vec![
            binding(Protocol::Tcp, 8080, 8080),
            binding(Protocol::Udp, 0, 0),
        ],
    )?;
    let ports: Vec<_> = opened
        .iter()
        .map(|p| (p.host.is_ipv4(), p.host_port))
        .collect();
    assert_eq!(ports[..2], [(true, 8080), (false, 8080)]);
    assert_eq!(
        ports[2].1, ports[3].1,
        "the same random port in both families"
    );

    let refused = client.publish(
        "d",
        vec![
            binding(Protocol::Tcp, 8081, 8081),
            binding(Protocol::Tcp, 8080, 8080),
        ],
    );
    let text = refused.expect_err("taken").to_string();
    assert_eq!(
        text,
        "Bind for 0.0.0.0:8080 failed: port is already allocated"
    );
    assert_eq!(client.list()?.1, ["c"], "all or none");
    let next = client.publish("e", vec![binding(Protocol::Tcp, 8080, 8090)])?;
    assert_eq!(next[0].host_port, 8081, "the first free of a range");
    client.unpublish("e")?;
    let squatter = host.within(|| TcpListener::bind("0.0.0.0:8085").map_err(io))?;
    let text = client
        .publish("d", vec![binding(Protocol::Tcp, 8085, 8085)])
        .expect_err("taken")
        .to_string();
    assert_eq!(
        text,
        "failed to bind host port for 0.0.0.0:8085:10.1.0.2:80/tcp: address already in use"
    );
    drop(squatter);

    streams(host, container)?;
    datagrams(host, container, ports[2].1)
}

fn streams(host: &Namespace, container: &Namespace) -> Result<()> {
    let listener = container.within(|| TcpListener::bind("0.0.0.0:80").map_err(io))?;
    let server = thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().expect("accept");
            let mut text = String::new();
            stream
                .read_to_string(&mut text)
                .expect("read to the half-close");
            stream
                .write_all(text.to_uppercase().as_bytes())
                .expect("write");
        }
    });
    for address in ["127.0.0.1:8080", "[::1]:8080"] {
        let answer = host.within(|| shout(address.parse().expect("address")))?;
        assert_eq!(answer, "HELLO", "{address}");
    }
    server.join().expect("server");
    Ok(())
}

fn shout(to: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(to).map_err(io)?;
    stream.write_all(b"hello").map_err(io)?;
    stream.shutdown(std::net::Shutdown::Write).map_err(io)?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map_err(io)?;
    Ok(text)
}

fn datagrams(host: &Namespace, container: &Namespace, port: u16) -> Result<()> {
    let server = container.within(|| UdpSocket::bind("0.0.0.0:80").map_err(io))?;
    let answering = thread::spawn(move || {
        let mut data = [0; 100];
        let (length, client) = server.recv_from(&mut data).expect("datagram");
        server.send_to(&data[..length], client).expect("sent");
    });
    let client = host.within(|| UdpSocket::bind("127.0.0.1:0").map_err(io))?;
    client
        .set_read_timeout(Some(Duration::from_secs(2)))
        .map_err(io)?;
    client.send_to(b"ping", ("127.0.0.1", port)).map_err(io)?;
    let mut data = [0; 100];
    let length = client.recv(&mut data).map_err(io)?;
    assert_eq!(&data[..length], b"ping");
    answering.join().expect("server");
    Ok(())
}

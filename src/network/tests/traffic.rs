//! Two containers' namespaces on a bridge, with real packets between them, the host and a published port. All of it, host side
//! included, happens in namespaces of the test's own.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use gantry_network::link::Links;
use gantry_network::mac::Mac;
use gantry_network::netns::Namespace;
use gantry_network::nft::table::{Protocol, Publication, Table, Zone};
use gantry_network::sandbox::{Bridge, Interface, loopback, reroute};
use gantry_network::{Error, Result};

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("gantry-{name}-{}", std::process::id())))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        Namespace::remove(&self.0).expect("namespace removed");
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("address")
}

fn io(error: std::io::Error) -> Error {
    Error::kernel("test traffic", "socket", error)
}

/// Answers one connection with the address it came from.
fn echo_once(namespace: &Namespace, at: &str) -> Result<thread::JoinHandle<()>> {
    let at: SocketAddr = at.parse().expect("address");
    let listener = namespace.within(|| TcpListener::bind(at).map_err(io))?;
    Ok(thread::spawn(move || {
        let (mut stream, from) = listener.accept().expect("accept");
        stream
            .write_all(from.ip().to_string().as_bytes())
            .expect("write");
    }))
}

fn ask(namespace: &Namespace, to: &str) -> Result<String> {
    let to: SocketAddr = to.parse().expect("address");
    namespace.within(|| {
        let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(1))
            .map_err(|e| Error::kernel("test traffic", format!("connect to {to}"), e))?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map_err(io)?;
        Ok(text)
    })
}

fn interface(bridge: &str, host: &str, address: &str) -> Interface {
    let subnet = format!("{address}/24").parse().expect("subnet");
    let addresses = vec![(ip(address), subnet)];
    let mac = Mac::from_ip(ip(address));
    Interface {
        name: "eth0".into(),
        host_name: host.into(),
        bridge: bridge.into(),
        mac,
        mtu: 1500,
        addresses,
    }
}

fn zone(bridge: &str, subnet: &str) -> Zone {
    let subnets = vec![subnet.parse().expect("subnet")];
    Zone {
        bridge: bridge.into(),
        subnets,
        masquerade: true,
        communicate: true,
        internal: false,
    }
}

fn bridge(name: &str, gateway: &str) -> Bridge {
    let subnet = format!("{gateway}/24").parse().expect("subnet");
    Bridge {
        name: name.into(),
        addresses: vec![(ip(gateway), subnet)],
        mtu: 0,
    }
}

#[test]
fn containers_reach_what_they_may() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: containers_reach_what_they_may: needs root to make network namespaces");
        return;
    }
    let places = ["host", "a", "b", "c"].map(Place::new);
    let [host, a, b, c] = &places
        .each_ref()
        .map(|place| Namespace::create(&place.0).expect("namespace"));
    host.within(|| {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").map_err(io)?;
        let mut links = Links::open()?;
        let table = Table::new("gantry0");
        table.replace(false, &[], &[])?;
        for (name, gateway, subnet) in [
            ("gantry0", "10.1.0.1", "10.1.0.0/24"),
            ("br1", "10.2.0.1", "10.2.0.0/24"),
        ] {
            assert!(bridge(name, gateway).ensure(&mut links)?);
            assert!(
                !bridge(name, gateway).ensure(&mut links)?,
                "a second time nothing is made"
            );
            table.add_zone(&zone(name, subnet))?;
        }
        let plugs = [
            (a, "gantry0", "v0", "10.1.0.2"),
            (b, "gantry0", "v1", "10.1.0.3"),
            (c, "br1", "v2", "10.2.0.2"),
        ];
        for (namespace, bridge, name, address) in plugs {
            let attached = interface(bridge, name, address).attach(&mut links, namespace)?;
            let gateway = ip(if bridge == "br1" {
                "10.2.0.1"
            } else {
                "10.1.0.1"
            });
            loopback(namespace)?;
            reroute(namespace, &[], &[gateway])?;
            if name == "v1" {
                attached.detach(&mut links)?;
                assert_eq!(links.index("v1")?, None);
                let _again = interface(bridge, name, address).attach(&mut links, namespace)?;
                reroute(namespace, &[], &[gateway])?;
            }
        }
        assert!(
            links
                .routed()?
                .contains(&"10.2.0.0/24".parse().expect("subnet"))
        );
        Ok(())
    })
    .expect("set up");
    traffic(host, a, b, c).expect("traffic");
}

fn traffic(host: &Namespace, a: &Namespace, b: &Namespace, c: &Namespace) -> Result<()> {
    let server = echo_once(b, "0.0.0.0:80")?;
    assert_eq!(
        ask(a, "10.1.0.3:80")?,
        "10.1.0.2",
        "inside one network nothing is rewritten"
    );
    server.join().expect("server");

    let _listener = echo_once(c, "0.0.0.0:80")?;
    assert!(ask(a, "10.2.0.2:80").is_err(), "networks are apart");

    let (container, host_address) = (ip("10.2.0.2"), ip("0.0.0.0"));
    let port = Publication {
        protocol: Protocol::Tcp,
        host: host_address,
        host_port: 8080,
        container,
        container_port: 80,
    };
    host.within(|| Table::new("gantry0").add_ports(&[port]))?;
    assert_eq!(
        ask(a, "10.1.0.1:8080")?,
        "10.2.0.1",
        "a published port is open to another network"
    );

    let server = echo_once(c, "0.0.0.0:80")?;
    assert_eq!(
        ask(c, "10.2.0.1:8080")?,
        "10.2.0.1",
        "hairpin: a container reaches itself by its published port"
    );
    server.join().expect("server");

    let server = echo_once(c, "0.0.0.0:80")?;
    assert_eq!(
        ask(host, "10.1.0.1:8080")?,
        "10.2.0.1",
        "the host reaches it by any of its addresses"
    );
    server.join().expect("server");

    let port2 = Publication {
        host_port: 8081,
        container: ip("10.1.0.3"),
        ..port
    };
    host.within(|| Table::new("gantry0").add_ports(&[port2]))?;
    let server = echo_once(b, "0.0.0.0:80")?;
    assert_eq!(
        ask(a, "10.1.0.1:8081")?,
        "10.1.0.1",
        "a neighbour's published port"
    );
    server.join().expect("server");

    host.within(|| Table::new("gantry0").remove_ports(&[port]))?;
    assert!(ask(a, "10.1.0.1:8080").is_err(), "closed again");
    Ok(())
}

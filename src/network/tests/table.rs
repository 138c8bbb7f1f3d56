//! The firewall table as the kernel keeps it and as `nft list` prints it, in a network namespace of the test's own.

use std::process::Command;
use std::time::Duration;

use gantry_network::netns::Namespace;
use gantry_network::nft::resolver::redirect_resolver;
use gantry_network::nft::table::{Protocol, Publication, Table, Zone};
use gantry_network::nft::watch::Watch;

fn lacking() -> bool {
    let nft = Command::new("nft").arg("--version").output().is_ok();
    let root = nix::unistd::geteuid().is_root();
    if !(nft && root) {
        eprintln!("skipped: needs root and the nft program to read the kernel's rules back");
    }
    !(nft && root)
}

fn listed() -> String {
    let out = Command::new("nft")
        .args(["list", "ruleset"])
        .output()
        .expect("nft");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn zone(bridge: &str, subnet: &str) -> Zone {
    let subnets = vec![
        subnet.parse().expect("subnet"),
        "fd00:1::/64".parse().expect("subnet"),
    ];
    Zone {
        bridge: bridge.into(),
        subnets,
        masquerade: true,
        communicate: true,
        internal: false,
    }
}

fn port(host: &str, container: &str) -> Publication {
    let (host, container) = (
        host.parse().expect("address"),
        container.parse().expect("address"),
    );
    Publication {
        protocol: Protocol::Tcp,
        host,
        host_port: 8080,
        container,
        container_port: 80,
    }
}

#[test]
fn table_is_made_changed_and_gone() {
    if lacking() {
        return;
    }
    let path = std::env::temp_dir().join(format!("gantry-table-{}", std::process::id()));
    let namespace = Namespace::create(&path).expect("namespace");
    let done = namespace.within(|| {
        let table = Table::new("gantry0");
        let ports = [
            port("0.0.0.0", "172.17.0.2"),
            port("192.0.2.2", "172.17.0.3"),
            port("::", "fd00:1::2"),
            port("127.0.0.1", "172.17.0.2"),
        ];
        table.replace(true, &[zone("gantry0", "172.17.0.0/16")], &[])?;
        table.add_ports(&ports)?;
        let text = listed();
        for line in [
            "elements = { \"gantry0\" }",
            "elements = { tcp . 8080 : 172.17.0.2 . 80 }",
            "elements = { 192.0.2.2 . tcp . 8080 : 172.17.0.3 . 80 }",
            "elements = { tcp . 8080 : fd00:1::2 . 80 }",
            "elements = { 172.17.0.0/16 }",
            "elements = { fd00:1::/64 }",
            "fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @published4_at",
            "fib daddr type local dnat ip to meta l4proto . th dport map @published4",
            "fib daddr type local dnat ip6 to meta l4proto . th dport map @published6",
            "ip saddr @masqueraded4 oifname != @bridges masquerade",
            "ip saddr @subnets4 ct status dnat masquerade",
            "iifname . oifname @intra accept",
            "oifname @bridges ct state established,related accept",
            "oifname @bridges ct status dnat accept",
        ] {
            assert!(text.contains(line), "missing {line:?} in:\n{text}");
        }
        assert!(table.add_ports(&ports).is_err(), "twice");
        table.replace(true, &[zone("gantry0", "172.17.0.0/16")], &ports)?;
        table.remove_ports(&ports)?;
        table.remove_zone(&zone("gantry0", "172.17.0.0/16"))?;
        assert!(!listed().contains("elements"), "{}", listed());
        table.remove()?;
        assert_eq!(listed(), "");
        watched(&table)?;
        redirect_resolver(4000, 4001)?;
        let text = listed();
        assert!(
            text.contains("ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:4000"),
            "{text}"
        );
        assert!(
            text.contains("ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:4001"),
            "{text}"
        );
        Ok(())
    });
    Namespace::remove(&path).expect("removed");
    done.expect("all steps");
    assert!(!path.exists());
}

fn watched(table: &Table) -> gantry_network::Result<()> {
    let watch = Watch::open(Duration::from_millis(200))?;
    assert!(!table.exists()?);
    table.replace(false, &[], &[])?;
    assert!(table.exists()?);
    while watch.wait()? {}
    let flushed = Command::new("nft")
        .args(["flush", "ruleset"])
        .status()
        .expect("nft");
    assert!(flushed.success());
    assert!(
        (0..20).any(|_| watch.wait().expect("watch")),
        "the flush was told of"
    );
    assert!(!table.exists()?);
    Ok(())
}

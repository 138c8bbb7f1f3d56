//! A container's hosts, hostname and resolv.conf, written before it starts and when its networks change.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use gantry_network::files::{Resolver, hosts, own_names};

use super::sandbox::Sandbox;
use super::wish::Wish;
use crate::error::{Error, Result};

const RESOLV: &str = "/etc/resolv.conf";
/// The servers behind systemd-resolved's stub.
const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";

/// The host's resolver configuration; where systemd-resolved's stub is all there is, what stands behind it.
#[must_use]
pub fn host_resolver() -> Resolver {
    // A host without the file has no servers, as resolv.conf(5) says of the local machine's.
    let read = |path: &str| {
        fs::read_to_string(path)
            .map(|text| Resolver::parse(&text, path))
            .ok()
    };
    match read(RESOLV) {
        Some(own) if own.only_stub() => read(RESOLVED).unwrap_or(own),
        Some(own) => own,
        None => Resolver::parse("", RESOLV),
    }
}

/// Writes the three files of a container in the host's namespace.
///
/// # Errors
/// The disk's.
pub fn write_host(wish: &Wish, resolver: &Resolver) -> Result<()> {
    let mut text = fs::read_to_string("/etc/hosts").unwrap_or_else(|_| hosts(&[], true));
    for (address, name) in &wish.extra_hosts {
        let address = if address == "host-gateway" {
            "127.0.0.1"
        } else {
            address
        };
        text.push_str(&format!("{address}\t{name}\n"));
    }
    put(&wish.home, "hosts", &text)?;
    put(&wish.home, "resolv.conf", &resolver.host_file())?;
    put(&wish.home, "hostname", &format!("{}\n", wish.hostname))
}

/// Writes the three files of a container with a namespace of its own. `links` are lines for other containers.
///
/// # Errors
/// The disk's; an extra host's address that is none.
pub fn write(
    wish: &Wish,
    sandbox: &Sandbox,
    resolver: &Resolver,
    host_gateway: Option<IpAddr>,
    links: &[(IpAddr, String)],
) -> Result<()> {
    put(
        &wish.home,
        "hosts",
        &hosts(&lines(wish, sandbox, host_gateway, links)?, true),
    )?;
    put(&wish.home, "resolv.conf", &resolv(sandbox, resolver))?;
    put(&wish.home, "hostname", &format!("{}\n", wish.hostname))
}

/// Which resolver the container's networks call for.
fn resolv(sandbox: &Sandbox, resolver: &Resolver) -> String {
    let embedded = sandbox
        .endpoints
        .iter()
        .any(|endpoint| endpoint.names.is_some());
    if embedded {
        resolver.embedded_file()
    } else {
        resolver.bridge_file()
    }
}

fn lines(
    wish: &Wish,
    sandbox: &Sandbox,
    host_gateway: Option<IpAddr>,
    links: &[(IpAddr, String)],
) -> Result<Vec<(IpAddr, String)>> {
    let mut lines = Vec::new();
    for (address, name) in &wish.extra_hosts {
        let address = match address.as_str() {
            "host-gateway" => host_gateway.ok_or_else(|| {
                Error::internal("unable to derive the IP value for host-gateway: the default bridge has no address")
            })?,
            text => text.parse().map_err(|_| Error::invalid(format!("invalid IP address in add-host: \"{text}\"")))?,
        };
        lines.push((address, name.clone()));
    }
    lines.extend(links.iter().cloned());
    let own = own_names(&wish.hostname, &wish.domain);
    let addresses = sandbox
        .endpoints
        .iter()
        .flat_map(super::sandbox::Endpoint::addresses);
    lines.extend(addresses.map(|address| (address, own.clone())));
    Ok(lines)
}

/// Adds or takes away the lines of an endpoint that came or went while the container runs. Its user's own edits stay.
///
/// # Errors
/// The disk's.
pub fn amend(home: &Path, gone: &[IpAddr], come: &[IpAddr], names: &str) -> Result<()> {
    let path = home.join("hosts");
    let text = fs::read_to_string(&path).map_err(|e| Error::kernel(path.display(), e))?;
    let stays = |line: &&str| {
        let address = line
            .split_whitespace()
            .next()
            .and_then(|word| word.parse().ok());
        !(address.is_some_and(|address| gone.contains(&address)) && line.ends_with(names))
    };
    let mut new: String = text
        .lines()
        .filter(stays)
        .flat_map(|line| [line, "\n"])
        .collect();
    for address in come {
        new.push_str(&format!("{address}\t{names}\n"));
    }
    put(home, "hosts", &new)
}

/// Rewrites resolv.conf for changed networks unless somebody edited it: `before` is how the sandbox was when it was written.
///
/// # Errors
/// The disk's.
pub fn rewrite_resolv(
    home: &Path,
    before: &Sandbox,
    after: &Sandbox,
    resolver: &Resolver,
) -> Result<()> {
    let known = fs::read_to_string(home.join("resolv.conf")).unwrap_or_default();
    if known == resolv(before, resolver) {
        return put(home, "resolv.conf", &resolv(after, resolver));
    }
    Ok(())
}

/// Writes in place, never by a rename: the file is mounted in the container, and a mount stays with the old file.
fn put(home: &Path, name: &str, text: &str) -> Result<()> {
    let path = home.join(name);
    fs::write(&path, text).map_err(|e| Error::kernel(path.display(), e))
}

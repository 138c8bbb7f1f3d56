//! Where a registry is reached: https first; plain http and unchecked certificates for loopback addresses and for those
//! named insecure; mirrors before the registry itself. Certificates as docker keeps them: `certs.d/HOST[:PORT]/`, `*.crt`
//! for authorities, `*.cert` with `*.key` for the client.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::config::RedirectAuthHeaders;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use crate::error::{Error, Result};

/// Authorities of Debian and most others, of Fedora, of openSUSE.
const SYSTEM_ROOTS: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];
/// docker.io's own names.
const HUB: &str = "registry-1.docker.io";
const CONNECT: Duration = Duration::from_secs(30);
/// See [`Settings::silence`].
const SILENCE: Duration = Duration::from_secs(60);

/// How registries are reached: the daemon's options.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Mirrors by registry domain, tried first and in order, as URLs: `docker.io` for docker's `registry-mirrors`.
    pub mirrors: BTreeMap<String, Vec<String>>,
    /// Hosts, `host:port` or address ranges reached without checked TLS.
    pub insecure: Vec<String>,
    /// Directories like `/etc/docker/certs.d`.
    pub certs: Vec<PathBuf>,
    /// What this client calls itself.
    pub user_agent: String,
    /// A registry silent for this long has stalled: the request fails and is tried again. None = 60 s.
    pub silence: Option<Duration>,
}

/// One way to a registry.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// `https://registry-1.docker.io`.
    pub(crate) url: String,
    /// True for a mirror: its failures are not the user's.
    pub(crate) mirror: bool,
    pub(crate) agent: Agent,
}

impl Settings {
    /// The ways to a registry, best first.
    pub(crate) fn endpoints(&self, domain: &str, mirrors: bool) -> Result<Vec<Endpoint>> {
        let mut all = Vec::new();
        for mirror in self
            .mirrors
            .get(domain)
            .into_iter()
            .flatten()
            .filter(|_| mirrors)
        {
            let url = mirror.trim_end_matches('/').to_owned();
            let host = url
                .split_once("://")
                .map_or(url.as_str(), |(_, host)| host)
                .to_owned();
            let agent = self.agent(&host, self.is_insecure(&host))?;
            all.push(Endpoint {
                url,
                mirror: true,
                agent,
            });
        }
        let host = if domain == "docker.io" { HUB } else { domain };
        let insecure = self.is_insecure(host);
        let agent = self.agent(host, insecure)?;
        all.push(Endpoint {
            url: format!("https://{host}"),
            mirror: false,
            agent: agent.clone(),
        });
        if insecure {
            all.push(Endpoint {
                url: format!("http://{host}"),
                mirror: false,
                agent,
            });
        }
        Ok(all)
    }

    /// Named insecure, in a range that is, or on this machine (127.0.0.0/8, ::1).
    fn is_insecure(&self, host: &str) -> bool {
        let name = host_of(host);
        if self
            .insecure
            .iter()
            .any(|named| named == host || named == name)
        {
            return true;
        }
        let resolved = (name, 0).to_socket_addrs();
        let addresses: Vec<IpAddr> = resolved
            .into_iter()
            .flatten()
            .map(|address| address.ip())
            .collect();
        addresses
            .iter()
            .any(|ip| ip.is_loopback() || self.insecure.iter().any(|range| in_range(range, *ip)))
    }

    /// A client for one host.
    pub(crate) fn agent(&self, host: &str, insecure: bool) -> Result<Agent> {
        let mut roots = Vec::new();
        let mut client = None;
        for dir in &self.certs {
            read_certs(&dir.join(host), &mut roots, &mut client)?;
        }
        let mut tls = TlsConfig::builder()
            .disable_verification(insecure)
            .client_cert(client);
        let system = SYSTEM_ROOTS.iter().find_map(|path| fs::read(path).ok());
        match (&system, roots.is_empty()) {
            (None, true) => tls = tls.root_certs(RootCerts::WebPki),
            _ => {
                for item in parse_pem(system.as_deref().unwrap_or_default()).flatten() {
                    if let PemItem::Certificate(certificate) = item {
                        roots.push(certificate);
                    }
                }
                tls = tls.root_certs(RootCerts::Specific(Arc::new(roots)));
            }
        }
        let user_agent = if self.user_agent.is_empty() {
            "gantry"
        } else {
            &self.user_agent
        };
        let silence = self.silence.unwrap_or(SILENCE);
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .user_agent(user_agent)
            .tls_config(tls.build())
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(silence))
            .timeout_per_read(Some(silence))
            .timeout_per_write(Some(silence))
            .build();
        Ok(config.new_agent())
    }
}

/// The host of `host:port`, brackets of an IPv6 address taken off.
fn host_of(host: &str) -> &str {
    if let Some(v6) = host.strip_prefix('[') {
        return v6.split(']').next().unwrap_or(v6);
    }
    host.split(':').next().unwrap_or(host)
}

fn in_range(range: &str, ip: IpAddr) -> bool {
    let Some((base, bits)) = range.split_once('/') else {
        return false;
    };
    let (Ok(base), Ok(bits)) = (base.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    let bits_of = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (u128::from(ip.to_bits()), 32),
        IpAddr::V6(ip) => (ip.to_bits(), 128),
    };
    let ((a, width), (b, other)) = (bits_of(base), bits_of(ip));
    width == other && bits <= width && (bits == 0 || (a ^ b) >> (width - bits) == 0)
}

fn read_certs(
    dir: &Path,
    roots: &mut Vec<Certificate<'static>>,
    client: &mut Option<ClientCert>,
) -> Result<()> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Ok(());
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let wrong = |why: &dyn std::fmt::Display| {
            Error::Invalid(format!("certificate {}: {why}", path.display()))
        };
        let read = |path: &Path| {
            fs::read(path).map_err(|e| Error::Invalid(format!("{}: {e}", path.display())))
        };
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => roots.extend(certificates(&read(&path)?)),
            Some("cert") => {
                let key = path.with_extension("key");
                if !key.exists() {
                    return Err(wrong(&format_args!(
                        "missing key {} for client certificate",
                        key.display()
                    )));
                }
                let key = PrivateKey::from_pem(&read(&key)?).map_err(|e| wrong(&e))?;
                *client = Some(ClientCert::new_with_certs(
                    &certificates(&read(&path)?),
                    key,
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

fn certificates(pem: &[u8]) -> Vec<Certificate<'static>> {
    let only = |item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    };
    parse_pem(pem).flatten().filter_map(only).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_hosts() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(in_range("10.0.0.0/8", ip("10.200.1.1")));
        assert!(!in_range("10.0.0.0/8", ip("11.0.0.1")));
        assert!(in_range("0.0.0.0/0", ip("1.2.3.4")) && !in_range("0.0.0.0/0", ip("::1")));
        assert!(!in_range("x/8", ip("1.2.3.4")) && !in_range("1.2.3.4/40", ip("1.2.3.4")));
        assert_eq!(
            (host_of("[::1]:5000"), host_of("a.b:1"), host_of("a")),
            ("::1", "a.b", "a")
        );
    }

    #[test]
    fn ways_to_a_registry() {
        let mut settings = Settings::default();
        settings
            .mirrors
            .insert("docker.io".into(), vec!["https://mirror.example/".into()]);
        let urls = |settings: &Settings, domain: &str, mirrors| -> Vec<String> {
            settings
                .endpoints(domain, mirrors)
                .unwrap()
                .into_iter()
                .map(|e| e.url)
                .collect()
        };
        assert_eq!(
            urls(&settings, "docker.io", true)[0],
            "https://mirror.example"
        );
        assert_eq!(
            urls(&settings, "docker.io", false)[0],
            "https://registry-1.docker.io"
        );
        assert_eq!(
            urls(&settings, "127.0.0.1:5000", true),
            ["https://127.0.0.1:5000", "http://127.0.0.1:5000"]
        );
    }
}

//! The host's half of the request, and the whole of it.

use std::fs;

use gantry_api::container::HostConfig;
use gantry_api::container::create::{CreateRequest, NetworkingConfig};
use gantry_api::container::host_config::LogConfig;

use super::{config, limits, mounts, networks, pairs, ports, refuse, some};
use crate::failure::{Outcome, os_text};
use crate::grammar::Parsed;

/// Options of `--security-opt`, a seccomp profile read from its file.
fn security(list: &[String]) -> Outcome<(Option<Vec<String>>, bool)> {
    let mut options = Vec::new();
    let mut plain_paths = false;
    for text in list {
        let (key, value) = match text.split_once('=').or_else(|| text.split_once(':')) {
            Some(pair) => pair,
            None if text == "no-new-privileges" => ("no-new-privileges", "true"),
            None => {
                return Err(refuse(format!(
                    "Invalid --security-opt: {}",
                    crate::grammar::checks::quoted(text)
                )));
            }
        };
        match (key, value) {
            ("systempaths", "unconfined") => plain_paths = true,
            ("seccomp", path) if !matches!(path, "unconfined" | "builtin") => {
                let bytes = fs::read(path).map_err(|error| {
                    refuse(format!(
                        "opening seccomp profile ({path}) failed: open {path}: {}",
                        os_text(&error)
                    ))
                })?;
                let json: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| {
                    refuse(format!(
                        "compacting json for seccomp profile ({path}) failed: {error}"
                    ))
                })?;
                options.push(format!("seccomp={json}"));
            }
            _ => options.push(text.clone()),
        }
    }
    Ok((some(&options), plain_paths))
}

fn mode<'a>(
    parsed: &'a Parsed,
    flag: &str,
    title: &str,
    valid: fn(&str) -> bool,
) -> Outcome<&'a str> {
    let text = parsed.text(flag);
    if text.is_empty() || valid(text) {
        Ok(text)
    } else {
        Err(refuse(format!("--{flag}: invalid {title} mode")))
    }
}

fn log_config(parsed: &Parsed) -> Outcome<LogConfig> {
    let driver = parsed.text("log-driver");
    let options = pairs(parsed.list("log-opt"));
    if driver == "none" && !options.is_empty() {
        return Err(refuse("invalid logging opts for driver none"));
    }
    Ok(LogConfig {
        driver: driver.to_owned(),
        config: Some(options),
    })
}

/// The request a command line makes.
///
/// # Errors
/// For what docker's own command line refuses, with exit code 125.
pub fn request(parsed: &Parsed) -> Outcome<CreateRequest> {
    let (exposed, bindings) = ports::read(parsed.list("publish"), parsed.list("expose"))?;
    let (config, binds) = config::read(parsed, exposed)?;
    let (network_mode, endpoints) = networks::read(parsed)?;
    let restart_policy = limits::restart_policy(parsed.text("restart"))?;
    let auto_remove = parsed.is("rm");
    if auto_remove && !matches!(restart_policy.name.as_str(), "" | "no") {
        let text = "conflicting options: cannot specify both --restart and --rm";
        return Err(refuse(text));
    }
    if !parsed.is("disable-content-trust") {
        let text = "--disable-content-trust=false: image verification is not supported";
        return Err(refuse(text));
    }
    let host_config = HostConfig {
        binds: some(&binds),
        network_mode,
        port_bindings: Some(bindings),
        restart_policy,
        auto_remove,
        ..surroundings(parsed, namespaces(parsed, plain(parsed)?)?)
    };
    let networking_config = NetworkingConfig {
        endpoints_config: Some(endpoints),
    };
    Ok(CreateRequest {
        config,
        host_config,
        networking_config,
    })
}

/// What is taken over as it was given.
fn plain(parsed: &Parsed) -> Outcome<HostConfig> {
    let text = |flag: &str| parsed.text(flag).to_owned();
    let (security_opt, plain_paths) = security(parsed.list("security-opt"))?;
    Ok(HostConfig {
        container_id_file: text("cidfile"),
        log_config: log_config(parsed)?,
        volume_driver: text("volume-driver"),
        ipc_mode: text("ipc"),
        oom_score_adj: parsed.number("oom-score-adj"),
        privileged: parsed.is("privileged"),
        publish_all_ports: parsed.is("publish-all"),
        readonly_rootfs: parsed.is("read-only"),
        security_opt,
        shm_size: parsed.bytes("shm-size"),
        runtime: text("runtime"),
        isolation: text("isolation"),
        resources: limits::resources(parsed)?,
        masked_paths: plain_paths.then(Vec::new),
        readonly_paths: plain_paths.then(Vec::new),
        init: parsed.given("init").then(|| parsed.is("init")),
        ..HostConfig::default()
    })
}

/// Namespaces shared with the host or another container.
fn namespaces(parsed: &Parsed, host_config: HostConfig) -> Outcome<HostConfig> {
    let host = |text: &str| text == "host";
    let container = |text: &str| {
        text == "host"
            || text
                .strip_prefix("container:")
                .is_some_and(|name| !name.is_empty())
    };
    let cgroup = |text: &str| matches!(text, "host" | "private");
    Ok(HostConfig {
        cgroupns_mode: mode(parsed, "cgroupns", "CGROUP", cgroup)?.to_owned(),
        pid_mode: mode(parsed, "pid", "PID", container)?.to_owned(),
        uts_mode: mode(parsed, "uts", "UTS", host)?.to_owned(),
        userns_mode: mode(parsed, "userns", "USER", host)?.to_owned(),
        ..host_config
    })
}

/// Lists and maps.
fn surroundings(parsed: &Parsed, host_config: HostConfig) -> HostConfig {
    let list = |flag: &str| some(parsed.list(flag));
    let dns_options = parsed
        .list("dns-option")
        .iter()
        .chain(parsed.list("dns-opt"));
    let tmpfs = parsed
        .list("tmpfs")
        .iter()
        .map(|text| text.split_once(':').unwrap_or((text, "")));
    let mounts = parsed
        .list("mount")
        .iter()
        .filter_map(|text| mounts::parse_mount(text).ok());
    HostConfig {
        volumes_from: list("volumes-from"),
        annotations: pairs(parsed.list("annotation")),
        cap_add: list("cap-add"),
        cap_drop: list("cap-drop"),
        dns: Some(parsed.list("dns").to_vec()),
        dns_options: Some(dns_options.cloned().collect()),
        dns_search: Some(parsed.list("dns-search").to_vec()),
        extra_hosts: some(&extra_hosts(parsed.list("add-host"))),
        group_add: list("group-add"),
        links: list("link"),
        storage_opt: pairs(parsed.list("storage-opt")),
        tmpfs: tmpfs
            .map(|(path, options)| (path.to_owned(), options.to_owned()))
            .collect(),
        sysctls: pairs(parsed.list("sysctl")),
        mounts: mounts.collect(),
        ..host_config
    }
}

/// `host=address` becomes `host:address`, brackets around an address go.
fn extra_hosts(list: &[String]) -> Vec<String> {
    list.iter()
        .map(|text| match text.find('=').or_else(|| text.find(':')) {
            Some(at) => {
                let address = &text[at + 1..];
                let bare = address
                    .strip_prefix('[')
                    .and_then(|rest| rest.strip_suffix(']'))
                    .unwrap_or(address);
                format!("{}:{bare}", &text[..at])
            }
            None => text.clone(),
        })
        .collect()
}

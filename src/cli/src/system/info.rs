//! `info`.

use gantry_api::system::info::Info;
use serde_json::{Value as Json, json};

use crate::connection::Query;
use crate::container::list::as_float;
use crate::failure::{Failure, Outcome};
use crate::format::{list, units};
use crate::grammar::{COMMAND as BASE, Command, Parsed, option};
use crate::output;
use crate::session::Session;

/// `info`.
pub const COMMAND: Command = Command {
    name: "info",
    usage: "[OPTIONS]",
    about: "Show the engine and its host",
    flags: &[&[option("format", "string", "Template, or 'json'").short('f')]],
    run,
    ..BASE
};

fn run(session: &Session, parsed: &Parsed) -> Outcome {
    let answer = session
        .engine()
        .and_then(|engine| engine.get::<Info>("/info", &Query::new()));
    let client = json!({
        "Debug": false,
        "Version": env!("CARGO_PKG_VERSION"),
        "Os": "linux",
        "Arch": super::version::architecture(),
        "Context": session.context_name(),
        "Plugins": [],
        "Warnings": null,
    });
    if !parsed.text("format").is_empty() {
        let info = answer.as_ref().cloned().unwrap_or_default();
        let mut all = serde_json::to_value(info)?;
        if let Some(all) = all.as_object_mut() {
            all.insert("ClientInfo".to_owned(), client);
            if let Err(error) = &answer {
                all.insert(
                    "ServerErrors".to_owned(),
                    Json::from(vec![error.text.clone()]),
                );
            }
        }
        list::one(parsed.text("format"), &all, "system.dockerInfo")?;
        return answer.map(drop).map_err(|_| Failure::exit(1));
    }
    output::text(&format!(
        "Client:\n Version:    {}\n Context:    {}\n Debug Mode: false\n\nServer:\n",
        env!("CARGO_PKG_VERSION"),
        session.context_name()
    ))?;
    let info = answer?;
    output::text(&server(&info))?;
    for warning in info.warnings.iter().flatten() {
        output::complain(warning);
    }
    Ok(())
}

/// The lines about the server, in docker's order.
fn server(info: &Info) -> String {
    let mut lines = Vec::new();
    let mut row = |name: &str, value: &str| lines.push(format!(" {name}: {value}"));
    row("Containers", &info.containers.to_string());
    row(" Running", &info.containers_running.to_string());
    row(" Paused", &info.containers_paused.to_string());
    row(" Stopped", &info.containers_stopped.to_string());
    row("Images", &info.images.to_string());
    if !info.server_version.is_empty() {
        row("Server Version", &info.server_version);
    }
    row("Storage Driver", &info.driver);
    for [name, value] in info.driver_status.iter().flatten() {
        row(&format!(" {name}"), value);
    }
    row("Logging Driver", &info.logging_driver);
    row("Cgroup Driver", &info.cgroup_driver);
    if !info.cgroup_version.is_empty() {
        row("Cgroup Version", &info.cgroup_version);
    }
    lines.push(" Plugins:".to_owned());
    let plugins = [
        ("Volume", &info.plugins.volume),
        ("Network", &info.plugins.network),
        ("Authorization", &info.plugins.authorization),
        ("Log", &info.plugins.log),
    ];
    for (kind, names) in plugins {
        if let Some(names) = names
            .as_ref()
            .filter(|names| !names.is_empty() || kind != "Authorization")
        {
            lines.push(format!("  {kind}: {}", names.join(" ")));
        }
    }
    if let Some(folders) = info
        .cdi_spec_dirs
        .as_ref()
        .filter(|folders| !folders.is_empty())
    {
        lines.push(" CDI spec directories:".to_owned());
        lines.extend(folders.iter().map(|folder| format!("  {folder}")));
    }
    runtimes(info, &mut lines);
    host(info, &mut lines);
    lines.join("\n") + "\n\n"
}

fn runtimes(info: &Info, lines: &mut Vec<String>) {
    lines.push(format!(" Swarm: {}", info.swarm.local_node_state));
    if let Some(runtimes) = info
        .runtimes
        .as_ref()
        .filter(|runtimes| !runtimes.is_empty())
    {
        let names: Vec<&str> = runtimes.keys().map(String::as_str).collect();
        lines.push(format!(" Runtimes: {}", names.join(" ")));
        lines.push(format!(" Default Runtime: {}", info.default_runtime));
    }
    lines.push(format!(" Init Binary: {}", info.init_binary));
    for (name, commit) in [
        ("containerd", &info.containerd_commit),
        ("runc", &info.runc_commit),
        ("init", &info.init_commit),
    ] {
        lines.push(format!(" {name} version: {}", commit.id));
    }
    if let Some(options) = info
        .security_options
        .as_ref()
        .filter(|options| !options.is_empty())
    {
        lines.push(" Security Options:".to_owned());
        for option in options {
            for (index, pair) in option.split(',').enumerate() {
                let (name, value) = pair.split_once('=').unwrap_or(("name", pair));
                if index == 0 || name == "name" {
                    lines.push(format!("  {value}"));
                } else {
                    let mut letters = name.chars();
                    let title = letters
                        .next()
                        .map(|first| format!("{}{}", first.to_uppercase(), letters.as_str()))
                        .unwrap_or_default();
                    lines.push(format!("   {title}: {value}"));
                }
            }
        }
    }
}

fn host(info: &Info, lines: &mut Vec<String>) {
    let mut row = |name: &str, value: &str| lines.push(format!(" {name}: {value}"));
    row("Kernel Version", &info.kernel_version);
    row("Operating System", &info.operating_system);
    row("OSType", &info.os_type);
    row("Architecture", &info.architecture);
    row("CPUs", &info.cpus.to_string());
    row("Total Memory", &units::binary(as_float(info.mem_total)));
    row("Name", &info.name);
    row("ID", &info.id);
    row("Docker Root Dir", &info.docker_root_dir);
    row("Debug Mode", &info.debug.to_string());
    for (name, value) in [
        ("HTTP Proxy", &info.http_proxy),
        ("HTTPS Proxy", &info.https_proxy),
        ("No Proxy", &info.no_proxy),
    ] {
        if !value.is_empty() {
            row(name, value);
        }
    }
    if let Some(labels) = info.labels.as_ref().filter(|labels| !labels.is_empty()) {
        lines.push(" Labels:".to_owned());
        lines.extend(labels.iter().map(|label| format!("  {label}")));
    }
    lines.push(format!(" Experimental: {}", info.experimental_build));
    if let Some(registries) = &info.registry_config {
        let insecure: Vec<String> = registries
            .index_configs
            .iter()
            .flatten()
            .filter(|(_, index)| !index.secure)
            .map(|(name, _)| name.clone())
            .chain(registries.insecure_registry_cidrs.iter().flatten().cloned())
            .collect();
        if !insecure.is_empty() {
            lines.push(" Insecure Registries:".to_owned());
            lines.extend(insecure.iter().map(|name| format!("  {name}")));
        }
        if let Some(mirrors) = registries
            .mirrors
            .as_ref()
            .filter(|mirrors| !mirrors.is_empty())
        {
            lines.push(" Registry Mirrors:".to_owned());
            lines.extend(mirrors.iter().map(|mirror| format!("  {mirror}")));
        }
    }
    lines.push(format!(
        " Live Restore Enabled: {}",
        info.live_restore_enabled
    ));
    if let Some(firewall) = info
        .firewall_backend
        .as_ref()
        .filter(|firewall| firewall.driver != "iptables")
    {
        lines.push(format!(" Firewall Backend: {}", firewall.driver));
    }
}

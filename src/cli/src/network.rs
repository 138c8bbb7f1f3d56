//! `gantry network …`.

use gantry_api::network::{
    ConfigReference, ConnectRequest, CreateRequest, CreateResponse, DisconnectRequest,
    EndpointIpam, EndpointSettings, Ipam, IpamConfig, Network, PruneReport,
};
use serde_json::json;

use crate::connection::{Body, Query, query::segment};
use crate::container::list::filters;
use crate::container::options::{pairs, some};
use crate::container::prune;
use crate::failure::{Failure, Outcome, for_each};
use crate::format::list::{Fields, List, labels};
use crate::format::natural::natural;
use crate::format::short_id;
use crate::grammar::{COMMAND, Command, Count, Parsed, checks, flag, option};
use crate::output;
use crate::session::{Engine, Session};

/// The family.
pub const FAMILY: Command = Command {
    name: "network",
    about: "Manage networks",
    children: &[
        CONNECT,
        CREATE,
        DISCONNECT,
        crate::inspect::NETWORK,
        LIST,
        PRUNE,
        REMOVE,
    ],
    ..COMMAND
};

const CONNECT: Command = Command {
    name: "connect",
    usage: "[OPTIONS] NETWORK CONTAINER",
    about: "Connect a container to a network",
    flags: &[&[
        option("alias", "strings", "Further name on the network"),
        option("driver-opt", "strings", "Option of the driver"),
        option("gw-priority", "int", "Priority of this network's gateway")
            .default("0")
            .check(checks::int),
        option("ip", "string", "IPv4 address"),
        option("ip6", "string", "IPv6 address"),
        option("link", "list", "Other container to reach by name").check(checks::link),
        option("link-local-ip", "strings", "Link-local address"),
    ]],
    count: Count::Exactly(2),
    run: connect,
    ..COMMAND
};

const CREATE: Command = Command {
    name: "create",
    usage: "[OPTIONS] NETWORK",
    about: "Create a network",
    flags: &[&[
        flag("attachable", "Let containers be attached by hand"),
        option(
            "aux-address",
            "map",
            "Address the network must not give away (name=address)",
        ),
        option(
            "config-from",
            "string",
            "Network whose configuration to take",
        ),
        flag("config-only", "Create a configuration, no network"),
        option("driver", "string", "Driver")
            .short('d')
            .default("bridge"),
        option("gateway", "strings", "Gateway of the subnet"),
        flag("ingress", "Create swarm's routing network"),
        flag("internal", "Keep the network from the outside"),
        option(
            "ip-range",
            "strings",
            "Range of the subnet to give addresses from",
        ),
        option("ipam-driver", "string", "Driver that gives addresses").default("default"),
        option("ipam-opt", "map", "Option of that driver"),
        flag("ipv4", "IPv4 addresses").default("true"),
        flag("ipv6", "IPv6 addresses"),
        option("label", "list", "Label (name=value)").check(checks::label),
        option("opt", "map", "Option of the driver").short('o'),
        option("scope", "string", "Scope"),
        option("subnet", "strings", "Subnet (address/length)"),
    ]],
    count: Count::Exactly(1),
    run: create,
    ..COMMAND
};

const DISCONNECT: Command = Command {
    name: "disconnect",
    usage: "[OPTIONS] NETWORK CONTAINER",
    about: "Disconnect a container from a network",
    flags: &[&[flag(
        "force",
        "Even if the container is in a state that forbids it",
    )
    .short('f')]],
    count: Count::Exactly(2),
    run: disconnect,
    ..COMMAND
};

const LIST: Command = Command {
    name: "ls",
    aliases: &["list"],
    usage: "[OPTIONS]",
    about: "List networks",
    flags: &[&[
        option("filter", "filter", "Only those that match (name=value)")
            .short('f')
            .check(checks::filter),
        option(
            "format",
            "string",
            "Template of a row, 'table TEMPLATE' or 'json'",
        ),
        flag("no-trunc", "Print everything in full"),
        flag("quiet", "Only IDs").short('q'),
    ]],
    run: list,
    ..COMMAND
};

const PRUNE: Command = Command {
    name: "prune",
    usage: "[OPTIONS]",
    about: "Remove all unused networks",
    flags: &[&[
        option(
            "filter",
            "filter",
            "Only those that match (until=24h, label=…)",
        )
        .check(checks::filter),
        flag("force", "Do not ask").short('f'),
    ]],
    run: prune_unused,
    ..COMMAND
};

const REMOVE: Command = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "NETWORK [NETWORK...]",
    about: "Remove networks",
    flags: &[&[flag("force", "Forgive a network that is not there").short('f')]],
    count: Count::AtLeast(1),
    run: remove,
    ..COMMAND
};

fn connect(session: &Session, parsed: &Parsed) -> Outcome {
    let mut driver_opts = gantry_api::word::Map::new();
    for text in parsed.list("driver-opt") {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| Failure::new("invalid key/value pair format in driver options"))?;
        driver_opts.insert(name.trim().to_owned(), value.trim().to_owned());
    }
    let settings = EndpointSettings {
        ipam_config: Some(EndpointIpam {
            ipv4_address: parsed.text("ip").to_owned(),
            ipv6_address: parsed.text("ip6").to_owned(),
            link_local_ips: parsed.list("link-local-ip").to_vec(),
        }),
        links: some(parsed.list("link")),
        aliases: some(parsed.list("alias")),
        driver_opts: Some(driver_opts).filter(|options| !options.is_empty()),
        gw_priority: parsed.number("gw-priority"),
        ..EndpointSettings::default()
    };
    let request = ConnectRequest {
        container: parsed.arguments[1].clone(),
        endpoint_config: Some(settings),
    };
    let body = Body::Json(serde_json::to_vec(&request)?);
    let path = format!("/networks/{}/connect", segment(&parsed.arguments[0]));
    session
        .engine()?
        .call("POST", &path, &Query::new(), body)?
        .bytes()
        .map(drop)
}

fn disconnect(session: &Session, parsed: &Parsed) -> Outcome {
    let request = DisconnectRequest {
        container: parsed.arguments[1].clone(),
        force: parsed.is("force"),
    };
    let body = Body::Json(serde_json::to_vec(&request)?);
    let path = format!("/networks/{}/disconnect", segment(&parsed.arguments[0]));
    session
        .engine()?
        .call("POST", &path, &Query::new(), body)?
        .bytes()
        .map(drop)
}

/// An address with its prefix length as numbers.
fn prefix(text: &str) -> Option<(u128, u32, u32)> {
    let (address, length) = text.split_once('/')?;
    let (bits, width) = number(address)?;
    let length: u32 = length.parse().ok().filter(|length| *length <= width)?;
    Some((bits, length, width))
}

fn number(address: &str) -> Option<(u128, u32)> {
    match address.parse().ok()? {
        std::net::IpAddr::V4(address) => Some((u128::from(address.to_bits()), 32)),
        std::net::IpAddr::V6(address) => Some((address.to_bits(), 128)),
    }
}

/// Whether an address (or the start of a range) lies in a subnet.
fn within(subnet: &str, address: &str) -> bool {
    let inside = number(address.split('/').next().unwrap_or(address));
    match (prefix(subnet), inside) {
        (Some((bits, length, width)), Some((address, other))) if width == other => {
            length == 0 || (bits ^ address) >> (width - length) == 0
        }
        _ => false,
    }
}

/// Sorts ranges, gateways and reserved addresses to their subnets.
fn ipam_config(parsed: &Parsed) -> Outcome<Vec<IpamConfig>> {
    let subnets = parsed.list("subnet");
    if subnets.len() < parsed.list("ip-range").len() || subnets.len() < parsed.list("gateway").len()
    {
        return Err(Failure::new(
            "every ip-range or gateway must have a corresponding subnet",
        ));
    }
    let mut configs = distinct(subnets)?;
    let mut place = |what: &str, address: &str, put: &dyn Fn(&mut IpamConfig) -> bool| {
        let Some(config) = configs
            .iter_mut()
            .find(|config| within(&config.subnet, address))
        else {
            return Err(Failure::new(format!(
                "no matching subnet for {what} {address}"
            )));
        };
        if put(config) {
            return Ok(());
        }
        Err(Failure::new(format!(
            "cannot configure multiple {what} ({address}) on the same subnet ({})",
            config.subnet
        )))
    };
    for range in parsed.list("ip-range") {
        place("range", range, &|config| {
            std::mem::replace(&mut config.ip_range, range.clone()).is_empty()
        })?;
    }
    for gateway in parsed.list("gateway") {
        place("gateway", gateway, &|config| {
            std::mem::replace(&mut config.gateway, gateway.clone()).is_empty()
        })?;
    }
    for (name, address) in pairs(parsed.list("aux-address")) {
        place("aux-address", &address, &|config| {
            config
                .auxiliary_addresses
                .insert(name.clone(), address.clone())
                .is_none()
        })?;
    }
    Ok(configs)
}

/// The subnets, none of which lies in another.
fn distinct(subnets: &[String]) -> Outcome<Vec<IpamConfig>> {
    let mut configs: Vec<IpamConfig> = Vec::new();
    for subnet in subnets {
        if prefix(subnet).is_none() {
            return Err(Failure::refused(
                400,
                &format!(
                    "invalid network config:
invalid subnet {subnet}: invalid CIDR block notation"
                ),
            ));
        }
        if configs
            .iter()
            .any(|other| within(&other.subnet, subnet) || within(subnet, &other.subnet))
        {
            return Err(Failure::new(
                "multiple overlapping subnet configuration is not supported",
            ));
        }
        configs.push(IpamConfig {
            subnet: subnet.clone(),
            ..IpamConfig::default()
        });
    }
    Ok(configs)
}

fn create(session: &Session, parsed: &Parsed) -> Outcome {
    let config = ipam_config(parsed)?;
    let from = parsed.text("config-from");
    let request = CreateRequest {
        name: parsed.arguments[0].clone(),
        driver: parsed.text("driver").to_owned(),
        scope: parsed.text("scope").to_owned(),
        enable_ipv4: parsed.given("ipv4").then(|| parsed.is("ipv4")),
        enable_ipv6: parsed.given("ipv6").then(|| parsed.is("ipv6")),
        ipam: Some(Ipam {
            driver: parsed.text("ipam-driver").to_owned(),
            options: Some(pairs(parsed.list("ipam-opt"))),
            config: Some(config),
        }),
        internal: parsed.is("internal"),
        attachable: parsed.is("attachable"),
        ingress: parsed.is("ingress"),
        config_only: parsed.is("config-only"),
        config_from: (!from.is_empty()).then(|| ConfigReference {
            network: from.to_owned(),
        }),
        options: Some(pairs(parsed.list("opt"))),
        labels: Some(pairs(parsed.list("label"))),
        check_duplicate: None,
    };
    let made: CreateResponse =
        session
            .engine()?
            .post_json("/networks/create", &Query::new(), &request)?;
    output::line(&made.id)
}

fn list(session: &Session, parsed: &Parsed) -> Outcome {
    let query = Query::new().maybe("filters", &filters(parsed).to_parameter());
    let mut networks: Vec<Network> = session.engine()?.get("/networks", &query)?;
    networks.sort_by_cached_key(|each| natural(&each.name));
    let cut = !parsed.is("no-trunc");
    let rows: Vec<Fields> = networks.iter().map(|network| row(network, cut)).collect();
    let configured = session
        .configuration
        .text("networksFormat")
        .unwrap_or_default();
    let format = match parsed.text("format") {
        "" if parsed.is("quiet") => "",
        "" => configured,
        given => given,
    };
    List {
        format,
        quiet: parsed.is("quiet"),
        table: "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
        id: "{{.ID}}",
        what: "*network.networkContext",
        titles: &[
            ("ID", "NETWORK ID"),
            ("Name", "NAME"),
            ("Driver", "DRIVER"),
            ("Scope", "SCOPE"),
            ("IPv4", "IPV4"),
            ("IPv6", "IPV6"),
            ("Internal", "INTERNAL"),
            ("Labels", "LABELS"),
            ("CreatedAt", "CREATED AT"),
        ],
        raw: "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n",
    }
    .print(&rows)
}

fn row(network: &Network, cut: bool) -> Fields {
    let created = network.created.parse::<jiff::Timestamp>().ok().map_or_else(
        || network.created.clone(),
        |moment| {
            let zoned = moment.to_zoned(jiff::tz::TimeZone::system());
            let fraction = format!("{:09}", moment.subsec_nanosecond());
            let fraction = fraction.trim_end_matches('0');
            let dot = if fraction.is_empty() { "" } else { "." };
            format!(
                "{}{dot}{fraction} {}",
                zoned.strftime("%Y-%m-%d %H:%M:%S"),
                zoned.strftime("%z %Z")
            )
        },
    );
    Fields::from([
        (
            "ID",
            json!(if cut {
                short_id(&network.id)
            } else {
                &network.id
            }),
        ),
        ("Name", json!(network.name)),
        ("Driver", json!(network.driver)),
        ("Scope", json!(network.scope)),
        ("IPv4", json!(network.enable_ipv4.to_string())),
        ("IPv6", json!(network.enable_ipv6.to_string())),
        ("Internal", json!(network.internal.to_string())),
        ("Labels", json!(labels(network.labels.as_ref()))),
        ("CreatedAt", json!(created)),
    ])
}

/// Removes unused networks.
///
/// # Errors
/// When the engine refuses.
pub fn unused(engine: &Engine, filters: &str) -> Outcome<String> {
    let query = Query::new().maybe("filters", filters);
    let report: PruneReport = engine
        .call("POST", "/networks/prune", &query, Body::Empty)?
        .json()?;
    Ok(prune::lines(
        "Deleted Networks:",
        &report.networks_deleted.unwrap_or_default(),
    ))
}

fn prune_unused(session: &Session, parsed: &Parsed) -> Outcome {
    prune::agree(
        parsed,
        "This will remove all custom networks not used by at least one container.",
    )?;
    output::text(&unused(
        &session.engine()?,
        &filters(parsed).to_parameter(),
    )?)
}

fn remove(session: &Session, parsed: &Parsed) -> Outcome {
    let engine = session.engine()?;
    let force = parsed.is("force");
    let mut failed = false;
    for_each(&parsed.arguments, |name| {
        let path = format!("/networks/{}", segment(name));
        // Docker looks first, to warn of swarm's own network; the order of the calls is kept.
        drop(engine.get::<Network>(&path, &Query::new()));
        match engine.delete(&path, &Query::new()) {
            Ok(_) => Ok(Some(name.to_owned())),
            Err(error) if force && error.is_not_found() => Ok(None),
            Err(error) => {
                output::complain(&error.text);
                failed = true;
                Ok(None)
            }
        }
    })?;
    // Go's name for a failed command escapes here in docker's own; scripts have seen it for years.
    if failed {
        Err(Failure::new("exit status 1"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::within;

    #[test]
    fn addresses_are_sorted_to_subnets() {
        assert!(
            within("10.0.0.0/8", "10.1.2.3")
                && !within("10.0.0.0/8", "11.0.0.0")
                && within("::/0", "fd00::1")
        );
    }
}

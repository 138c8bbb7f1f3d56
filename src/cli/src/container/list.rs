//! `ps`.

use gantry_api::container::list::{Port, Summary};
use gantry_api::filters::Filters;
use serde_json::json;

use crate::connection::Query;
use crate::failure::Outcome;
use crate::format::list::{Fields, List, labels, quote};
use crate::format::{ellipsis, short_id, time, units};
use crate::grammar::{COMMAND as BASE, Command, Flag, Parsed, checks, flag, option};
use crate::session::Session;

/// `container ls`.
pub const COMMAND: Command = Command {
    name: "ls",
    aliases: &["list", "ps"],
    usage: "[OPTIONS]",
    about: "List containers",
    flags: &[FLAGS],
    run,
    ..BASE
};

const FLAGS: &[Flag] = &[
    flag("all", "Also those that do not run").short('a'),
    option("filter", "filter", "Only those that match (name=value)")
        .short('f')
        .check(checks::filter),
    option(
        "format",
        "string",
        "Template of a row, 'table TEMPLATE' or 'json'",
    ),
    option("last", "int", "Only so many, the newest, in any state")
        .short('n')
        .default("-1")
        .check(checks::int),
    flag("latest", "Only the newest, in any state").short('l'),
    flag("no-trunc", "Print everything in full"),
    flag("quiet", "Only IDs").short('q'),
    flag("size", "Show how much disk they use").short('s'),
];

const TITLES: &[(&str, &str)] = &[
    ("ID", "CONTAINER ID"),
    ("Names", "NAMES"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("RunningFor", "CREATED"),
    ("Ports", "PORTS"),
    ("State", "STATE"),
    ("Status", "STATUS"),
    ("Size", "SIZE"),
    ("Labels", "LABELS"),
    ("Mounts", "MOUNTS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Networks", "NETWORKS"),
    ("Platform", "PLATFORM"),
];

const TABLE: &str =
    "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";

/// Adds every `--filter` of a command line.
#[must_use]
pub fn filters(parsed: &Parsed) -> Filters {
    let mut filters = Filters::default();
    for text in parsed.list("filter") {
        if let Some((name, value)) = text.split_once('=') {
            filters.add(name.trim().to_lowercase().as_str(), value.trim());
        }
    }
    filters
}

fn run(session: &Session, parsed: &Parsed) -> Outcome {
    let configured = session.configuration.text("psFormat").unwrap_or_default();
    let format = match parsed.text("format") {
        "" if parsed.is("quiet") => "",
        "" => configured,
        given => given,
    };
    // The sizes cost the engine a walk through the files: only asked for when shown.
    let size = parsed.is("size") || format.contains(".Size") || format.contains("{{json .}}");
    let last = if parsed.is("latest") && parsed.number("last") == -1 {
        1
    } else {
        parsed.number("last")
    };
    let query = Query::new()
        .when("all", parsed.is("all"))
        .maybe(
            "limit",
            &if last > 0 {
                last.to_string()
            } else {
                String::new()
            },
        )
        .when("size", size)
        .maybe("filters", &filters(parsed).to_parameter());
    let containers: Vec<Summary> = session.engine()?.get("/containers/json", &query)?;
    let cut = !parsed.is("no-trunc");
    let rows: Vec<Fields> = containers
        .iter()
        .map(|container| row(container, cut, size))
        .collect();
    let table = if parsed.is("size") {
        format!("{TABLE}\t{{{{.Size}}}}")
    } else {
        TABLE.to_owned()
    };
    List {
        format,
        quiet: parsed.is("quiet"),
        table: &table,
        id: "{{.ID}}",
        what: "*formatter.ContainerContext",
        titles: TITLES,
        raw: "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\nstate: {{.State}}\nstatus: {{.Status}}\nnames: {{.Names}}\nlabels: {{.Labels}}\nports: {{.Ports}}\n",
    }
    .print(&rows)
}

fn row(container: &Summary, cut: bool, size: bool) -> Fields {
    let shorten = |text: &str, length| {
        if cut {
            ellipsis(text, length)
        } else {
            text.to_owned()
        }
    };
    let local = container
        .mounts
        .iter()
        .flatten()
        .filter(|mount| mount.driver == "local")
        .count();
    let networks = container.network_settings.networks.iter().flatten();
    let networks: Vec<&str> = networks.map(|(name, _)| name.as_str()).collect();
    Fields::from([
        (
            "ID",
            json!(if cut {
                short_id(&container.id)
            } else {
                &container.id
            }),
        ),
        ("Names", json!(names(container, cut).join(","))),
        ("Image", json!(image(container, cut))),
        ("Command", json!(quote(&shorten(&container.command, 20)))),
        ("CreatedAt", json!(time::go(container.created))),
        ("RunningFor", json!(time::ago(container.created))),
        (
            "Ports",
            json!(ports(container.ports.as_deref().unwrap_or_default())),
        ),
        ("State", json!(container.state)),
        ("Status", json!(container.status)),
        (
            "Size",
            json!(if size {
                sizes(container)
            } else {
                "0B".to_owned()
            }),
        ),
        ("Labels", json!(labels(container.labels.as_ref()))),
        ("Mounts", json!(mounts(container, cut))),
        ("LocalVolumes", json!(local.to_string())),
        ("Networks", json!(networks.join(","))),
        ("Platform", json!(null)),
    ])
}

/// Volumes by name, other mounts by their source.
fn mounts(container: &Summary, cut: bool) -> String {
    let mounts = container.mounts.iter().flatten();
    let names = mounts.map(|mount| {
        if mount.name.is_empty() {
            &mount.source
        } else {
            &mount.name
        }
    });
    let names: Vec<String> = names
        .map(|name| {
            if cut {
                ellipsis(name, 15)
            } else {
                name.clone()
            }
        })
        .collect();
    names.join(",")
}

/// The names; one with another slash is a link's, seen from the container that links.
fn names(container: &Summary, cut: bool) -> Vec<&str> {
    let all = container
        .names
        .iter()
        .flatten()
        .map(|name| name.trim_start_matches('/'));
    all.filter(|name| !cut || !name.contains('/')).collect()
}

fn sizes(container: &Summary) -> String {
    let used = units::human_with(as_float(container.size_rw), 3);
    if container.size_root_fs == 0 {
        return used;
    }
    let whole = units::human_with(as_float(container.size_root_fs), 3);
    format!("{used} (virtual {whole})")
}

/// Sizes are far below 2⁵³.
#[allow(clippy::cast_precision_loss, reason = "printed with four digits")]
#[must_use]
pub fn as_float(size: i64) -> f64 {
    size as f64
}

fn image(container: &Summary, cut: bool) -> String {
    if container.image.is_empty() {
        return "<no image>".to_owned();
    }
    if cut {
        let digits = container
            .image_id
            .strip_prefix("sha256:")
            .unwrap_or(&container.image_id);
        let bare = container
            .image
            .strip_prefix("sha256:")
            .unwrap_or(&container.image);
        if bare == digits {
            return short_id(&container.image_id).to_owned();
        }
        // A name pinned by digest is shown without it.
        if let Some((name, _)) = container.image.split_once("@sha256:") {
            return name.to_owned();
        }
    }
    container.image.clone()
}

/// Ports as `ps` shows them: unpublished first, neighbours joined.
#[must_use]
pub fn ports(ports: &[Port]) -> String {
    let mut sorted: Vec<&Port> = ports.iter().collect();
    let address = |port: &Port| port.ip.parse::<std::net::IpAddr>().ok();
    sorted.sort_by_cached_key(|port| {
        (
            port.private_port,
            port.kind.clone(),
            address(port),
            port.public_port,
        )
    });
    let mut ranges: Vec<Range> = Vec::new();
    let mut shown: Vec<(bool, u16, String)> = Vec::new();
    for port in sorted {
        let host = if port.ip.contains(':') {
            format!("[{}]", port.ip)
        } else {
            port.ip.clone()
        };
        let inside = port.private_port;
        if !host.is_empty() && port.public_port != inside {
            let text = format!("{host}:{}->{inside}/{}", port.public_port, port.kind);
            shown.push((true, inside, text));
            continue;
        }
        let joined = ranges.iter_mut().find(|range| {
            range.host == host
                && range.kind == port.kind
                && range.high.checked_add(1) == Some(inside)
        });
        match joined {
            Some(range) => range.high = inside,
            None => ranges.push(Range {
                host,
                kind: port.kind.clone(),
                low: inside,
                high: inside,
            }),
        }
    }
    shown.extend(
        ranges
            .iter()
            .map(|range| (!range.host.is_empty(), range.low, range.text())),
    );
    shown.sort_by_key(|(published, port, _)| (*published, *port));
    let texts: Vec<String> = shown.into_iter().map(|(_, _, text)| text).collect();
    texts.join(", ")
}

/// Neighbouring ports of one address, published as themselves or not at all.
struct Range {
    host: String,
    kind: String,
    low: u16,
    high: u16,
}

impl Range {
    fn text(&self) -> String {
        let ports = if self.low == self.high {
            self.low.to_string()
        } else {
            format!("{}-{}", self.low, self.high)
        };
        if self.host.is_empty() {
            return format!("{ports}/{}", self.kind);
        }
        format!("{}:{ports}->{ports}/{}", self.host, self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::ports;
    use gantry_api::container::list::Port;

    fn port(ip: &str, private_port: u16, public_port: u16) -> Port {
        Port {
            ip: ip.to_owned(),
            private_port,
            public_port,
            kind: "tcp".to_owned(),
        }
    }

    #[test]
    fn ports_are_joined_and_unpublished_ones_come_first() {
        let list = [
            port("0.0.0.0", 80, 8080),
            port("::", 80, 8080),
            port("", 443, 0),
        ];
        assert_eq!(
            ports(&list),
            "443/tcp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"
        );
        let list = [
            port("0.0.0.0", 80, 80),
            port("0.0.0.0", 81, 81),
            port("", 1, 0),
            port("", 2, 0),
        ];
        assert_eq!(ports(&list), "1-2/tcp, 0.0.0.0:80-81->80-81/tcp");
    }
}

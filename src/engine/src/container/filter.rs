//! The filters of the container list and of prune.

use gantry_api::filters::Filters;

use super::record::Record;
use crate::Engine;
use crate::clock;
use crate::error::{Error, Result};
use crate::events::has_label;

const KNOWN: [&str; 16] = [
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
    "label!",
];
const STATES: [&str; 7] = [
    "created",
    "restarting",
    "running",
    "removing",
    "paused",
    "exited",
    "dead",
];

/// Filters made ready.
#[derive(Debug)]
pub struct Test<'a> {
    filters: &'a Filters,
    before: Option<String>,
    since: Option<String>,
    ancestors: Vec<String>,
    exited: Vec<i32>,
    networks: Vec<String>,
}

impl<'a> Test<'a> {
    /// Checks the filters and looks up what they name.
    ///
    /// # Errors
    /// Invalid for an unknown filter or value, not found for a container.
    pub fn new(engine: &Engine, filters: &'a Filters) -> Result<Self> {
        filters.only(&KNOWN[..15])?;
        let time = |name: &str| {
            filters
                .get(name)
                .next()
                .map(|wanted| {
                    Ok::<_, Error>(engine.containers.find(wanted)?.view().created.clone())
                })
                .transpose()
        };
        for wanted in filters.get("status") {
            if !STATES.contains(&wanted) {
                return Err(Error::invalid(format!("invalid filter 'status={wanted}'")));
            }
        }
        for wanted in filters.get("health") {
            if !["starting", "healthy", "unhealthy", "none"].contains(&wanted) {
                return Err(Error::invalid(format!("invalid filter 'health={wanted}'")));
            }
        }
        let exited = filters.get("exited").map(|text| {
            text.parse()
                .map_err(|_| Error::invalid(format!("invalid filter 'exited={text}'")))
        });
        let ancestors = filters.get("ancestor").map(|name| {
            engine
                .store
                .resolve(name)
                .map_or_else(|_| name.to_owned(), |image| image.id.to_string())
        });
        Ok(Self {
            filters,
            before: time("before")?,
            since: time("since")?,
            ancestors: ancestors.collect(),
            exited: exited.collect::<Result<_>>()?,
            networks: filters.get("network").map(str::to_owned).collect(),
        })
    }

    /// Whether a container passes all of them.
    #[must_use]
    pub fn passes(&self, record: &Record) -> bool {
        let any = |name: &str, test: &dyn Fn(&str) -> bool| {
            !self.filters.contains(name) || self.filters.get(name).any(test)
        };
        let labels = record.config.labels.clone().unwrap_or_default();
        let health = record
            .state
            .health
            .as_ref()
            .map_or("none", |health| health.status.as_str());
        any("id", &|wanted| record.id.starts_with(wanted))
            && any("name", &|wanted| name_matches(wanted, &record.name))
            && self
                .filters
                .get("label")
                .all(|wanted| has_label(&labels, wanted))
            && any("status", &|wanted| record.state.phase.word() == wanted)
            && any("health", &|wanted| health == wanted)
            && any("is-task", &|wanted| !gantry_api::query::boolean(wanted))
            && any("isolation", &|wanted| wanted == record.host.isolation)
            && any("volume", &|wanted| {
                record.mounts.iter().any(|mount| {
                    mount.point.name == wanted
                        || mount.point.source == wanted
                        || mount.point.destination == wanted
                })
            })
            && any("publish", &|wanted| published(record, wanted))
            && any("expose", &|wanted| exposed(record, wanted))
            && (self.ancestors.is_empty() || self.ancestors.contains(&record.image))
            && (self.exited.is_empty()
                || (record.state.exits > 0
                    && !record.state.lives()
                    && self.exited.contains(&record.state.exit_code)))
            && self
                .before
                .as_ref()
                .is_none_or(|time| record.created < *time)
            && self
                .since
                .as_ref()
                .is_none_or(|time| record.created > *time)
            && (self.networks.is_empty()
                || self
                    .networks
                    .iter()
                    .any(|wanted| on_network(record, wanted)))
    }
}

fn on_network(record: &Record, wanted: &str) -> bool {
    let now = record.state.network.networks.iter().flatten();
    record.endpoints.contains_key(wanted)
        || now.into_iter().any(|(name, endpoint)| {
            name == wanted || (!wanted.is_empty() && endpoint.network_id.starts_with(wanted))
        })
}

/// docker matches names as regular expressions; the forms in use are a part of the name, `^` and `$`.
fn name_matches(wanted: &str, name: &str) -> bool {
    let bare = name.trim_start_matches('/');
    let (start, rest) = wanted
        .strip_prefix('^')
        .map_or((false, wanted), |rest| (true, rest));
    let (end, core) = rest
        .strip_suffix('$')
        .map_or((false, rest), |core| (true, core));
    let hit = |name: &str| match (start, end) {
        (true, true) => name == core,
        (true, false) => name.starts_with(core),
        (false, true) => name.ends_with(core),
        (false, false) => name.contains(core),
    };
    hit(bare) || hit(name)
}

/// `80`, `80/udp`, `80-90`.
fn port_range(wanted: &str) -> Option<(u16, u16, &str)> {
    let (range, protocol) = wanted.split_once('/').unwrap_or((wanted, "tcp"));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    Some((first.parse().ok()?, last.parse().ok()?, protocol))
}

fn published(record: &Record, wanted: &str) -> bool {
    let Some((first, last, protocol)) = port_range(wanted) else {
        return false;
    };
    record
        .host
        .port_bindings
        .iter()
        .flatten()
        .any(|(name, bindings)| {
            let kind = name.split_once('/').map_or("tcp", |(_, kind)| kind);
            kind == protocol
                && bindings.iter().flatten().any(|binding| {
                    binding
                        .host_port
                        .parse()
                        .is_ok_and(|port: u16| (first..=last).contains(&port))
                })
        })
}

fn exposed(record: &Record, wanted: &str) -> bool {
    let Some((first, last, protocol)) = port_range(wanted) else {
        return false;
    };
    record.config.exposed_ports.keys().any(|name| {
        let (number, kind) = name.split_once('/').unwrap_or((name, "tcp"));
        kind == protocol
            && number
                .parse()
                .is_ok_and(|port: u16| (first..=last).contains(&port))
    })
}

/// Whether prune's filters let a container go.
///
/// # Errors
/// Invalid for an unknown filter or a time that is none.
pub fn prunes(filters: &Filters, record: &Record) -> Result<bool> {
    filters.only(&["until", "label", "label!"])?;
    let labels = record.config.labels.clone().unwrap_or_default();
    let until = filters.get("until").next().map(|text| {
        clock::parse(text).ok_or_else(|| Error::invalid(format!("invalid filter 'until={text}'")))
    });
    let old = until
        .transpose()?
        .is_none_or(|time| clock::nanos_of(&record.created).is_some_and(|made| made < time));
    Ok(old
        && filters
            .get("label")
            .all(|wanted| has_label(&labels, wanted))
        && !filters
            .get("label!")
            .any(|wanted| has_label(&labels, wanted)))
}

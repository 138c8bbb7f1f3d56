//! `GET /containers/json`: snapshots only, so that no stuck container holds the list up.

use std::sync::Arc;

use gantry_api::container::list::{Port, Summary, SummaryHostConfig, SummaryNetworkSettings};
use gantry_api::filters::Filters;

use super::record::{Phase, Record};
use crate::Engine;
use crate::clock;
use crate::error::Result;

/// What is listed.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Those that do not run too.
    pub all: bool,
    /// Only the newest so many; 0 is all.
    pub limit: i64,
    /// With sizes.
    pub size: bool,
    /// Filters.
    pub filters: Filters,
}

impl Engine {
    /// The list, newest first.
    ///
    /// # Errors
    /// Invalid for a filter, not found for a container that one names.
    pub fn list_containers(&self, wanted: &Wanted) -> Result<Vec<Summary>> {
        let mut records: Vec<Arc<Record>> = self
            .containers
            .all()
            .iter()
            .map(|container| container.view())
            .collect();
        records.sort_by(|a, b| b.created.cmp(&a.created));
        let test = super::filter::Test::new(self, &wanted.filters)?;
        // docker: `-n` and a filter for a state imply `-a`.
        let all = wanted.all
            || wanted.limit > 0
            || wanted.filters.contains("status")
            || wanted.filters.contains("exited");
        let kept = records
            .into_iter()
            .filter(|record| (all || runs(record)) && test.passes(record));
        let limit = usize::try_from(wanted.limit)
            .ok()
            .filter(|limit| *limit > 0)
            .unwrap_or(usize::MAX);
        kept.take(limit)
            .map(|record| self.summary(&record, wanted.size))
            .collect()
    }

    /// One line of the list.
    ///
    /// # Errors
    /// The disk's, with `size`.
    pub fn summary(&self, record: &Record, size: bool) -> Result<Summary> {
        let (size_rw, size_root_fs) = if size {
            self.sizes(record)?
        } else {
            (None, None)
        };
        let image = if self
            .store
            .resolve(&record.config.image)
            .is_ok_and(|image| image.id.to_string() == record.image)
        {
            record.config.image.clone()
        } else {
            record.image.clone()
        };
        let settings = self.network_settings(record);
        let words = std::iter::once(&record.path).chain(&record.args);
        Ok(Summary {
            id: record.id.clone(),
            names: Some(vec![record.name.clone()]),
            image,
            image_id: record.image.clone(),
            command: words.map(String::as_str).collect::<Vec<_>>().join(" "),
            created: clock::nanos_of(&record.created).unwrap_or(0) / 1_000_000_000,
            ports: Some(ports(record, &settings)),
            size_rw: size_rw.unwrap_or(0),
            size_root_fs: size_root_fs.unwrap_or(0),
            labels: Some(record.config.labels.clone().unwrap_or_default()),
            state: record.state.phase.word().into(),
            status: status(record),
            host_config: SummaryHostConfig {
                network_mode: record.host.network_mode.clone(),
                annotations: record.host.annotations.clone(),
            },
            network_settings: SummaryNetworkSettings {
                networks: settings.networks,
            },
            mounts: Some(
                record
                    .mounts
                    .iter()
                    .map(|mount| mount.point.clone())
                    .collect(),
            ),
            ..Summary::default()
        })
    }
}

fn runs(record: &Record) -> bool {
    matches!(
        record.state.phase,
        Phase::Running | Phase::Paused | Phase::Restarting
    )
}

/// docker's STATUS column.
#[must_use]
pub fn status(record: &Record) -> String {
    let state = &record.state;
    let since = |text: &str| {
        let nanos = clock::nanos_of(text).map_or(0, |then| clock::unix_nanos() - then);
        clock::human(std::time::Duration::from_nanos(
            u64::try_from(nanos).unwrap_or(0),
        ))
    };
    match state.phase {
        Phase::Created => "Created".into(),
        Phase::Removing => "Removal In Progress".into(),
        Phase::Dead => "Dead".into(),
        Phase::Paused => format!("Up {} (Paused)", since(&state.started_at)),
        Phase::Restarting => format!(
            "Restarting ({}) {} ago",
            state.exit_code,
            since(&state.finished_at)
        ),
        Phase::Exited if state.finished_at.is_empty() => "Created".into(),
        Phase::Exited => format!(
            "Exited ({}) {} ago",
            state.exit_code,
            since(&state.finished_at)
        ),
        Phase::Running => match state.health.as_ref().map(|health| health.status.as_str()) {
            Some("starting") => format!("Up {} (health: starting)", since(&state.started_at)),
            Some(word @ ("healthy" | "unhealthy")) => {
                format!("Up {} ({word})", since(&state.started_at))
            }
            _ => format!("Up {}", since(&state.started_at)),
        },
    }
}

/// Published ports, then those only exposed; an ended container has none.
fn ports(record: &Record, settings: &gantry_api::container::inspect::NetworkSettings) -> Vec<Port> {
    let mut all = Vec::new();
    if !record.state.lives() {
        return all;
    }
    for (name, bindings) in settings.ports.iter().flatten() {
        let (number, kind) = name.split_once('/').unwrap_or((name, "tcp"));
        let Ok(private_port) = number.parse() else {
            continue;
        };
        let kind = kind.to_owned();
        match bindings {
            Some(bindings) if !bindings.is_empty() => {
                all.extend(bindings.iter().map(|binding| Port {
                    ip: binding.host_ip.clone(),
                    private_port,
                    public_port: binding.host_port.parse().unwrap_or(0),
                    kind: kind.clone(),
                }))
            }
            _ => all.push(Port {
                private_port,
                kind,
                ..Port::default()
            }),
        }
    }
    all
}

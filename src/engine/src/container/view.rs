//! `GET /containers/{id}/json`: a snapshot in the API's words.

use std::path::Path;

use gantry_api::container::inspect::{GraphDriver, Inspect, State};

use super::record::{Phase, Record};
use super::{Container, lock};
use crate::Engine;
use crate::clock;
use crate::error::Result;

impl Engine {
    /// What `inspect` shows; with `size` the layer is measured, which takes time.
    ///
    /// # Errors
    /// The disk's, with `size`.
    pub fn inspect_container(&self, container: &Container, size: bool) -> Result<Inspect> {
        let record = container.view();
        let home = &container.places.home;
        let file = |name: &str| {
            let path = home.join(name);
            if path.exists() {
                path.to_string_lossy().into_owned()
            } else {
                String::new()
            }
        };
        let running: Vec<String> = lock(&container.execs)
            .values()
            .filter(|exec| exec.is_running())
            .map(|exec| exec.id.clone())
            .collect();
        let (size_rw, size_root_fs) = if size {
            self.sizes(&record)?
        } else {
            (None, None)
        };
        Ok(Inspect {
            id: record.id.clone(),
            created: record.created.clone(),
            path: record.path.clone(),
            args: Some(record.args.clone()),
            state: state(&record),
            image: record.image.clone(),
            resolv_conf_path: file("resolv.conf"),
            hostname_path: file("hostname"),
            hosts_path: file("hosts"),
            log_path: if record.host.log_config.driver == "json-file" {
                text(&container.places.log(&record.id))
            } else {
                String::new()
            },
            name: record.name.clone(),
            restart_count: record.state.restart_count,
            driver: self.store.driver().name().into(),
            platform: "linux".into(),
            exec_ids: (!running.is_empty()).then_some(running),
            host_config: record.host.clone(),
            graph_driver: self.graph_driver(&record),
            size_rw,
            size_root_fs,
            mounts: Some(
                record
                    .mounts
                    .iter()
                    .map(|mount| mount.point.clone())
                    .collect(),
            ),
            config: record.config.clone(),
            network_settings: self.network_settings(&record),
            ..Inspect::default()
        })
    }

    /// Bytes the container wrote, and bytes of its whole root.
    ///
    /// # Errors
    /// The disk's.
    pub fn sizes(&self, record: &Record) -> Result<(Option<i64>, Option<i64>)> {
        let own = i64::try_from(self.store.rw(&record.id)?.size()?).unwrap_or(i64::MAX);
        let image = self
            .store
            .resolve(&record.image)
            .map_or(0, |image| i64::try_from(image.size).unwrap_or(i64::MAX));
        Ok((Some(own), Some(own.saturating_add(image))))
    }

    fn graph_driver(&self, record: &Record) -> GraphDriver {
        let name = self.store.driver().name().to_owned();
        let Ok(places) = self
            .store
            .rw(&record.id)
            .and_then(|layer| layer.directories())
        else {
            return GraphDriver { data: None, name };
        };
        let lower: Vec<String> = places.lower.iter().map(|path| text(path)).collect();
        let data = [
            ("ID".to_owned(), record.id.clone()),
            ("LowerDir".to_owned(), lower.join(":")),
            ("MergedDir".to_owned(), text(&places.merged)),
            ("UpperDir".to_owned(), text(&places.upper)),
            ("WorkDir".to_owned(), text(&places.work)),
        ];
        GraphDriver {
            data: Some(data.into()),
            name,
        }
    }

    /// The networks a container is on, or is to join.
    #[must_use]
    pub fn network_settings(
        &self,
        record: &Record,
    ) -> gantry_api::container::inspect::NetworkSettings {
        let mut settings = record.state.network.clone();
        if settings.networks.is_none() {
            settings.networks = Some(record.endpoints.clone());
        }
        if settings.ports.is_none() {
            settings.ports = Some(std::collections::BTreeMap::new());
        }
        settings
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn state(record: &Record) -> State {
    let state = &record.state;
    let or_never = |text: &str| {
        if text.is_empty() {
            clock::NEVER.to_owned()
        } else {
            text.to_owned()
        }
    };
    State {
        status: state.phase.word().into(),
        running: matches!(
            state.phase,
            Phase::Running | Phase::Paused | Phase::Restarting
        ),
        paused: state.phase == Phase::Paused,
        restarting: state.phase == Phase::Restarting,
        oom_killed: state.oom_killed,
        dead: state.phase == Phase::Dead,
        pid: i64::from(state.pid),
        exit_code: i64::from(state.exit_code),
        error: state.error.clone(),
        started_at: or_never(&state.started_at),
        finished_at: or_never(&state.finished_at),
        health: state.health.clone(),
    }
}

//! What an engine finds at its start: containers that lived on without one, and those whose end nobody noted.

use std::sync::Arc;

use gantry_monitor::protocol::{Reply, Request};

use super::record::{Phase, Record};
use super::{Container, lock, start};
use crate::Engine;
use crate::clock;
use crate::monitor;

impl Engine {
    /// Loads every record; unreadable ones are logged and left alone.
    pub fn load_containers(&self) {
        let directory = self.options.data_root.join("containers");
        let Ok(entries) = std::fs::read_dir(&directory) else {
            return;
        };
        for entry in entries.flatten() {
            let id = entry.file_name().to_string_lossy().into_owned();
            let record = match Record::load(&entry.path()) {
                Ok(record) if record.id == id => record,
                Ok(_) => continue,
                Err(_) if !entry.path().join("config.json").exists() => {
                    // A creation nobody finished or heard of.
                    self.unmake(&id);
                    continue;
                }
                Err(error) => {
                    tracing::warn!("container {id}: {error}");
                    continue;
                }
            };
            if let Err(error) = self.containers.reserve(record.short_name(), &id) {
                tracing::warn!("container {id}: {error}");
                continue;
            }
            let places = self.places(&id);
            self.containers
                .add(Arc::new(Container::new(record, places)));
        }
    }

    /// Takes up every container: joins living monitors, settles ends, finishes removals, applies restart policies.
    pub async fn adopt_containers(self: &Arc<Self>) {
        for container in self.containers.all() {
            let view = container.view();
            match view.state.phase {
                Phase::Running | Phase::Paused => self.adopt(&container).await,
                Phase::Restarting => self.restart_later(&container),
                Phase::Removing => {
                    container.change(|record| record.state.phase = Phase::Dead);
                    if let Err(error) = self.remove_container(&container, true, true).await {
                        tracing::warn!("container {}: {error}", container.id);
                    }
                }
                // A start was under way when the engine was killed: its monitor may wait for a word.
                Phase::Created | Phase::Exited | Phase::Dead => {
                    self.end_half_start(&container).await
                }
            }
        }
    }

    async fn end_half_start(self: &Arc<Self>, container: &Arc<Container>) {
        let half_started = container.places.bundle.exists();
        if half_started {
            self.undo_start(container).await;
        }
        let policy = container.view().host.restart_policy.name.clone();
        let view = container.view();
        if view.state.phase == Phase::Exited && policy == "always" && !self.machine_lived(&view) {
            container.change(|record| record.state.phase = Phase::Restarting);
            self.restart_later(container);
        } else if view.host.auto_remove && (half_started || view.state.phase == Phase::Exited) {
            self.remove_ended(container).await;
        }
    }

    /// Takes down what a start left that no engine lived to finish.
    async fn undo_start(self: &Arc<Self>, container: &Arc<Container>) {
        let view = container.view();
        let delete = ["delete", "--force", view.id.as_str()];
        // The runtime may not have got as far as knowing it.
        if let Err(error) = self.run_runtime(&view.host.runtime, &delete, None).await {
            tracing::debug!("container {}: {error}", container.id);
        }
        let (engine, own) = (self.clone(), container.clone());
        let undone = crate::pipe::blocking(move || {
            // Counted again, so that taking it down unmounts it.
            engine.store.rw(&own.id)?.mount()?;
            engine.take_down(&own);
            Ok(())
        });
        if let Err(error) = undone.await {
            tracing::warn!("container {}: {error}", container.id);
        }
    }

    /// Whether the machine has not been booted since the container ended.
    fn machine_lived(&self, view: &Record) -> bool {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds: f64 = uptime
            .split(' ')
            .next()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0.0);
        let booted = clock::unix_nanos()
            - i64::try_from(std::time::Duration::from_secs_f64(seconds).as_nanos()).unwrap_or(0);
        clock::nanos_of(&view.state.finished_at).is_some_and(|end| end > booted)
    }

    async fn adopt(self: &Arc<Self>, container: &Arc<Container>) {
        let joined = async {
            let mut link = monitor::connect(&container.places.bundle).await.ok()?;
            monitor::ask(&mut link, &Request::Watch).await.ok()?;
            let status = monitor::once(&container.places.bundle, &Request::Status)
                .await
                .ok()?;
            let Reply::Status { pid, .. } = status else {
                return None;
            };
            Some((link, start::hold_process(pid).ok()?))
        };
        match joined.await {
            Some((link, process)) => {
                *lock(&container.process) = Some(process);
                if let Err(error) = self.store.rw(&container.id).and_then(|layer| layer.mount()) {
                    tracing::warn!("container {}: {error}", container.id);
                }
                self.watch(container, link);
                self.start_probe(container);
            }
            None => {
                let exit = super::exit::read_exit(container);
                self.ended(container, exit).await;
            }
        }
    }
}

//! `POST /containers/{id}/update` and rename.

use gantry_api::container::host_config::Resources;
use gantry_api::container::update::{UpdateRequest, UpdateResponse};
use serde_json::json;

use super::spec::resources;
use super::{Container, limits, names};
use crate::Engine;
use crate::error::{Error, Result};

impl Engine {
    /// Changes limits, of the running container too, and the restart policy.
    ///
    /// # Errors
    /// Invalid, docker's texts; the runtime's refusal, with nothing changed.
    pub async fn update_container(
        &self,
        container: &Container,
        request: UpdateRequest,
    ) -> Result<UpdateResponse> {
        let _life = container.life.lock().await;
        let view = container.view();
        let mut host = view.host.clone();
        let mut asked = request.resources;
        limits::check(&mut asked, true)?;
        merge(&mut host.resources, asked)?;
        if !request.restart_policy.name.is_empty() {
            limits::check_restart(&request.restart_policy, host.auto_remove)?;
            host.restart_policy = request.restart_policy;
        }
        if view.state.lives() {
            let mut wanted = resources::limits(&host)?;
            // The runtime's update takes no switch of the OOM killer.
            if let Some(memory) = wanted
                .get_mut("memory")
                .and_then(|memory| memory.as_object_mut())
            {
                memory.remove("disableOOMKiller");
            }
            let file = container.places.bundle.join("update.json");
            std::fs::write(&file, json!(wanted).to_string())
                .map_err(|e| Error::kernel(file.display(), e))?;
            self.run_runtime(
                &host.runtime,
                &["update", "--resources", "-", &view.id],
                Some(&file),
            )
            .await
            .map_err(|error| {
                Error::internal(format!(
                    "Cannot update container {}: {}",
                    view.id, error.message
                ))
            })?;
        }
        container.change(|record| record.host = host);
        container.view().save(&container.places.home)?;
        self.container_event(&container.view(), "update", &[]);
        Ok(UpdateResponse { warnings: None })
    }

    /// Gives a container another name.
    ///
    /// # Errors
    /// Conflict if it is taken, invalid if it is none; docker's texts.
    pub async fn rename_container(&self, container: &Container, name: &str) -> Result<()> {
        let name = name.strip_prefix('/').unwrap_or(name);
        if name.is_empty() {
            return Err(Error::invalid("Neither old nor new names may be empty"));
        }
        if !names::is_valid(name) {
            return Err(Error::invalid(format!(
                "Error when allocating new name: Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
            )));
        }
        let _life = container.life.lock().await;
        let old = container.view().name.clone();
        if old.trim_start_matches('/') == name {
            return Err(Error::invalid(
                "Renaming a container with the same name as its current name",
            ));
        }
        self.containers
            .reserve(name, &container.id)
            .map_err(|error| {
                Error::conflict(format!("Error when allocating new name: {}", error.message))
            })?;
        container.change(|record| record.name = format!("/{name}"));
        if let Err(error) = container.view().save(&container.places.home) {
            container.change(|record| record.name.clone_from(&old));
            self.containers.release(name);
            return Err(error);
        }
        self.containers.release(&old);
        self.rename_on_networks(container)?;
        self.container_event(&container.view(), "rename", &[("oldName", old)]);
        Ok(())
    }
}

/// Lays what was asked over a container's limits; what is zero stays.
fn merge(own: &mut Resources, asked: Resources) -> Result<()> {
    for (mine, wanted) in [
        (&mut own.cpu_shares, asked.cpu_shares),
        (&mut own.memory, asked.memory),
        (&mut own.nano_cpus, asked.nano_cpus),
        (&mut own.cpu_period, asked.cpu_period),
        (&mut own.cpu_quota, asked.cpu_quota),
        (&mut own.cpu_realtime_period, asked.cpu_realtime_period),
        (&mut own.cpu_realtime_runtime, asked.cpu_realtime_runtime),
        (&mut own.memory_reservation, asked.memory_reservation),
        (&mut own.memory_swap, asked.memory_swap),
    ] {
        if wanted != 0 {
            *mine = wanted;
        }
    }
    if own.memory > 0 && own.memory_swap > 0 && own.memory > own.memory_swap {
        return Err(Error::conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
        ));
    }
    if asked.blkio_weight != 0 {
        own.blkio_weight = asked.blkio_weight;
    }
    for (mine, wanted) in [
        (&mut own.cpuset_cpus, asked.cpuset_cpus),
        (&mut own.cpuset_mems, asked.cpuset_mems),
    ] {
        if !wanted.is_empty() {
            *mine = wanted;
        }
    }
    if asked.pids_limit.is_some() {
        own.pids_limit = asked.pids_limit;
    }
    Ok(())
}

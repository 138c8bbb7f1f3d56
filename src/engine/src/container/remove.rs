//! `DELETE /containers/{id}` and prune.

use std::sync::Arc;

use super::Container;
use super::record::Phase;
use crate::Engine;
use crate::error::{Error, Result};
use crate::pipe::blocking;

impl Engine {
    /// Removes a container; with `force` it is killed first, with `volumes` its anonymous volumes go too.
    ///
    /// # Errors
    /// Conflict if it runs and must not be killed; docker's text.
    pub async fn remove_container(
        self: &Arc<Self>,
        container: &Arc<Container>,
        force: bool,
        volumes: bool,
    ) -> Result<()> {
        container.call_off.notify_waiters();
        for _ in 0..100 {
            let view = container.view();
            if !view.state.lives() {
                break;
            }
            if !force {
                let (what, how) = match view.state.phase {
                    Phase::Paused => (
                        "paused",
                        "unpause and stop the container before removing or force remove",
                    ),
                    _ => (
                        "running",
                        "stop the container before removing or force remove",
                    ),
                };
                return Err(Error::conflict(format!(
                    "cannot remove container \"{}\": container is {what}: {how}",
                    view.name
                )));
            }
            container.change(|record| record.state.stopped_by_user = true);
            if let Err(error) = self.kill_container(container, "KILL").await
                && container.view().state.lives()
            {
                return Err(error);
            }
        }
        let _life = container.life.lock().await;
        if container.view().state.lives() {
            return Err(Error::internal(format!(
                "cannot remove container \"{}\": could not kill it",
                container.view().name
            )));
        }
        self.remove_under_life(container, volumes).await
    }

    async fn remove_under_life(
        self: &Arc<Self>,
        container: &Arc<Container>,
        volumes: bool,
    ) -> Result<()> {
        match container.view().state.phase {
            Phase::Removing => {
                return Err(Error::conflict(format!(
                    "removal of container {} is already in progress",
                    container.id
                )));
            }
            _ => container.change_state(|state| state.phase = Phase::Removing)?,
        }
        let (engine, own) = (self.clone(), container.clone());
        let removed = blocking(move || {
            engine.store.rw(&own.id).map_or_else(
                |error| {
                    if error.is_not_found() {
                        Ok(())
                    } else {
                        Err(Error::from(error))
                    }
                },
                |layer| Ok(layer.remove()?),
            )?;
            engine.release_volumes(&own, volumes)?;
            for directory in [&own.places.bundle, &own.places.home] {
                if let Err(error) = std::fs::remove_dir_all(directory)
                    && error.kind() != std::io::ErrorKind::NotFound
                {
                    return Err(Error::kernel(directory.display(), error));
                }
            }
            Ok(())
        })
        .await;
        if let Err(error) = removed {
            container.change(|record| record.state.phase = Phase::Dead);
            return Err(error);
        }
        self.containers.forget(&container.id);
        self.container_event(&container.view(), "destroy", &[]);
        container.removed.send_replace(true);
        Ok(())
    }

    /// Removes a container that ended and asked for that (`--rm`).
    pub async fn remove_ended(self: &Arc<Self>, container: &Arc<Container>) {
        let _life = container.life.lock().await;
        let view = container.view();
        if view.state.lives() || view.state.phase == Phase::Removing {
            return;
        }
        if let Err(error) = self.remove_under_life(container, true).await {
            tracing::warn!("container {}: {error}", container.id);
        }
    }
}

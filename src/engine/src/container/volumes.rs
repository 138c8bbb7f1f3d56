//! A container's volumes at its creation, start, end and removal.

use std::path::Path;

use gantry_api::volume::CreateRequest;
use gantry_api::word::Map;

use super::Container;
use super::record::{Mounted, Record};
use crate::Engine;
use crate::error::{Error, Kind, Result};
use crate::volume::{ANONYMOUS, Volume};

impl Engine {
    /// Makes the volumes a new container names, and those nobody named; notes where they are.
    ///
    /// # Errors
    /// The volume room's.
    pub fn make_volumes(&self, record: &mut Record) -> Result<()> {
        let Record { mounts, host, .. } = record;
        for mount in mounts
            .iter_mut()
            .filter(|mount| mount.point.kind == "volume")
        {
            let wanted = host
                .mounts
                .iter()
                .find(|asked| asked.kind == "volume" && asked.target == mount.point.destination);
            let options = wanted
                .and_then(|asked| asked.volume_options.clone())
                .unwrap_or_default();
            let mut labels = options.labels;
            if mount.anonymous {
                labels.insert(ANONYMOUS.to_owned(), String::new());
            }
            let (volume, new) = self.volumes.create(CreateRequest {
                driver: mount.point.driver.clone(),
                driver_opts: options
                    .driver_config
                    .map(|driver| driver.options)
                    .unwrap_or_default(),
                labels,
                name: mount.point.name.clone(),
            })?;
            mount.point.source = self
                .volumes
                .data(&volume.name)
                .to_string_lossy()
                .into_owned();
            if new {
                self.volume_event("create", &volume.name, &[]);
            }
        }
        Ok(())
    }

    /// Brings every volume of a container up, fills empty ones from the image at `root`, and notes where they are.
    ///
    /// # Errors
    /// Not found for a volume that was removed by hand; the kernel's.
    pub fn mount_volumes(&self, container: &Container, root: &Path) -> Result<()> {
        let view = container.view();
        for mount in view
            .mounts
            .iter()
            .filter(|mount| mount.point.kind == "volume")
        {
            let point = &mount.point;
            self.volumes.mount(&point.name, &view.id)?;
            if mount.copy {
                self.volumes.fill(&point.name, root, &point.destination)?;
            }
            self.volume_event("mount", &point.name, &used_by(&view, mount));
        }
        Ok(())
    }

    /// Takes them down after the container's end.
    ///
    /// # Errors
    /// The kernel's, after every volume was tried.
    pub fn unmount_volumes(&self, container: &Container) -> Result<()> {
        let view = container.view();
        let mut result = Ok(());
        for mount in view
            .mounts
            .iter()
            .filter(|mount| mount.point.kind == "volume")
        {
            result = result.and(self.volumes.unmount(&mount.point.name, &view.id));
            self.volume_event(
                "unmount",
                &mount.point.name,
                &[("container", view.id.clone())],
            );
        }
        result
    }

    /// Ends the container's use of its volumes; with `anonymous` those made for it alone are removed.
    ///
    /// # Errors
    /// The disk's.
    pub fn release_volumes(&self, container: &Container, anonymous: bool) -> Result<()> {
        let view = container.view();
        let own = view
            .mounts
            .iter()
            .filter(|mount| mount.point.kind == "volume" && mount.anonymous);
        for mount in own.filter(|_| anonymous) {
            let name = &mount.point.name;
            let others: Vec<String> = self
                .volume_users(name)
                .into_iter()
                .filter(|id| *id != view.id)
                .collect();
            match self.volumes.remove(name, &others, true) {
                Ok(true) => self.volume_event("destroy", name, &[]),
                Ok(false) => {}
                // Another container got it by --volumes-from.
                Err(error) if error.kind == Kind::Conflict => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The containers that have a volume, running or not.
    #[must_use]
    pub fn volume_users(&self, name: &str) -> Vec<String> {
        let has = |record: &Record| {
            record
                .mounts
                .iter()
                .any(|mount| mount.point.kind == "volume" && mount.point.name == name)
        };
        self.containers
            .all()
            .iter()
            .map(|container| container.view())
            .filter(|r| has(r))
            .map(|r| r.id.clone())
            .collect()
    }

    /// Removes a volume.
    ///
    /// # Errors
    /// The volume room's.
    pub fn remove_volume(&self, name: &str, force: bool) -> Result<()> {
        if self.volumes.remove(name, &self.volume_users(name), force)? {
            self.volume_event("destroy", name, &[]);
        }
        Ok(())
    }

    /// Removes the volumes nobody uses that `wanted` picks, and gives their names and the bytes they took.
    ///
    /// # Errors
    /// The disk's.
    pub fn prune_volumes(&self, wanted: impl Fn(&Volume) -> bool) -> Result<(Vec<String>, u64)> {
        let (mut names, mut bytes) = (Vec::new(), 0);
        // Docker spares volumes with options: what they mount may not be this machine's to delete.
        for volume in self
            .volumes
            .all()
            .into_iter()
            .filter(|volume| volume.options.is_none() && wanted(volume))
        {
            let size = self.volumes.size(&volume.name)?;
            match self
                .volumes
                .remove(&volume.name, &self.volume_users(&volume.name), true)
            {
                Ok(true) => {
                    self.volume_event("destroy", &volume.name, &[]);
                    names.push(volume.name);
                    bytes += size;
                }
                Ok(false) => {}
                Err(Error {
                    kind: Kind::Conflict,
                    ..
                }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((names, bytes))
    }

    /// Tells the world what happened to a volume.
    pub fn volume_event(&self, action: &str, name: &str, more: &[(&str, String)]) {
        let mut attributes: Map = [("driver".to_owned(), "local".to_owned())].into();
        attributes.extend(
            more.iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone())),
        );
        self.events.emit("volume", action, name, attributes);
    }
}

fn used_by(record: &Record, mount: &Mounted) -> [(&'static str, String); 4] {
    [
        ("container", record.id.clone()),
        ("destination", mount.point.destination.clone()),
        ("propagation", mount.point.propagation.clone()),
        ("read/write", mount.point.rw.to_string()),
    ]
}

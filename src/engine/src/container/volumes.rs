//! A container's volumes at its start, end and removal.

use std::path::Path;

use super::Container;
use crate::Engine;
use crate::error::{Error, Result};

impl Engine {
    /// Brings every volume of a container up and notes where it is.
    ///
    /// # Errors
    /// Unsupported as long as this engine has no volumes.
    pub fn mount_volumes(&self, container: &Container, _root: &Path) -> Result<()> {
        let view = container.view();
        match view
            .mounts
            .iter()
            .find(|mount| mount.point.kind == "volume")
        {
            Some(mount) => Err(Error::unsupported(format!(
                "volume {}: this engine has no volumes yet",
                mount.point.name
            ))),
            None => Ok(()),
        }
    }

    /// Takes them down after the container's end.
    ///
    /// # Errors
    /// The kernel's.
    pub fn unmount_volumes(&self, _container: &Container) -> Result<()> {
        Ok(())
    }

    /// Ends the container's use of its volumes; with `anonymous` those made for it alone are removed.
    ///
    /// # Errors
    /// The disk's.
    pub fn release_volumes(&self, _container: &Container, _anonymous: bool) -> Result<()> {
        Ok(())
    }
}

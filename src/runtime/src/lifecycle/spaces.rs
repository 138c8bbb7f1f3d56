//! The maker's steps with namespaces that are joined or entered for its children.

use std::os::fd::AsFd;
use std::path::Path;

use sys::{Errno, file, namespace};

use super::make::{Maker, missing};
use crate::config::Kind;
use crate::error::{Error, Kernelize, Result};
use crate::mounts::place::c_path;
use crate::namespaces;

impl Maker<'_> {
    pub(super) fn open_namespace(&mut self, kind: Kind, path: &Path) -> Result<()> {
        let step = || format!("{} namespace {:?}", kind.name(), path.display());
        let opened = file::open_read(file::here(), &c_path(path)?).step(step, "open")?;
        match namespace::kind_of(opened.as_fd()) {
            Ok(bits) if bits == kind.flag() => {}
            Ok(_) | Err(Errno::NOTTY) => {
                return Err(Error::Denied(format!(
                    "{}: not a {} namespace",
                    step(),
                    kind.name()
                )));
            }
            Err(errno) => return Err(Error::kernel(step(), "ioctl NS_GET_NSTYPE", "", errno)),
        }
        self.namespaces.insert(kind, opened);
        Ok(())
    }

    fn keep_own(&mut self, kind: Kind) -> Result<()> {
        let path = c_path(format!("/proc/self/ns/{}", kind.file()))?;
        let own = file::open_read(file::here(), &path)
            .step(|| format!("own {} namespace", kind.name()), "open")?;
        self.own_namespaces.push((kind, own));
        Ok(())
    }

    pub(super) fn make_time_namespace(&mut self) -> Result<()> {
        let step = || "time namespace".to_owned();
        self.keep_own(Kind::Time)?;
        namespace::leave(Kind::Time.flag()).step(step, "unshare")?;
        namespaces::set_clocks(&self.config.namespaces.clock_offsets)
    }

    pub(super) fn enter_for_children(&mut self, kind: Kind) -> Result<()> {
        self.keep_own(kind)?;
        let target = self
            .namespaces
            .get(&kind)
            .ok_or_else(|| missing("namespace"))?;
        namespace::join(target.as_fd(), kind.flag())
            .step(|| format!("{} namespace", kind.name()), "setns")
    }

    pub(super) fn return_from_namespaces(&mut self) -> Result<()> {
        for (kind, own) in std::mem::take(&mut self.own_namespaces) {
            namespace::join(own.as_fd(), kind.flag())
                .step(|| format!("own {} namespace", kind.name()), "setns")?;
        }
        Ok(())
    }
}

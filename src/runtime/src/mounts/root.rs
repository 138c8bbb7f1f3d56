//! The root itself: its copy attached in place, the change of root, and what is hidden inside it afterwards.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use sys::Errno;
use sys::file::{self, Facts, Kind};
use sys::mount::{self, Change, attribute, propagation};

use super::apply::Scene;
use super::place::find;
use crate::error::{Error, Kernelize, Result};

impl Scene<'_> {
    /// Copies the mount of the root filesystem and attaches the copy where it was: a mount of our own to pivot to.
    pub(super) fn take_root(&mut self, path: &CStr) -> Result<()> {
        let step = || format!("root {path:?}");
        let place = file::place(file::here(), path).step(step, "open")?;
        if file::facts(place.as_fd()).step(step, "fstat")?.kind != Kind::Directory {
            return Err(Error::kernel(step(), "open", "", Errno::NOTDIR));
        }
        // pivot_root(2) refuses a root that is shared, or whose parent mount is. A slave still gets what the host mounts.
        if self.slave_root {
            mount::change_at(place.as_fd(), propagation::SLAVE).step(step, "mount")?;
        }
        let root = mount::clone_tree(place.as_fd(), c"", true).step(step, "open_tree")?;
        mount::attach(root.as_fd(), place.as_fd()).step(step, "move_mount")?;
        self.root = Some(root);
        Ok(())
    }

    /// Takes what is needed of the host's files now: later the image could stand in the way.
    pub(super) fn take_host_files(&mut self) -> Result<()> {
        let step = || "host's /dev/null".to_owned();
        let null = mount::clone_tree(file::here(), c"/dev/null", false).step(step, "open_tree")?;
        check_null(file::facts(null.as_fd()).step(step, "fstat")?)?;
        self.null = Some(null);
        Ok(())
    }

    pub(super) fn pivot(&mut self) -> Result<()> {
        let step = || "change of root".to_owned();
        let root = self.root()?;
        let old = file::open_directory(file::here(), c"/").step(step, "open")?;
        file::enter(root).step(step, "fchdir")?;
        mount::pivot_here().step(step, "pivot_root")?;
        // The old root now lies over the new one. Nothing of its unmounting may reach the host.
        file::enter(old.as_fd()).step(step, "fchdir")?;
        if self.slave_root {
            mount::propagate(c".", propagation::SLAVE, true).step(step, "mount")?;
        }
        mount::detach(c".").step(step, "umount2")?;
        file::enter_path(c"/").step(step, "chdir")
    }

    /// Without `pivot_root(2)`: visible mounts of proc and sysfs would let the container see what its own are to hide.
    pub(super) fn move_root(&mut self, hide: &[std::ffi::CString]) -> Result<()> {
        let step = || "change of root".to_owned();
        for path in hide {
            match mount::detach(path) {
                Ok(()) => {}
                Err(Errno::INVAL | Errno::PERM) => {
                    mount::legacy(Some(c"tmpfs"), path, Some(c"tmpfs"), 0, None)
                        .step(step, "mount")?;
                }
                Err(errno) => {
                    return Err(Error::kernel(step(), "umount2", format!("{path:?}"), errno));
                }
            }
        }
        let root = self.root()?;
        file::enter(root).step(step, "fchdir")?;
        mount::legacy(Some(c"."), c"/", None, 1 << 13, None).step(step, "mount")?;
        file::enter_root(c".").step(step, "chroot")?;
        file::enter_path(c"/").step(step, "chdir")
    }

    pub(super) fn freeze_root(&mut self) -> Result<()> {
        let step = || "read-only root".to_owned();
        mount::change(self.root()?, readonly(), false).step(step, "mount_setattr")
    }

    pub(super) fn freeze(&mut self, path: &std::path::Path) -> Result<()> {
        let step = || format!("read-only {:?}", path.display());
        let mounted = self
            .mounted
            .iter()
            .rev()
            .find(|(destination, _)| destination == path);
        let (_, mounted) =
            mounted.ok_or_else(|| Error::Bug(format!("{} was not mounted", path.display())))?;
        mount::change(mounted.as_fd(), readonly(), false).step(step, "mount_setattr")
    }

    pub(super) fn make_readonly(&mut self, path: &CStr) -> Result<()> {
        let step = || format!("read-only path {path:?}");
        let Some(place) = find(self.root()?, std::path::Path::new(path_of(path)), &step())? else {
            return Ok(());
        };
        let tree = mount::clone_tree(place.as_fd(), c"", true).step(step, "open_tree")?;
        mount::change(tree.as_fd(), readonly(), true).step(step, "mount_setattr")?;
        mount::attach(tree.as_fd(), place.as_fd()).step(step, "move_mount")?;
        self.leave([tree, place]);
        Ok(())
    }

    /// Leaves descriptors to the exec, which closes all at once: a call saved for each. Not without bound, since the
    /// limit of open files may be low and the list of mounts long.
    pub(super) fn leave(&mut self, descriptors: impl IntoIterator<Item = OwnedFd>) {
        for descriptor in descriptors {
            if self.left < 128 {
                self.left += 1;
                std::mem::forget(descriptor);
            }
        }
    }

    /// Hides a file behind `/dev/null` and a directory behind an empty one; the first of each is attached itself, the
    /// others are copies of it: an attached mount can be copied on every kernel, a detached one only since Linux 6.15.
    pub(super) fn mask(&mut self, path: &CStr) -> Result<()> {
        let step = || format!("masked path {path:?}");
        let Some(place) = find(self.root()?, std::path::Path::new(path_of(path)), &step())? else {
            return Ok(());
        };
        let directory = file::facts(place.as_fd()).step(step, "fstat")?.kind == Kind::Directory;
        let first = if directory {
            self.empty.is_none()
        } else {
            !self.null_attached
        };
        if directory && first {
            self.empty = Some(empty_directory().step(step, "fsmount")?);
        }
        let source = if directory { &self.empty } else { &self.null };
        let source = source
            .as_ref()
            .ok_or_else(|| Error::Bug("nothing to mask with".to_owned()))?;
        if first {
            mount::attach(source.as_fd(), place.as_fd()).step(step, "move_mount")?;
            self.null_attached |= !directory;
            self.leave([place]);
            return Ok(());
        }
        let copy = mount::clone_tree(source.as_fd(), c"", false).step(step, "open_tree")?;
        mount::attach(copy.as_fd(), place.as_fd()).step(step, "move_mount")?;
        self.leave([copy, place]);
        Ok(())
    }

    /// Writes kernel parameters through a procfs of our own, which nothing of the image covers (CVE-2025-52881).
    pub(super) fn sysctl(&mut self, settings: &[(std::ffi::CString, Vec<u8>)]) -> Result<()> {
        let step = || "sysctl".to_owned();
        let root = self.root.as_ref().map(AsFd::as_fd);
        let fallback = || file::place_without_links(root.ok_or(Errno::NOENT)?, c"proc");
        let proc = sys::procfs::private(fallback).step(step, "fsmount")?;
        for (path, value) in settings {
            let step = || format!("sysctl {path:?}");
            let file = sys::procfs::entry(proc.as_fd(), path).step(step, "openat2")?;
            file::write_all(file.as_fd(), value).step(step, "write")?;
        }
        Ok(())
    }

    pub(super) fn working_directory(&mut self, path: &CStr) -> Result<()> {
        if path.to_bytes() == b"/" {
            return Ok(());
        }
        let step = format!("working directory {path:?}");
        super::place::ensure(
            self.root()?,
            std::path::Path::new(path_of(path)),
            true,
            &step,
        )
        .map(drop)
    }
}

fn path_of(path: &CStr) -> &std::ffi::OsStr {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::OsStr::from_bytes(path.to_bytes())
}

fn readonly() -> Change {
    Change {
        set: attribute::RDONLY,
        ..Change::default()
    }
}

fn empty_directory() -> sys::Result<OwnedFd> {
    let context = mount::fsopen(c"tmpfs")?;
    mount::set_string(context.as_fd(), c"nr_blocks", c"1")?;
    mount::set_string(context.as_fd(), c"nr_inodes", c"1")?;
    mount::create(context.as_fd())?;
    let attributes = attribute::RDONLY | attribute::NOSUID | attribute::NODEV | attribute::NOEXEC;
    mount::fsmount(context.as_fd(), attributes)
}

/// The attack of CVE-2025-31133: something else in the place of `/dev/null`.
pub(super) fn check_null(facts: Facts) -> Result<()> {
    if facts.kind == Kind::CharacterDevice && facts.device == (1, 3) {
        return Ok(());
    }
    Err(Error::Denied(
        "/dev/null of the host is not the null device".to_owned(),
    ))
}

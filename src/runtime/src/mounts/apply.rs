//! Orders → kernel, in the child. [`Scene`] is what the steps leave for each other.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use sys::file::{self, Kind};
use sys::mount::{self, Change, attribute};
use sys::{Errno, terminal};

use super::place::{c_path, ensure};
use super::{Bind, Filesystem, Finish, Order};
use crate::config::Device;
use crate::error::{Error, Kernelize, Result};

/// One hierarchy of cgroups as the child finds it before the change of root.
#[derive(Debug, Clone)]
pub struct CgroupMount {
    /// The controllers, `name=systemd` for a named one; empty for v2.
    pub controllers: String,
    /// Where the host has it mounted.
    pub mountpoint: PathBuf,
    /// The container's own directory in it.
    pub own: PathBuf,
}

/// A flag or option of a superblock.
type Setting = (CString, Option<CString>);

/// What the steps with mounts know and leave for each other.
#[derive(Debug, Default)]
pub struct Scene<'held> {
    /// The root's mount.
    pub root: Option<OwnedFd>,
    /// Whether the mount of the root must first be made a slave, and the old root before it goes.
    pub slave_root: bool,
    /// Mounts by destination, for those that are changed later.
    pub mounted: Vec<(PathBuf, OwnedFd)>,
    /// A copy of the host's `/dev/null`.
    pub null: Option<OwnedFd>,
    /// Whether that copy is attached somewhere.
    pub null_attached: bool,
    /// An empty read-only directory.
    pub empty: Option<OwnedFd>,
    /// Bind sources that the parent has opened, by index in `mounts`.
    pub opened: Option<&'held HashMap<usize, OwnedFd>>,
    /// Paths to be hidden where the root is moved and not pivoted to.
    pub cover: Vec<CString>,
    /// The terminal of the container, once it is open.
    pub terminal: Option<terminal::Pair>,
    /// The directory that something was last made in.
    pub dev: Option<(PathBuf, OwnedFd)>,
    /// How many descriptors were left to the exec to close.
    pub left: usize,
}

impl Scene<'_> {
    /// Carries out one order.
    ///
    /// # Errors
    /// The kernel's, with the step; [`Error::Denied`] where the image tries to deceive.
    pub fn apply(
        &mut self,
        order: &Order,
        cgroups: impl FnOnce() -> Result<Vec<CgroupMount>>,
    ) -> Result<()> {
        match order {
            Order::Propagate(change) => mount::propagate(c"/", change.kind, change.recursive)
                .step(|| "propagation of /".to_owned(), "mount"),
            Order::Root(path) => self.take_root(path),
            Order::HostFiles => self.take_host_files(),
            Order::Filesystem(filesystem) => self.filesystem(filesystem),
            Order::Bind(bind) => self.bind(bind),
            Order::Remount {
                destination,
                attributes,
                options,
            } => self.remount(destination, *attributes, options),
            Order::CgroupTree(tree) => self.cgroup_tree(tree, &cgroups()?),
            Order::Device { device, bind } => self.device(device, *bind),
            Order::Link {
                target,
                path,
                replace,
            } => self.link(target, path, *replace),
            Order::CoreLink => self.core_link(),
            Order::Pivot => self.pivot(),
            Order::MoveRoot => {
                let cover = std::mem::take(&mut self.cover);
                self.move_root(&cover)
            }
            Order::WorkingDirectory(path) => self.working_directory(path),
            Order::Console { size, uid } => self.console(*size, *uid),
            Order::Freeze(path) => self.freeze(path),
            Order::FreezeRoot => self.freeze_root(),
            Order::Sysctl(settings) => self.sysctl(settings),
            Order::Readonly(path) => self.make_readonly(path),
            Order::Mask(path) => self.mask(path),
        }
    }

    pub(super) fn root(&self) -> Result<BorrowedFd<'_>> {
        let root = self.root.as_ref().map(AsFd::as_fd);
        root.ok_or_else(|| Error::Bug("a step below the root came before the root".to_owned()))
    }

    pub(super) fn filesystem(&mut self, order: &Filesystem) -> Result<()> {
        let step = step_name(&order.destination);
        if order.legacy != 0 {
            return self.filesystem_by_path(order, &step);
        }
        let made = make(order, &step).or_else(|error| match (&order.fallback, error.errno()) {
            (Some(path), Some(Errno::PERM | Errno::BUSY)) => {
                let tree = mount::clone_tree(file::here(), path, true)
                    .step(|| step.clone(), "open_tree")?;
                let change = Change {
                    set: order.attributes,
                    ..Change::default()
                };
                mount::change(tree.as_fd(), change, false)
                    .step(|| step.clone(), "mount_setattr")?;
                Ok(tree)
            }
            _ => Err(error),
        })?;
        let kind = order.kind.to_bytes();
        let target = self.filesystem_target(order, &step)?;
        if order.copy_up {
            super::copy::directory(target.as_fd(), made.as_fd(), &step)?;
        } else if kind == b"tmpfs"
            && !order
                .options
                .iter()
                .any(|(key, _)| key.as_bytes() == b"mode")
        {
            let mode = file::facts(target.as_fd())
                .step(|| step.clone(), "fstat")?
                .mode;
            file::set_mode_at(made.as_fd(), c".", mode).step(|| step.clone(), "fchmodat")?;
        }
        self.attach(made, target, &order.destination, &order.finish, &step)
    }

    /// `/proc` and `/sys` must be what they look like: a link in their place would move the masks elsewhere
    /// (CVE-2019-19921, CVE-2023-28642).
    fn filesystem_target(&self, order: &Filesystem, step: &str) -> Result<OwnedFd> {
        if !matches!(order.kind.to_bytes(), b"proc" | b"sysfs") {
            return ensure(self.root()?, &order.destination, true, step);
        }
        let relative = c_path(
            order
                .destination
                .strip_prefix("/")
                .unwrap_or(&order.destination),
        )?;
        let place = match file::place_without_links(self.root()?, &relative) {
            Err(Errno::NOENT) => ensure(self.root()?, &order.destination, true, step)?,
            Err(Errno::LOOP) => {
                return Err(Error::Denied(format!(
                    "{step}: the destination must not be reached by a symbolic link"
                )));
            }
            result => result.step(|| step.to_owned(), "openat2")?,
        };
        match file::facts(place.as_fd())
            .step(|| step.to_owned(), "fstat")?
            .kind
        {
            Kind::Directory => Ok(place),
            _ => Err(Error::kernel(step, "open", "", Errno::NOTDIR)),
        }
    }

    /// For the few superblock flags that `fsconfig(2)` does not know.
    fn filesystem_by_path(&mut self, order: &Filesystem, step: &str) -> Result<()> {
        let target = self.filesystem_target(order, step)?;
        let words = order.options.iter().map(|(key, value)| match value {
            None => key.to_string_lossy().into_owned(),
            Some(value) => format!("{}={}", key.to_string_lossy(), value.to_string_lossy()),
        });
        let data = c_path(words.collect::<Vec<_>>().join(","))?;
        let path = c_path(format!("/proc/self/fd/{}", target.as_raw_fd()))?;
        mount::legacy(
            Some(&order.source),
            &path,
            Some(&order.kind),
            order.legacy,
            Some(&data),
        )
        .step(|| step.to_owned(), "mount")?;
        let mounted = file::place_within(
            self.root()?,
            &c_path(
                order
                    .destination
                    .strip_prefix("/")
                    .unwrap_or(Path::new(".")),
            )?,
        )
        .step(|| step.to_owned(), "openat2")?;
        let change = Change {
            set: order.attributes,
            ..Change::default()
        };
        mount::change(mounted.as_fd(), change, false).step(|| step.to_owned(), "mount_setattr")?;
        self.finish(&mounted, &order.finish, step)?;
        self.mounted.push((order.destination.clone(), mounted));
        Ok(())
    }

    fn bind(&mut self, order: &Bind) -> Result<()> {
        let step = step_name(&order.destination);
        let opened = order.opened.and_then(|index| self.opened?.get(&index));
        let tree = match opened {
            Some(opened) => opened
                .try_clone()
                .map_err(|_| Error::kernel(&*step, "dup", "", Errno::MFILE))?,
            None => mount::clone_tree(file::here(), &order.source, order.recursive).map_err(
                |errno| Error::kernel(&*step, "open_tree", format!("{:?}", order.source), errno),
            )?,
        };
        if order.attributes.set | order.attributes.clear != 0 {
            change_bind(tree.as_fd(), order.attributes, &step)?;
        }
        let directory = file::facts(tree.as_fd())
            .step(|| step.clone(), "fstat")?
            .kind
            == Kind::Directory;
        if order.destination == Path::new("/proc") {
            const PROC_SUPER_MAGIC: u64 = 0x9fa0;
            if file::filesystem(tree.as_fd()).step(|| step.clone(), "fstatfs")? != PROC_SUPER_MAGIC
            {
                return Err(Error::Denied(format!(
                    "{step}: cannot be mounted because it is not of type proc"
                )));
            }
        }
        let target = ensure(self.root()?, &order.destination, directory, &step)?;
        self.attach(tree, target, &order.destination, &order.finish, &step)
    }

    fn remount(
        &mut self,
        destination: &Path,
        attributes: Change,
        options: &[Setting],
    ) -> Result<()> {
        let step = format!("remount {:?}", destination.display());
        let place = super::place::find(self.root()?, destination, &step)?
            .ok_or_else(|| Error::kernel(&*step, "openat2", "", Errno::NOENT))?;
        change_bind(place.as_fd(), attributes, &step)?;
        if options.is_empty() {
            return Ok(());
        }
        let context = mount::pick(place.as_fd()).step(|| step.clone(), "fspick")?;
        for (key, value) in options {
            let set = match value {
                Some(value) => mount::set_string(context.as_fd(), key, value),
                None => mount::set_flag(context.as_fd(), key),
            };
            set.map_err(|errno| Error::kernel(&*step, "fsconfig", format!("{key:?}"), errno))?;
        }
        mount::reconfigure(context.as_fd()).step(|| step, "fsconfig")
    }

    pub(super) fn attach(
        &mut self,
        tree: OwnedFd,
        target: OwnedFd,
        destination: &Path,
        finish: &Finish,
        step: &str,
    ) -> Result<()> {
        mount::attach(tree.as_fd(), target.as_fd()).step(|| step.to_owned(), "move_mount")?;
        self.leave([target]);
        self.finish(&tree, finish, step)?;
        self.dev = None;
        self.mounted.push((destination.to_owned(), tree));
        Ok(())
    }

    pub(super) fn finish(&self, tree: &OwnedFd, finish: &Finish, step: &str) -> Result<()> {
        if finish.recursive != Change::default() {
            mount::change(tree.as_fd(), atime_cleared(finish.recursive), true)
                .step(|| step.to_owned(), "mount_setattr")?;
        }
        for wish in &finish.propagation {
            let change = Change {
                propagation: wish.kind,
                ..Change::default()
            };
            mount::change(tree.as_fd(), change, wish.recursive)
                .step(|| step.to_owned(), "mount_setattr")?;
        }
        Ok(())
    }

    /// The directory that `path` is to be made in, and its name there.
    pub(super) fn dev(&mut self, path: &Path, step: &str) -> Result<(BorrowedFd<'_>, CString)> {
        let name = c_path(path.file_name().unwrap_or_default())?;
        let above = path.parent().unwrap_or(Path::new("/"));
        if self.dev.as_ref().is_none_or(|(known, _)| known != above) {
            let place = ensure(self.root()?, above, true, step)?;
            self.dev = Some((above.to_owned(), place));
        }
        let place = self.dev.as_ref().map(|(_, place)| place.as_fd());
        Ok((
            place.ok_or_else(|| Error::Bug("no directory for a device".to_owned()))?,
            name,
        ))
    }

    fn device(&mut self, device: &Device, bind: bool) -> Result<()> {
        let step = format!("device {:?}", device.path.display());
        let (directory, name) = self.dev(&device.path, &step)?;
        if bind {
            return bind_device(directory, &name, device, &step);
        }
        match file::make_node(directory, &name, device.kind, device.mode, device.number) {
            Ok(()) => {}
            Err(Errno::PERM) => return bind_device(directory, &name, device, &step),
            Err(Errno::EXIST) => {
                let facts = file::facts_at(directory, &name).step(|| step.clone(), "fstatat")?;
                if facts.kind == device.kind && facts.device == device.number {
                    return Ok(());
                }
                return Err(Error::kernel(step, "mknodat", "", Errno::EXIST));
            }
            Err(errno) => return Err(Error::kernel(step, "mknodat", "", errno)),
        }
        if device.uid != 0 || device.gid != 0 {
            file::set_owner_at(directory, &name, device.uid, device.gid)
                .step(|| step, "fchownat")?;
        }
        Ok(())
    }

    fn link(&mut self, target: &CStr, path: &Path, replace: bool) -> Result<()> {
        let step = format!("link {:?}", path.display());
        let (directory, name) = self.dev(path, &step)?;
        match file::make_symlink(target, directory, &name) {
            Err(Errno::EXIST) if replace => {
                file::remove(directory, &name).step(|| step.clone(), "unlinkat")?;
                file::make_symlink(target, directory, &name).step(|| step, "symlinkat")
            }
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(Error::kernel(step, "symlinkat", "", errno)),
        }
    }

    fn core_link(&mut self) -> Result<()> {
        if file::facts_at(file::here(), c"/proc/kcore").is_err() {
            return Ok(());
        }
        self.link(c"/proc/kcore", Path::new("/dev/core"), false)
    }
}

pub(super) fn step_name(destination: &Path) -> String {
    format!("mount {:?}", destination.display())
}

/// Changing one access-time bit means replacing all of them (mount_setattr(2)).
fn atime_cleared(change: Change) -> Change {
    let times = (change.set | change.clear) & attribute::ATIME != 0;
    Change {
        clear: if times {
            change.clear | attribute::ATIME
        } else {
            change.clear & !attribute::ATIME
        },
        ..change
    }
}

fn make(order: &Filesystem, step: &str) -> Result<OwnedFd> {
    let context = mount::fsopen(&order.kind)
        .map_err(|errno| Error::kernel(step, "fsopen", format!("{:?}", order.kind), errno))?;
    let explain = |call: &str, what: &CStr, errno| {
        let said = mount::complaints(context.as_fd()).join("; ");
        let arguments = if said.is_empty() {
            format!("{what:?}")
        } else {
            format!("{what:?} ({said})")
        };
        Error::kernel(step, call, arguments, errno)
    };
    mount::set_string(context.as_fd(), c"source", &order.source)
        .map_err(|errno| explain("fsconfig", c"source", errno))?;
    for (key, value) in &order.options {
        let set = match value {
            Some(value) => mount::set_string(context.as_fd(), key, value),
            None => mount::set_flag(context.as_fd(), key),
        };
        set.map_err(|errno| explain("fsconfig", key, errno))?;
    }
    mount::create(context.as_fd()).map_err(|errno| explain("fsconfig", &order.kind, errno))?;
    mount::fsmount(context.as_fd(), order.attributes)
        .map_err(|errno| explain("fsmount", &order.kind, errno))
}

/// A bind inherits the flags of its source. Those that the kernel locked in a user namespace stay: what could not be
/// cleared is tried again without the locked bits, as mount(8) does.
pub(super) fn change_bind(tree: BorrowedFd<'_>, change: Change, step: &str) -> Result<()> {
    let change = atime_cleared(change);
    match mount::change(tree, change, false) {
        Err(Errno::PERM) if change.clear != 0 => {
            let set_only = Change {
                clear: 0,
                set: change.set & !attribute::ATIME,
                ..change
            };
            mount::change(tree, set_only, false)
        }
        result => result,
    }
    .step(|| step.to_owned(), "mount_setattr")
}

/// Where nodes cannot be made, the host's node of the same path appears; it must be the device that was asked for.
fn bind_device(directory: BorrowedFd<'_>, name: &CStr, device: &Device, step: &str) -> Result<()> {
    let source = c_path(&device.path)?;
    let tree =
        mount::clone_tree(file::here(), &source, false).step(|| step.to_owned(), "open_tree")?;
    let facts = file::facts(tree.as_fd()).step(|| step.to_owned(), "fstat")?;
    if facts.kind != device.kind || facts.device != device.number {
        let (major, minor) = device.number;
        return Err(Error::Denied(format!(
            "{step}: the host's node is not the device {major}:{minor}"
        )));
    }
    match file::make_file(directory, name, 0o644) {
        Ok(_) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(Error::kernel(step, "openat", "", errno)),
    }
    let target = file::place_strictly(directory, name).step(|| step.to_owned(), "openat2")?;
    mount::attach(tree.as_fd(), target.as_fd()).step(|| step.to_owned(), "move_mount")
}

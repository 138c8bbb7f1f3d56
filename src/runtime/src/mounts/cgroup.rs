//! The cgroup hierarchy inside: one mount (v2), or a directory with one mount for each hierarchy (v1).
//!
//! With a cgroup namespace the filesystem itself is mounted; without one the container's own subtree of the host's mount is
//! bound, because mounting would change the host's mount options too.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use sys::Errno;
use sys::file;
use sys::mount::{self, Change, attribute};

use super::apply::{CgroupMount, Scene, change_bind, step_name};
use super::place::{c_path, ensure};
use super::{CgroupTree, Filesystem, Finish};
use crate::error::{Error, Kernelize, Result};

impl Scene<'_> {
    pub(super) fn cgroup_tree(
        &mut self,
        order: &CgroupTree,
        hierarchies: &[CgroupMount],
    ) -> Result<()> {
        let step = step_name(&order.destination);
        if let [only] = hierarchies
            && only.controllers.is_empty()
        {
            let tree = cgroup2(order, only, &step)?;
            let target = ensure(self.root()?, &order.destination, true, &step)?;
            return self.attach(tree, target, &order.destination, &order.finish, &step);
        }
        let base = Filesystem {
            kind: c"tmpfs".to_owned(),
            source: c"tmpfs".to_owned(),
            options: vec![(c"mode".to_owned(), Some(c"755".to_owned()))],
            attributes: order.attributes & !attribute::RDONLY,
            legacy: 0,
            destination: order.destination.clone(),
            finish: Finish::default(),
            copy_up: false,
            fallback: None,
        };
        self.filesystem(&base)?;
        let top = ensure(self.root()?, &order.destination, true, &step)?;
        for hierarchy in hierarchies
            .iter()
            .filter(|hierarchy| !hierarchy.controllers.is_empty())
        {
            cgroup1(top.as_fd(), order, hierarchy, &step)?;
        }
        let Some((_, tree)) = self.mounted.last() else {
            return Ok(());
        };
        if order.attributes & attribute::RDONLY != 0 {
            let change = Change {
                set: attribute::RDONLY,
                ..Change::default()
            };
            mount::change(tree.as_fd(), change, false).step(|| step.clone(), "mount_setattr")?;
        }
        self.finish(tree, &order.finish, &step)
    }
}

fn cgroup2(order: &CgroupTree, hierarchy: &CgroupMount, step: &str) -> Result<OwnedFd> {
    if order.namespaced {
        let made = mount::fsopen(c"cgroup2").and_then(|context| {
            mount::set_string(context.as_fd(), c"source", c"cgroup")?;
            mount::create(context.as_fd())?;
            mount::fsmount(context.as_fd(), order.attributes)
        });
        match made {
            Ok(made) => return Ok(made),
            Err(Errno::PERM | Errno::BUSY) => {}
            Err(errno) => return Err(Error::kernel(step, "fsmount", "cgroup2", errno)),
        }
    }
    let tree = mount::clone_tree(file::here(), &c_path(&hierarchy.own)?, false)
        .step(|| step.to_owned(), "open_tree")?;
    let change = Change {
        set: order.attributes,
        ..Change::default()
    };
    change_bind(tree.as_fd(), change, step)?;
    Ok(tree)
}

fn cgroup1(
    top: BorrowedFd<'_>,
    order: &CgroupTree,
    hierarchy: &CgroupMount,
    step: &str,
) -> Result<()> {
    let directory = hierarchy.mountpoint.file_name().unwrap_or_default();
    let name = c_path(directory)?;
    file::make_directory(top, &name, 0o755).step(|| step.to_owned(), "mkdirat")?;
    let tree = if order.namespaced {
        let made = mount::fsopen(c"cgroup").and_then(|context| {
            mount::set_string(context.as_fd(), c"source", c"cgroup")?;
            for controller in hierarchy.controllers.split(',') {
                let named = controller
                    .strip_prefix("name=")
                    .and_then(|name| CString::new(name).ok());
                match named {
                    Some(name) => mount::set_string(context.as_fd(), c"name", &name)?,
                    None => mount::set_flag(
                        context.as_fd(),
                        &CString::new(controller).map_err(|_| Errno::INVAL)?,
                    )?,
                }
            }
            if hierarchy.controllers.starts_with("name=") {
                mount::set_flag(context.as_fd(), c"none")?;
            }
            mount::create(context.as_fd())?;
            mount::fsmount(context.as_fd(), order.attributes)
        });
        made.map_err(|errno| Error::kernel(step, "fsmount", &*hierarchy.controllers, errno))?
    } else {
        let tree = mount::clone_tree(file::here(), &c_path(&hierarchy.own)?, false)
            .step(|| step.to_owned(), "open_tree")?;
        let change = Change {
            set: order.attributes,
            ..Change::default()
        };
        change_bind(tree.as_fd(), change, step)?;
        tree
    };
    let target = file::place_strictly(top, &name).step(|| step.to_owned(), "openat2")?;
    mount::attach(tree.as_fd(), target.as_fd()).step(|| step.to_owned(), "move_mount")?;
    for controller in hierarchy
        .controllers
        .split(',')
        .filter(|one| std::ffi::OsStr::new(one) != directory)
    {
        if hierarchy.controllers.contains(',') {
            match file::make_symlink(&name, top, &c_path(controller)?) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(Error::kernel(step, "symlinkat", controller, errno)),
            }
        }
    }
    Ok(())
}

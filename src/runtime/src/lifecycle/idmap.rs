//! Id-mapped mounts: the kernel takes the map from a user namespace, which a process must have made.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use sys::{file, process};

use crate::config::mounts::IdMapping;
use crate::config::{Kind, Namespaces};
use crate::error::{Error, Kernelize, Result};
use crate::mounts::place::c_path;
use crate::namespaces::maps::{self, Way};

/// Gives the detached mount `tree` its map: the one listed, or the container's.
///
/// # Errors
/// The kernel's; [`Error::Unsupported`] where filesystem or kernel do not know id-mapped mounts.
pub fn map(
    tree: BorrowedFd<'_>,
    mapping: &IdMapping,
    spaces: &Namespaces,
    joined: Option<&OwnedFd>,
    step: &str,
) -> Result<()> {
    let own;
    let userns = match (mapping.uid_map.is_empty(), joined) {
        (true, Some(joined)) => joined.as_fd(),
        (true, None) => {
            own = user_namespace(&spaces.uid_map, &spaces.gid_map, step)?;
            own.as_fd()
        }
        (false, _) => {
            own = user_namespace(&mapping.uid_map, &mapping.gid_map, step)?;
            own.as_fd()
        }
    };
    sys::mount::map_ids(tree, userns, mapping.recursive).map_err(|errno| match errno {
        sys::Errno::INVAL | sys::Errno::NOSYS => Error::Unsupported {
            feature: format!("{step}: id-mapped mount"),
            missing: "the filesystem or the kernel (Linux 5.12) does not know it".to_owned(),
        },
        errno => Error::kernel(step, "mount_setattr", "MOUNT_ATTR_IDMAP", errno),
    })
}

/// A user namespace with these maps, made by a child that only waits for us to have opened it.
fn user_namespace(
    uid_map: &[crate::config::IdMap],
    gid_map: &[crate::config::IdMap],
    step: &str,
) -> Result<OwnedFd> {
    if uid_map.is_empty() || gid_map.is_empty() {
        return Err(Error::config(
            "mounts",
            "idmap needs uidMappings and gidMappings, of the mount or of the container",
        ));
    }
    let (reader, writer) = std::io::pipe().map_err(|error| {
        Error::kernel(
            step,
            "pipe2",
            "",
            sys::Errno::from_io_error(&error).unwrap_or(sys::Errno::IO),
        )
    })?;
    let how = process::Clone {
        flags: Kind::User.flag(),
        cgroup: None,
    };
    let mut not_for_child = Some(writer);
    let child = process::clone(&how, || {
        drop(not_for_child.take());
        // Ends when the writing end is closed, also by our death.
        i32::from(file::read_byte(reader.as_fd()).is_err())
    })
    .step(|| step.to_owned(), "clone3")?;
    let opened = maps::write(child.pid, uid_map, gid_map, Way::Direct).and_then(|()| {
        let path = c_path(format!("/proc/{}/ns/user", child.pid))?;
        file::open_read(file::here(), &path).step(|| step.to_owned(), "open")
    });
    drop(not_for_child);
    process::wait(child.pidfd.as_fd()).step(|| step.to_owned(), "waitid")?;
    opened
}

//! The mount table: the calls by descriptor of Linux 5.2 (`fsopen`, `fsmount`, `open_tree`, `move_mount`), 5.12
//! (`mount_setattr`) and the old `mount(2)` family that goes by path.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};

use crate::{Errno, Result, check};

/// `MOUNT_ATTR_*` bits as `fsmount(2)` and `mount_setattr(2)` take them.
pub mod attribute {
    /// Writes fail with `EROFS`.
    pub const RDONLY: u64 = libc::MOUNT_ATTR_RDONLY;
    /// Set-id bits and file capabilities have no effect.
    pub const NOSUID: u64 = libc::MOUNT_ATTR_NOSUID;
    /// Device nodes cannot be opened.
    pub const NODEV: u64 = libc::MOUNT_ATTR_NODEV;
    /// Programs cannot be executed.
    pub const NOEXEC: u64 = libc::MOUNT_ATTR_NOEXEC;
    /// The two bits that choose how access times are kept; zero is `relatime`.
    pub const ATIME: u64 = libc::MOUNT_ATTR__ATIME;
    /// Access times are never written.
    pub const NOATIME: u64 = libc::MOUNT_ATTR_NOATIME;
    /// Access times are written at every access.
    pub const STRICTATIME: u64 = libc::MOUNT_ATTR_STRICTATIME;
    /// Access times of directories are never written.
    pub const NODIRATIME: u64 = libc::MOUNT_ATTR_NODIRATIME;
    /// Symbolic links are not followed (Linux 5.14).
    pub const NOSYMFOLLOW: u64 = libc::MOUNT_ATTR_NOSYMFOLLOW;
    /// The mount maps user and group ids as a user namespace does (Linux 5.12).
    pub const IDMAP: u64 = libc::MOUNT_ATTR_IDMAP;
}

/// Propagation types as `mount(2)` and `mount_setattr(2)` take them.
pub mod propagation {
    /// Mounts appear in every peer.
    pub const SHARED: u64 = libc::MS_SHARED;
    /// Mounts come from the master and never go to it.
    pub const SLAVE: u64 = libc::MS_SLAVE;
    /// Mounts neither come nor go.
    pub const PRIVATE: u64 = libc::MS_PRIVATE;
    /// Private, and cannot be bound elsewhere.
    pub const UNBINDABLE: u64 = libc::MS_UNBINDABLE;
}

/// What `mount_setattr(2)` shall change.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// `MOUNT_ATTR_*` bits to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` bits to clear.
    pub clear: u64,
    /// One of [`propagation`], or zero for no change.
    pub propagation: u64,
}

/// Opens a new filesystem context for the type `name`, close-on-exec.
pub fn fsopen(name: &CStr) -> Result<OwnedFd> {
    rustix::mount::fsopen(name, FsOpenFlags::FSOPEN_CLOEXEC)
}

/// Sets `key` to a string in a filesystem context.
pub fn set_string(context: BorrowedFd<'_>, key: &CStr, value: &CStr) -> Result<()> {
    rustix::mount::fsconfig_set_string(context, key, value)
}

/// Sets the flag `key` in a filesystem context.
pub fn set_flag(context: BorrowedFd<'_>, key: &CStr) -> Result<()> {
    rustix::mount::fsconfig_set_flag(context, key)
}

/// Makes the superblock that a filesystem context describes.
pub fn create(context: BorrowedFd<'_>) -> Result<()> {
    rustix::mount::fsconfig_create(context)
}

/// Opens the filesystem context of what is mounted at a place, to change it.
pub fn pick(place: BorrowedFd<'_>) -> Result<OwnedFd> {
    use rustix::mount::FsPickFlags;
    rustix::mount::fspick(
        place,
        c"",
        FsPickFlags::FSPICK_CLOEXEC | FsPickFlags::FSPICK_EMPTY_PATH,
    )
}

/// Gives the superblock that a picked context stands for its new options.
pub fn reconfigure(context: BorrowedFd<'_>) -> Result<()> {
    rustix::mount::fsconfig_reconfigure(context)
}

/// What the kernel has to say about the last failure on a filesystem context, one message a line without its level.
#[must_use]
pub fn complaints(context: BorrowedFd<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut buffer = [0_u8; 512];
    while let Ok(length) = rustix::io::read(context, &mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..length]);
        if let Some((_, message)) = text.trim_end().split_once(' ') {
            lines.push(message.to_owned());
        }
    }
    lines
}

/// Turns a created filesystem context into a detached mount with `attributes` ([`attribute`] bits).
pub fn fsmount(context: BorrowedFd<'_>, attributes: u64) -> Result<OwnedFd> {
    let attributes =
        MountAttrFlags::from_bits_retain(u32::try_from(attributes).map_err(|_| Errno::INVAL)?);
    rustix::mount::fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// A detached copy of the mount at `path` beneath `directory` (an empty path means the descriptor itself), with what is
/// mounted below it when `recursive`.
pub fn clone_tree(directory: BorrowedFd<'_>, path: &CStr, recursive: bool) -> Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    rustix::mount::open_tree(directory, path, flags)
}

/// Attaches the mount `from` onto the file or directory that `to` stands for; no path is resolved.
pub fn attach(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(from, c"", to, c"", flags)
}

/// Changes the mount whose root `mount` stands for, and all below it when `recursive` (Linux 5.12).
pub fn change(mount: BorrowedFd<'_>, change: Change, recursive: bool) -> Result<()> {
    set_attributes(mount, change, recursive, None)
}

/// Changes the propagation of the mount that an `O_PATH` descriptor lies on, whichever file of it the descriptor stands for.
pub fn change_at(place: BorrowedFd<'_>, propagation: u64) -> Result<()> {
    let path = std::ffi::CString::new(format!("/proc/self/fd/{}", place.as_raw_fd()))
        .map_err(|_| Errno::INVAL)?;
    let mut at = rustix::fs::readlinkat(rustix::fs::CWD, &path, Vec::new())?.into_bytes();
    // mount(2) changes a mount by its mount point only: the nearest one above the place.
    loop {
        let target = std::ffi::CString::new(if at.is_empty() {
            b"/".to_vec()
        } else {
            at.clone()
        })
        .map_err(|_| Errno::INVAL)?;
        match legacy(None, &target, None, propagation, None) {
            Err(Errno::INVAL) if !at.is_empty() => {
                let cut = at.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                at.truncate(cut);
            }
            result => return result,
        }
    }
}

/// Gives a detached mount the id map of the user namespace `userns`.
pub fn map_ids(mount: BorrowedFd<'_>, userns: BorrowedFd<'_>, recursive: bool) -> Result<()> {
    let change = Change {
        set: attribute::IDMAP,
        ..Change::default()
    };
    set_attributes(mount, change, recursive, Some(userns))
}

fn set_attributes(
    mount: BorrowedFd<'_>,
    change: Change,
    recursive: bool,
    userns: Option<BorrowedFd<'_>>,
) -> Result<()> {
    let attributes = libc::mount_attr {
        attr_set: change.set,
        attr_clr: change.clear,
        propagation: change.propagation,
        userns_fd: userns.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    let mut flags = libc::AT_EMPTY_PATH;
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the structure outlives the call and its size is passed with it; the path is a constant empty string.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    check(result).map(drop)
}

/// Changes the propagation of the mount at `path`, and of all below it when `recursive`.
pub fn propagate(path: &CStr, propagation: u64, recursive: bool) -> Result<()> {
    let recursion = if recursive { libc::MS_REC } else { 0 };
    legacy(None, path, None, propagation | recursion, None)
}

/// `mount(2)` as it is: source, target, type, `MS_*` flags and data by path.
pub fn legacy(
    source: Option<&CStr>,
    target: &CStr,
    kind: Option<&CStr>,
    flags: u64,
    data: Option<&CStr>,
) -> Result<()> {
    let pointer = |text: Option<&CStr>| text.map_or(std::ptr::null(), CStr::as_ptr);
    // SAFETY: every pointer is null or a terminated string that outlives the call.
    let result = unsafe {
        libc::mount(
            pointer(source),
            target.as_ptr(),
            pointer(kind),
            flags,
            pointer(data).cast(),
        )
    };
    check(libc::c_long::from(result)).map(drop)
}

/// Makes the working directory the root, with the old root mounted over it: `pivot_root(".", ".")`.
pub fn pivot_here() -> Result<()> {
    rustix::process::pivot_root(c".", c".")
}

/// Detaches what is mounted at `path`, busy or not.
pub fn detach(path: &CStr) -> Result<()> {
    rustix::mount::unmount(path, UnmountFlags::DETACH)
}

/// Whether the mount that `file` lies on refuses writes.
pub fn is_readonly(file: impl AsFd) -> Result<bool> {
    Ok(rustix::fs::fstatvfs(file)?
        .f_flag
        .contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

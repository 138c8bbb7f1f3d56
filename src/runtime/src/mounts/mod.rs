//! The container's mount tree: what is mounted where, in which order it is hidden and frozen, and how the root is changed.
//!
//! [`plan`] turns the configuration into [`Order`]s, [`apply`] carries them out in the child. Every place inside the root is
//! found by `openat2(2)` with the root's descriptor for `/` and used by descriptor from then on; sources are detached
//! mounts (Linux 5.2), so nothing that the image or another container can swap is ever resolved twice.

pub mod apply;
mod cgroup;
pub mod console;
pub mod copy;
pub mod place;
pub mod plan;
pub mod root;

use std::ffi::CString;
use std::path::PathBuf;

use sys::mount::Change;

use crate::config::{Device, Propagation};

/// What happens to a mount besides its making.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finish {
    /// Attributes for this mount and all below.
    pub recursive: Change,
    /// Propagation changes, in order.
    pub propagation: Vec<Propagation>,
}

/// A filesystem to be made and mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filesystem {
    /// Its type.
    pub kind: CString,
    /// What the mount table shows as its source.
    pub source: CString,
    /// Flags and options of the superblock.
    pub options: Vec<(CString, Option<CString>)>,
    /// `MOUNT_ATTR_*` bits.
    pub attributes: u64,
    /// `MS_*` bits that need `mount(2)`.
    pub legacy: u64,
    /// Where, below the root.
    pub destination: PathBuf,
    /// What follows.
    pub finish: Finish,
    /// The directory's content is copied into it first.
    pub copy_up: bool,
    /// What is tried where the kernel refuses with `EPERM` or `EBUSY`: a bind of this path of the host.
    pub fallback: Option<CString>,
}

/// A file or directory of the host that appears in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Its path on the host.
    pub source: CString,
    /// With the mounts below it.
    pub recursive: bool,
    /// Attributes to set and to clear.
    pub attributes: Change,
    /// Where, below the root.
    pub destination: PathBuf,
    /// What follows.
    pub finish: Finish,
    /// The index in `mounts` under which the parent has opened it; `None` where the child does.
    pub opened: Option<usize>,
}

/// The cgroup hierarchy as one mount (v2) or a directory of mounts (v1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupTree {
    /// Attributes, the read-only bit among them.
    pub attributes: u64,
    /// Where.
    pub destination: PathBuf,
    /// What follows.
    pub finish: Finish,
    /// Mounted as filesystem (with a cgroup namespace), else bound from the host.
    pub namespaced: bool,
}

/// One step of the child with mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Changes how mounts of the whole tree come and go.
    Propagate(Propagation),
    /// Takes a copy of the root filesystem's mount and attaches it in place.
    Root(CString),
    /// Takes host files before anything of the image can be in the way.
    HostFiles,
    /// Mounts a filesystem.
    Filesystem(Box<Filesystem>),
    /// Binds a host path.
    Bind(Box<Bind>),
    /// Changes what is mounted already: attributes of the mount, then options of its superblock.
    Remount {
        /// Where.
        destination: PathBuf,
        /// Attributes to set and to clear.
        attributes: Change,
        /// Flags and options of the superblock.
        options: Vec<(CString, Option<CString>)>,
    },
    /// Mounts the cgroup hierarchy.
    CgroupTree(CgroupTree),
    /// Makes a device node, or binds the host's where nodes cannot be made.
    Device {
        /// Which.
        device: Device,
        /// Bind instead of making.
        bind: bool,
    },
    /// Makes a symbolic link.
    Link {
        /// What it says.
        target: CString,
        /// Where.
        path: PathBuf,
        /// Put in place of what is there.
        replace: bool,
    },
    /// Makes `/proc/kcore` reachable as `/dev/core` where it exists.
    CoreLink,
    /// Makes the root the process's root and drops the old one.
    Pivot,
    /// The same without `pivot_root(2)`, for a root on the initial ramfs.
    MoveRoot,
    /// Makes the working directory where it is missing.
    WorkingDirectory(CString),
    /// Opens the terminal in the container's devpts, binds it to `/dev/console`, hands its master out.
    Console {
        /// Rows and columns.
        size: Option<(u16, u16)>,
        /// Owner of the slave.
        uid: u32,
    },
    /// Makes an earlier mount read-only.
    Freeze(PathBuf),
    /// Makes the root mount read-only.
    FreezeRoot,
    /// Writes kernel parameters.
    Sysctl(Vec<(CString, Vec<u8>)>),
    /// Makes what is at a path read-only, if anything is.
    Readonly(CString),
    /// Hides what is at a path, if anything is.
    Mask(CString),
}

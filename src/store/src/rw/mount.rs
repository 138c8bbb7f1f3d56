//! Overlay mounts. By the new mount API with one `lowerdir+` per layer (Linux 6.5), which has no limit on the sum of
//! their names; by one option string otherwise, within a page, for which trees have short names.

use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount,
};

use crate::durable::{self, Scratch};
use crate::error::{At, Error, Result};
use crate::store::Driver;

/// Layers overlayfs stacks at most (fs/overlayfs/params.h, OVL_MAX_STACK).
const LAYERS_MAX: usize = 500;
/// mount(2): options must fit a page, the terminating NUL included.
const PAGE: usize = 4096;
/// Off, whatever the module's defaults: with them the upper directory alone would not say what changed.
const PLAIN: [(&str, &str); 3] = [
    ("redirect_dir", "off"),
    ("metacopy", "off"),
    ("index", "off"),
];

/// Tries an overlay mount below the data root.
pub(crate) fn probe(root: &Path) -> Result<Driver> {
    let scratch = Scratch::new(&root.join("tmp"), "probe")?;
    let dir = scratch.path();
    for name in ["lower", "upper", "work", "merged"] {
        durable::make_dir(&dir.join(name), 0o700)?;
    }
    // Volatile: the unmount of any other overlay syncs the whole filesystem below, which on a busy disk takes seconds.
    match overlay(&[dir.join("lower")], dir, true) {
        Ok(()) => {
            unmount(&dir.join("merged"))?;
            Ok(Driver::Overlay)
        }
        Err(error) => {
            tracing::warn!("overlayfs cannot be used, layers are copied: {error}");
            Ok(Driver::Copy)
        }
    }
}

/// Mounts `dir`/merged from `dir`/upper, `dir`/work and the lower layers, topmost first.
pub(crate) fn overlay(lower: &[PathBuf], dir: &Path, volatile: bool) -> Result<()> {
    if lower.len() > LAYERS_MAX {
        return Err(Error::Unsupported(format!(
            "{} layers: overlayfs stacks at most {LAYERS_MAX}",
            lower.len()
        )));
    }
    // overlayfs wants one lower directory at least; an image without layers gets an empty one.
    let none = [dir.join("empty")];
    let lower = if lower.is_empty() {
        durable::make_dir(&none[0], 0o755)?;
        &none[..]
    } else {
        lower
    };
    if volatile {
        // Left by a mount that never was undone, it forbids the next one; what is lost with the boot is lost anyway.
        durable::remove_tree(&dir.join("work").join("work").join("incompat"))?;
    }
    match by_fd(lower, dir, volatile) {
        Err(Errno::INVAL) if volatile => overlay(lower, dir, false),
        Err(Errno::NOSYS | Errno::INVAL) => by_string(lower, dir),
        other => other.at("mount overlay at", dir.join("merged")),
    }
}

fn by_fd(lower: &[PathBuf], dir: &Path, volatile: bool) -> rustix::io::Result<()> {
    let fs = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&fs, "source", "overlay")?;
    for path in lower {
        fsconfig_set_string(&fs, "lowerdir+", path)?;
    }
    fsconfig_set_string(&fs, "upperdir", dir.join("upper"))?;
    fsconfig_set_string(&fs, "workdir", dir.join("work"))?;
    for (key, value) in PLAIN {
        fsconfig_set_string(&fs, key, value)?;
    }
    if volatile {
        fsconfig_set_flag(&fs, "volatile")?;
    }
    fsconfig_create(&fs)?;
    let mount = fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    move_mount(
        &mount,
        "",
        CWD,
        dir.join("merged"),
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
}

fn by_string(lower: &[PathBuf], dir: &Path) -> Result<()> {
    let merged = dir.join("merged");
    let named = |path: &Path| {
        path.display()
            .to_string()
            .replace('\\', "\\\\")
            .replace(':', "\\:")
            .replace(',', "\\,")
    };
    let lower: Vec<String> = lower.iter().map(|path| named(path)).collect();
    let mut options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.join(":"),
        named(&dir.join("upper")),
        named(&dir.join("work"))
    );
    for (key, value) in PLAIN {
        options = format!("{options},{key}={value}");
    }
    if options.len() >= PAGE {
        return Err(Error::Unsupported(format!(
            "{} layers below {}: their mount options take {} bytes, this kernel takes {PAGE} (Linux 6.5 has no such limit)",
            lower.len(),
            dir.display(),
            options.len()
        )));
    }
    let options = std::ffi::CString::new(options)
        .map_err(|_| Error::Invalid(format!("data root {:?}: path with a NUL byte", dir)))?;
    rustix::mount::mount(
        "overlay",
        &merged,
        "overlay",
        MountFlags::empty(),
        options.as_c_str(),
    )
    .at("mount overlay at", &merged)
}

/// True where a mount begins. Kernels before 5.8 do not say and answer false.
pub(crate) fn is_mounted(path: &Path) -> Result<bool> {
    match rustix::fs::statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty()) {
        Ok(stat) => Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno).at("stat", path),
    }
}

/// Unmounts what is there, lazily: a process that still has a file open keeps it, nobody else sees it. Nothing mounted is
/// fine.
pub(crate) fn unmount(path: &Path) -> Result<()> {
    while is_mounted(path)? {
        match rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) | Err(Errno::INVAL) => {}
            Err(errno) => return Err(errno).at("unmount", path),
        }
    }
    Ok(())
}

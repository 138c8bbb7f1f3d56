//! Configuration → orders for the mount tree. Pure.

use std::path::{Path, PathBuf};

use sys::mount::{attribute, propagation};

use super::place::c_path;
use super::{Bind, CgroupTree, Filesystem, Finish, Order};
use crate::config::mounts::Source;
use crate::config::{Config, Kind, Mount, Propagation};
use crate::error::{Error, Result};

/// What of the host and of the caller's wishes decides about mounts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Circumstances {
    /// Device nodes cannot be made: the container's user namespace is not the first one.
    pub bind_devices: bool,
    /// The parent opens bind sources, since the container's root may not be able to reach them.
    pub parent_opens: bool,
}

/// What may be mounted below `/proc`, runc's list: files that a container may want to lie about.
const BELOW_PROC: [&str; 10] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

/// The propagation that the whole tree gets before anything is mounted: the host must not see the container's mounts.
///
/// Only `shared` leaves the mounts below `/` as they are, so that binds of shared sources stay the host's peers. The
/// others hold for the whole tree: a root on a mount that is still shared could not be pivoted to, and one that is
/// unbindable could not be copied; that is for the container's root alone, later.
#[must_use]
pub fn preparation(config: &Config) -> Propagation {
    match config.root_propagation {
        Some(wish) if wish.kind == propagation::SHARED => wish,
        Some(wish) if wish.kind == propagation::PRIVATE => Propagation {
            recursive: true,
            ..wish
        },
        _ => Propagation {
            kind: propagation::SLAVE,
            recursive: true,
        },
    }
}

/// The mounts of the configuration, in its order, and the read-only bits that are given only after all is in place.
///
/// # Errors
/// [`Error::InvalidConfig`] for destinations below `/proc` that would deceive the runtime itself.
pub fn mounts(config: &Config, circumstances: Circumstances) -> Result<(Vec<Order>, Vec<Order>)> {
    let (mut orders, mut frozen) = (Vec::new(), Vec::new());
    for (index, mount) in config.mounts.iter().enumerate() {
        check_proc(mount, index)?;
        orders.push(order(mount, index, config, circumstances)?);
        if delayed(mount) {
            frozen.push(Order::Freeze(mount.destination.clone()));
        }
    }
    Ok((orders, frozen))
}

/// Whether a read-only mount must stay writable until `/dev` is filled and later mount points are made in it.
fn delayed(mount: &Mount) -> bool {
    let Source::Filesystem { kind, .. } = &mount.source else {
        return false;
    };
    mount.readonly() && (kind == "tmpfs" || mount.destination == Path::new("/dev"))
}

fn check_proc(mount: &Mount, index: usize) -> Result<()> {
    let destination = mount.destination.as_path();
    let Ok(below) = destination.strip_prefix("/proc") else {
        return Ok(());
    };
    let allowed = if below.as_os_str().is_empty() {
        match &mount.source {
            Source::Filesystem { kind, .. } => kind == "proc",
            // A bind of a real procfs is known only when it is opened; the applier looks.
            Source::Bind { .. } => true,
            Source::Cgroup => false,
            Source::Remount => true,
        }
    } else {
        BELOW_PROC.iter().any(|path| destination == Path::new(path))
    };
    if allowed {
        return Ok(());
    }
    let reason = format!(
        "{:?} cannot be mounted because it is inside /proc",
        destination.display()
    );
    Err(Error::config(
        format!("mounts[{index}].destination"),
        reason,
    ))
}

fn order(
    mount: &Mount,
    index: usize,
    config: &Config,
    circumstances: Circumstances,
) -> Result<Order> {
    let finish = Finish {
        recursive: mount.recursive_attributes,
        propagation: mount.propagation.clone(),
    };
    let destination = mount.destination.clone();
    match &mount.source {
        Source::Bind { path, recursive } => Ok(Order::Bind(Box::new(Bind {
            source: c_path(path)?,
            recursive: *recursive,
            attributes: mount.attributes,
            destination,
            finish,
            opened: (circumstances.parent_opens || mount.id_mapping.is_some()).then_some(index),
        }))),
        Source::Remount => Ok(Order::Remount {
            destination,
            attributes: mount.attributes,
            options: options(mount, "", config)?,
        }),
        Source::Cgroup => Ok(Order::CgroupTree(CgroupTree {
            attributes: mount.attributes.set,
            destination,
            finish,
            namespaced: config.namespaces.has(Kind::Cgroup),
        })),
        Source::Filesystem { kind, name } => Ok(Order::Filesystem(Box::new(Filesystem {
            kind: c_path(kind)?,
            source: c_path(name)?,
            options: options(mount, kind, config)?,
            attributes: if delayed(mount) {
                mount.attributes.set & !attribute::RDONLY
            } else {
                mount.attributes.set
            },
            legacy: mount.legacy,
            destination,
            finish,
            copy_up: mount.copy_up,
            fallback: match kind.as_str() {
                "sysfs" if config.namespaces.has(Kind::User) => Some(c"/sys".to_owned()),
                "mqueue" if config.namespaces.has(Kind::User) => Some(c"/dev/mqueue".to_owned()),
                _ => None,
            },
        }))),
    }
}

type Setting = (std::ffi::CString, Option<std::ffi::CString>);

fn options(mount: &Mount, kind: &str, config: &Config) -> Result<Vec<Setting>> {
    let mut options = Vec::new();
    for flag in &mount.superblock {
        // These filesystems share one superblock with the host or other mounts: read-only is for the mount alone.
        let shared = matches!(kind, "" | "proc" | "sysfs" | "mqueue" | "devpts");
        if *flag != "ro" || !(shared || delayed(mount)) {
            options.push((c_path(flag)?, None));
        }
    }
    for option in mount
        .data
        .iter()
        .flat_map(|data| data.split(','))
        .filter(|option| !option.is_empty())
    {
        let (key, value) = option
            .split_once('=')
            .map_or((option, None), |(key, value)| (key, Some(value)));
        // A group that is not mapped cannot own the terminals; the kernel's default is the mounter's.
        if kind == "devpts" && key == "gid" && !mapped_group(config, value) {
            continue;
        }
        options.push((c_path(key)?, value.map(c_path).transpose()?));
    }
    if let Some(label) = config
        .mount_label
        .as_deref()
        .filter(|_| matches!(kind, "tmpfs" | "mqueue" | "devpts"))
    {
        let key = crate::annotations::mount_context_key(&config.annotations)?;
        options.push((c_path(key)?, Some(c_path(label)?)));
    }
    Ok(options)
}

fn mapped_group(config: &Config, value: Option<&str>) -> bool {
    let map = &config.namespaces.gid_map;
    let Some(group) = value.and_then(|value| value.parse().ok()) else {
        return true;
    };
    crate::config::Namespaces::outside(map, group).is_some()
}

/// Device nodes and links of `/dev`; none where `/dev` is somebody else's directory.
///
/// # Errors
/// None at present; paths were checked with the configuration.
pub fn devices(config: &Config, circumstances: Circumstances) -> Result<Vec<Order>> {
    let dev = config
        .mounts
        .iter()
        .rev()
        .find(|mount| mount.destination == Path::new("/dev"));
    if dev.is_some_and(|mount| matches!(mount.source, Source::Bind { .. })) {
        return Ok(Vec::new());
    }
    let mut orders: Vec<Order> = config
        .devices
        .iter()
        .map(|device| Order::Device {
            device: device.clone(),
            bind: circumstances.bind_devices,
        })
        .collect();
    let links = [
        (c"pts/ptmx", "/dev/ptmx", true),
        (c"/proc/self/fd", "/dev/fd", false),
        (c"/proc/self/fd/0", "/dev/stdin", false),
        (c"/proc/self/fd/1", "/dev/stdout", false),
        (c"/proc/self/fd/2", "/dev/stderr", false),
    ];
    for (target, path, replace) in links {
        orders.push(Order::Link {
            target: target.to_owned(),
            path: PathBuf::from(path),
            replace,
        });
    }
    orders.push(Order::CoreLink);
    Ok(orders)
}

/// Read-only and masked paths, after the root was changed.
///
/// # Errors
/// None at present; paths were checked with the configuration.
pub fn hidden(config: &Config) -> Result<Vec<Order>> {
    let readonly = config
        .readonly_paths
        .iter()
        .map(|path| c_path(path).map(Order::Readonly));
    let masked = config
        .masked_paths
        .iter()
        .map(|path| c_path(path).map(Order::Mask));
    readonly.chain(masked).collect()
}

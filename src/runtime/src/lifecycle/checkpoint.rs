//! `checkpoint`, and what `restore` shares with it.

use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use sys::{Errno, file};

use super::{Context, teardown};
use crate::cgroups::{Cgroup, Layout, Record as Cgroups};
use crate::checkpoint::rpc::{CgroupRoot, CgroupsMode, Kind as Request, Options, PageServer};
use crate::checkpoint::{Criu, external};
use crate::cli::{self, Checkpoint, CriuFlags, NetworkLock};
use crate::compat;
use crate::config::{Config, Kind};
use crate::error::{Error, Kernelize, Result};
use crate::host::Host;
use crate::mounts::place::c_path;
use crate::state::{Record, Status};

/// What standard streams were, as the engines that read it know the file.
pub(super) const DESCRIPTORS: &str = "descriptors.json";
/// The external mounts by number.
pub(super) const MOUNTS: &str = "keel-mounts.json";

/// Directories of one run of CRIU.
pub(super) struct Directories {
    pub images: PathBuf,
    pub images_fd: OwnedFd,
    pub work: PathBuf,
    pub work_fd: OwnedFd,
}

impl Directories {
    /// Opens the directories that the flags name; `make` makes those that are missing.
    pub fn open(flags: &CriuFlags, make: bool) -> Result<Self> {
        let named = flags
            .image_path
            .as_deref()
            .unwrap_or(Path::new("checkpoint"));
        let (images, images_fd) = directory(named, make)?;
        let (work, work_fd) = directory(flags.work_path.as_deref().unwrap_or(named), true)?;
        Ok(Self {
            images,
            images_fd,
            work,
            work_fd,
        })
    }
}

fn directory(path: &Path, make: bool) -> Result<(PathBuf, OwnedFd)> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let step = || format!("checkpoint directory {:?}", path.display());
    if make {
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path);
        made.map_err(|error| {
            Error::kernel(
                step(),
                "mkdir",
                "",
                Errno::from_io_error(&error).unwrap_or(Errno::IO),
            )
        })?;
    }
    let opened = file::open_directory(file::here(), &c_path(&path)?).step(step, "open")?;
    Ok((path, opened))
}

/// Saves a container; it is gone afterwards unless it is to run on.
///
/// # Errors
/// [`Error::WrongState`] for what does not run, or what CRIU says.
pub fn checkpoint(context: &Context, verb: &Checkpoint) -> Result<()> {
    let root = context.root()?;
    let slot = root.find(&verb.id)?;
    slot.lock()?;
    let record = slot.record()?;
    if !matches!(Status::of(&slot, &record), Status::Running | Status::Paused) {
        return Err(Error::WrongState(compat::CONTAINER_NOT_RUNNING.to_owned()));
    }
    privileged()?;
    let config = record.config()?;
    let directories = Directories::open(&verb.criu, true)?;
    let mut options = common(context, &verb.criu, &config, &directories, &record.cgroup)?;
    dump_options(&mut options, verb, &config, &record, &directories)?;
    let criu = Criu::start(&[&directories.images_fd, &directories.work_fd])?;
    let kind = if verb.pre_dump {
        Request::PreDump
    } else {
        Request::Dump
    };
    // CRIU freezes for itself, and cannot stop what is frozen already.
    let paused = Status::of(&slot, &record) == Status::Paused;
    let cgroup = Cgroup::from_record(&record.cgroup);
    if paused {
        cgroup.thaw()?;
    }
    let log = directories.work.join("dump.log");
    let dumped = criu.request(kind, options, &log, |_, _| Ok(()));
    if paused && (dumped.is_err() || verb.leave_running || verb.pre_dump) {
        cgroup.freeze()?;
    }
    dumped?;
    if verb.leave_running || verb.pre_dump {
        return Ok(());
    }
    teardown::kill(&record)?;
    teardown::remove(&root, &slot, Some(&record))?;
    teardown::poststop(&record);
    Ok(())
}

/// CRIU needs the rights of the host's root.
pub(super) fn privileged() -> Result<()> {
    if Host::probe()?.is_rootless() {
        return Err(Error::Unsupported {
            feature: "checkpoint and restore".to_owned(),
            missing: "the rights of the host's root".to_owned(),
        });
    }
    Ok(())
}

fn dump_options(
    options: &mut Options,
    verb: &Checkpoint,
    config: &Config,
    record: &Record,
    directories: &Directories,
) -> Result<()> {
    let streams = (0..3).map(|fd| {
        std::fs::read_link(format!("/proc/{}/fd/{fd}", record.pid))
            .map_or(String::new(), |path| path.to_string_lossy().into_owned())
    });
    save(
        &directories.images.join(DESCRIPTORS),
        &streams.collect::<Vec<_>>(),
    )?;
    let mounts = external::find(config, &record.cgroup, record.pid)?;
    save(&directories.images.join(MOUNTS), &mounts)?;
    options.external = external::for_dump(&mounts);
    for (kind, word, name) in [
        (Kind::Network, "net", "extRootNetNS"),
        (Kind::Pid, "pid", "extRootPidNS"),
    ] {
        if config
            .namespaces
            .joined()
            .iter()
            .any(|(joined, _)| *joined == kind)
        {
            let path = format!("/proc/{}/ns/{word}", record.pid);
            let inode = std::fs::metadata(&path)
                .map_err(|error| {
                    Error::kernel(
                        &*path,
                        "stat",
                        "",
                        Errno::from_io_error(&error).unwrap_or(Errno::IO),
                    )
                })?
                .ino();
            options.external.push(format!("{word}[{inode}]:{name}"));
        }
    }
    if let Some(parent) = &verb.parent_path {
        if parent.is_absolute() {
            return Err(Error::Usage(format!(
                "--parent-path {:?}: accepted: a path relative to the image path",
                parent.display()
            )));
        }
        options.parent_image = Some(parent.to_string_lossy().into_owned());
    }
    options.pid = Some(record.pid);
    options.log_file = Some("dump.log".to_owned());
    options.leave_running = Some(verb.leave_running || verb.pre_dump);
    options.track_memory = Some(verb.pre_dump || verb.parent_path.is_some());
    options.tcp_skip_in_flight = Some(verb.tcp_skip_in_flight);
    options.link_remap = Some(verb.link_remap);
    options.status_fd = (verb.status_fd >= 0).then_some(verb.status_fd);
    options.page_server = verb.page_server.as_deref().map(page_server).transpose()?;
    let freezer = record.cgroup.paths.iter().find(|(controllers, _)| {
        controllers.is_empty() || controllers.split(',').any(|it| it == "freezer")
    });
    options.freeze_cgroup = freezer.map(|(_, path)| path.to_string_lossy().into_owned());
    Ok(())
}

fn page_server(text: &str) -> Result<PageServer> {
    let parsed = text
        .rsplit_once(':')
        .and_then(|(address, port)| Some((address, port.parse::<u16>().ok()?)));
    let (address, port) = parsed
        .ok_or_else(|| Error::Usage(format!("--page-server {text:?}: accepted: ADDRESS:PORT")))?;
    Ok(PageServer {
        address: Some(address.to_owned()),
        port: Some(port.into()),
    })
}

/// Writes JSON.
fn save(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_vec(value).map_err(|error| Error::Bug(error.to_string()))?;
    std::fs::write(path, text).map_err(|error| {
        Error::kernel(
            format!("{:?}", path.display()),
            "write",
            "",
            Errno::from_io_error(&error).unwrap_or(Errno::IO),
        )
    })
}

/// What dump and restore tell CRIU alike.
pub(super) fn common(
    context: &Context,
    flags: &CriuFlags,
    config: &Config,
    directories: &Directories,
    cgroups: &Cgroups,
) -> Result<Options> {
    if let Some(other) = flags.empty_ns.iter().find(|kind| *kind != "network") {
        return Err(Error::Usage(format!(
            "--empty-ns {other:?}: accepted: network"
        )));
    }
    let usual = [
        format!("/etc/criu/{}.conf", context.program),
        "/etc/criu/runc.conf".to_owned(),
    ];
    let named = config.annotations.get("org.criu.config").cloned();
    let config_file = named.or_else(|| usual.into_iter().find(|path| Path::new(path).is_file()));
    Ok(Options {
        images_dir_fd: directories.images_fd.as_raw_fd(),
        work_dir_fd: Some(directories.work_fd.as_raw_fd()),
        log_level: Some(4),
        notify_scripts: Some(true),
        root: Some(config.rootfs.to_string_lossy().into_owned()),
        shell_job: Some(flags.shell_job),
        ext_unix_sk: Some(flags.ext_unix_sk),
        tcp_established: Some(flags.tcp_established),
        file_locks: Some(flags.file_locks),
        evasive_devices: Some(true),
        orphan_pts_master: Some(true),
        auto_dedup: Some(flags.auto_dedup),
        lazy_pages: Some(flags.lazy_pages),
        empty_namespaces: (!flags.empty_ns.is_empty()).then_some(0x4000_0000),
        manage_cgroups: Some(true),
        cgroups_mode: Some(mode(flags.manage_cgroups_mode).into()),
        cgroup_roots: cgroup_roots(cgroups)?,
        network_lock: flags.network_lock.map(|lock| match lock {
            NetworkLock::Iptables => 1,
            NetworkLock::Nftables => 2,
            NetworkLock::Skip => 3,
        }),
        config_file,
        ..Options::default()
    })
}

fn mode(mode: cli::CgroupsMode) -> CgroupsMode {
    match mode {
        cli::CgroupsMode::Soft => CgroupsMode::Soft,
        cli::CgroupsMode::Full => CgroupsMode::Full,
        cli::CgroupsMode::Strict => CgroupsMode::Strict,
        cli::CgroupsMode::Ignore => CgroupsMode::Ignore,
    }
}

/// The container's cgroups below their hierarchies' mounts.
fn cgroup_roots(cgroups: &Cgroups) -> Result<Vec<CgroupRoot>> {
    let layout = Layout::probe()?;
    let root = |(controllers, path): (&String, &PathBuf)| {
        let hierarchy = layout
            .hierarchies
            .iter()
            .find(|it| it.controllers == *controllers)?;
        let below = path.strip_prefix(&hierarchy.mountpoint).ok()?;
        let ctrl = (!controllers.is_empty()).then(|| controllers.clone());
        Some(CgroupRoot {
            ctrl,
            path: format!("/{}", below.display()),
        })
    };
    Ok(cgroups.paths.iter().filter_map(root).collect())
}

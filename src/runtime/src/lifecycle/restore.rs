//! `restore`: a container from images of `checkpoint`. CRIU makes its processes, as children of this one; cgroup, hooks,
//! record and terminal are ours.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;

use sys::{file, mount, namespace, process, socket};

use super::checkpoint::{DESCRIPTORS, Directories, MOUNTS, common, privileged};
use super::create::{Bundle, check_root, console_socket};
use super::foreground::{self, Session};
use super::outside::write_pid_file;
use super::{Context, start, teardown};
use crate::annotations;
use crate::cgroups::{Cgroup, Record as Cgroups, Request as Wanted};
use crate::checkpoint::Criu;
use crate::checkpoint::external::{self, External, Origin};
use crate::checkpoint::rpc::{InheritFd, Kind as Request, Notification, Options};
use crate::cli::Restore;
use crate::config::mounts::Source;
use crate::config::resources::Resources;
use crate::config::{Config, Kind, Point};
use crate::error::{Error, Kernelize, Result};
use crate::hooks::{self, Setting};
use crate::host::Host;
use crate::mounts::place::{self, c_path};
use crate::state::root::check_id;
use crate::state::slot::{CRIU_ROOT, process_facts};
use crate::state::{Record, Root, Slot};

/// Brings a container back; returns its status, or 0 once it runs detached.
///
/// # Errors
/// What CRIU says, or whatever keeps the container from being made; nothing of it is left then.
pub fn restore(context: &Context, verb: &Restore) -> Result<i32> {
    check_id(&verb.id)?;
    privileged()?;
    let Bundle { config, raw } = Bundle::read(verb.bundle.as_deref(), None)?;
    check_root(&config.rootfs)?;
    let terminal = config
        .process
        .as_ref()
        .is_some_and(|process| process.terminal);
    let console = console_socket(verb.console_socket.as_deref(), terminal, verb.detach)?;
    let directories = Directories::open(&verb.criu, false)?;
    let root = context.root()?;
    let slot = root.claim(&verb.id)?;
    let mut returning = Returning {
        context,
        verb,
        config: &config,
        root,
        slot,
        cgroup: None,
        record: None,
        console,
        master: None,
        done: false,
    };
    returning.make_cgroup(raw)?;
    let pid = returning.bring_back(&directories)?;
    returning.finish(pid)
}

/// The maker at work. Dropped before the end, it takes everything back.
struct Returning<'a> {
    context: &'a Context,
    verb: &'a Restore,
    config: &'a Config,
    root: Root,
    slot: Slot,
    cgroup: Option<Cgroup>,
    record: Option<Record>,
    console: Option<OwnedFd>,
    master: Option<OwnedFd>,
    done: bool,
}

/// The runtime's own mount namespace, and the one in which CRIU finds the root as a mount.
struct Stage {
    own: OwnedFd,
    stage: OwnedFd,
    /// The working directory, which the kernel resets at every change.
    here: OwnedFd,
    directory: PathBuf,
}

impl Returning<'_> {
    fn make_cgroup(&mut self, raw: Box<serde_json::value::RawValue>) -> Result<()> {
        let host = Host::probe()?;
        let resources = Resources::parse(self.config.resources.as_deref())?;
        let properties = annotations::systemd_properties(&self.config.annotations);
        let wanted = Wanted {
            id: &self.verb.id,
            path: self.config.cgroups_path.as_deref(),
            manager: self.context.manager(),
            rootless: false,
            owner: None,
            resources: &resources,
            properties: &properties,
        };
        let cgroup = Cgroup::create(&wanted, &host.layout)?;
        let record = Record::new(&self.verb.id, self.config, raw, cgroup.record().clone());
        self.cgroup = Some(cgroup);
        self.slot.write(&record)?;
        self.record = Some(record);
        Ok(())
    }

    fn bring_back(&mut self, directories: &Directories) -> Result<i32> {
        let load = |name: &str| {
            let path = directories.images.join(name);
            let step = || format!("checkpoint {:?}", path.display());
            let opened = file::open_read(file::here(), &c_path(&path)?).step(step, "open")?;
            file::read_all(opened.as_fd(), 1 << 20).step(step, "read")
        };
        let unreadable = |error: serde_json::Error| {
            Error::Denied(format!(
                "checkpoint in {:?} cannot be read: {error}",
                directories.images.display()
            ))
        };
        let streams: Vec<String> =
            serde_json::from_slice(&load(DESCRIPTORS)?).map_err(unreadable)?;
        let mounts: Vec<External> = serde_json::from_slice(&load(MOUNTS)?).map_err(unreadable)?;
        self.make_mountpoints(&mounts)?;
        let (inherited, keys) = self.inherited(&streams)?;
        let cgroups = self
            .cgroup
            .as_ref()
            .map(|it| it.record().clone())
            .unwrap_or_default();
        let stage = self.stage()?;
        // CRIU mounts below its working directory, which must lie in the namespace that it works in.
        let directories = &Directories::open(&self.verb.criu, false)?;
        let mut options = common(
            self.context,
            &self.verb.criu,
            self.config,
            directories,
            &cgroups,
        )?;
        self.options(&mut options, &stage, &mounts, &cgroups)?;
        options.inherited = keys;
        let held: Vec<&OwnedFd> = inherited
            .iter()
            .chain([&directories.images_fd, &directories.work_fd])
            .collect();
        let criu = Criu::start(&held)?;
        if let Some(cgroup) = &self.cgroup {
            cgroup.attach(criu.pid())?;
        }
        let log = directories.work.join("restore.log");
        let response = criu.request(Request::Restore, options, &log, |it, descriptors| {
            self.notified(it, descriptors, &stage)
        });
        drop(stage);
        response?
            .restored
            .map(|it| it.pid)
            .ok_or_else(|| Error::Bug("criu restored and told no pid".to_owned()))
    }

    fn options(
        &self,
        options: &mut Options,
        stage: &Stage,
        mounts: &[External],
        cgroups: &Cgroups,
    ) -> Result<()> {
        options.root = Some(stage.directory.to_string_lossy().into_owned());
        options.log_file = Some("restore.log".to_owned());
        options.sibling = Some(true);
        options.external = external::for_restore(mounts, self.config, cgroups)?;
        options.tcp_close = Some(self.verb.tcp_close);
        options.lsm_profile = self
            .verb
            .lsm_profile
            .as_ref()
            .map(|it| format!("{}:{}", it.kind, it.name));
        options
            .lsm_mount_context
            .clone_from(&self.verb.lsm_mount_context);
        Ok(())
    }

    /// Pipes take the place of the pipes that the streams were; joined namespaces are handed over open.
    fn inherited(&self, streams: &[String]) -> Result<(Vec<OwnedFd>, Vec<InheritFd>)> {
        let (mut held, mut keys) = (Vec::new(), Vec::new());
        let mut hold = |descriptor: OwnedFd, key: String| {
            keys.push(InheritFd {
                key,
                fd: descriptor.as_raw_fd(),
            });
            held.push(descriptor);
        };
        for (number, name) in (0..3)
            .zip(streams)
            .filter(|(_, name)| name.starts_with("pipe:"))
        {
            hold(
                file::duplicate(number).step(|| "standard stream".to_owned(), "dup")?,
                name.clone(),
            );
        }
        for (kind, path) in self.config.namespaces.joined() {
            let name = match kind {
                Kind::Network => "extRootNetNS",
                Kind::Pid => "extRootPidNS",
                _ => continue,
            };
            let step = || format!("{} namespace {:?}", kind.name(), path.display());
            hold(
                file::open_read(file::here(), &c_path(&path)?).step(step, "open")?,
                name.to_owned(),
            );
        }
        Ok((held, keys))
    }

    /// Places for bind mounts in the root itself; those in other mounts come back with them.
    fn make_mountpoints(&self, mounts: &[External]) -> Result<()> {
        let path = c_path(&self.config.rootfs)?;
        let root =
            file::open_directory(file::here(), &path).step(|| format!("root {path:?}"), "open")?;
        for external in mounts {
            let Origin::Bind(index, _) = external.origin else {
                continue;
            };
            let Some(Source::Bind { path, .. }) =
                self.config.mounts.get(index).map(|it| &it.source)
            else {
                continue;
            };
            let lies_in = |it: &crate::config::Mount| {
                external.mountpoint != it.destination
                    && external.mountpoint.starts_with(&it.destination)
            };
            if !self.config.mounts.iter().any(lies_in) {
                let step = format!("mount {:?}", external.mountpoint.display());
                place::ensure(root.as_fd(), &external.mountpoint, path.is_dir(), &step)?;
            }
        }
        Ok(())
    }

    /// A mount namespace of this process's own, so that nobody sees the root where CRIU needs it: on a mount.
    fn stage(&self) -> Result<Stage> {
        let step = || "root for criu".to_owned();
        let open = || file::open_read(file::here(), c"/proc/self/ns/mnt").step(step, "open");
        let directory = self
            .context
            .root_path()
            .join(&self.verb.id)
            .join(CRIU_ROOT.to_string_lossy().as_ref());
        let own = open()?;
        let here = file::open_directory(file::here(), c".").step(step, "open")?;
        file::make_directory(self.slot.directory(), CRIU_ROOT, 0o700).step(step, "mkdir")?;
        namespace::leave(namespace::kind::MOUNT).step(step, "unshare")?;
        mount::propagate(c"/", mount::propagation::SLAVE, true).step(step, "mount")?;
        let tree = mount::clone_tree(file::here(), &c_path(&self.config.rootfs)?, true)
            .step(step, "open_tree")?;
        let place = file::place(file::here(), &c_path(&directory)?).step(step, "open")?;
        mount::attach(tree.as_fd(), place.as_fd()).step(step, "move_mount")?;
        Ok(Stage {
            own,
            stage: open()?,
            here,
            directory,
        })
    }

    fn notified(
        &mut self,
        it: &Notification,
        descriptors: Vec<OwnedFd>,
        stage: &Stage,
    ) -> Result<()> {
        match it.script.as_deref().unwrap_or_default() {
            "setup-namespaces" => {
                stage.leave()?;
                let ran = self.hooks(it.pid.unwrap_or(0));
                stage.enter()?;
                ran
            }
            "post-restore" => self.write_record(it.pid.unwrap_or(0)),
            "orphan-pts-master" => {
                let master = descriptors.into_iter().next();
                let master =
                    master.ok_or_else(|| Error::Bug("criu sent no terminal".to_owned()))?;
                match &self.console {
                    Some(console) => {
                        socket::send(console.as_fd(), b"/dev/pts/ptmx", &[master.as_fd()])
                            .step(|| "console socket".to_owned(), "sendmsg")
                    }
                    None => {
                        self.master = Some(master);
                        Ok(())
                    }
                }
            }
            _ => Ok(()),
        }
    }

    fn hooks(&self, pid: i32) -> Result<()> {
        let setting = Setting {
            state: teardown::hook_state(self.config, &self.verb.id).json("creating", Some(pid)),
            directory: Some(&self.config.bundle),
            environment: None,
        };
        [Point::Prestart, Point::CreateRuntime]
            .into_iter()
            .try_for_each(|point| hooks::run(point, self.config.hooks.at(point), &setting))
    }

    fn write_record(&mut self, pid: i32) -> Result<()> {
        let (_, start_time) = process_facts(pid)
            .ok_or_else(|| Error::WrongState("the restored init is gone".to_owned()))?;
        let record = self
            .record
            .as_mut()
            .ok_or_else(|| Error::Bug("no record was made".to_owned()))?;
        (record.pid, record.start_time) = (pid, start_time);
        if let Some(cgroup) = &self.cgroup {
            record.cgroup = cgroup.record().clone();
        }
        self.slot.write(record)
    }

    fn finish(mut self, pid: i32) -> Result<i32> {
        let record = self
            .record
            .clone()
            .ok_or_else(|| Error::Bug("no record was made".to_owned()))?;
        let pidfd = process::open(pid).step(|| "restored init".to_owned(), "pidfd_open")?;
        let child = process::Child { pid, pidfd };
        if let Some(path) = &self.verb.pid_file {
            write_pid_file(path, pid)?;
        }
        start::poststart(self.config, &record)?;
        self.done = true;
        if self.verb.detach {
            return Ok(0);
        }
        let session = Session::with_master(self.master.take())?;
        let root = self.context.root()?;
        // From here on other commands may change the container.
        drop(self);
        let exit = session.wait(&child)?;
        foreground::clean_up(&root, &record)?;
        Ok(exit.code())
    }
}

impl Drop for Returning<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let record = self.record.take();
        if let Some(Err(error)) = record.as_ref().filter(|it| it.pid != 0).map(teardown::kill) {
            tracing::debug!("undo: {error}");
        }
        let cgroup = self.cgroup.take().map_or(Ok(()), |cgroup| cgroup.remove());
        if let Err(error) = cgroup.and(teardown::remove(&self.root, &self.slot, None)) {
            tracing::debug!("undo: {error}");
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let left = self.leave();
        let removed = std::fs::remove_dir(&self.directory);
        if left.is_err() || removed.is_err() {
            tracing::debug!("undo: {left:?}, {removed:?}");
        }
    }
}

impl Stage {
    fn leave(&self) -> Result<()> {
        let step = || "own mount namespace".to_owned();
        namespace::join(self.own.as_fd(), namespace::kind::MOUNT).step(step, "setns")?;
        file::enter(self.here.as_fd()).step(step, "fchdir")
    }

    fn enter(&self) -> Result<()> {
        namespace::join(self.stage.as_fd(), namespace::kind::MOUNT)
            .step(|| "mount namespace for criu".to_owned(), "setns")
    }
}

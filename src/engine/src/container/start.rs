//! `POST /containers/{id}/start`: root, networks, mounts, specification, monitor, start. Undone in reverse on failure.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gantry_monitor::protocol::{Reply, Request, SETUP, Setup};
use tokio::net::UnixStream;

use super::record::{Phase, Record};
use super::spec::{self, Surroundings};
use super::{Container, lock, mounts};
use crate::Engine;
use crate::clock;
use crate::error::{Error, Result};
use crate::monitor;
use crate::pipe::blocking;

impl Engine {
    /// Starts a container.
    ///
    /// # Errors
    /// Not modified if it runs; conflict if it is paused or being removed; the runtime's refusal.
    pub async fn start_container(self: &Arc<Self>, container: &Arc<Container>) -> Result<()> {
        let _life = container.life.lock().await;
        match container.view().state.phase {
            Phase::Running => return Err(Error::not_modified()),
            Phase::Paused => {
                return Err(Error::conflict(
                    "cannot start a paused container, try unpause instead",
                ));
            }
            Phase::Removing | Phase::Dead => {
                return Err(Error::conflict(
                    "container is marked for removal and cannot be started",
                ));
            }
            Phase::Created | Phase::Exited | Phase::Restarting => {}
        }
        container.call_off.notify_waiters();
        container.change(|record| record.state.restart_count = 0);
        let started = self.run_up(container).await;
        if let Err(error) = &started
            && error.kind != crate::error::Kind::NotModified
            && container.view().host.auto_remove
        {
            let (engine, container) = (self.clone(), container.clone());
            tokio::spawn(async move { engine.remove_ended(&container).await });
        }
        started
    }

    /// Starts under the caller's hold of the container's life.
    ///
    /// # Errors
    /// The runtime's refusal in docker's words; whatever else is missing.
    pub async fn run_up(self: &Arc<Self>, container: &Arc<Container>) -> Result<()> {
        let result = self.try_up(container).await;
        let Err(error) = result else { return Ok(()) };
        // Whoever attached for this start has nothing to wait for any more.
        lock(&container.waiting).clear();
        let text = error.message.clone();
        let code = exit_code(&text);
        container.change_state(|state| {
            state.phase = if state.exits == 0 && state.started_at.is_empty() {
                Phase::Created
            } else {
                Phase::Exited
            };
            state.exit_code = code;
            state.error.clone_from(&text);
            state.pid = 0;
            state.exits += 1;
        })?;
        // Docker's choice of status: a wrong command is the caller's mistake, anything else the server's.
        Err(if code == 128 {
            error
        } else {
            Error::invalid(text)
        })
    }

    async fn try_up(self: &Arc<Self>, container: &Arc<Container>) -> Result<()> {
        let (engine, own) = (self.clone(), container.clone());
        let prepared = blocking(move || engine.prepare(&own)).await;
        let started = match prepared {
            Ok(()) => self.launch(container).await,
            Err(error) => Err(error),
        };
        if started.is_err() {
            let (engine, own) = (self.clone(), container.clone());
            blocking(move || {
                engine.take_down(&own);
                Ok(())
            })
            .await?;
        }
        started
    }

    /// Everything before the runtime: blocking work of files, mounts and links.
    fn prepare(&self, container: &Container) -> Result<()> {
        let record = container.view();
        let places = &container.places;
        if let Err(error) = std::fs::remove_dir_all(&places.bundle)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(Error::kernel(places.bundle.display(), error));
        }
        std::fs::create_dir_all(&places.bundle)
            .map_err(|e| Error::kernel(places.bundle.display(), e))?;
        let root = self.store.rw(&record.id)?.mount()?;
        let joined = self.join_networks(&record, places)?;
        self.mount_volumes(container, &root)?;
        let record = container.view();
        let around = Surroundings {
            mounts: mounts::oci(
                &record,
                &places.home,
                self.shared_memory(&record)?.as_deref(),
            )?,
            root,
            network: joined.namespace,
            joined: self.joined_namespaces(&record)?,
            environment: self.link_environment(&record),
            init: self.init_program(&record)?,
            cgroup: self.cgroup(&record),
            unified: self.machine.unified,
        };
        let spec = spec::write(&record, &around)?;
        write_json(&places.bundle.join("config.json"), &spec)?;
        write_json(&places.bundle.join(SETUP), &self.setup(&record, container)?)?;
        container.change(|record| record.state.network = joined.settings);
        Ok(())
    }

    fn setup(&self, record: &Record, container: &Container) -> Result<Setup> {
        let size = |value: u64| u16::try_from(value).unwrap_or(0);
        let [height, width] = record.host.console_size;
        Ok(Setup {
            id: record.id.clone(),
            runtime: self.runtime_command(&record.host.runtime)?,
            tty: record.config.tty,
            open_stdin: record.config.open_stdin,
            stdin_once: record.config.stdin_once,
            size: (size(height), size(width)),
            exit_record: container.places.exit_record(),
            log: super::logs::setup(record, &container.places)?,
        })
    }

    async fn launch(self: &Arc<Self>, container: &Arc<Container>) -> Result<()> {
        let bundle = &container.places.bundle;
        let exit_record = container.places.exit_record();
        if exit_record.exists() {
            std::fs::remove_file(&exit_record)
                .map_err(|e| Error::kernel(exit_record.display(), e))?;
        }
        let pid = monitor::launch(&self.options.monitor, bundle).await.map_err(|error| {
            Error::internal(format!(
                "failed to create task for container: failed to create shim task: OCI runtime create failed: {}: unknown",
                error.message
            ))
        })?;
        let process = hold_process(pid)?;
        let mut link = monitor::connect(bundle)
            .await
            .map_err(|e| Error::kernel("monitor", e))?;
        monitor::ask(&mut link, &Request::Watch).await?;
        self.hand_over(container).await?;
        let id = container.id.clone();
        monitor::ask(&mut link, &Request::Start)
            .await
            .map_err(|error| {
                Error::internal(format!(
                    "failed to start task for container {id}: {}: unknown",
                    error.message
                ))
            })?;
        *lock(&container.process) = Some(process);
        container.change_state(|state| {
            state.phase = Phase::Running;
            state.pid = pid;
            state.exit_code = 0;
            state.error.clear();
            state.started_at = clock::now();
            state.oom_killed = false;
            state.stopped_by_user = false;
        })?;
        self.container_event(&container.view(), "start", &[]);
        self.watch(container, link);
        self.start_probe(container);
        Ok(())
    }

    /// Gives every client that attached before the start its connection to the monitor.
    async fn hand_over(&self, container: &Container) -> Result<()> {
        let waiting = std::mem::take(&mut *lock(&container.waiting));
        for client in waiting.into_iter().filter(|client| !client.to.is_closed()) {
            let mut stream: UnixStream = monitor::connect(&container.places.bundle)
                .await
                .map_err(|e| Error::kernel("monitor", e))?;
            monitor::ask(&mut stream, &Request::Attach(client.streams)).await?;
            // A client that has left meanwhile needs no stream.
            drop(client.to.send(stream));
        }
        Ok(())
    }

    /// Listens for the container's end on the connection that asked for its start.
    pub fn watch(self: &Arc<Self>, container: &Arc<Container>, mut link: UnixStream) {
        let (engine, container) = (self.clone(), container.clone());
        let busy = engine.idle.container();
        tokio::spawn(async move {
            let exit = loop {
                match monitor::reply(&mut link).await {
                    Ok(Some(Reply::Exited(exit))) => break Some(exit),
                    Ok(Some(Reply::ExecExited { id, code })) => {
                        engine.exec_ended(&container, &id, code)
                    }
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => break None,
                }
            };
            engine.ended(&container, exit).await;
            drop(busy);
        });
    }

    /// Where the cgroup of `record` is: below the parent it asks for, else the engine's.
    pub(crate) fn cgroup(&self, record: &Record) -> String {
        let wanted = &record.host.resources.cgroup_parent;
        let parent = if wanted.is_empty() {
            &self.options.cgroup_parent
        } else {
            wanted
        };
        let parent = if parent.is_empty() { "/docker" } else { parent };
        let slash = if parent.starts_with('/') { "" } else { "/" };
        format!("{slash}{}/{}", parent.trim_end_matches('/'), record.id)
    }

    fn init_program(&self, record: &Record) -> Result<Option<PathBuf>> {
        if record.host.init != Some(true) {
            return Ok(None);
        }
        // The monitor's own binary acts as init when it is called by that name.
        let found = self
            .options
            .init_path
            .clone()
            .unwrap_or_else(|| self.options.monitor.clone());
        if found.is_file() {
            Ok(Some(found))
        } else {
            Err(Error::invalid(format!("init program {found:?}: not found")))
        }
    }

    /// Namespaces of other containers that this one shares.
    fn joined_namespaces(&self, record: &Record) -> Result<Vec<(&'static str, PathBuf)>> {
        let mut all = Vec::new();
        for (kind, mode) in [
            ("pid", &record.host.pid_mode),
            ("ipc", &record.host.ipc_mode),
        ] {
            if let Some(other) = mode.strip_prefix("container:") {
                let view = self.containers.find(other)?.view();
                if !view.state.lives() {
                    return Err(Error::conflict(format!(
                        "cannot join {kind} namespace of a non running container: {}",
                        view.id
                    )));
                }
                if kind == "ipc"
                    && view.host.ipc_mode != "shareable"
                    && view.host.ipc_mode != "host"
                {
                    return Err(Error::invalid(format!(
                        "can't join IPC of container {}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)",
                        view.id
                    )));
                }
                all.push((
                    kind,
                    PathBuf::from(format!("/proc/{}/ns/{kind}", view.state.pid)),
                ));
            }
        }
        Ok(all)
    }

    /// Where /dev/shm comes from when it is not the container's own.
    fn shared_memory(&self, record: &Record) -> Result<Option<PathBuf>> {
        if record.host.ipc_mode == "host" {
            return Ok(Some("/dev/shm".into()));
        }
        match record.host.ipc_mode.strip_prefix("container:") {
            Some(other) => {
                let view = self.containers.find(other)?.view();
                Ok(Some(
                    format!("/proc/{}/root/dev/shm", view.state.pid).into(),
                ))
            }
            None => Ok(None),
        }
    }

    /// Takes back what [`Engine::prepare`] put up, each step tried.
    pub fn take_down(&self, container: &Container) {
        let record = container.view();
        let steps = [
            self.unmount_volumes(container),
            self.leave_networks(container),
            self.store
                .rw(&record.id)
                .and_then(|layer| layer.unmount())
                .map_err(Error::from),
        ];
        for error in steps.into_iter().filter_map(Result::err) {
            tracing::warn!("container {}: {error}", record.id);
        }
        if let Err(error) = std::fs::remove_dir_all(&container.places.bundle)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("{}: {error}", container.places.bundle.display());
        }
    }
}

/// A descriptor of the process, so that signals reach it or nobody.
pub fn hold_process(pid: i32) -> Result<std::os::fd::OwnedFd> {
    sys::process::open(pid).map_err(|errno| Error::internal(format!("process {pid}: {errno:?}")))
}

/// docker's exit code of a container whose start failed, found in the runtime's words.
fn exit_code(text: &str) -> i32 {
    let lower = text.to_lowercase();
    let has = |phrase: &str| lower.contains(phrase);
    if has("executable file not found")
        || has("no such file or directory")
        || has("system cannot find the file specified")
    {
        127
    } else if has("permission denied") || has("is a directory") || has("not a directory") {
        126
    } else {
        128
    }
}

fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<()> {
    let bytes = serde_json::to_vec(value)
        .map_err(|e| Error::internal(format!("{}: {e}", path.display())))?;
    std::fs::write(path, bytes).map_err(|e| Error::kernel(path.display(), e))
}

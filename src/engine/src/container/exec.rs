//! Exec sessions: made, started once, looked at; their process belongs to the container's monitor.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use gantry_api::container::exec::{ExecInspect, ExecRequest, ProcessConfig};
use gantry_monitor::protocol::{Reply, Request, Streams};
use tokio::net::UnixStream;

use super::record::{Phase, Record};
use super::{Container, attach, lock, names, spec};
use crate::Engine;
use crate::error::{Error, Result};
use crate::monitor;
use crate::pipe::blocking;

/// A session.
#[derive(Debug)]
pub struct Exec {
    /// 64 hex digits.
    pub id: String,
    /// Its container.
    pub container: String,
    /// What was asked.
    pub request: ExecRequest,
    state: Mutex<State>,
}

#[derive(Debug, Default, Clone, Copy)]
struct State {
    started: bool,
    running: bool,
    code: Option<i32>,
    pid: i32,
}

impl Exec {
    /// What `inspect` shows.
    #[must_use]
    pub fn inspect(&self) -> ExecInspect {
        let state = *lock(&self.state);
        let words = self.request.cmd.clone().unwrap_or_default();
        let (entrypoint, arguments) = words
            .split_first()
            .map_or((String::new(), Vec::new()), |(first, rest)| {
                (first.clone(), rest.to_vec())
            });
        ExecInspect {
            id: self.id.clone(),
            running: state.running,
            exit_code: state.code.map(i64::from),
            process_config: ProcessConfig {
                tty: self.request.tty,
                entrypoint,
                arguments: Some(arguments),
                privileged: Some(self.request.privileged),
                user: self.request.user.clone(),
            },
            open_stdin: self.request.attach_stdin,
            open_stderr: self.request.attach_stderr,
            open_stdout: self.request.attach_stdout,
            can_remove: state.code.is_some(),
            container_id: self.container.clone(),
            detach_keys: String::new(),
            pid: i64::from(state.pid),
        }
    }

    /// Whether its process runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        lock(&self.state).running
    }

    fn end(&self, code: i32) -> bool {
        let mut state = lock(&self.state);
        let first = state.code.is_none();
        state.running = false;
        if first {
            state.code = Some(code);
        }
        first
    }

    /// The container ended: whatever still ran in it was killed.
    pub fn end_with_container(&self) {
        if self.is_running() {
            self.end(137);
        }
    }
}

impl Engine {
    /// Makes a session.
    ///
    /// # Errors
    /// Conflict, docker's texts, if the container does not run; invalid without a command.
    pub fn create_exec(&self, container: &Container, request: ExecRequest) -> Result<String> {
        let view = container.view();
        may_exec(&view)?;
        if request.cmd.as_ref().is_none_or(Vec::is_empty) {
            return Err(Error::invalid("no exec command specified"));
        }
        attach::parse_keys(&request.detach_keys)?;
        let id = names::id()?;
        let command = request.cmd.clone().unwrap_or_default().join(" ");
        let exec = Exec {
            id: id.clone(),
            container: container.id.clone(),
            request,
            state: Mutex::default(),
        };
        lock(&container.execs).insert(id.clone(), Arc::new(exec));
        self.container_event(
            &view,
            &format!("exec_create: {command}"),
            &[("execID", id.clone())],
        );
        Ok(id)
    }

    /// Finds a session by its id.
    ///
    /// # Errors
    /// `No such exec instance: X`.
    pub fn find_exec(&self, id: &str) -> Result<(Arc<Container>, Arc<Exec>)> {
        for container in self.containers.all() {
            let found = lock(&container.execs).get(id).cloned();
            if let Some(exec) = found {
                return Ok((container, exec));
            }
        }
        Err(Error::not_found(format!("No such exec instance: {id}")))
    }

    /// Takes a session for its one start.
    ///
    /// # Errors
    /// Conflict if it has been started or the container does not run.
    pub fn claim_exec(&self, container: &Container, exec: &Exec) -> Result<()> {
        may_exec(&container.view())?;
        let mut state = lock(&exec.state);
        if state.code.is_some() {
            return Err(Error::conflict(format!("exec {} has already run", exec.id)));
        }
        if std::mem::replace(&mut state.started, true) {
            let id = &exec.id;
            return Err(Error::conflict(format!(
                "exec {id} has already been started"
            )));
        }
        Ok(())
    }

    /// Starts a claimed session's process; its stdio comes on the connection given back.
    ///
    /// # Errors
    /// The runtime's refusal.
    pub async fn start_exec(
        &self,
        container: &Container,
        exec: &Exec,
        streams: Streams,
        size: (u16, u16),
    ) -> Result<UnixStream> {
        let view = container.view();
        let started = self
            .exec_process(container, exec, &view, streams, size)
            .await;
        match started {
            Ok((stream, pid)) => {
                {
                    let mut state = lock(&exec.state);
                    // A short process may have ended already.
                    state.running = state.code.is_none();
                    state.pid = pid;
                }
                let command = exec.request.cmd.clone().unwrap_or_default().join(" ");
                self.container_event(
                    &view,
                    &format!("exec_start: {command}"),
                    &[("execID", exec.id.clone())],
                );
                Ok(stream)
            }
            Err(error) => {
                let lower = error.message.to_lowercase();
                let missing = lower.contains("executable file not found")
                    || lower.contains("no such file or directory");
                let denied =
                    lower.contains("permission denied") || lower.contains("is a directory");
                exec.end(if missing { 127 } else { 126 });
                let text = format!("OCI runtime exec failed: {}: unknown", error.message);
                Err(if missing || denied {
                    Error::invalid(text)
                } else {
                    Error::internal(text)
                })
            }
        }
    }

    async fn exec_process(
        &self,
        container: &Container,
        exec: &Exec,
        view: &Record,
        streams: Streams,
        size: (u16, u16),
    ) -> Result<(UnixStream, i32)> {
        let file = container
            .places
            .bundle
            .join(format!("exec-{}.json", &exec.id[..16]));
        let (own, request, path) = (view.clone(), exec.request.clone(), file.clone());
        blocking(move || {
            let process = process_of(&own, &request)?;
            let bytes = serde_json::to_vec(&process).map_err(|e| Error::internal(e.to_string()))?;
            std::fs::write(&path, bytes).map_err(|e| Error::kernel(path.display(), e))
        })
        .await?;
        let mut stream = monitor::connect(&container.places.bundle)
            .await
            .map_err(|e| Error::kernel("monitor", e))?;
        let request = Request::Exec {
            id: exec.id.clone(),
            process: file.clone(),
            tty: exec.request.tty,
            size,
            streams,
        };
        let reply = monitor::ask(&mut stream, &request).await;
        if let Err(error) = std::fs::remove_file(&file) {
            tracing::debug!("{}: {error}", file.display());
        }
        match reply? {
            Reply::Executed { pid } => Ok((stream, pid)),
            other => Err(Error::internal(format!(
                "the monitor answered {other:?} to an exec"
            ))),
        }
    }

    /// A session's process has ended.
    pub fn exec_ended(&self, container: &Container, id: &str, code: i32) {
        let exec = lock(&container.execs).get(id).cloned();
        let Some(exec) = exec else { return };
        if exec.end(code) {
            let more = [("execID", id.to_owned()), ("exitCode", code.to_string())];
            self.container_event(&container.view(), "exec_die", &more);
        }
        // docker forgets ended sessions after a while; here the newest hundred stay.
        let mut execs = lock(&container.execs);
        if execs.len() > 100 {
            let old = execs
                .iter()
                .find(|(key, exec)| *key != id && lock(&exec.state).code.is_some())
                .map(|(key, _)| key.clone());
            old.map(|key| execs.remove(&key));
        }
    }
}

/// Whether a process may be added now.
fn may_exec(view: &Record) -> Result<()> {
    match view.state.phase {
        Phase::Running => Ok(()),
        Phase::Paused => Err(Error::conflict(format!(
            "Container {} is paused, unpause the container before exec",
            view.id
        ))),
        Phase::Restarting => Err(Error::conflict(format!(
            "Container {} is restarting, wait until the container is running",
            view.id
        ))),
        _ => Err(Error::conflict(format!(
            "container {} is not running",
            view.id
        ))),
    }
}

/// The OCI process of a session: the container's with the session's wishes over it.
fn process_of(view: &Record, request: &ExecRequest) -> Result<serde_json::Value> {
    // The process sees the container's root as its first process does, mounts and all.
    let root = PathBuf::from(format!("/proc/{}/root", view.state.pid));
    let user = if request.user.is_empty() {
        &view.config.user
    } else {
        &request.user
    };
    let extra = if request.user.is_empty() {
        view.host.group_add.as_deref().unwrap_or_default()
    } else {
        &[]
    };
    let user = spec::users::find(&root, user, extra)?;
    let capabilities = if request.privileged {
        spec::capabilities::available()
    } else {
        spec::capabilities::wanted(&view.host)?
    };
    let mut environment = spec::environment(view);
    environment.retain(|entry| entry != "TERM=xterm");
    if request.tty {
        environment.push("TERM=xterm".into());
    }
    spec::override_environment(&mut environment, request.env.iter().flatten());
    let directory = if request.working_dir.is_empty() {
        &view.config.working_dir
    } else {
        &request.working_dir
    };
    let arguments = request.cmd.clone().unwrap_or_default();
    let mut process = spec::process(&user, &arguments, &environment, directory, &capabilities);
    process["terminal"] = serde_json::json!(request.tty);
    process["noNewPrivileges"] = serde_json::json!(
        view.host
            .security_opt
            .iter()
            .flatten()
            .any(|option| option.starts_with("no-new-privileges") && !option.ends_with("false"))
    );
    Ok(process)
}

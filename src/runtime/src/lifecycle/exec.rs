//! `exec`: a further process in a container.

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use sys::{credentials, file, namespace, process, socket};

use super::create::{console_socket, passed_descriptors, send_pidfd};
use super::dialogue::Dialogue;
use super::foreground::Session;
use super::outside::{set_oom_score, write_pid_file};
use super::{Context, teardown};
use crate::cgroups::Cgroup;
use crate::cli::Exec;
use crate::compat;
use crate::config::process::capability;
use crate::config::{Config, Kind, Process, SIZE_LIMIT, parse_process};
use crate::error::{Error, Kernelize, Result};
use crate::host::Host;
use crate::init::wire::Message;
use crate::init::{Birth, Gate, Receiver, run};
use crate::mounts::place::c_path;
use crate::plan::Confinement;
use crate::plan::exec::{Entry, steps};
use crate::state::slot::open_process;
use crate::state::{Record, Status};

/// Runs a process; returns its status, or 0 once it runs detached.
///
/// # Errors
/// Whatever keeps the program from starting.
pub fn exec(context: &Context, verb: &Exec) -> Result<i32> {
    let slot = context.root()?.find(&verb.id)?;
    let record = slot.record()?;
    match Status::of(&slot, &record) {
        Status::Stopped => return Err(Error::WrongState(compat::EXEC_STOPPED.to_owned())),
        Status::Paused if !verb.ignore_paused => {
            return Err(Error::WrongState(compat::EXEC_PAUSED.to_owned()));
        }
        _ => {}
    }
    super::seal::ensure()?;
    let config = record.config()?;
    let process = wanted(verb, &config)?;
    let init = open_process(record.pid, record.start_time)
        .ok_or_else(|| Error::WrongState(compat::EXEC_STOPPED.to_owned()))?;
    let console = console_socket(
        verb.console_socket.as_deref(),
        process.terminal,
        verb.detach,
    )?;
    let (passed, environment) = passed_descriptors(verb.preserve_fds)?;
    let host = Host::probe()?;
    let confinement = Confinement::new(&config, &process, &host)?;
    let entry = Entry {
        id: record.id.clone(),
        no_new_keyring: false,
        passed_descriptors: passed,
        rebirth: config.namespaces.has(Kind::Pid) && !host.may_administer(),
        groups: may_set_groups(record.pid),
    };
    let entrance = Entrance {
        verb,
        record: &record,
        config: &config,
        process: &process,
        confinement: &confinement,
        entry: &entry,
    };
    entrance.run(init, console, environment)
}

/// `setgroups` stays denied for ever in a user namespace whose maker was nobody.
fn may_set_groups(pid: i32) -> bool {
    let text = std::fs::read_to_string(format!("/proc/{pid}/setgroups"));
    text.map_or(true, |text| text.trim() != "deny")
}

/// The process that the command line asks for: a whole document, or the container's own with changes.
fn wanted(verb: &Exec, config: &Config) -> Result<Process> {
    if let Some(path) = &verb.process {
        return document(path);
    }
    let mut process = config.process.clone().unwrap_or_default();
    process.terminal = verb.tty;
    process.console_size = None;
    let text = |text: &str, flag: &str| {
        CString::new(text).map_err(|_| Error::Usage(format!("--{flag} contains a NUL")))
    };
    process.args = verb
        .args
        .iter()
        .map(|arg| text(arg, "args"))
        .collect::<Result<_>>()?;
    if process.args.is_empty() {
        return Err(Error::Usage("process args cannot be empty".to_owned()));
    }
    if let Some(cwd) = &verb.cwd {
        if !cwd.starts_with('/') {
            return Err(Error::Usage(format!(
                "--cwd {cwd:?} is not an absolute path"
            )));
        }
        process.cwd = text(cwd, "cwd")?;
    }
    for entry in &verb.env {
        let entry = text(entry, "env")?;
        let name = |entry: &CString| {
            entry
                .to_bytes()
                .split(|byte| *byte == b'=')
                .next()
                .map(<[u8]>::to_vec)
        };
        process.env.retain(|old| name(old) != name(&entry));
        process.env.push(entry);
    }
    if let Some(user) = &verb.user {
        process.user.uid = user.uid;
        process.user.gid = user.gid.unwrap_or(process.user.gid);
    }
    process.user.groups.extend(&verb.additional_gids);
    process.no_new_privileges |= verb.no_new_privs;
    process.apparmor = verb
        .apparmor
        .clone()
        .filter(|it| !it.is_empty())
        .or(process.apparmor);
    process.selinux = verb
        .process_label
        .clone()
        .filter(|it| !it.is_empty())
        .or(process.selinux);
    add_capabilities(&mut process, &verb.cap)?;
    Ok(process)
}

/// Added capabilities are never inheritable (CVE-2022-29162), and ambient only where they were.
fn add_capabilities(process: &mut Process, names: &[String]) -> Result<()> {
    let mut sets = process.capabilities.unwrap_or_default();
    for name in names {
        let number = capability(name).ok_or_else(|| {
            Error::Usage(format!(
                "--cap {name:?}: unknown capability, accepted: CAP_NET_ADMIN and such"
            ))
        })?;
        sets.bounding |= 1 << number;
        sets.effective |= 1 << number;
        sets.permitted |= 1 << number;
    }
    if !names.is_empty() {
        process.capabilities = Some(sets);
    }
    Ok(())
}

fn document(path: &Path) -> Result<Process> {
    let step = || format!("process file {:?}", path.display());
    let opened = file::open_read(file::here(), &c_path(path)?).step(step, "open")?;
    let process = parse_process(&file::read_file(opened.as_fd(), SIZE_LIMIT).step(step, "read")?)?;
    if process.args.is_empty() {
        return Err(Error::config("process.args", "args must not be empty"));
    }
    Ok(process)
}

/// One process on its way in.
struct Entrance<'a> {
    verb: &'a Exec,
    record: &'a Record,
    config: &'a Config,
    process: &'a Process,
    confinement: &'a Confinement,
    entry: &'a Entry,
}

impl Entrance<'_> {
    fn run(
        &self,
        init: OwnedFd,
        console: Option<OwnedFd>,
        environment: Vec<CString>,
    ) -> Result<i32> {
        let cgroup = Cgroup::from_record(&self.record.cgroup);
        let mut dialogue = self.clone(init, console, environment)?;
        let prepared = self.prepare(&mut dialogue, &cgroup);
        let session = match prepared {
            Ok(session) => session,
            Err(error) => {
                dialogue.end();
                return Err(error);
            }
        };
        match dialogue.expect(|message| matches!(message, Message::Closed)) {
            Ok(()) => {}
            Err(error) => {
                dialogue.end();
                return Err(error);
            }
        }
        if let Some(path) = &self.verb.pid_file {
            write_pid_file(path, dialogue.child.pid).inspect_err(|_| dialogue.end())?;
        }
        match session {
            None => Ok(0),
            Some(session) => session.wait(&dialogue.child).map(process::Exit::code),
        }
    }

    fn clone(
        &self,
        init: OwnedFd,
        console: Option<OwnedFd>,
        environment: Vec<CString>,
    ) -> Result<Dialogue> {
        let steps = steps(self.config, self.process, self.confinement, self.entry);
        let (ours, theirs) =
            socket::pair().step(|| "channel to the child".to_owned(), "socketpair")?;
        let own = self.enter_pids(&init)?;
        let none = (HashMap::new(), HashMap::new());
        let private_pids = self.config.namespaces.has(Kind::Pid);
        let birth = Birth {
            steps: &steps,
            channel: theirs,
            namespaces: &none.0,
            container: Some(init),
            filter: self.confinement.filter.as_ref(),
            sources: &none.1,
            gate: Gate::Channel,
            receiver: console.map_or(Receiver::Maker, Receiver::Socket),
            hooks: &self.config.hooks,
            state: teardown::hook_state(self.config, &self.record.id),
            args: self.process.args.clone(),
            env: self
                .process
                .env
                .iter()
                .cloned()
                .chain(environment)
                .collect(),
            rootfs: self.config.rootfs.clone(),
            parent: if private_pids { 0 } else { process::id() },
            slave_root: false,
            privileged_maker: credentials::effective_user() == 0,
            cover: Vec::new(),
        };
        let mut not_for_child = Some(ours);
        let child = process::clone(&process::Clone::default(), || {
            drop(not_for_child.take());
            run::perform(&birth)
        });
        if let Some(own) = own {
            namespace::join(own.as_fd(), Kind::Pid.flag())
                .step(|| "own pid namespace".to_owned(), "setns")?;
        }
        let ours = not_for_child
            .take()
            .ok_or_else(|| Error::Bug("the channel is gone".to_owned()))?;
        let child = child.step(|| "process".to_owned(), "clone3")?;
        let listener = self.confinement.listener();
        let state = teardown::hook_state(self.config, &self.record.id);
        Ok(Dialogue::new(ours, child, listener, state))
    }

    /// Enters, for children, the container's pid namespace; returns the way back.
    fn enter_pids(&self, init: &OwnedFd) -> Result<Option<OwnedFd>> {
        if !self.config.namespaces.has(Kind::Pid) || self.entry.rebirth {
            return Ok(None);
        }
        let own = file::open_read(file::here(), c"/proc/self/ns/pid")
            .step(|| "own pid namespace".to_owned(), "open")?;
        namespace::join(init.as_fd(), Kind::Pid.flag())
            .step(|| "pid namespace of the container".to_owned(), "setns")?;
        Ok(Some(own))
    }

    fn prepare(&self, dialogue: &mut Dialogue, cgroup: &Cgroup) -> Result<Option<Session>> {
        let pid = dialogue.child.pid;
        let affinity = |mask: &Option<Vec<u64>>| match mask {
            Some(mask) => sys::scheduling::set_affinity(pid, mask)
                .step(|| "process.execCPUAffinity".to_owned(), "sched_setaffinity"),
            None => Ok(()),
        };
        affinity(&self.process.affinity_initial)?;
        self.join_cgroup(cgroup, pid)?;
        affinity(&self.process.affinity_final)?;
        if let Some(score) = self.process.oom_score_adj {
            set_oom_score(pid, score, self.record.cgroup.rootless)?;
        }
        dialogue.say_continue()?;
        dialogue.expect(|message| matches!(message, Message::HandOver))?;
        for limit in &self.process.limits {
            let step = || format!("resource limit {}", limit.resource);
            let ids = (self.process.user.uid, self.process.user.gid);
            let pid = dialogue.child.pid;
            process::set_limit_of(pid, ids, limit.resource, limit.soft, limit.hard)
                .step(step, "prlimit64")?;
        }
        if let Some(path) = &self.verb.pidfd_socket {
            send_pidfd(path, dialogue.child.pidfd.as_fd(), "setns")?;
        }
        let session = if self.verb.detach {
            None
        } else {
            Some(Session::with_master(dialogue.master.take())?)
        };
        dialogue.say_continue()?;
        Ok(session)
    }

    fn join_cgroup(&self, cgroup: &Cgroup, pid: i32) -> Result<()> {
        cgroup
            .place(&self.verb.cgroup, self.record.pid)?
            .attach(pid)
    }
}

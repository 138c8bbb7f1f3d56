//! Performs the parent's list of a plan: what `create` and `run` share.

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use sys::{credentials, file, process, socket};

use super::dialogue::Dialogue;
use super::mounts::open_source;
use super::outside::{cover, set_oom_score, write_pid_file};
use super::{Context, teardown};
use crate::cgroups::{Cgroup, Manager, Request};
use crate::cli::LaunchFlags;
use crate::config::resources::Resources;
use crate::config::{Config, Kind, Point};
use crate::error::{Error, Kernelize, Result};
use crate::hooks::{self, Setting};
use crate::host::Host;
use crate::init::wire::Message;
use crate::init::{Birth, Gate, Receiver, run};
use crate::mounts::place::c_path;
use crate::namespaces::maps;
use crate::plan::{ChildAction, Confinement, ParentAction, Plan};
use crate::state::slot::process_facts;
use crate::state::{Record, Root, Slot};
use crate::{annotations, netdev, rdt};

/// How a container is made.
#[derive(Debug)]
pub struct Order<'a> {
    /// The invocation.
    pub context: &'a Context,
    /// The container's name.
    pub id: &'a str,
    /// The flags.
    pub flags: &'a LaunchFlags,
    /// Whether its maker opens the gate itself (`run`) or leaves it to `start`.
    pub own_gate: bool,
    /// Who gets the terminal, where there is one: the connected console socket, or the maker.
    pub console: Option<OwnedFd>,
    /// Additions to the program's environment.
    pub environment: Vec<CString>,
    /// What confines the program.
    pub confinement: &'a Confinement,
}

/// A container that stands before its program.
#[derive(Debug)]
pub struct Made {
    /// Its facts.
    pub record: Record,
    /// Its directory.
    pub slot: Slot,
    /// The state root.
    pub root: Root,
    /// The child and the channel to it.
    pub dialogue: Dialogue,
}

/// The maker at work. Dropped before the end, it takes everything back.
pub struct Maker<'a> {
    pub(super) order: Order<'a>,
    pub(super) config: &'a Config,
    host: &'a Host,
    raw: Box<serde_json::value::RawValue>,
    resources: Resources,
    root: Option<Root>,
    slot: Option<Slot>,
    cgroup: Option<Cgroup>,
    pub(super) namespaces: HashMap<Kind, OwnedFd>,
    sources: HashMap<usize, OwnedFd>,
    pub(super) own_namespaces: Vec<(Kind, OwnedFd)>,
    dialogue: Option<Dialogue>,
    record: Option<Record>,
    hooks_waiting: bool,
    hooks_ran: bool,
    pid_file: Option<PathBuf>,
    done: bool,
}

/// Makes the container that `config` describes.
///
/// # Errors
/// Whatever keeps the container from standing before its program; nothing of it is left then.
pub fn make(
    order: Order<'_>,
    config: &Config,
    raw: Box<serde_json::value::RawValue>,
    host: &Host,
    plan: &Plan,
) -> Result<Made> {
    let resources = Resources::parse(config.resources.as_deref())?;
    let mut maker = Maker {
        order,
        config,
        host,
        raw,
        resources,
        root: None,
        slot: None,
        cgroup: None,
        namespaces: HashMap::new(),
        sources: HashMap::new(),
        own_namespaces: Vec::new(),
        dialogue: None,
        record: None,
        hooks_waiting: false,
        hooks_ran: false,
        pid_file: None,
        done: false,
    };
    for step in &plan.parent {
        maker.perform(&step.action, plan)?;
    }
    maker.finish()
}

pub(super) fn missing(what: &str) -> Error {
    Error::Bug(format!("a step needs the {what} that no earlier step made"))
}

impl Maker<'_> {
    fn perform(&mut self, action: &ParentAction, plan: &Plan) -> Result<()> {
        match action {
            ParentAction::ClaimState => self.claim(),
            ParentAction::OpenNamespace(kind, path) => self.open_namespace(*kind, path),
            ParentAction::MakeCgroup => self.make_cgroup(),
            ParentAction::OpenSource(index) => self.open_source(*index),
            ParentAction::MakeTimeNamespace => self.make_time_namespace(),
            ParentAction::EnterForChildren(kind) => self.enter_for_children(*kind),
            ParentAction::Clone(bits) => self.clone(*bits, plan),
            ParentAction::ReturnFromNamespaces => self.return_from_namespaces(),
            ParentAction::WriteMaps(way) => {
                let spaces = &self.config.namespaces;
                maps::write(self.pid()?, &spaces.uid_map, &spaces.gid_map, *way)
            }
            ParentAction::AttachCgroup => self.attach_cgroup(),
            ParentAction::NetDevices(orders) => self.net_devices(orders),
            ParentAction::Rdt(order) => self.rdt(order),
            ParentAction::OomScore(score) => self.oom_score(*score),
            ParentAction::Limits(limits) => {
                let pid = self.pid()?;
                let of = |program: &crate::config::process::Process| {
                    (program.user.uid, program.user.gid)
                };
                let ids = self.config.process.as_ref().map_or((0, 0), of);
                limits.iter().try_for_each(|limit| {
                    let step = || format!("resource limit {}", limit.resource);
                    process::set_limit_of(pid, ids, limit.resource, limit.soft, limit.hard)
                        .step(step, "prlimit64")
                })
            }
            ParentAction::Release => self.release(plan),
            ParentAction::Hooks(point) => self.hooks(*point),
            ParentAction::AwaitHandOver => {
                self.expect(|message| matches!(message, Message::HandOver))
            }
            ParentAction::WriteRecord => self.write_record(),
            ParentAction::AwaitReady => self.expect(|message| matches!(message, Message::Ready)),
            ParentAction::WritePidFile => self.write_pid_file(),
        }
    }

    fn dialogue(&self) -> Result<&Dialogue> {
        self.dialogue.as_ref().ok_or_else(|| missing("child"))
    }

    fn pid(&self) -> Result<i32> {
        Ok(self.dialogue()?.child.pid)
    }

    fn claim(&mut self) -> Result<()> {
        let root = self.order.context.root()?;
        self.slot = Some(root.claim(self.order.id)?);
        self.root = Some(root);
        Ok(())
    }

    fn make_cgroup(&mut self) -> Result<()> {
        let properties = annotations::systemd_properties(&self.config.annotations);
        let request = Request {
            id: self.order.id,
            path: self.config.cgroups_path.as_deref(),
            manager: self.order.context.manager(),
            rootless: self.order.context.rootless(self.host),
            owner: self.cgroup_owner(),
            resources: &self.resources,
            properties: &properties,
        };
        // A skeleton: `delete --force` finds the cgroup by it when this process is killed before the end.
        let planned = Cgroup::planned(&request, &self.host.layout);
        let mut record = Record::new(self.order.id, self.config, self.raw.clone(), planned);
        self.slot
            .as_ref()
            .ok_or_else(|| missing("slot"))?
            .write(&record)?;
        let cgroup = Cgroup::create(&request, &self.host.layout)?;
        record.cgroup = cgroup.record().clone();
        self.cgroup = Some(cgroup);
        self.record = Some(record);
        Ok(())
    }

    /// Who gets the cgroup: the container's user, where it has a cgroup namespace and may write to its mount.
    fn cgroup_owner(&self) -> Option<u32> {
        use crate::config::mounts::Source;
        let writable =
            |mount: &crate::config::Mount| mount.source == Source::Cgroup && !mount.readonly();
        let delegated =
            self.config.namespaces.makes(Kind::Cgroup) && self.config.mounts.iter().any(writable);
        let uid = self.config.process.as_ref()?.user.uid;
        delegated
            .then(|| crate::config::Namespaces::outside(&self.config.namespaces.uid_map, uid))?
    }

    fn open_source(&mut self, index: usize) -> Result<()> {
        let userns = self.namespaces.get(&Kind::User);
        let tree = open_source(&self.config.mounts[index], &self.config.namespaces, userns)?;
        self.sources.insert(index, tree);
        Ok(())
    }

    fn clone(&mut self, bits: u64, plan: &Plan) -> Result<()> {
        let config = self.config;
        let process = config.process.as_ref().ok_or_else(|| missing("process"))?;
        let (ours, theirs) =
            socket::pair().step(|| "channel to the child".to_owned(), "socketpair")?;
        let slot = self.slot.take().ok_or_else(|| missing("slot"))?;
        let gate = if self.order.own_gate {
            Gate::Channel
        } else {
            let (gate, answer) = slot.make_gate()?;
            Gate::Fifos { gate, answer }
        };
        let birth = Birth {
            steps: &plan.child,
            channel: theirs,
            namespaces: &self.namespaces,
            container: None,
            filter: self.order.confinement.filter.as_ref(),
            sources: &self.sources,
            gate,
            receiver: self
                .order
                .console
                .take()
                .map_or(Receiver::Maker, Receiver::Socket),
            hooks: &config.hooks,
            state: teardown::hook_state(config, self.order.id),
            args: process.args.clone(),
            env: [process.env.as_slice(), &self.order.environment].concat(),
            rootfs: config.rootfs.clone(),
            parent: if config.namespaces.has(Kind::Pid) {
                0
            } else {
                process::id()
            },
            slave_root: config.root_propagation.is_some(),
            privileged_maker: credentials::effective_user() == 0,
            cover: cover(self.order.flags.no_pivot, config)?,
        };
        let how = process::Clone {
            flags: bits,
            cgroup: self.cgroup.as_ref().and_then(Cgroup::clone_target),
        };
        // The child must not keep the slot's lock, nor our end of the channel, whose closing tells it that we are gone.
        let mut not_for_child = Some((slot, ours));
        let child = process::clone(&how, || {
            drop(not_for_child.take());
            run::perform(&birth)
        });
        let (slot, ours) = not_for_child.take().ok_or_else(|| missing("slot"))?;
        self.slot = Some(slot);
        let child = child.map_err(|errno| {
            let refused = self.cgroup.as_ref().and_then(|it| it.refusal(errno));
            refused.unwrap_or_else(|| Error::kernel("init process", "clone3", "", errno))
        })?;
        let listener = self.order.confinement.listener();
        let state = teardown::hook_state(config, self.order.id);
        self.dialogue = Some(Dialogue::new(ours, child, listener, state));
        Ok(())
    }

    fn attach_cgroup(&mut self) -> Result<()> {
        let pid = self.pid()?;
        let cgroup = self.cgroup.as_ref().ok_or_else(|| missing("cgroup"))?;
        if cgroup.clone_target().is_some() || self.order.context.manager() == Manager::Disabled {
            return Ok(());
        }
        cgroup.attach(pid)?;
        if let Some(record) = &mut self.record {
            record.cgroup = cgroup.record().clone();
        }
        Ok(())
    }

    fn net_devices(&self, orders: &[netdev::Order]) -> Result<()> {
        if let Some(joined) = self.namespaces.get(&Kind::Network) {
            return netdev::apply(orders, joined.as_fd());
        }
        let path = c_path(format!("/proc/{}/ns/net", self.pid()?))?;
        let new = file::open_read(file::here(), &path)
            .step(|| "network namespace of the container".to_owned(), "open")?;
        netdev::apply(orders, new.as_fd())
    }

    fn rdt(&mut self, order: &rdt::Order) -> Result<()> {
        let made = order.apply(self.pid()?)?;
        self.record.as_mut().ok_or_else(|| missing("record"))?.rdt = Some(made);
        Ok(())
    }

    fn oom_score(&self, score: i32) -> Result<()> {
        set_oom_score(self.pid()?, score, self.order.context.rootless(self.host))
    }

    fn release(&self, plan: &Plan) -> Result<()> {
        if plan
            .child
            .iter()
            .any(|step| step.action == ChildAction::Await)
        {
            self.dialogue()?.say_continue()?;
        }
        Ok(())
    }

    fn expect(&mut self, wanted: impl Fn(&Message) -> bool) -> Result<()> {
        let dialogue = self.dialogue.as_mut().ok_or_else(|| missing("child"))?;
        let hooks_ran = &mut self.hooks_ran;
        dialogue.expect(wanted).map_err(|error| match error {
            // The child's own hooks come after the runtime's.
            Error::Hook(_) => {
                *hooks_ran = true;
                error
            }
            // Killed, perhaps by the memory limit; the cgroup knows as long as it exists.
            Error::WrongState(text) => {
                let kills = self
                    .cgroup
                    .as_ref()
                    .and_then(|cgroup| cgroup.oom_kills().ok().flatten());
                if kills.unwrap_or(0) > 0 {
                    Error::Denied(crate::compat::INIT_OOM_KILLED.to_owned())
                } else {
                    Error::WrongState(text)
                }
            }
            error => error,
        })
    }

    fn hooks(&mut self, point: Point) -> Result<()> {
        if !self.hooks_waiting {
            self.expect(|message| matches!(message, Message::RuntimeHooks))?;
            self.hooks_waiting = true;
        }
        let setting = Setting {
            state: teardown::hook_state(self.config, self.order.id)
                .json("creating", Some(self.pid()?)),
            directory: Some(&self.config.bundle),
            environment: None,
        };
        self.hooks_ran = true;
        hooks::run(point, self.config.hooks.at(point), &setting)?;
        let more =
            point == Point::Prestart && !self.config.hooks.at(Point::CreateRuntime).is_empty();
        if more {
            Ok(())
        } else {
            self.dialogue()?.say_continue()
        }
    }

    fn write_record(&mut self) -> Result<()> {
        let pid = self.pid()?;
        let (_, start_time) = process_facts(pid)
            .ok_or_else(|| Error::WrongState("container init is gone".to_owned()))?;
        let record = self.record.as_mut().ok_or_else(|| missing("record"))?;
        record.pid = pid;
        record.start_time = start_time;
        self.slot
            .as_ref()
            .ok_or_else(|| missing("slot"))?
            .write(record)?;
        self.dialogue()?.say_continue()
    }

    fn write_pid_file(&mut self) -> Result<()> {
        let Some(path) = &self.order.flags.pid_file else {
            return Ok(());
        };
        write_pid_file(path, self.pid()?)?;
        self.pid_file = Some(path.clone());
        Ok(())
    }

    fn finish(mut self) -> Result<Made> {
        self.done = true;
        Ok(Made {
            record: self.record.take().ok_or_else(|| missing("record"))?,
            slot: self.slot.take().ok_or_else(|| missing("slot"))?,
            root: self.root.take().ok_or_else(|| missing("root"))?,
            dialogue: self.dialogue.take().ok_or_else(|| missing("child"))?,
        })
    }

    fn undo(&mut self) {
        drop(self.return_from_namespaces());
        if let Some(dialogue) = self.dialogue.take() {
            dialogue.end();
        }
        if let Some(path) = self.pid_file.take() {
            drop(std::fs::remove_file(path));
        }
        let rdt = self.record.as_ref().and_then(|record| record.rdt.as_ref());
        if let Some(Err(error)) = rdt.map(rdt::Record::remove) {
            tracing::debug!("undo: {error}");
        }
        if let Some(cgroup) = self.cgroup.take()
            && let Err(error) = cgroup.remove()
        {
            tracing::debug!("undo: {error}");
        }
        if let (Some(root), Some(slot)) = (&self.root, &self.slot)
            && let Err(error) = teardown::remove(root, slot, None)
        {
            tracing::debug!("undo: {error}");
        }
        if let (true, Some(record)) = (self.hooks_ran, &self.record) {
            teardown::poststop(record);
        }
    }
}

impl Drop for Maker<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.undo();
        }
    }
}

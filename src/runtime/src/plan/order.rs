//! THE order. Contract of runtime-spec 1.3.0, `runtime.md` "Lifecycle", and of what runc does where it is silent.
//!
//! Every step stands once, with the reason for its place; nobody else decides what comes before what.

use std::ffi::CString;

use super::maker::{by_parent, clocks_by_child, parent};
use super::program::{identity, rights};
use super::{ChildAction, Confinement, Plan, Step, Wishes};
use crate::config::{Config, Kind, Origin, Point, Process};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::mounts::place::c_path;
use crate::mounts::plan::Circumstances;
use crate::namespaces::maps::{self, Way};
use crate::{mounts, namespaces, process};

impl Plan {
    /// The plan for `config` on `host`.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for what this host or the rest of the config makes impossible.
    pub fn new(
        config: &Config,
        host: &Host,
        wishes: &Wishes,
        confinement: &Confinement,
    ) -> Result<Self> {
        check(config, wishes)?;
        let circumstances = Circumstances {
            bind_devices: host.nested || config.namespaces.has(Kind::User),
            parent_opens: host.may_administer() && config.namespaces.has(Kind::User),
        };
        let child = Child {
            config,
            host,
            wishes,
            confinement,
            circumstances,
            steps: Vec::with_capacity(96),
            awaited: false,
        };
        let child = child.steps()?;
        let parent = parent(config, host, &wishes.id, &child)?;
        Ok(Self { parent, child })
    }
}

fn check(config: &Config, wishes: &Wishes) -> Result<()> {
    use sys::mount::propagation;
    let private = config
        .root_propagation
        .is_some_and(|wish| wish.kind == propagation::PRIVATE);
    if wishes.no_pivot && private {
        let reason =
            "private goes with pivot_root only: without it mounts of the host stay in sight";
        return Err(Error::config("linux.rootfsPropagation", reason));
    }
    let Some(process) = &config.process else {
        return Err(Error::config("process", "required to create a container"));
    };
    if process.args.is_empty() {
        return Err(Error::config("process.args", "args must not be empty"));
    }
    Ok(())
}

/// How the id maps are written, where there are new ones.
pub(super) fn map_way(config: &Config, host: &Host) -> Option<Way> {
    let spaces = &config.namespaces;
    spaces.makes(Kind::User).then(|| {
        maps::way(
            &spaces.uid_map,
            &spaces.gid_map,
            host.may_map_ids(),
            host.user.0,
            host.user.1,
        )
    })
}

pub(super) fn step<A>(action: A, reason: &'static str) -> Step<A> {
    Step { action, reason }
}

struct Child<'a> {
    config: &'a Config,
    host: &'a Host,
    wishes: &'a Wishes,
    confinement: &'a Confinement,
    circumstances: Circumstances,
    steps: Vec<Step<ChildAction>>,
    awaited: bool,
}

impl Child<'_> {
    fn steps(mut self) -> Result<Vec<Step<ChildAction>>> {
        let process = self
            .config
            .process
            .as_ref()
            .ok_or_else(|| Error::Bug("a plan without a process".to_owned()))?;
        self.birth();
        self.process(
            process::Order::Umask(0),
            "what is made from here on has exactly the modes that it is given",
        );
        self.session(process)?;
        if self.config.namespaces.has(Kind::Mount) {
            self.mounts()?;
        }
        self.await_parent();
        self.hooks();
        self.root(process)?;
        self.names()?;
        self.rights(process);
        self.identity(process);
        self.handover(process);
        Ok(self.steps)
    }

    fn push(&mut self, action: ChildAction, reason: &'static str) {
        self.steps.push(step(action, reason));
    }

    fn process(&mut self, order: process::Order, reason: &'static str) {
        self.push(ChildAction::Process(order), reason);
    }

    fn mount(&mut self, order: mounts::Order, reason: &'static str) {
        self.push(ChildAction::Mount(order), reason);
    }

    fn namespace(&mut self, order: namespaces::Order, reason: &'static str) {
        self.push(ChildAction::Namespace(order), reason);
    }

    fn await_parent(&mut self) {
        if !self.awaited {
            self.push(
                ChildAction::Await,
                "from here on the id maps, the cgroup and the limits are needed",
            );
            self.awaited = true;
        }
    }

    fn birth(&mut self) {
        use namespaces::Order as N;
        let spaces = &self.config.namespaces;
        let dumpable = process::Order::NotDumpable;
        if spaces.makes(Kind::User) {
            // Whoever writes the maps without privilege must be able to look into /proc of this process.
            self.await_parent();
        } else {
            self.process(
                dumpable.clone(),
                "first: in a joined namespace others may try to look in",
            );
        }
        if let Some(way) = map_way(self.config, self.host) {
            let groups = way != Way::Single;
            self.namespace(
                N::BecomeRoot { groups },
                "what is made from here on belongs to the container's root",
            );
        }
        let reborn = self.join();
        let clocks = clocks_by_child(self.config, self.host);
        if clocks && spaces.makes(Kind::Pid) && !reborn {
            self.namespace(N::Leave(Kind::Pid), "for the child that goes on");
        }
        if clocks {
            self.namespace(
                N::Leave(Kind::Time),
                "for its children, since its maker may not",
            );
            let offsets = spaces.clock_offsets.clone();
            self.namespace(N::ClockOffsets(offsets), "while nobody is in the namespace");
        }
        if spaces.makes(Kind::User) {
            self.process(dumpable, "before anything of the image can run");
        }
        if reborn || clocks {
            self.await_parent();
            self.push(
                ChildAction::Rebirth,
                "only children enter a pid or time namespace",
            );
        }
        self.process(
            process::Order::DieWithParent,
            "after the change of ids, which forgets it; a killed runtime leaves nothing",
        );
        self.cgroup_namespace();
    }

    /// Joins namespaces; in a joined user namespace also makes those that belong to it. Says whether a child must go on.
    fn join(&mut self) -> bool {
        use namespaces::Order as N;
        let spaces = &self.config.namespaces;
        let by_child = |kind: &Kind| !by_parent(*kind, self.host) && *kind != Kind::Cgroup;
        let joined: Vec<Kind> = spaces
            .joined()
            .into_iter()
            .map(|(kind, _)| kind)
            .filter(by_child)
            .collect();
        let user = joined.contains(&Kind::User);
        if user {
            self.await_parent();
        }
        for kind in &joined {
            self.namespace(
                N::Join(*kind),
                "user first: it owns the others and gives the right to join them",
            );
            if *kind == Kind::User {
                self.namespace(
                    N::BecomeRoot { groups: false },
                    "ids of the joined map, before anything is made with them",
                );
            }
        }
        let mut reborn = joined
            .iter()
            .any(|kind| matches!(kind, Kind::Pid | Kind::Time));
        if user {
            let later = [Kind::Ipc, Kind::Uts, Kind::Network, Kind::Mount, Kind::Pid];
            for kind in later.into_iter().filter(|kind| spaces.makes(*kind)) {
                self.namespace(N::Leave(kind), "owned by the joined user namespace");
                reborn |= kind == Kind::Pid;
            }
        }
        reborn
    }

    fn cgroup_namespace(&mut self) {
        use namespaces::Order as N;
        match self.config.namespaces.origin(Kind::Cgroup) {
            Origin::Shared => {}
            Origin::New => {
                self.await_parent();
                self.namespace(
                    N::Leave(Kind::Cgroup),
                    "in the final cgroup, which becomes the root that it shows",
                );
            }
            Origin::Joined(_) => self.namespace(N::Join(Kind::Cgroup), "with the other namespaces"),
        }
    }

    fn session(&mut self, process: &Process) -> Result<()> {
        self.process(
            process::Order::Session,
            "no terminal of the caller's controls the container",
        );
        if !self.wishes.no_new_keyring {
            let name = CString::new(format!("_ses.{}", self.wishes.id))
                .map_err(|_| Error::Denied("id contains a NUL".to_owned()))?;
            let label = process.selinux.clone();
            self.process(
                process::Order::Keyring { name, label },
                "the caller's keys stay the caller's",
            );
        }
        if self.config.namespaces.makes(Kind::Network) {
            self.namespace(
                namespaces::Order::Loopback,
                "a new network namespace has it down",
            );
        }
        Ok(())
    }

    fn mounts(&mut self) -> Result<()> {
        use mounts::Order as M;
        let config = self.config;
        if config.namespaces.makes(Kind::Mount) {
            self.mount(
                M::Propagate(mounts::plan::preparation(config)),
                "nothing mounted below may reach the host",
            );
        }
        self.mount(
            M::HostFiles,
            "before anything of the image can stand in the way",
        );
        self.mount(
            M::Root(c_path(&config.rootfs)?),
            "a mount of its own, to change to",
        );
        let (orders, _) = mounts::plan::mounts(config, self.circumstances)?;
        for order in orders {
            if matches!(order, M::CgroupTree(_)) {
                self.await_parent();
            }
            self.mount(
                order,
                "in the listed order: later ones may lie in earlier ones",
            );
        }
        for order in mounts::plan::devices(config, self.circumstances)? {
            self.mount(order, "after the mounts, of which /dev is one");
        }
        Ok(())
    }

    fn hooks(&mut self) {
        let hooks = &self.config.hooks;
        if !hooks.at(Point::Prestart).is_empty() || !hooks.at(Point::CreateRuntime).is_empty() {
            self.push(
                ChildAction::RuntimeHooks,
                "hooks may enter the namespaces and find the mounts below the root",
            );
        }
        if !hooks.at(Point::CreateContainer).is_empty() {
            self.push(
                ChildAction::Hooks(Point::CreateContainer),
                "their paths are the host's, their namespaces the container's",
            );
        }
    }

    fn root(&mut self, process: &Process) -> Result<()> {
        use mounts::Order as M;
        let config = self.config;
        if config.namespaces.has(Kind::Mount) {
            let change = if self.wishes.no_pivot {
                M::MoveRoot
            } else {
                M::Pivot
            };
            self.mount(change, "the host's files are out of reach from here on");
            if let Some(propagation) = config.root_propagation {
                self.mount(
                    M::Propagate(propagation),
                    "what the config wants for the container's own root",
                );
            }
            self.mount(
                M::WorkingDirectory(process.cwd.clone()),
                "while the root can still be written",
            );
        }
        if process.terminal {
            let console = M::Console {
                size: process.console_size,
                uid: process.user.uid,
            };
            self.mount(
                console,
                "in the container's own devpts, while /dev can still be written",
            );
            self.push(
                ChildAction::HandOverTerminal,
                "its other end belongs to the caller",
            );
            self.process(
                process::Order::Terminal,
                "while nothing has been read from the old standard streams",
            );
        }
        if config.namespaces.has(Kind::Mount) {
            let (_, frozen) = mounts::plan::mounts(config, self.circumstances)?;
            for order in frozen {
                self.mount(order, "after everything inside it was made");
            }
            if config.readonly_root {
                self.mount(M::FreezeRoot, "after every mount point in it was made");
            }
        }
        self.process(
            process::Order::Umask(process.user.umask),
            "after the runtime's own files were made with exact modes",
        );
        Ok(())
    }

    fn names(&mut self) -> Result<()> {
        let config = self.config;
        let text = |text: &str, field| {
            CString::new(text).map_err(|_| Error::config(field, "contains a NUL"))
        };
        if let Some(name) = &config.hostname {
            self.namespace(
                namespaces::Order::Hostname(text(name, "hostname")?),
                "any time before the program",
            );
        }
        if let Some(name) = &config.domainname {
            self.namespace(
                namespaces::Order::Domainname(text(name, "domainname")?),
                "any time before the program",
            );
        }
        for label in self
            .confinement
            .labels
            .iter()
            .filter(|label| matches!(label, crate::lsm::Order::AppArmor(_)))
        {
            self.push(
                ChildAction::Label(label.clone()),
                "before no-new-privileges, under which a profile may be refused",
            );
        }
        if !config.sysctl.is_empty() {
            let settings: Result<Vec<_>> = config
                .sysctl
                .iter()
                .map(|(path, value)| {
                    Ok((
                        text(&format!("sys/{path}"), "linux.sysctl")?,
                        value.as_bytes().to_vec(),
                    ))
                })
                .collect();
            self.mount(
                mounts::Order::Sysctl(settings?),
                "before /proc/sys becomes read-only",
            );
        }
        if config.namespaces.has(Kind::Mount) {
            for order in mounts::plan::hidden(config)? {
                self.mount(order, "after the runtime itself needed what is hidden");
            }
        }
        Ok(())
    }

    fn rights(&mut self, process: &Process) {
        rights(&mut self.steps, process, self.config, self.confinement);
    }

    fn identity(&mut self, process: &Process) {
        let denied = map_way(self.config, self.host) == Some(Way::Single);
        let kept = self
            .config
            .annotations
            .get("run.oci.keep_original_groups")
            .is_some_and(|value| value != "0");
        identity(
            &mut self.steps,
            process,
            self.wishes.passed_descriptors,
            !(denied || kept),
        );
    }

    fn handover(&mut self, process: &Process) {
        if let Some(name) = process.args.first() {
            let reason = "as the user, in its root: a missing program is an error of create";
            self.process(process::Order::Resolve(name.clone()), reason);
        }
        self.push(
            ChildAction::HandOver,
            "the record is written while a killed runtime still takes the child along",
        );
        self.process(
            process::Order::SurviveParent,
            "the runtime is about to leave",
        );
        if self.confinement.filter.is_some() && process.no_new_privileges {
            self.push(
                ChildAction::Seccomp,
                "as late as possible: the filter need not allow the steps above",
            );
        }
        self.push(ChildAction::Gate, "the program starts when start says so");
        if !self.config.hooks.at(Point::StartContainer).is_empty() {
            self.push(
                ChildAction::Hooks(Point::StartContainer),
                "in the container, as its user, right before the program",
            );
        }
        self.process(
            process::Order::Execute,
            "the end of the runtime in this process",
        );
    }
}

//! The order of a further process in a container that exists (contract of runc's `exec`).

use std::ffi::CString;

use super::order::step;
use super::program::{identity, rights};
use super::{ChildAction, Confinement, Step};
use crate::config::{Config, Kind, Process};
use crate::{namespaces, process};

/// What of the host and the command line decides about the order.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// The container's name.
    pub id: String,
    /// Keep the caller's session keyring.
    pub no_new_keyring: bool,
    /// Descriptors from 3 on that the program gets.
    pub passed_descriptors: u32,
    /// The child enters the pid namespace itself, since its maker may not.
    pub rebirth: bool,
    /// Supplementary groups can be set.
    pub groups: bool,
}

/// The `CLONE_NEW*` bits of the container's namespaces, without those that only children enter.
#[must_use]
pub fn entered(config: &Config) -> u64 {
    let kinds = Kind::ALL
        .into_iter()
        .filter(|kind| config.namespaces.has(*kind));
    kinds.fold(0, |bits, kind| bits | kind.flag())
}

/// The child's steps.
#[must_use]
pub fn steps(
    config: &Config,
    process: &Process,
    confinement: &Confinement,
    entry: &Entry,
) -> Vec<Step<ChildAction>> {
    let mut steps = Vec::with_capacity(32);
    enter(&mut steps, config, entry);
    session(&mut steps, process, entry);
    let apparmor = |label: &&crate::lsm::Order| matches!(label, crate::lsm::Order::AppArmor(_));
    for label in confinement.labels.iter().filter(apparmor) {
        let reason = "before no-new-privileges, under which a profile may be refused";
        steps.push(step(ChildAction::Label(label.clone()), reason));
    }
    rights(&mut steps, process, config, confinement);
    identity(&mut steps, process, entry.passed_descriptors, entry.groups);
    last(&mut steps, process, confinement);
    steps
}

fn enter(steps: &mut Vec<Step<ChildAction>>, config: &Config, entry: &Entry) {
    use ChildAction as C;
    use namespaces::Order as N;
    let first = "first: processes of the container see this one from the next step on";
    steps.push(step(C::Process(process::Order::NotDumpable), first));
    let await_reason =
        "the cgroup and the limits are in force before anything of the container is touched";
    steps.push(step(C::Await, await_reason));
    let bits = entered(config);
    let bits = if entry.rebirth {
        bits
    } else {
        bits & !Kind::Pid.flag()
    };
    if bits != 0 {
        steps.push(step(
            C::Namespace(N::Enter(bits)),
            "all at once, the user namespace first",
        ));
    }
    if entry.rebirth {
        steps.push(step(C::Rebirth, "only children enter the pid namespace"));
    }
    if config.namespaces.has(Kind::User) {
        let groups = entry.groups;
        steps.push(step(
            C::Namespace(N::BecomeRoot { groups }),
            "with all rights in the namespace",
        ));
    }
    let die = C::Process(process::Order::DieWithParent);
    steps.push(step(die, "after the change of ids, which forgets it"));
}

fn session(steps: &mut Vec<Step<ChildAction>>, process: &Process, entry: &Entry) {
    use ChildAction as C;
    use process::Order as P;
    steps.push(step(
        C::Process(P::Session),
        "no terminal of the caller's controls the process",
    ));
    if !entry.no_new_keyring
        && let Ok(name) = CString::new(format!("_ses.{}", entry.id))
    {
        let label = process.selinux.clone();
        steps.push(step(
            C::Process(P::Keyring { name, label }),
            "the container's keys, not the caller's",
        ));
    }
    if process.terminal {
        let terminal = C::OpenTerminal {
            size: process.console_size,
            uid: process.user.uid,
        };
        steps.push(step(terminal, "in the container's devpts"));
        steps.push(step(
            C::HandOverTerminal,
            "its other end belongs to the caller",
        ));
        steps.push(step(
            C::Process(P::Terminal),
            "the new session has none yet",
        ));
    }
    steps.push(step(
        C::Process(P::Umask(process.user.umask)),
        "the process's own",
    ));
}

fn last(steps: &mut Vec<Step<ChildAction>>, process: &Process, confinement: &Confinement) {
    use ChildAction as C;
    use process::Order as P;
    if let Some(name) = process.args.first() {
        steps.push(step(
            C::Process(P::Resolve(name.clone())),
            "as the user, in its root",
        ));
    }
    steps.push(step(
        C::HandOver,
        "whoever waits for the end is ready before it can come",
    ));
    steps.push(step(
        C::Process(P::SurviveParent),
        "the runtime is about to leave",
    ));
    if confinement.filter.is_some() && process.no_new_privileges {
        steps.push(step(
            C::Seccomp,
            "as late as possible: the filter need not allow the steps above",
        ));
    }
    steps.push(step(
        C::Process(P::Execute),
        "the end of the runtime in this process",
    ));
}

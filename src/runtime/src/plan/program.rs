//! The steps right before a program, the same for a new container and for `exec`.

use super::order::step;
use super::{ChildAction, Confinement, Step};
use crate::config::{Config, Process};
use crate::process;

/// What needs rights that the change of identity takes away.
pub(super) fn rights(
    steps: &mut Vec<Step<ChildAction>>,
    process: &Process,
    config: &Config,
    confinement: &Confinement,
) {
    if process.no_new_privileges {
        steps.push(step(
            ChildAction::Process(process::Order::NoNewPrivileges),
            "before Landlock and the filter, which then need no privilege",
        ));
    }
    for order in process::plan::placement(process, config) {
        steps.push(step(
            ChildAction::Process(order),
            "needs rights that are dropped next",
        ));
    }
    if confinement.cookie {
        steps.push(step(
            ChildAction::CoreCookie,
            "before the program, which inherits it",
        ));
    }
    for label in confinement
        .labels
        .iter()
        .filter(|label| matches!(label, crate::lsm::Order::Selinux(_)))
    {
        steps.push(step(
            ChildAction::Label(label.clone()),
            "while a procfs of our own can be had",
        ));
    }
    if let Some(order) = &confinement.landlock {
        steps.push(step(
            ChildAction::Landlock(order.clone()),
            "with the container's root for /, before the filter",
        ));
    }
    if confinement.filter.is_some() && !process.no_new_privileges {
        steps.push(step(
            ChildAction::Seccomp,
            "needs CAP_SYS_ADMIN, which is dropped next",
        ));
    }
}

/// Descriptors, user, groups, capabilities, working directory.
pub(super) fn identity(
    steps: &mut Vec<Step<ChildAction>>,
    process: &Process,
    passed: u32,
    groups: bool,
) {
    let close = process::Order::CloseFrom(3 + passed);
    steps.push(step(
        ChildAction::Process(close),
        "no descriptor of the host survives the exec (CVE-2024-21626)",
    ));
    for order in process::plan::identity(process, groups) {
        let reason = match order {
            process::Order::Bounding(_) => "needs CAP_SETPCAP, which the next sets may lack",
            process::Order::Enter(_) => "as the user; a directory outside the root is refused",
            process::Order::OwnStreams(_) => "while it may still give files away",
            _ => "groups, group, user, then capabilities: each takes the right to the one before",
        };
        steps.push(step(ChildAction::Process(order), reason));
    }
}

//! The maker's half of the order: what is held before there is a child, its birth, its limits, and the handover.

use super::order::{map_way, step};
use super::{ChildAction, ParentAction, Step};
use crate::config::{Config, Kind, Point};
use crate::error::Result;
use crate::host::Host;
use crate::{mounts, namespaces};

/// The parent's steps, `child` being the child's.
///
/// # Errors
/// [`Error::InvalidConfig`] for what this host cannot do.
pub(super) fn parent(
    config: &Config,
    host: &Host,
    id: &str,
    child: &[Step<ChildAction>],
) -> Result<Vec<Step<ParentAction>>> {
    let mut steps = acquisitions(config, child);
    birth(config, host, &mut steps);
    limits(config, &mut steps);
    steps.extend(super::outside::steps(config, id)?);
    handover(config, &mut steps);
    Ok(steps)
}

/// What is held before there is a child.
fn acquisitions(config: &Config, child: &[Step<ChildAction>]) -> Vec<Step<ParentAction>> {
    use ParentAction as P;
    let mut steps = vec![step(
        P::ClaimState,
        "first, so that whatever follows can be found and undone by name",
    )];
    for (kind, path) in config.namespaces.joined() {
        steps.push(step(
            P::OpenNamespace(kind, path),
            "by descriptor before the clone: the path may vanish or change",
        ));
    }
    steps.push(step(
        P::MakeCgroup,
        "limits are in force before a process exists that could exceed them",
    ));
    for each in child {
        if let ChildAction::Mount(mounts::Order::Bind(bind)) = &each.action
            && let Some(index) = bind.opened
        {
            steps.push(step(
                P::OpenSource(index),
                "by the parent: the container's root may not reach it",
            ));
        }
    }
    steps
}

fn birth(config: &Config, host: &Host, steps: &mut Vec<Step<ParentAction>>) {
    use ParentAction as P;
    let spaces = &config.namespaces;
    let clocks = spaces.makes(Kind::Time) && host.may_administer();
    if clocks {
        steps.push(step(
            P::MakeTimeNamespace,
            "offsets can be set only while nobody is in the namespace",
        ));
    }
    let joined = spaces.joined().into_iter().map(|(kind, _)| kind);
    let entered: Vec<Kind> = joined.filter(|kind| by_parent(*kind, host)).collect();
    for kind in &entered {
        steps.push(step(
            P::EnterForChildren(*kind),
            "only children enter it: one clone less than by the child itself",
        ));
    }
    let mut bits = namespaces::birth(config);
    if clocks_by_child(config, host) {
        // The first process of a pid namespace cannot have a sibling (clone(2), CLONE_PARENT), which the clocks need.
        bits &= !Kind::Pid.flag();
    }
    steps.push(step(
        P::Clone(bits),
        "one clone with all namespaces, the user namespace owning the rest",
    ));
    if !entered.is_empty() || clocks {
        steps.push(step(
            P::ReturnFromNamespaces,
            "hooks run in the runtime's own namespaces",
        ));
    }
    steps.extend(
        map_way(config, host)
            .map(|way| step(P::WriteMaps(way), "without a map the child is nobody")),
    );
}

/// Whether the child makes the time namespace: a maker without privilege may do so only in the new user namespace.
pub(super) fn clocks_by_child(config: &Config, host: &Host) -> bool {
    config.namespaces.makes(Kind::Time) && !host.may_administer()
}

fn limits(config: &Config, steps: &mut Vec<Step<ParentAction>>) {
    use ParentAction as P;
    steps.push(step(
        P::AttachCgroup,
        "where the child could not be born in it; before the child looks at its cgroup",
    ));
    let Some(process) = &config.process else {
        return;
    };
    if let Some(score) = process.oom_score_adj {
        steps.push(step(
            P::OomScore(score),
            "by the parent: the child's own entries in /proc are closed to it",
        ));
    }
}

fn handover(config: &Config, steps: &mut Vec<Step<ParentAction>>) {
    use ParentAction as P;
    steps.push(step(
        P::Release,
        "the child waits where it first needs the above",
    ));
    for point in [Point::Prestart, Point::CreateRuntime] {
        if !config.hooks.at(point).is_empty() {
            steps.push(step(
                P::Hooks(point),
                "namespaces and mounts exist, the root is not changed yet",
            ));
        }
    }
    let limits = config
        .process
        .as_ref()
        .map(|process| process.limits.clone())
        .unwrap_or_default();
    steps.push(step(
        P::AwaitHandOver,
        "the child has done all but the last steps",
    ));
    if !limits.is_empty() {
        let reason = "by the parent: raising one needs rights outside; late: a low one would stop the child itself";
        steps.push(step(P::Limits(limits), reason));
    }
    steps.push(step(
        P::WriteRecord,
        "from here on the container can be found without its maker",
    ));
    steps.push(step(
        P::AwaitReady,
        "a program that cannot start is an error of create",
    ));
    steps.push(step(
        P::WritePidFile,
        "last: its presence says that create has succeeded",
    ));
}

/// Joined namespaces that only children enter.
pub(super) fn by_parent(kind: Kind, host: &Host) -> bool {
    matches!(kind, Kind::Pid | Kind::Time) && host.may_administer()
}

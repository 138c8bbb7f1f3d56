//! A plan as text and as JSON: what `keel plan` prints and golden tests review.

use super::{ChildAction, ParentAction, Plan, Step};

impl Plan {
    /// One line a step: number, what, and why.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        section(&mut text, "parent", &self.parent, parent);
        section(&mut text, "child", &self.child, child);
        text
    }

    /// The same as JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "parent": list(&self.parent, parent),
            "child": list(&self.child, child),
        })
    }
}

fn section<A>(text: &mut String, name: &str, steps: &[Step<A>], describe: impl Fn(&A) -> String) {
    let mut lines = format!("{name}:\n");
    for (index, step) in steps.iter().enumerate() {
        let what = describe(&step.action);
        lines.push_str(&format!(
            "{:>4}  {what:<58} # {}
",
            index + 1,
            step.reason
        ));
    }
    text.push_str(&lines);
}

fn list<A>(steps: &[Step<A>], describe: impl Fn(&A) -> String) -> Vec<serde_json::Value> {
    let entry = |step: &Step<A>| serde_json::json!({ "step": describe(&step.action), "reason": step.reason });
    steps.iter().map(entry).collect()
}

fn parent(action: &ParentAction) -> String {
    match action {
        ParentAction::OpenNamespace(kind, path) => {
            format!("open {} namespace {:?}", kind.name(), path.display())
        }
        ParentAction::OpenSource(index) => format!("open source of mounts[{index}]"),
        ParentAction::EnterForChildren(kind) => {
            format!("enter {} namespace for children", kind.name())
        }
        ParentAction::Clone(bits) => format!("clone3 with {}", kinds(*bits)),
        ParentAction::Hooks(point) => format!("run {} hooks", point.name()),
        other => words(&format!("{other:?}")),
    }
}

fn child(action: &ChildAction) -> String {
    match action {
        ChildAction::Namespace(order) => words(&format!("{order:?}")),
        ChildAction::Mount(order) => mount(order),
        ChildAction::Process(order) => process(order),
        ChildAction::Hooks(point) => format!("run {} hooks", point.name()),
        other => words(&format!("{other:?}")),
    }
}

fn process(order: &crate::process::Order) -> String {
    use crate::process::Order;
    match order {
        Order::Umask(mask) => format!("umask {mask:04o}"),
        Order::Bounding(keep) => format!("limit capabilities to {keep:#x}"),
        Order::Identity(it) => {
            let sets = it.capabilities;
            let groups = it
                .groups
                .as_ref()
                .map_or("kept".to_owned(), |groups| format!("{groups:?}"));
            let (effective, permitted) = (sets.effective, sets.permitted);
            let (inheritable, ambient) = (sets.inheritable, sets.ambient);
            format!(
                "become {}:{}, groups {groups}, capabilities {effective:#x}/{permitted:#x}/{inheritable:#x}/{ambient:#x}",
                it.uid, it.gid
            )
        }
        other => words(&format!("{other:?}")),
    }
}

fn propagation(wish: crate::config::Propagation) -> String {
    use sys::mount::propagation::{PRIVATE, SHARED, SLAVE};
    let name = match wish.kind {
        SHARED => "shared",
        SLAVE => "slave",
        PRIVATE => "private",
        _ => "unbindable",
    };
    let depth = if wish.recursive { " and all below" } else { "" };
    format!("make /{depth} {name}")
}

fn mount(order: &crate::mounts::Order) -> String {
    use crate::mounts::Order;
    match order {
        Order::Filesystem(it) => format!(
            "mount {} on {:?}",
            it.kind.to_string_lossy(),
            it.destination.display()
        ),
        Order::Bind(it) => format!("bind {:?} on {:?}", it.source, it.destination.display()),
        Order::CgroupTree(it) => format!("mount cgroups on {:?}", it.destination.display()),
        Order::Device { device, bind } => {
            let verb = if *bind { "bind" } else { "make" };
            let (major, minor) = device.number;
            format!("{verb} device {:?} {major}:{minor}", device.path.display())
        }
        Order::Link { target, path, .. } => format!("link {:?} to {target:?}", path.display()),
        Order::Propagate(wish) => propagation(*wish),
        Order::Readonly(path) => format!("make {path:?} read-only"),
        Order::Mask(path) => format!("mask {path:?}"),
        other => words(&format!("{other:?}")),
    }
}

fn kinds(bits: u64) -> String {
    let named = crate::config::Kind::ALL
        .into_iter()
        .filter(|kind| bits & kind.flag() != 0);
    let names: Vec<_> = named.map(crate::config::Kind::name).collect();
    if names.is_empty() {
        "no new namespaces".to_owned()
    } else {
        format!("new {}", names.join(", "))
    }
}

/// `WriteRecord` as `write record`.
fn words(name: &str) -> String {
    let head = name
        .find(|c: char| !c.is_alphanumeric())
        .unwrap_or(name.len());
    let mut text = String::new();
    for (index, letter) in name[..head].chars().enumerate() {
        if letter.is_uppercase() && index > 0 {
            text.push(' ');
        }
        text.extend(letter.to_lowercase());
    }
    text + &name[head..].replace('\n', " ")
}

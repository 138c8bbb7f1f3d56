//! `mounts add` and `mounts remove`: mounts of a container that is already there, from a JSON array as in config.json.
//!
//! Sources are opened on the host and attached by a child inside the container's namespaces; every place there is found
//! below the container's root. The container's record does not change: what is added is gone with the container.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

use serde_json::{Value, json};
use sys::{file, mount, process, socket};

use super::Context;
use crate::cli::{Mounts, MountsAction};
use crate::compat;
use crate::config::mounts::Source;
use crate::config::{Config, Kind, Mount, Namespaces, SIZE_LIMIT};
use crate::error::{Error, Kernelize, Result};
use crate::init::wire::{self, Message};
use crate::mounts::Order;
use crate::mounts::apply::Scene;
use crate::mounts::place::{self, c_path};
use crate::mounts::plan::{self, Circumstances};
use crate::namespaces;
use crate::state::slot::open_process;
use crate::state::{Record, Status};

/// Opens the source of a bind mount on the host, with its id map where it has one.
///
/// # Errors
/// The kernel's, with the mount's destination.
pub fn open_source(
    mount: &Mount,
    spaces: &Namespaces,
    userns: Option<&OwnedFd>,
) -> Result<OwnedFd> {
    let Source::Bind { path, recursive } = &mount.source else {
        return Err(Error::Bug(
            "only bind mounts have a source to open".to_owned(),
        ));
    };
    let step = format!("mount {:?}", mount.destination.display());
    let tree = mount::clone_tree(file::here(), &c_path(path)?, *recursive).map_err(|errno| {
        Error::kernel(&*step, "open_tree", format!("{:?}", path.display()), errno)
    })?;
    if let Some(mapping) = &mount.id_mapping {
        super::idmap::map(tree.as_fd(), mapping, spaces, userns, &step)?;
    }
    Ok(tree)
}

/// Adds or removes the mounts that the file lists.
///
/// # Errors
/// [`Error::WrongState`] for a container that is stopped, [`Error::InvalidConfig`] with the entry's path, or the kernel's.
pub fn mounts(context: &Context, verb: &Mounts) -> Result<()> {
    let slot = context.root()?.find(&verb.id)?;
    let record = slot.record()?;
    if matches!(
        Status::of(&slot, &record),
        Status::Stopped | Status::Creating
    ) {
        return Err(Error::WrongState(compat::CONTAINER_NOT_RUNNING.to_owned()));
    }
    super::seal::ensure()?;
    let config = listed(&record, verb)?;
    if !config.namespaces.has(Kind::Mount) {
        return Err(Error::Denied(
            "the container has the host's mounts (accepted: one with a mount namespace)".to_owned(),
        ));
    }
    let init = open_process(record.pid, record.start_time)
        .ok_or_else(|| Error::WrongState(compat::CONTAINER_NOT_RUNNING.to_owned()))?;
    let work = match verb.action {
        MountsAction::Add => add(&config, record.pid)?,
        MountsAction::Remove => Work::Remove(
            config
                .mounts
                .iter()
                .rev()
                .map(|it| it.destination.clone())
                .collect(),
        ),
    };
    inside(&config, &init, &work)
}

/// The container's configuration with the file's mounts in place of its own.
fn listed(record: &Record, verb: &Mounts) -> Result<Config> {
    let step = || format!("mounts file {:?}", verb.file.display());
    let opened = file::open_read(file::here(), &c_path(&verb.file)?).step(step, "open")?;
    let text = file::read_all(opened.as_fd(), SIZE_LIMIT).step(step, "read")?;
    let array: Value = serde_json::from_slice(&text)
        .map_err(|error| Error::Usage(format!("{}: {error}", step())))?;
    if !array.is_array() {
        return Err(Error::Usage(format!(
            "{}: accepted: an array of mounts as in config.json",
            step()
        )));
    }
    let unreadable =
        |error: serde_json::Error| Error::Bug(format!("config.json of the container: {error}"));
    let mut whole: Value = serde_json::from_str(record.config.get()).map_err(unreadable)?;
    whole["mounts"] = array;
    Config::parse(json!(whole).to_string().as_bytes(), &record.bundle)
}

/// What the child does.
enum Work {
    Add(Vec<Order>, HashMap<usize, OwnedFd>),
    Remove(Vec<std::path::PathBuf>),
}

fn add(config: &Config, pid: i32) -> Result<Work> {
    for (index, mount) in config.mounts.iter().enumerate() {
        // A procfs shows the pid namespace of whoever mounts it, and this one stays outside the container's.
        if matches!(&mount.source, Source::Filesystem { kind, .. } if kind == "proc") {
            let reason = "proc cannot be added to a running container (accepted: bind mounts and other filesystems)";
            return Err(Error::config(format!("mounts[{index}].type"), reason));
        }
    }
    let circumstances = Circumstances {
        bind_devices: false,
        parent_opens: true,
    };
    let (mut orders, frozen) = plan::mounts(config, circumstances)?;
    orders.extend(frozen);
    let userns = c_path(format!("/proc/{pid}/ns/user"))?;
    let userns =
        file::open_read(file::here(), &userns).step(|| "user namespace".to_owned(), "open")?;
    let opened = |order: &Order| match order {
        Order::Bind(bind) => bind.opened,
        _ => None,
    };
    let source = |index: usize| {
        Ok((
            index,
            open_source(&config.mounts[index], &config.namespaces, Some(&userns))?,
        ))
    };
    let sources = orders
        .iter()
        .filter_map(opened)
        .map(source)
        .collect::<Result<_>>()?;
    Ok(Work::Add(orders, sources))
}

/// Does the work in a child in the container's namespaces; its failure is told here.
fn inside(config: &Config, init: &OwnedFd, work: &Work) -> Result<()> {
    let (ours, theirs) = socket::pair().step(|| "channel to the child".to_owned(), "socketpair")?;
    let mut not_for_child = Some(ours);
    let child = process::clone(&process::Clone::default(), || {
        drop(not_for_child.take());
        match enter(config, init).and_then(|()| carry_out(work)) {
            Ok(()) => 0,
            Err(error) => {
                // Nobody may be left to be told.
                file::write_all(theirs.as_fd(), &wire::encode(&error)).ok();
                1
            }
        }
    });
    let child = child.step(|| "child".to_owned(), "clone3")?;
    drop(theirs);
    let ours = not_for_child
        .take()
        .ok_or_else(|| Error::Bug("the channel is gone".to_owned()))?;
    let said = wire::receive(ours.as_fd());
    let exit = process::wait(child.pidfd.as_fd()).step(|| "child".to_owned(), "waitid")?;
    match said? {
        Message::Failed(error) => Err(error),
        _ if exit.code() == 0 => Ok(()),
        _ => Err(Error::WrongState(format!(
            "the child ended without a word: {exit:?}"
        ))),
    }
}

/// Enters all namespaces of the container but those that only children enter.
fn enter(config: &Config, init: &OwnedFd) -> Result<()> {
    process::set_dumpable(false).step(|| "protection".to_owned(), "prctl PR_SET_DUMPABLE")?;
    let entered = Kind::ALL
        .into_iter()
        .filter(|kind| !matches!(kind, Kind::Pid | Kind::Time));
    let bits = entered
        .filter(|kind| config.namespaces.has(*kind))
        .fold(0, |bits, kind| bits | kind.flag());
    sys::namespace::join(init.as_fd(), bits)
        .step(|| "namespaces of the container".to_owned(), "setns")?;
    if config.namespaces.has(Kind::User) {
        let root = namespaces::Order::BecomeRoot { groups: false };
        namespaces::apply(&root, &HashMap::new(), None)?;
    }
    Ok(())
}

fn carry_out(work: &Work) -> Result<()> {
    let step = || "root of the container".to_owned();
    let root = file::open_directory(file::here(), c"/").step(step, "open")?;
    match work {
        Work::Add(orders, sources) => {
            let mut scene = Scene {
                root: Some(root),
                opened: Some(sources),
                ..Scene::default()
            };
            orders.iter().try_for_each(|order| {
                scene.apply(order, || {
                    Err(Error::Unsupported {
                        feature: "cgroup mounts of a running container".to_owned(),
                        missing: "they are made with the container".to_owned(),
                    })
                })
            })
        }
        Work::Remove(destinations) => destinations.iter().try_for_each(|path| {
            let name = format!("mount {:?}", path.display());
            if place::find(root.as_fd(), path, &name)?.is_none() {
                return Err(Error::NotFound(format!("{name}: nothing is there")));
            }
            let (above, last) = place::parent(root.as_fd(), path, &name)?;
            file::enter(above.as_fd()).step(|| name.clone(), "fchdir")?;
            mount::detach(&last).step(|| name.clone(), "umount2")
        }),
    }
}

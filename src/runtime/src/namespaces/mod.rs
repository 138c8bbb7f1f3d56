//! Namespaces: what the child does in those that it was born in, joins, or leaves for new ones.

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use sys::{Errno, credentials, file, namespace};

use crate::config::namespaces::ClockOffset;
use crate::config::{Config, Kind, Origin};
use crate::error::{Error, Kernelize, Result};

pub mod maps;

/// One step of the child with namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Joins the namespace that the parent has opened.
    Join(Kind),
    /// Joins these namespaces (`CLONE_NEW*` bits) of the container's init at once.
    Enter(u64),
    /// Leaves the shared namespace for a new one.
    Leave(Kind),
    /// Sets the clocks of the time namespace that its children enter.
    ClockOffsets(Vec<ClockOffset>),
    /// Becomes root of its user namespace.
    BecomeRoot {
        /// Whether supplementary groups are to be dropped, which an unprivileged map forbids.
        groups: bool,
    },
    /// Brings up `lo` of the new network namespace.
    Loopback,
    /// Host name.
    Hostname(CString),
    /// NIS domain name.
    Domainname(CString),
}

/// The `CLONE_NEW*` bits with which the child is born. Cgroup and time namespaces come otherwise: the one shows the
/// cgroup that its maker is in, the other must get its offsets before anybody is in it.
///
/// In a joined user namespace nothing is made at birth: what belongs to it must be made after it was joined.
#[must_use]
pub fn birth(config: &Config) -> u64 {
    if matches!(config.namespaces.origin(Kind::User), Origin::Joined(_)) {
        return 0;
    }
    let born = [
        Kind::User,
        Kind::Ipc,
        Kind::Uts,
        Kind::Network,
        Kind::Pid,
        Kind::Mount,
    ];
    let made = born
        .into_iter()
        .filter(|kind| config.namespaces.makes(*kind));
    made.fold(0, |bits, kind| bits | kind.flag())
}

/// Carries out one order in the child; `opened` are the joined namespaces, `container` is the init of the container that
/// is entered.
///
/// # Errors
/// The kernel's, with the step.
pub fn apply(
    order: &Order,
    opened: &HashMap<Kind, OwnedFd>,
    container: Option<&OwnedFd>,
) -> Result<()> {
    match order {
        Order::Enter(bits) => {
            let init =
                container.ok_or_else(|| Error::Bug("the container was not opened".to_owned()))?;
            namespace::join(init.as_fd(), *bits)
                .step(|| "namespaces of the container".to_owned(), "setns")
        }
        Order::Join(kind) => {
            let step = || format!("{} namespace", kind.name());
            let file = opened
                .get(kind)
                .ok_or_else(|| Error::Bug(format!("{} was not opened", step())))?;
            namespace::join(file.as_fd(), kind.flag()).step(step, "setns")
        }
        Order::Leave(kind) => {
            namespace::leave(kind.flag()).step(|| format!("{} namespace", kind.name()), "unshare")
        }
        Order::ClockOffsets(offsets) => set_clocks(offsets),
        Order::BecomeRoot { groups } => become_root(*groups),
        Order::Loopback => match namespace::loopback_up() {
            // Without CAP_NET_ADMIN in the namespace nobody could use it anyway.
            Ok(()) | Err(Errno::PERM) => Ok(()),
            Err(errno) => Err(Error::kernel(
                "loopback device",
                "SIOCSIFFLAGS",
                "lo",
                errno,
            )),
        },
        Order::Hostname(name) => namespace::set_hostname(name.to_bytes())
            .step(|| format!("hostname {name:?}"), "sethostname"),
        Order::Domainname(name) => namespace::set_domainname(name.to_bytes())
            .step(|| format!("domainname {name:?}"), "setdomainname"),
    }
}

/// Sets the clocks of the time namespace that this process's children enter; nobody may be in it yet.
///
/// # Errors
/// The kernel's.
pub fn set_clocks(offsets: &[ClockOffset]) -> Result<()> {
    let step = || "time namespace".to_owned();
    if offsets.is_empty() {
        return Ok(());
    }
    let line = |offset: &ClockOffset| {
        format!(
            "{} {} {}\n",
            offset.clock, offset.seconds, offset.nanoseconds
        )
    };
    let text: String = offsets.iter().map(line).collect();
    let target = file::open_both(file::here(), c"/proc/self/timens_offsets")
        .step(step, "open timens_offsets")?;
    file::write_all(target.as_fd(), text.as_bytes()).step(step, "write timens_offsets")
}

fn become_root(groups: bool) -> Result<()> {
    let step = || "root of the user namespace".to_owned();
    if groups {
        credentials::set_groups(&[]).step(step, "setgroups")?;
    }
    credentials::set_group(0).step(step, "setresgid")?;
    credentials::set_user(0).step(step, "setresuid")
}

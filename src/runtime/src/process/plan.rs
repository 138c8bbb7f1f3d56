//! Configuration → orders for the process. Pure.

use super::{Identity, Order};
use crate::config::process::Capabilities;
use crate::config::{Config, Process};

/// Bits of all capabilities there can be.
const ALL: u64 = !0;

/// Scheduler, priorities, personality and memory policy: what needs the rights that are dropped next.
#[must_use]
pub fn placement(process: &Process, config: &Config) -> Vec<Order> {
    let mut orders = Vec::new();
    orders.extend(process.scheduler.map(Order::Scheduler));
    orders.extend(process.io_priority.map(Order::IoPriority));
    orders.extend(config.personality.map(Order::Personality));
    if let Some(policy) = &config.memory_policy {
        orders.push(Order::MemoryPolicy(policy.mode, policy.nodes.clone()));
    }
    orders
}

/// The change of identity. `groups` says whether supplementary groups can be set here.
#[must_use]
pub fn identity(process: &Process, groups: bool) -> Vec<Order> {
    let capabilities = process.capabilities.unwrap_or_default();
    let mut orders = Vec::new();
    if process.user.uid != 0 {
        orders.push(Order::EnterEarly(process.cwd.clone()));
    }
    if process.variable("HOME").is_none_or(<[u8]>::is_empty) {
        orders.push(Order::Home(process.user.uid));
    }
    if capabilities.bounding != ALL {
        orders.push(Order::Bounding(capabilities.bounding));
    }
    if !process.terminal {
        orders.push(Order::OwnStreams(process.user.uid));
    }
    orders.push(Order::Identity(Identity {
        uid: process.user.uid,
        gid: process.user.gid,
        groups: groups.then(|| process.user.groups.clone()),
        capabilities: ambient_within(capabilities),
    }));
    orders.push(Order::Enter(process.cwd.clone()));
    orders
}

/// Ambient capabilities that are not both permitted and inheritable cannot be raised.
fn ambient_within(sets: Capabilities) -> Capabilities {
    Capabilities {
        ambient: sets.ambient & sets.permitted & sets.inheritable,
        ..sets
    }
}

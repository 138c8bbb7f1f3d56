//! What the parent gives the child from outside besides cgroup and limits: devices of the network, a class of resctrl.

use super::order::step;
use super::{ParentAction, Step};
use crate::config::Config;
use crate::error::Result;
use crate::{netdev, rdt};

/// The steps; `id` names the class of resctrl where the config does not.
///
/// # Errors
/// [`crate::error::Error::InvalidConfig`] with the field's path.
pub(super) fn steps(config: &Config, id: &str) -> Result<Vec<Step<ParentAction>>> {
    let mut steps = Vec::new();
    if let Some(wish) = &config.intel_rdt {
        let order = rdt::plan(wish, id)?;
        steps.push(step(
            ParentAction::Rdt(order),
            "before the program can fill a cache",
        ));
    }
    let devices = netdev::plan(&config.net_devices);
    if !devices.is_empty() {
        steps.push(step(
            ParentAction::NetDevices(devices),
            "by the parent: only it sees both network namespaces, and hooks shall find the devices",
        ));
    }
    Ok(steps)
}

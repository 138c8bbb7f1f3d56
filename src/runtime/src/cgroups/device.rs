//! Which devices a container may make, read and write: rules in order, each access decided by the last that names it.

use super::Cgroup;
use crate::error::Result;

mod access;
pub(super) mod list;
mod program;

pub use access::Access;

/// Character or block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceClass {
    /// Block device.
    Block,
    /// Character device.
    Char,
}

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRule {
    /// Whether it grants or takes.
    pub allow: bool,
    /// What kind of device.
    pub class: DeviceClass,
    /// Its major number; `None` is any.
    pub major: Option<u32>,
    /// Its minor number; `None` is any.
    pub minor: Option<u32>,
    /// What may be done to it.
    pub access: Access,
}

/// Puts `rules` into force; no rules leave the filter as it is.
pub fn set(cgroup: &Cgroup, rules: &[DeviceRule]) -> Result<()> {
    if rules.is_empty() || cgroup.record.paths.is_empty() {
        return Ok(());
    }
    if cgroup.is_unified() {
        return program::set(cgroup, rules);
    }
    list::set(cgroup, rules)
}

//! What this machine is and what this user may do on it: one probe, read only.

use std::os::fd::AsFd;

use sys::{credentials, file};

use crate::cgroups::Layout;
use crate::error::{Kernelize, Result};
use crate::lsm::Modules;

const CAP_SETUID: u32 = 7;
const CAP_SYS_ADMIN: u32 = 21;

/// The machine and the caller.
#[derive(Debug, Clone)]
pub struct Host {
    /// Effective user and group.
    pub user: (u32, u32),
    /// Whether this user namespace is not the first one.
    pub nested: bool,
    /// The caller's capabilities in force, one bit each.
    pub capabilities: u64,
    /// How cgroups are mounted.
    pub layout: Layout,
}

impl Host {
    /// Looks at the machine.
    ///
    /// # Errors
    /// The kernel's, where `/proc` cannot be read.
    pub fn probe() -> Result<Self> {
        let step = || "host".to_owned();
        let map = file::open_read(file::here(), c"/proc/self/uid_map")
            .step(step, "open /proc/self/uid_map")?;
        let map = file::read_all(map.as_fd(), 1 << 16).step(step, "read /proc/self/uid_map")?;
        Ok(Self {
            user: (
                credentials::effective_user(),
                credentials::effective_group(),
            ),
            nested: !is_first(&map),
            capabilities: credentials::capabilities().step(step, "capget")?.effective,
            layout: Layout::probe()?,
        })
    }

    /// The security modules, looked for only where somebody asks for one.
    #[must_use]
    pub fn modules(&self, asked: bool) -> Modules {
        if asked {
            Modules::probe()
        } else {
            Modules::default()
        }
    }

    /// Whether mounts, namespaces and device nodes can be made without a new user namespace.
    #[must_use]
    pub fn may_administer(&self) -> bool {
        self.capabilities & (1 << CAP_SYS_ADMIN) != 0
    }

    /// Whether any id can be mapped into a new user namespace.
    #[must_use]
    pub fn may_map_ids(&self) -> bool {
        self.capabilities & (1 << CAP_SETUID) != 0 && self.may_administer()
    }

    /// Whether what this user lacks is forgiven where it was not asked for: not root, or root of a namespace only.
    #[must_use]
    pub fn is_rootless(&self) -> bool {
        self.user.0 != 0 || self.nested
    }
}

/// The first user namespace maps every id to itself.
fn is_first(map: &[u8]) -> bool {
    let text = String::from_utf8_lossy(map);
    let fields: Vec<&str> = text.split_whitespace().collect();
    fields == ["0", "0", "4294967295"]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_user_namespace_maps_everything() {
        assert!(is_first(b"         0          0 4294967295\n"));
        assert!(!is_first(b"         0       1000          1\n"));
        assert!(!is_first(b""));
    }
}

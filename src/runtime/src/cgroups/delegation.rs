//! Giving a v2 cgroup to the container's user, so that a systemd or an engine inside can divide it further.

use std::path::Path;

use nix::unistd::{Uid, chown};
use sys::Errno;

use super::{dir, failed};
use crate::error::Result;

/// What kernels before 4.15 do not list.
const FILES: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads";

/// Makes `uid` the owner of `dir` and of the files that `/sys/kernel/cgroup/delegate` lists; the limits stay the
/// host's. The group stays too: systemd inside the container does the same.
pub fn give(dir: &Path, uid: u32) -> Result<()> {
    let listed = dir::read(Path::new("/sys/kernel/cgroup"), "delegate");
    let listed = listed.unwrap_or_else(|_| FILES.to_owned());
    let uid = Some(Uid::from_raw(uid));
    let names = std::iter::once("").chain(listed.lines());
    for name in names {
        let path = if name.is_empty() {
            dir.to_owned()
        } else {
            dir.join(name)
        };
        match chown(&path, uid, None) {
            // The kernel lists what it knows, this cgroup may lack the controller.
            Ok(()) | Err(nix::errno::Errno::ENOENT) => {}
            Err(e) => {
                let errno = Errno::from_raw_os_error(e as i32);
                return Err(failed("delegate cgroup", "chown", &path, errno));
            }
        }
    }
    Ok(())
}

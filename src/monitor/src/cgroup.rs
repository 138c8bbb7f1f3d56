//! The one question a monitor asks about control groups: did the kernel kill for lack of memory?

use std::fs;
use std::path::{Path, PathBuf};

/// The file that counts OOM kills in the memory group of `pid`: `memory.oom_control` (v1, Linux 4.13) or
/// `memory.events` (v2). None if the process has no memory group of its own or is gone.
#[must_use]
pub fn oom_counter(pid: i32) -> Option<PathBuf> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let mut unified = None;
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let path = path.trim_start_matches('/');
        if controllers.split(',').any(|name| name == "memory") {
            return Some(
                Path::new("/sys/fs/cgroup/memory")
                    .join(path)
                    .join("memory.oom_control"),
            );
        }
        if controllers.is_empty() {
            unified = Some(Path::new("/sys/fs/cgroup").join(path).join("memory.events"));
        }
    }
    unified
}

/// How many processes the kernel killed there so far; 0 if the file is gone.
#[must_use]
pub fn oom_kills(counter: &Path) -> u64 {
    let Ok(text) = fs::read_to_string(counter) else {
        return 0;
    };
    text.lines()
        .filter_map(|line| line.strip_prefix("oom_kill "))
        .find_map(|count| count.trim().parse().ok())
        .unwrap_or(0)
}

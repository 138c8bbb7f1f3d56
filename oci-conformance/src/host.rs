//! What the machine offers, read once: the cgroup layout as mounted here, the kernel's version, what this user may.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// How control groups are mounted.
#[derive(Debug)]
pub enum Layout {
    /// Version 1 (also beside a version 2 mount elsewhere): each controller's hierarchy.
    V1(BTreeMap<String, PathBuf>),
    /// Version 2 alone: the mount point and the controllers it has.
    V2(PathBuf, Vec<String>),
    /// Nothing is mounted.
    Absent,
}

/// The facts cases ask before they run.
#[derive(Debug)]
pub struct Host {
    /// The cgroup layout.
    pub cgroups: Layout,
    /// The mount points of all hierarchies, with that of version 2 where both versions are mounted.
    pub hierarchies: Vec<PathBuf>,
    /// The kernel's major and minor version.
    pub kernel: (u32, u32),
    /// The effective capabilities as a bit set.
    pub capabilities: u64,
}

impl Host {
    /// Reads the facts from /proc.
    pub fn probe() -> io::Result<Self> {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
        let mut numbers = release.split(['.', '-']).map(|n| n.trim().parse().unwrap_or(0));
        let mountinfo = fs::read_to_string("/proc/self/mountinfo")?;
        let status = fs::read_to_string("/proc/self/status")?;
        let effective = status.lines().find_map(|l| l.strip_prefix("CapEff:"));
        Ok(Self {
            cgroups: layout(&mountinfo),
            hierarchies: hierarchies(&mountinfo),
            kernel: (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)),
            capabilities: effective.and_then(|e| u64::from_str_radix(e.trim(), 16).ok()).unwrap_or(0),
        })
    }

    /// Whether the controller can be used here.
    pub fn controls(&self, controller: &str) -> bool {
        match &self.cgroups {
            Layout::V1(all) => all.contains_key(controller),
            Layout::V2(_, all) => all.iter().any(|c| c == controller),
            Layout::Absent => false,
        }
    }

    /// The kernel and the cgroup layout in a few words.
    pub fn summary(&self) -> String {
        let (version, names) = match &self.cgroups {
            Layout::V1(all) => ("v1", all.keys().cloned().collect()),
            Layout::V2(_, all) => ("v2", all.clone()),
            Layout::Absent => ("none", Vec::new()),
        };
        format!("Linux {}.{}, cgroup {version}: {}", self.kernel.0, self.kernel.1, names.join(" "))
    }
}

/// Every cgroup mount that programs can see: the last one at each place, none below a later mount of another kind.
fn hierarchies(mountinfo: &str) -> Vec<PathBuf> {
    let mut roots = Vec::new();
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let Some(point) = left.split(' ').nth(4).map(PathBuf::from) else { continue };
        roots.retain(|root: &PathBuf| !root.starts_with(&point));
        if matches!(right.split(' ').next(), Some("cgroup" | "cgroup2")) {
            roots.push(point);
        }
    }
    roots
}

/// Reads the layout from mountinfo: cgroup2 at the place programs look for cgroups means version 2.
fn layout(mountinfo: &str) -> Layout {
    let mut v1 = BTreeMap::new();
    let mut v2 = None;
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let Some(point) = left.split(' ').nth(4) else {
            continue;
        };
        let right: Vec<&str> = right.split(' ').collect();
        match right[0] {
            "cgroup2" if point == "/sys/fs/cgroup" => v2 = Some(PathBuf::from(point)),
            "cgroup" if point.starts_with("/sys/fs/cgroup/") => {
                for option in right.get(2).unwrap_or(&"").split(',') {
                    if !matches!(option, "rw" | "ro" | "xattr" | "clone_children" | "noprefix") {
                        v1.insert(option.trim_start_matches("name=").to_owned(), PathBuf::from(point));
                    }
                }
            }
            "tmpfs" if point == "/sys/fs/cgroup" => {
                v1.clear();
                v2 = None;
            }
            _ => {}
        }
    }
    match v2 {
        Some(root) => {
            let controllers = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
            Layout::V2(root, controllers.split_whitespace().map(str::to_owned).collect())
        }
        None if v1.is_empty() => Layout::Absent,
        None => Layout::V1(v1),
    }
}

/// Removes the cgroup `name` and all below it from every hierarchy, deepest first; what is still in use stays.
pub fn remove_group(host: &Host, name: &str) -> Vec<PathBuf> {
    let mut kept = Vec::new();
    for root in &host.hierarchies {
        let top = root.join(name);
        if top.is_dir() {
            remove_below(&top);
            if top.is_dir() {
                kept.push(top);
            }
        }
    }
    kept
}

fn remove_below(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_below(&entry.path());
        }
    }
    // A group in use answers EBUSY; the caller looks whether it is still there.
    drop(fs::remove_dir(dir));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hybrid_is_version_1() {
        let text = "1 0 0:1 / /sys/fs/cgroup rw - tmpfs cgroup rw\n\
            2 1 0:2 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
            3 1 0:3 / /sys/fs/cgroup/unified rw - cgroup2 cgroup rw\n";
        let Layout::V1(all) = layout(text) else { panic!("not version 1") };
        assert_eq!(all.keys().collect::<Vec<_>>(), ["cpu", "cpuacct"]);
        let found: Vec<_> = hierarchies(text).iter().map(|root| root.display().to_string()).collect();
        assert_eq!(found, ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/unified"]);
    }
}

//! How cgroups are mounted on this machine, and where in them this process is.
//!
//! cgroups(7): v1 hierarchies stand at `/sys/fs/cgroup/<controllers>` one by one or joined (`cpu,cpuacct`); a
//! machine with cgroup2 beside them is hybrid; with cgroup2 at `/sys/fs/cgroup` itself it is unified.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

use super::dir;
use crate::error::{Error, Kernelize, Result};

/// Where cgroups are mounted by convention.
pub const ROOT: &str = "/sys/fs/cgroup";

/// Which cgroup versions are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// v1 only.
    Legacy,
    /// v1, and cgroup2 with what controllers v1 left.
    Hybrid,
    /// v2 only.
    Unified,
}

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its controllers as `/proc/self/cgroup` lists them: `memory`, `cpu,cpuacct`, `name=systemd`; empty for v2.
    pub controllers: String,
    /// Where it is mounted.
    pub mountpoint: PathBuf,
    /// The directory of this process's cgroup, below `mountpoint`.
    pub own: PathBuf,
}

/// All hierarchies of this mount namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Which versions are there.
    pub mode: Mode,
    /// Each hierarchy once, in the order of `/proc/self/cgroup`.
    pub hierarchies: Vec<Hierarchy>,
}

impl Layout {
    /// Looks at the machine: `/proc/self/cgroup`, and `/proc/self/mountinfo` unless v2 stands at the usual place.
    pub fn probe() -> Result<Self> {
        let proc = Path::new("/proc/self");
        let own =
            dir::read_whole(proc, "cgroup").step(|| "read /proc/self/cgroup".to_owned(), "open")?;
        if statfs(ROOT).is_ok_and(|s| s.filesystem_type() == CGROUP2_SUPER_MAGIC) {
            return Ok(Self::unified(&own));
        }
        let mounts = dir::read_whole(proc, "mountinfo")
            .step(|| "read /proc/self/mountinfo".to_owned(), "open")?;
        Ok(Self::parse(&own, &mounts))
    }

    /// The layout of a machine with v2 alone at [`ROOT`]; `cgroup` is the text of `/proc/self/cgroup`.
    fn unified(cgroup: &str) -> Self {
        let own = cgroup
            .lines()
            .find_map(|l| l.strip_prefix("0::"))
            .unwrap_or("/");
        let hierarchy = Hierarchy {
            controllers: String::new(),
            mountpoint: ROOT.into(),
            own: below(Path::new(ROOT), Path::new(own)),
        };
        Self {
            mode: Mode::Unified,
            hierarchies: vec![hierarchy],
        }
    }

    /// The layout that the texts of `/proc/self/cgroup` and `/proc/self/mountinfo` describe.
    fn parse(cgroup: &str, mountinfo: &str) -> Self {
        let mounts: Vec<Mount> = mountinfo.lines().filter_map(Mount::parse).collect();
        let by_id: HashMap<u32, &Mount> = mounts.iter().map(|m| (m.id, m)).collect();
        let visible: Vec<&Mount> = mounts
            .iter()
            .filter(|m| m.kind != Kind::Other && !m.is_hidden(&mounts, &by_id))
            .collect();
        let mut hierarchies = Vec::new();
        for line in cgroup.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else {
                continue;
            };
            let mount = visible.iter().find(|m| m.serves(controllers));
            hierarchies.extend(mount.map(|m| Hierarchy {
                controllers: controllers.to_owned(),
                mountpoint: m.point.clone(),
                own: m.locate(Path::new(path)),
            }));
        }
        let v2 = hierarchies.iter().any(|h| h.controllers.is_empty());
        let mode = match (v2, hierarchies.len()) {
            (true, 1) => Mode::Unified,
            (true, _) => Mode::Hybrid,
            (false, _) => Mode::Legacy,
        };
        Self { mode, hierarchies }
    }

    /// The hierarchy that has `controller`; the empty name is v2's.
    pub fn hierarchy(&self, controller: &str) -> Option<&Hierarchy> {
        self.hierarchies
            .iter()
            .find(|h| has(&h.controllers, controller))
    }

    /// An error where no hierarchy is mounted at all.
    pub(super) fn mounted(&self) -> Result<()> {
        if self.hierarchies.is_empty() {
            return Err(Error::Unsupported {
                feature: "cgroups".to_owned(),
                missing: format!(
                    "no hierarchy is mounted below {ROOT}; mount one, or give --cgroup-manager=disabled"
                ),
            });
        }
        Ok(())
    }
}

/// Whether the list `controllers` of `/proc/self/cgroup` names `controller`.
pub(super) fn has(controllers: &str, controller: &str) -> bool {
    controllers.split(',').any(|c| c == controller)
}

/// `path` with `.` and `..` resolved by text alone and kept below `base`.
pub(super) fn below(base: &Path, path: &Path) -> PathBuf {
    let mut kept: Vec<&std::ffi::OsStr> = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => kept.push(name),
            Component::ParentDir => {
                kept.pop();
            }
            _ => {}
        }
    }
    let mut whole = base.to_owned();
    whole.extend(kept);
    whole
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    V1,
    V2,
    Other,
}

/// One line of mountinfo, proc_pid_mountinfo(5).
struct Mount {
    id: u32,
    parent: u32,
    root: PathBuf,
    point: PathBuf,
    kind: Kind,
    options: String,
}

impl Mount {
    fn parse(line: &str) -> Option<Self> {
        let (head, tail) = line.split_once(" - ")?;
        let mut head = head.split(' ');
        let mut tail = tail.split(' ');
        Some(Self {
            id: head.next()?.parse().ok()?,
            parent: head.next()?.parse().ok()?,
            root: unescape(head.nth(1)?),
            point: unescape(head.next()?),
            kind: match tail.next()? {
                "cgroup" => Kind::V1,
                "cgroup2" => Kind::V2,
                _ => Kind::Other,
            },
            options: tail.nth(1).unwrap_or_default().to_owned(),
        })
    }

    fn serves(&self, controllers: &str) -> bool {
        match self.kind {
            Kind::V2 => controllers.is_empty(),
            Kind::V1 => {
                !controllers.is_empty() && controllers.split(',').all(|c| has(&self.options, c))
            }
            Kind::Other => false,
        }
    }

    /// Where the cgroup `path` of this hierarchy is seen: a container without a cgroup namespace gets a bind mount
    /// whose root is its own cgroup.
    fn locate(&self, path: &Path) -> PathBuf {
        below(&self.point, path.strip_prefix(&self.root).unwrap_or(path))
    }

    /// Whether something is mounted over this mount or over a directory above it.
    fn is_hidden(&self, all: &[Self], by_id: &HashMap<u32, &Self>) -> bool {
        if all
            .iter()
            .any(|m| m.parent == self.id && m.point == self.point)
        {
            return true;
        }
        let mut at = Some(self);
        while let Some(mount) = at {
            let over = |m: &&Self| m.parent == mount.parent && m.id != mount.id;
            if all
                .iter()
                .filter(over)
                .any(|m| mount.point != m.point && mount.point.starts_with(&m.point))
            {
                return true;
            }
            at = by_id
                .get(&mount.parent)
                .copied()
                .filter(|p| p.id != mount.id);
        }
        false
    }
}

/// Undoes mountinfo's octal escapes (space, tab, newline, backslash).
fn unescape(field: &str) -> PathBuf {
    let bytes = field.as_bytes();
    let mut text = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let code = (bytes[i] == b'\\')
            .then(|| field.get(i + 1..i + 4))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        text.push(code.unwrap_or(bytes[i]));
        i += if code.is_some() { 4 } else { 1 };
    }
    OsString::from_vec(text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE_BY_ONE: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw";

    fn point(layout: &Layout, controller: &str) -> Option<String> {
        layout
            .hierarchy(controller)
            .map(|h| h.mountpoint.display().to_string())
    }

    #[test]
    fn hybrid_one_by_one() {
        let layout = Layout::parse(
            "9:name=systemd:/\n2:cpuacct:/\n1:cpu:/a/b\n0::/",
            ONE_BY_ONE,
        );
        assert_eq!(layout.mode, Mode::Hybrid);
        assert_eq!(layout.hierarchies.len(), 4);
        assert_eq!(point(&layout, "cpu").as_deref(), Some("/sys/fs/cgroup/cpu"));
        assert_eq!(
            layout.hierarchy("cpu").unwrap().own,
            Path::new("/sys/fs/cgroup/cpu/a/b")
        );
        assert_eq!(
            point(&layout, "").as_deref(),
            Some("/sys/fs/cgroup/unified")
        );
        assert_eq!(point(&layout, "memory"), None);
    }

    #[test]
    fn a_covered_mount_is_not_used() {
        let covered = format!(
            "{ONE_BY_ONE}\n50 31 0:40 / /sys/fs/cgroup rw - tmpfs cgroup rw\n51 50 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu"
        );
        let layout = Layout::parse("9:name=systemd:/\n2:cpuacct:/\n1:cpu:/\n0::/", &covered);
        assert_eq!(layout.mode, Mode::Legacy);
        assert_eq!(layout.hierarchies.len(), 1);
        assert_eq!(point(&layout, "cpu").as_deref(), Some("/sys/fs/cgroup/cpu"));
    }

    #[test]
    fn joint_and_bind_mounted() {
        let joint = "\
30 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
31 30 0:29 /docker/x /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 30 0:30 / /sys/fs/cgroup/net\\040cls rw - cgroup cgroup rw,net_cls,net_prio";
        let layout = Layout::parse("3:net_cls,net_prio:/\n2:cpu,cpuacct:/docker/x/y", joint);
        assert_eq!(layout.mode, Mode::Legacy);
        let cpu = layout.hierarchy("cpuacct").unwrap();
        assert_eq!(cpu.own, Path::new("/sys/fs/cgroup/cpu,cpuacct/y"));
        assert_eq!(
            point(&layout, "net_prio").as_deref(),
            Some("/sys/fs/cgroup/net cls")
        );
    }

    #[test]
    fn unified_needs_no_mountinfo() {
        let layout = Layout::unified("5:memory:/x\n0::/user.slice/s");
        assert_eq!(layout.mode, Mode::Unified);
        assert_eq!(
            layout.hierarchies[0].own,
            Path::new("/sys/fs/cgroup/user.slice/s")
        );
    }

    #[test]
    fn dots_cannot_leave_the_base() {
        assert_eq!(
            below(Path::new("/c"), Path::new("/../../a/./b/../d")),
            Path::new("/c/a/d")
        );
        assert_eq!(below(Path::new("/c"), Path::new("")), Path::new("/c"));
    }
}

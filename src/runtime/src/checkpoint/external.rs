//! Mounts of a container that come from outside it: which there are, by what number CRIU calls them, and what they are on
//! the host when the container comes back.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sys::file;

use crate::cgroups::Record as Cgroups;
use crate::config::Config;
use crate::config::mounts::Source;
use crate::error::{Error, Kernelize as _, Result};
use crate::mounts::place;

/// What an external mount is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    /// The bind mount of this index in `mounts`, with its destination in the file.
    Bind(usize, PathBuf),
    /// The null device over a masked file.
    Mask,
    /// A device of the host.
    Device(PathBuf),
    /// The container's own cgroup in the hierarchy of these controllers; empty for v2.
    Cgroup(String),
}

/// One external mount; its place in the list is its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct External {
    /// Where it is in the container.
    pub mountpoint: PathBuf,
    /// What it is.
    pub origin: Origin,
}

/// A line of `/proc/PID/mountinfo`, proc_pid_mountinfo(5).
#[derive(Debug, PartialEq, Eq)]
struct Line {
    id: u64,
    device: String,
    root: String,
    mountpoint: String,
    kind: String,
    /// Options of the superblock.
    options: Vec<String>,
}

fn line(text: &str) -> Option<Line> {
    let (left, right) = text.split_once(" - ")?;
    let left: Vec<&str> = left.split(' ').collect();
    let mut right = right.split(' ');
    Some(Line {
        id: left.first()?.parse().ok()?,
        device: (*left.get(2)?).to_owned(),
        root: unescape(left.get(3)?),
        mountpoint: unescape(left.get(4)?),
        kind: right.next()?.to_owned(),
        options: right.next_back()?.split(',').map(str::to_owned).collect(),
    })
}

/// Spaces, tabs, newlines and backslashes stand as octal numbers.
fn unescape(text: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// The external mounts of the container whose init is `pid`.
///
/// # Errors
/// [`Error::Denied`] for a mount that nothing in the configuration explains, or for a mountpoint that CRIU's syntax cannot
/// carry.
pub fn find(config: &Config, cgroups: &Cgroups, pid: i32) -> Result<Vec<External>> {
    let path = format!("/proc/{pid}/mountinfo");
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Error::kernel(
            &*path,
            "read",
            "",
            sys::Errno::from_io_error(&error).unwrap_or(sys::Errno::IO),
        )
    })?;
    let root = place::c_path(format!("/proc/{pid}/root"))?;
    let root = file::open_directory(file::here(), &root)
        .step(|| "root of the container".to_owned(), "open")?;
    let binds = binds(config, root.as_fd())?;
    let lines: Vec<Line> = text.lines().filter_map(line).collect();
    let inside = |device: &str| {
        lines
            .iter()
            .any(|line| line.device == device && line.root == "/")
    };
    let mut found = Vec::new();
    for line in lines.iter().filter(|line| line.mountpoint != "/") {
        let origin = if let Some((index, destination)) = binds
            .iter()
            .find(|(id, _, _)| *id == line.id)
            .map(|(_, index, path)| (index, path))
        {
            Origin::Bind(*index, destination.clone())
        } else if line.kind.starts_with("cgroup") {
            Origin::Cgroup(hierarchy(line, cgroups)?)
        } else if inside(&line.device) {
            continue;
        } else if line.root == "/null" && masked(config, &line.mountpoint) {
            Origin::Mask
        } else if line.mountpoint.starts_with("/dev/") {
            Origin::Device(PathBuf::from(&line.mountpoint))
        } else {
            let text = format!(
                "mount {:?}: comes from outside and is not in config.json (accepted: mounts of config.json)",
                line.mountpoint
            );
            return Err(Error::Denied(text));
        };
        // CRIU's words for a mount end at the first bracket.
        if line.mountpoint.contains([']', ':', '\n']) {
            return Err(Error::Denied(format!(
                "mount {:?}: cannot be named to criu (accepted: no ], : and newline)",
                line.mountpoint
            )));
        }
        found.push(External {
            mountpoint: PathBuf::from(&line.mountpoint),
            origin,
        });
    }
    Ok(found)
}

fn masked(config: &Config, mountpoint: &str) -> bool {
    config
        .masked_paths
        .iter()
        .any(|path| path == Path::new(mountpoint))
}

/// The kernel's number of the mount on every bind mount's destination, found below the container's root.
fn binds(config: &Config, root: BorrowedFd<'_>) -> Result<Vec<(u64, usize, PathBuf)>> {
    let mut found = Vec::new();
    for (index, mount) in config.mounts.iter().enumerate() {
        if !matches!(mount.source, Source::Bind { .. }) {
            continue;
        }
        let step = format!("mount {:?}", mount.destination.display());
        let Some(place) = place::find(root, &mount.destination, &step)? else {
            return Err(Error::NotFound(format!(
                "{step}: nothing is there any more"
            )));
        };
        let facts = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", place.as_raw_fd()));
        let id = facts.ok().and_then(|facts| {
            facts
                .lines()
                .find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok())
        });
        let id = id.ok_or_else(|| Error::Bug("fdinfo tells no mnt_id".to_owned()))?;
        found.push((id, index, mount.destination.clone()));
    }
    Ok(found)
}

/// The container's hierarchy that a mount shows: that whose controllers are all among the superblock's options.
fn hierarchy(line: &Line, cgroups: &Cgroups) -> Result<String> {
    let all = |controllers: &str| {
        controllers
            .split(',')
            .all(|it| line.options.iter().any(|option| option == it))
    };
    let shown = |controllers: &&String| {
        if line.kind == "cgroup2" {
            controllers.is_empty()
        } else {
            !controllers.is_empty() && all(controllers)
        }
    };
    let found = cgroups.paths.keys().find(shown).cloned();
    found.ok_or_else(|| {
        Error::Denied(format!(
            "mount {:?}: shows a cgroup hierarchy that the container is not in",
            line.mountpoint
        ))
    })
}

/// The words for a dump: the mountpoint gets its number for a name.
#[must_use]
pub fn for_dump(all: &[External]) -> Vec<String> {
    let word =
        |(index, it): (usize, &External)| format!("mnt[{}]:keel{index}", it.mountpoint.display());
    all.iter().enumerate().map(word).collect()
}

/// The words for a restore: the number gets a path of the host, taken from this bundle's configuration.
///
/// # Errors
/// [`Error::InvalidConfig`] where the configuration is not the one of the checkpoint.
pub fn for_restore(all: &[External], config: &Config, cgroups: &Cgroups) -> Result<Vec<String>> {
    let word = |(index, it): (usize, &External)| {
        let path = match &it.origin {
            Origin::Bind(at, destination) => match config.mounts.get(*at) {
                Some(mount) if mount.destination == *destination => match &mount.source {
                    Source::Bind { path, .. } => path.clone(),
                    _ => return Err(changed(*at, destination)),
                },
                _ => return Err(changed(*at, destination)),
            },
            Origin::Mask => PathBuf::from("/dev/null"),
            Origin::Device(path) => path.clone(),
            Origin::Cgroup(controllers) => {
                let missing = || {
                    Error::NotFound(format!(
                        "cgroup hierarchy {controllers:?} of the checkpoint is not on this host"
                    ))
                };
                cgroups
                    .paths
                    .get(controllers)
                    .cloned()
                    .ok_or_else(missing)?
            }
        };
        Ok(format!("mnt[keel{index}]:{}", path.display()))
    };
    all.iter().enumerate().map(word).collect()
}

fn changed(at: usize, destination: &Path) -> Error {
    let reason = format!(
        "is not the bind mount on {:?} that the checkpoint has (accepted: the configuration of the checkpoint)",
        destination.display()
    );
    Error::config(format!("mounts[{at}]"), reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(mounts: &str) -> Config {
        let json = format!(
            r#"{{"ociVersion":"1.3.0","root":{{"path":"r"}},"linux":{{"namespaces":[{{"type":"mount"}}]}},"mounts":[{mounts}]}}"#
        );
        Config::parse(json.as_bytes(), Path::new("/b")).unwrap()
    }

    #[test]
    fn lines_of_the_mount_table() {
        let read = line(r"36 35 8:1 /a\040b /mnt rw,noatime master:1 - ext4 /dev/sda rw").unwrap();
        assert_eq!(
            (read.id, read.root.as_str(), read.kind.as_str()),
            (36, "/a b", "ext4")
        );
        assert_eq!(line("nonsense"), None);
    }

    /// The test for CVE-2026-119101: a name never carries a path of the image, and the host's path is this bundle's.
    #[test]
    fn names_are_numbers_and_sources_the_configurations() {
        let all = [External {
            mountpoint: "/evil".into(),
            origin: Origin::Bind(0, "/data".into()),
        }];
        assert_eq!(for_dump(&all), ["mnt[/evil]:keel0"]);
        let same = config(r#"{"destination":"/data","source":"/srv/data","options":["bind"]}"#);
        assert_eq!(
            for_restore(&all, &same, &Cgroups::default()).unwrap(),
            ["mnt[keel0]:/srv/data"]
        );
        let other = config(r#"{"destination":"/other","source":"/etc","options":["bind"]}"#);
        assert!(
            for_restore(&all, &other, &Cgroups::default())
                .unwrap_err()
                .to_string()
                .starts_with("mounts[0]: is not the bind mount on \"/data\"")
        );
    }
}

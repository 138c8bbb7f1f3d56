//! `linux.namespaces`, the id maps and the clock offsets.

use std::collections::HashMap;
use std::path::PathBuf;

use oci_spec::runtime::LinuxIdMapping;

use super::document;
use crate::error::{Error, Result};

/// The kinds of namespace, in the order in which they are joined: the user namespace owns the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Users and capabilities.
    User,
    /// IPC objects.
    Ipc,
    /// Host name.
    Uts,
    /// Network.
    Network,
    /// Process numbers.
    Pid,
    /// Mount table.
    Mount,
    /// Cgroup root.
    Cgroup,
    /// Clock offsets.
    Time,
}

impl Kind {
    /// All kinds, in joining order.
    pub const ALL: [Self; 8] = [
        Self::User,
        Self::Ipc,
        Self::Uts,
        Self::Network,
        Self::Pid,
        Self::Mount,
        Self::Cgroup,
        Self::Time,
    ];

    /// The name in config.json.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Network => "network",
            Self::Pid => "pid",
            Self::Mount => "mount",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
        }
    }

    /// The name of its file below `/proc/PID/ns`.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Self::Network => "net",
            Self::Mount => "mnt",
            other => other.name(),
        }
    }

    /// Its `CLONE_NEW*` bit.
    #[must_use]
    pub fn flag(self) -> u64 {
        use sys::namespace::kind;
        match self {
            Self::User => kind::USER,
            Self::Ipc => kind::IPC,
            Self::Uts => kind::UTS,
            Self::Network => kind::NETWORK,
            Self::Pid => kind::PID,
            Self::Mount => kind::MOUNT,
            Self::Cgroup => kind::CGROUP,
            Self::Time => kind::TIME,
        }
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// One line of an id map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdMap {
    /// First id inside.
    pub inside: u32,
    /// First id outside.
    pub outside: u32,
    /// How many.
    pub size: u32,
}

/// Where a namespace comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The caller's is shared.
    Shared,
    /// Made for this container.
    New,
    /// Joined by the path of an nsfs file.
    Joined(PathBuf),
}

/// An offset of a clock, for a new time namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClockOffset {
    /// `monotonic` or `boottime`.
    pub clock: String,
    /// Whole seconds.
    pub seconds: i64,
    /// And nanoseconds.
    pub nanoseconds: u32,
}

/// All namespaces of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Namespaces {
    entries: Vec<(Kind, Option<PathBuf>)>,
    /// User id map of the user namespace; may accompany a joined one, which must then have the same.
    pub uid_map: Vec<IdMap>,
    /// Group id map.
    pub gid_map: Vec<IdMap>,
    /// Clock offsets of a new time namespace.
    pub clock_offsets: Vec<ClockOffset>,
}

impl Namespaces {
    /// Where the namespace of `kind` comes from.
    #[must_use]
    pub fn origin(&self, kind: Kind) -> Origin {
        match self.entries.iter().find(|(entry, _)| *entry == kind) {
            None => Origin::Shared,
            Some((_, None)) => Origin::New,
            Some((_, Some(path))) => Origin::Joined(path.clone()),
        }
    }

    /// Whether the container has a namespace of `kind` that is not the caller's by omission.
    #[must_use]
    pub fn has(&self, kind: Kind) -> bool {
        self.entries.iter().any(|(entry, _)| *entry == kind)
    }

    /// Whether a namespace of `kind` is made.
    #[must_use]
    pub fn makes(&self, kind: Kind) -> bool {
        self.entries
            .iter()
            .any(|(entry, path)| *entry == kind && path.is_none())
    }

    /// The namespaces that are joined, in joining order.
    #[must_use]
    pub fn joined(&self) -> Vec<(Kind, PathBuf)> {
        let mut joined: Vec<_> = self
            .entries
            .iter()
            .filter_map(|(kind, path)| path.clone().map(|path| (*kind, path)))
            .collect();
        joined.sort();
        joined
    }

    /// The id outside that `id` stands for inside, by `map`; `None` when it is not mapped.
    #[must_use]
    pub fn outside(map: &[IdMap], id: u32) -> Option<u32> {
        if map.is_empty() {
            return Some(id);
        }
        map.iter().find_map(|line| {
            let offset = id
                .checked_sub(line.inside)
                .filter(|offset| *offset < line.size)?;
            line.outside.checked_add(offset)
        })
    }

    pub(super) fn read(linux: &document::Linux) -> Result<Self> {
        let mut namespaces = Self {
            uid_map: id_map(linux.uid_mappings.as_deref(), "linux.uidMappings")?,
            gid_map: id_map(linux.gid_mappings.as_deref(), "linux.gidMappings")?,
            ..Self::default()
        };
        for (index, entry) in linux.namespaces.iter().flatten().enumerate() {
            let path = format!("linux.namespaces[{index}]");
            let name = entry.kind.as_deref().unwrap_or_default();
            let kind = Kind::parse(name).ok_or_else(|| {
                let known = Kind::ALL.map(Kind::name).join(", ");
                Error::config(
                    format!("{path}.type"),
                    format!("unknown namespace {name:?}, accepted: {known}"),
                )
            })?;
            if namespaces.has(kind) {
                return Err(Error::config(path, format!("duplicate {name:?} namespace")));
            }
            let joined = entry.path.as_deref().filter(|path| !path.is_empty());
            if let Some(relative) = joined.filter(|path| !path.starts_with('/')) {
                let reason = format!("{relative:?} is not an absolute path");
                return Err(Error::config(format!("{path}.path"), reason));
            }
            namespaces.entries.push((kind, joined.map(PathBuf::from)));
        }
        namespaces.check_maps()?;
        namespaces.clock_offsets = clock_offsets(linux.time_offsets.as_ref(), &namespaces)?;
        Ok(namespaces)
    }

    fn check_maps(&self) -> Result<()> {
        let mapped = !self.uid_map.is_empty() || !self.gid_map.is_empty();
        match self.origin(Kind::User) {
            Origin::Shared if mapped => Err(Error::config(
                "linux.uidMappings",
                "user namespace mappings specified, but user namespace isn't enabled in the config",
            )),
            Origin::New if self.uid_map.is_empty() || self.gid_map.is_empty() => {
                Err(Error::config(
                    "linux.namespaces",
                    "a new user namespace needs linux.uidMappings and linux.gidMappings, or a path to join one",
                ))
            }
            _ => Ok(()),
        }
    }
}

pub(super) fn id_map(lines: Option<&[LinuxIdMapping]>, path: &str) -> Result<Vec<IdMap>> {
    let lines = lines.unwrap_or_default();
    if lines.len() > 340 {
        return Err(Error::config(
            path,
            format!("{} lines, the kernel takes at most 340", lines.len()),
        ));
    }
    let read = |(index, line): (usize, &LinuxIdMapping)| {
        let map = IdMap {
            inside: line.container_id(),
            outside: line.host_id(),
            size: line.size(),
        };
        let fits = |start: u32| start.checked_add(map.size).is_some();
        if map.size == 0 || !fits(map.inside) || !fits(map.outside) {
            let reason = "size must be at least 1 and no id may pass 4294967294";
            return Err(Error::config(format!("{path}[{index}]"), reason));
        }
        Ok(map)
    };
    lines.iter().enumerate().map(read).collect()
}

fn clock_offsets(
    offsets: Option<&HashMap<String, document::TimeOffset>>,
    namespaces: &Namespaces,
) -> Result<Vec<ClockOffset>> {
    let mut result = Vec::new();
    for (clock, offset) in offsets.into_iter().flatten() {
        let path = format!("linux.timeOffsets.{clock}");
        if !matches!(clock.as_str(), "monotonic" | "boottime") {
            return Err(Error::config(
                path,
                "unknown clock, accepted: monotonic, boottime",
            ));
        }
        if !namespaces.makes(Kind::Time) {
            return Err(Error::config(
                path,
                "time offsets need a new time namespace in linux.namespaces",
            ));
        }
        let nanoseconds = offset.nanosecs.unwrap_or(0);
        if nanoseconds > 999_999_999 {
            return Err(Error::config(
                format!("{path}.nanosecs"),
                "must be below 1000000000",
            ));
        }
        result.push(ClockOffset {
            clock: clock.clone(),
            seconds: offset.secs.unwrap_or(0),
            nanoseconds,
        });
    }
    result.sort_by(|one, other| one.clock.cmp(&other.clock));
    Ok(result)
}

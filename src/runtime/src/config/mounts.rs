//! `mounts`: each entry's options sorted into what the kernel's calls want.

use std::path::{Component, Path, PathBuf};

use sys::mount::{Change, attribute, propagation};

use super::document;
use super::namespaces::{IdMap, id_map};
use crate::error::{Error, Result};

/// How a mount's propagation is changed after it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Propagation {
    /// One of [`sys::mount::propagation`].
    pub kind: u64,
    /// Also for all mounts below.
    pub recursive: bool,
}

/// An id-mapped mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMapping {
    /// User id map; empty for the container's.
    pub uid_map: Vec<IdMap>,
    /// Group id map; empty for the container's.
    pub gid_map: Vec<IdMap>,
    /// Also for all mounts below.
    pub recursive: bool,
}

/// What is mounted.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file or directory of the host.
    Bind {
        /// Its absolute path.
        path: PathBuf,
        /// With what is mounted below it.
        recursive: bool,
    },
    /// A filesystem of a type, with the name that the mount table shall show.
    Filesystem {
        /// The type.
        kind: String,
        /// The device, or any name.
        name: String,
    },
    /// The cgroup hierarchy, in the shape that this host has.
    Cgroup,
    /// Nothing new: what is mounted there already gets other options.
    #[default]
    Remount,
}

/// One entry of `mounts`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Absolute and without `.` and `..`.
    pub destination: PathBuf,
    /// What is mounted.
    pub source: Source,
    /// `MOUNT_ATTR_*` bits that options set and clear on this mount.
    pub attributes: Change,
    /// The same for this mount and all below (`rro` …).
    pub recursive_attributes: Change,
    /// Superblock flags by their name for `fsconfig(2)`.
    pub superblock: Vec<&'static str>,
    /// `MS_*` bits that only `mount(2)` knows.
    pub legacy: u64,
    /// Propagation changes, in order.
    pub propagation: Vec<Propagation>,
    /// Options of the filesystem itself.
    pub data: Vec<String>,
    /// Copy what the directory below contains into the new tmpfs.
    pub copy_up: bool,
    /// An id map for the mount.
    pub id_mapping: Option<IdMapping>,
}

impl Mount {
    /// Whether the mount refuses writes in the end.
    #[must_use]
    pub fn readonly(&self) -> bool {
        self.attributes.set & attribute::RDONLY != 0
    }

    pub(super) fn read(entry: &document::Mount, index: usize, bundle: &Path) -> Result<Self> {
        let path = format!("mounts[{index}]");
        let destination = destination(entry.destination.as_deref().unwrap_or_default(), &path)?;
        let mut options = Options::default();
        for option in entry.options.iter().flatten() {
            options.take(option, &path)?;
        }
        let kind = entry.kind.as_deref().unwrap_or_default();
        let bind = options.bind.or((kind == "bind").then_some(false));
        let named = entry.source.as_deref().unwrap_or_default();
        let source = match bind {
            _ if options.remount => Source::Remount,
            Some(recursive) => bind_source(named, recursive, bundle, &path)?,
            None if matches!(kind, "cgroup" | "cgroup2") => Source::Cgroup,
            None if kind.is_empty() => {
                return Err(Error::config(
                    format!("{path}.type"),
                    "missing, and the options do not say bind or rbind",
                ));
            }
            None => Source::Filesystem {
                kind: kind.to_owned(),
                name: if named.is_empty() {
                    kind.to_owned()
                } else {
                    named.to_owned()
                },
            },
        };
        if bind.is_some() && !options.data.is_empty() {
            let reason = format!(
                "bind mounts cannot have any filesystem-specific options applied: {}",
                options.data.join(",")
            );
            return Err(Error::config(format!("{path}.options"), reason));
        }
        if options.copy_up && !matches!(&source, Source::Filesystem { kind, .. } if kind == "tmpfs")
        {
            return Err(Error::config(
                format!("{path}.options"),
                "tmpcopyup goes with type tmpfs only",
            ));
        }
        let id_mapping = id_mapping(entry, &options, bind.is_some(), &path)?;
        Ok(Self {
            destination,
            source,
            attributes: options.attributes,
            recursive_attributes: options.recursive,
            superblock: options.superblock,
            legacy: options.legacy,
            propagation: options.propagation,
            data: options.data,
            copy_up: options.copy_up,
            id_mapping,
        })
    }
}

fn destination(text: &str, path: &str) -> Result<PathBuf> {
    let path = format!("{path}.destination");
    if text.is_empty() || text.contains('\0') {
        return Err(Error::config(path, "must be an absolute path"));
    }
    let mut clean = PathBuf::from("/");
    for component in Path::new(text).components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    if clean == Path::new("/") {
        return Err(Error::config(
            path,
            "cannot be /, the root has its own entry: root.path",
        ));
    }
    Ok(clean)
}

fn bind_source(named: &str, recursive: bool, bundle: &Path, path: &str) -> Result<Source> {
    if named.is_empty() || named.contains('\0') {
        return Err(Error::config(
            format!("{path}.source"),
            "a bind mount needs the path of a file or directory",
        ));
    }
    Ok(Source::Bind {
        path: bundle.join(named),
        recursive,
    })
}

fn id_mapping(
    entry: &document::Mount,
    options: &Options,
    bind: bool,
    path: &str,
) -> Result<Option<IdMapping>> {
    let uid_map = id_map(
        entry.uid_mappings.as_deref(),
        &format!("{path}.uidMappings"),
    )?;
    let gid_map = id_map(
        entry.gid_mappings.as_deref(),
        &format!("{path}.gidMappings"),
    )?;
    let given = !uid_map.is_empty() || !gid_map.is_empty();
    if !given && options.id_mapped.is_none() {
        return Ok(None);
    }
    if !bind {
        return Err(Error::config(path, "id-mapped mounts must be bind mounts"));
    }
    if uid_map.is_empty() != gid_map.is_empty() {
        return Err(Error::config(
            path,
            "needs both uidMappings and gidMappings, or neither",
        ));
    }
    Ok(Some(IdMapping {
        uid_map,
        gid_map,
        recursive: options.id_mapped.unwrap_or(false),
    }))
}

/// What options have said so far; the last one wins.
#[derive(Default)]
struct Options {
    attributes: Change,
    recursive: Change,
    superblock: Vec<&'static str>,
    legacy: u64,
    propagation: Vec<Propagation>,
    data: Vec<String>,
    bind: Option<bool>,
    copy_up: bool,
    remount: bool,
    id_mapped: Option<bool>,
}

impl Options {
    fn take(&mut self, option: &str, path: &str) -> Result<()> {
        if option.contains('\0') {
            return Err(Error::config(
                format!("{path}.options"),
                format!("{option:?} contains a NUL"),
            ));
        }
        if let Some((set, clear)) = attribute_option(option) {
            apply(&mut self.attributes, set, clear);
            self.superblock_readonly(option);
        } else if let Some((set, clear)) = option.strip_prefix('r').and_then(recursive_option) {
            apply(&mut self.recursive, set, clear);
        } else if let Some(propagation) = propagation_option(option) {
            self.propagation.push(propagation);
        } else if !self.take_superblock(option) {
            self.take_rest(option);
        }
        Ok(())
    }

    fn superblock_readonly(&mut self, option: &str) {
        match option {
            "ro" => self.superblock.push("ro"),
            "rw" => self.superblock.retain(|flag| *flag != "ro"),
            _ => {}
        }
    }

    fn take_superblock(&mut self, option: &str) -> bool {
        const PAIRS: [(&str, &str); 4] = [
            ("sync", "async"),
            ("dirsync", ""),
            ("lazytime", "nolazytime"),
            ("mand", "nomand"),
        ];
        for (set, clear) in PAIRS {
            if option == set {
                self.superblock.push(set);
                return true;
            }
            if option == clear {
                self.superblock.retain(|flag| *flag != set);
                return true;
            }
        }
        let (set, clear) = match option {
            "iversion" => (1 << 23, 0),
            "noiversion" => (0, 1 << 23),
            "silent" => (1 << 15, 0),
            "loud" => (0, 1 << 15),
            _ => return false,
        };
        self.legacy = (self.legacy | set) & !clear;
        true
    }

    fn take_rest(&mut self, option: &str) {
        match option {
            "bind" => self.bind = Some(self.bind.unwrap_or(false)),
            "rbind" => self.bind = Some(true),
            "tmpcopyup" => self.copy_up = true,
            "idmap" => self.id_mapped = Some(false),
            "ridmap" => self.id_mapped = Some(true),
            "remount" => self.remount = true,
            // mount(8)'s word for no option.
            "defaults" | "" => {}
            other => self.data.push(other.to_owned()),
        }
    }
}

fn apply(change: &mut Change, set: u64, clear: u64) {
    change.set = (change.set & !clear) | set;
    change.clear = (change.clear & !set) | clear;
}

/// Options that are attributes of the mount: the bits to set and the bits to clear.
fn attribute_option(option: &str) -> Option<(u64, u64)> {
    use attribute::{
        ATIME, NOATIME, NODEV, NODIRATIME, NOEXEC, NOSUID, NOSYMFOLLOW, RDONLY, STRICTATIME,
    };
    Some(match option {
        "ro" => (RDONLY, 0),
        "rw" => (0, RDONLY),
        "nosuid" => (NOSUID, 0),
        "suid" => (0, NOSUID),
        "nodev" => (NODEV, 0),
        "dev" => (0, NODEV),
        "noexec" => (NOEXEC, 0),
        "exec" => (0, NOEXEC),
        "noatime" => (NOATIME, ATIME),
        "strictatime" => (STRICTATIME, ATIME),
        "relatime" | "atime" | "norelatime" | "nostrictatime" => (0, ATIME),
        "nodiratime" => (NODIRATIME, 0),
        "diratime" => (0, NODIRATIME),
        "nosymfollow" => (NOSYMFOLLOW, 0),
        "symfollow" => (0, NOSYMFOLLOW),
        _ => return None,
    })
}

/// The same for all mounts below, without their leading `r`.
fn recursive_option(option: &str) -> Option<(u64, u64)> {
    // "elatime" is what is left of relatime, which is not recursive.
    attribute_option(option)
}

fn propagation_option(option: &str) -> Option<Propagation> {
    let (kind, recursive) = match option {
        "shared" => (propagation::SHARED, false),
        "rshared" => (propagation::SHARED, true),
        "slave" => (propagation::SLAVE, false),
        "rslave" => (propagation::SLAVE, true),
        "private" => (propagation::PRIVATE, false),
        "rprivate" => (propagation::PRIVATE, true),
        "unbindable" => (propagation::UNBINDABLE, false),
        "runbindable" => (propagation::UNBINDABLE, true),
        _ => return None,
    };
    Some(Propagation { kind, recursive })
}

/// `linux.rootfsPropagation`.
pub(super) fn root_propagation(text: Option<&str>) -> Result<Option<Propagation>> {
    match text {
        None | Some("") => Ok(None),
        Some(word) => propagation_option(word).map(Some).ok_or_else(|| {
            let known = "accepted: shared, slave, private, unbindable, each also with r in front";
            Error::config(
                "linux.rootfsPropagation",
                format!("unknown value {word:?}, {known}"),
            )
        }),
    }
}

//! `linux.intelRdt`: cache and memory bandwidth classes through resctrl (Documentation/filesystems/resctrl.rst). A class is a
//! directory; processes join by `tasks`, and only what keel made is removed.

use std::fs;
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxIntelRdt;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What is to be done for one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Name of the class; `/` is the default class.
    class: String,
    /// Lines for `schemata`, in order.
    schemata: Vec<String>,
    /// Name of the monitoring group, where one is wanted.
    monitor: Option<String>,
    /// Whether the class must exist already: it is named, and nothing says what it would be.
    must_exist: bool,
}

/// What a container holds, kept in its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Directory of the class.
    pub class: PathBuf,
    /// Whether keel made it.
    pub made: bool,
    /// Directory of the monitoring group.
    pub monitor: Option<PathBuf>,
}

/// The order for a config; `id` names the class where the config does not.
///
/// # Errors
/// [`Error::InvalidConfig`] with the field's path.
pub fn plan(config: &LinuxIntelRdt, id: &str) -> Result<Order> {
    let named = config.clos_id().as_deref().filter(|name| !name.is_empty());
    if let Some(name) = named.filter(|name| *name != "/")
        && (name.contains('/') || matches!(name, "." | ".."))
    {
        let reason = format!(
            "{name:?} is no name of a directory (accepted: a name without /, or / for the default class)"
        );
        return Err(Error::config("linux.intelRdt.closID", reason));
    }
    let lines = |text: &Option<String>| {
        text.iter()
            .flat_map(|text| text.lines())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    // A bandwidth line hidden among cache lines would be overruled by the field made for it.
    let mut schemata: Vec<_> = lines(config.l3_cache_schema())
        .into_iter()
        .filter(|line| !line.starts_with("MB:"))
        .collect();
    schemata.extend(lines(config.mem_bw_schema()));
    schemata.extend(
        config
            .schemata()
            .iter()
            .flatten()
            .flat_map(|line| line.lines())
            .map(str::to_owned),
    );
    schemata.retain(|line| !line.trim().is_empty());
    let monitored = config.enable_monitoring().unwrap_or(false);
    Ok(Order {
        must_exist: named.is_some() && schemata.is_empty(),
        class: named.unwrap_or(id).to_owned(),
        schemata,
        monitor: monitored.then(|| id.to_owned()),
    })
}

/// Where resctrl is mounted, from a mount table in the form of `/proc/self/mountinfo`.
fn mountpoint(table: &str) -> Option<PathBuf> {
    table.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        (right.split(' ').next()? == "resctrl")
            .then(|| left.split(' ').nth(4).map(PathBuf::from))?
    })
}

impl Order {
    /// Makes the class where it does not exist, sets it, and puts `pid` in it; in the parent.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where resctrl is not mounted, [`Error::NotFound`] for a class that must exist, or the kernel's
    /// with resctrl's own explanation.
    pub fn apply(&self, pid: i32) -> Result<Record> {
        let table = fs::read_to_string("/proc/self/mountinfo")
            .map_err(|error| kernel("/proc/self/mountinfo", "read", &error))?;
        let root = mountpoint(&table).ok_or_else(|| Error::Unsupported {
            feature: "linux.intelRdt".to_owned(),
            missing: "resctrl is not mounted".to_owned(),
        })?;
        self.apply_at(&root, pid)
    }

    fn apply_at(&self, root: &Path, pid: i32) -> Result<Record> {
        let class = if self.class == "/" {
            root.to_owned()
        } else {
            root.join(&self.class)
        };
        let exists = class.is_dir();
        if self.must_exist && !exists {
            return Err(Error::NotFound(format!(
                "linux.intelRdt.closID: class {:?} does not exist, and no schema says what it would be",
                self.class
            )));
        }
        if !exists {
            fs::create_dir(&class).map_err(|error| explained(root, &class, "mkdir", &error))?;
        }
        let mut record = Record {
            made: !exists,
            monitor: None,
            class,
        };
        let done = self.fill(root, pid, &mut record);
        if done.is_err() {
            drop(record.remove());
        }
        done.map(|()| record)
    }

    fn fill(&self, root: &Path, pid: i32, record: &mut Record) -> Result<()> {
        if !self.schemata.is_empty() {
            let path = record.class.join("schemata");
            fs::write(&path, self.schemata.join("\n") + "\n")
                .map_err(|error| explained(root, &path, "write", &error))?;
        }
        let tasks = record.class.join("tasks");
        fs::write(&tasks, pid.to_string())
            .map_err(|error| explained(root, &tasks, "write", &error))?;
        let Some(name) = &self.monitor else {
            return Ok(());
        };
        let group = record.class.join("mon_groups").join(name);
        fs::create_dir(&group).map_err(|error| explained(root, &group, "mkdir", &error))?;
        record.monitor = Some(group.clone());
        let tasks = group.join("tasks");
        fs::write(&tasks, pid.to_string()).map_err(|error| explained(root, &tasks, "write", &error))
    }
}

impl Record {
    /// Writes new schemata, for `update`.
    ///
    /// # Errors
    /// The kernel's, with resctrl's own explanation.
    pub fn update(&self, l3_cache: Option<&str>, memory_bandwidth: Option<&str>) -> Result<()> {
        let lines: Vec<&str> = [l3_cache, memory_bandwidth].into_iter().flatten().collect();
        if lines.is_empty() {
            return Ok(());
        }
        let path = self.class.join("schemata");
        let root = self.class.parent().unwrap_or(&self.class);
        fs::write(&path, lines.join("\n") + "\n")
            .map_err(|error| explained(root, &path, "write", &error))
    }

    /// Removes what keel made; what is gone already is no error.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove(&self) -> Result<()> {
        let made = self.made.then_some(&self.class);
        for directory in self.monitor.iter().chain(made) {
            match fs::remove_dir(directory) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(kernel(&directory.display().to_string(), "rmdir", &error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn kernel(object: &str, call: &str, error: &std::io::Error) -> Error {
    let errno = error
        .raw_os_error()
        .map_or(sys::Errno::IO, sys::Errno::from_raw_os_error);
    Error::kernel(object, call, "", errno)
}

/// resctrl keeps a sentence about the last failure.
fn explained(root: &Path, path: &Path, call: &str, error: &std::io::Error) -> Error {
    let status = fs::read_to_string(root.join("info/last_cmd_status")).unwrap_or_default();
    let status = status.trim();
    let object = match status {
        "" | "ok" => path.display().to_string(),
        _ => format!("{} ({status})", path.display()),
    };
    kernel(&object, call, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> LinuxIntelRdt {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn schemata_are_joined_in_order() {
        let order = plan(&config(r#"{"l3CacheSchema":"L3:0=f\nMB:0=9","memBwSchema":"MB:0=20","schemata":["L2:0=1"]}"#), "c1").unwrap();
        assert_eq!(order.schemata, ["L3:0=f", "MB:0=20", "L2:0=1"]);
        assert_eq!((order.class.as_str(), order.must_exist), ("c1", false));
        assert!(
            plan(&config(r#"{"closID":"gold"}"#), "c1")
                .unwrap()
                .must_exist
        );
        assert_eq!(plan(&config(r#"{"closID":"/"}"#), "c1").unwrap().class, "/");
        for name in ["..", ".", "a/b"] {
            let said = plan(&config(&format!(r#"{{"closID":"{name}"}}"#)), "c1")
                .unwrap_err()
                .to_string();
            assert!(said.starts_with("linux.intelRdt.closID: "), "{said}");
        }
    }

    #[test]
    fn resctrl_is_found_in_the_mount_table() {
        let table = "1 2 0:1 / / rw - ext4 /dev/vda rw\n3 1 0:9 / /sys/fs/resctrl rw,nosuid shared:7 - resctrl resctrl rw\n";
        assert_eq!(mountpoint(table), Some(PathBuf::from("/sys/fs/resctrl")));
        assert_eq!(mountpoint("1 2 0:1 / / rw - ext4 /dev/vda rw\n"), None);
    }

    /// A plain directory stands for resctrl: files appear by being written, which is all the applier relies on.
    #[test]
    fn only_what_was_made_is_removed() {
        let root = std::env::temp_dir().join(format!("keel-rdt-{}", std::process::id()));
        fs::create_dir_all(root.join("gold")).unwrap();
        let named = plan(&config(r#"{"closID":"gold"}"#), "c1").unwrap();
        let record = named.apply_at(&root, 42).unwrap();
        assert!(!record.made);
        assert_eq!(fs::read_to_string(root.join("gold/tasks")).unwrap(), "42");
        record.remove().unwrap();
        assert!(root.join("gold").is_dir());
        let missing = plan(&config(r#"{"closID":"silver"}"#), "c1")
            .unwrap()
            .apply_at(&root, 42)
            .unwrap_err();
        assert!(missing.to_string().contains("\"silver\" does not exist"));
        let own = plan(&config(r#"{"l3CacheSchema":"L3:0=f"}"#), "c1")
            .unwrap()
            .apply_at(&root, 42)
            .unwrap();
        assert!(own.made);
        assert_eq!(
            fs::read_to_string(own.class.join("schemata")).unwrap(),
            "L3:0=f\n"
        );
        fs::remove_dir_all(&own.class).unwrap();
        own.remove().unwrap();
        fs::remove_dir_all(&root).unwrap();
    }
}

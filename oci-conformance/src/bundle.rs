//! Bundles: a root file system of the probe and busybox, and a config.json from a base and a patch.

use crate::session::Session;
use serde_json::{Value, json};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The capabilities of the base configuration.
pub const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

/// A bundle on disk.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The bundle's directory.
    pub dir: PathBuf,
}

impl Bundle {
    /// Makes the directory with `rootfs` inside: empty mount points, /probe and, where there is one, /bin/busybox.
    pub fn make(session: &Session, dir: &Path) -> io::Result<Self> {
        let rootfs = dir.join("rootfs");
        for name in ["proc", "sys", "dev", "tmp", "etc", "bin", "run", "mnt"] {
            fs::create_dir_all(rootfs.join(name))?;
        }
        fs::hard_link(session.work.join("probe"), rootfs.join("probe"))?;
        if session.busybox {
            fs::hard_link(session.work.join("busybox"), rootfs.join("bin/busybox"))?;
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// The root file system as the host sees it.
    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    /// A path below the root file system.
    pub fn inside(&self, path: &str) -> PathBuf {
        self.rootfs().join(path.trim_start_matches('/'))
    }

    /// Writes config.json.
    pub fn write(&self, config: &Value) -> io::Result<()> {
        fs::write(self.dir.join("config.json"), config.to_string())
    }
}

/// A complete, ordinary configuration that runs the probe with `actions`.
pub fn base(session: &Session, name: &str, actions: &[&str]) -> Value {
    let mut args = vec!["/probe"];
    args.extend(actions);
    // Runtimes of an older minor version may refuse a newer one; what is newer in a case is only its own fields.
    let mut config = json!({
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "process": {
            "user": {"uid": 0, "gid": 0}, "cwd": "/", "args": args, "env": ["PATH=/bin:/"],
            "capabilities": {"bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES},
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
        ],
        "linux": {
            "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}],
            "cgroupsPath": format!("/{}/{name}", session.group),
        },
    });
    if session.rootless {
        let id = |host: u32| json!([{"containerID": 0, "hostID": host, "size": 1}]);
        merge(
            &mut config,
            &json!({"linux": {
                "+namespaces": [{"type": "user"}], "cgroupsPath": null,
                "uidMappings": id(nix::unistd::geteuid().as_raw()), "gidMappings": id(nix::unistd::getegid().as_raw()),
            }}),
        );
    }
    config
}

/// Lays `patch` over `config`: objects merge, null removes, all else replaces; a key `+name` appends its list to `name`.
pub fn merge(config: &mut Value, patch: &Value) {
    let Some(fields) = patch.as_object() else {
        *config = patch.clone();
        return;
    };
    if !config.is_object() {
        *config = json!({});
    }
    // What is appended goes after what is replaced.
    let plain = fields.iter().filter(|(key, _)| !key.starts_with('+'));
    for (key, value) in plain.chain(fields.iter().filter(|(key, _)| key.starts_with('+'))) {
        if let Some(name) = key.strip_prefix('+') {
            let more = value.as_array().cloned().unwrap_or_default();
            match config[name].as_array_mut() {
                Some(list) => list.extend(more),
                None => config[name] = more.into(),
            }
        } else if value.is_null() {
            if let Some(object) = config.as_object_mut() {
                object.remove(key);
            }
        } else {
            merge(&mut config[key], value);
        }
    }
}

/// Two patches as one: like `merge`, but the keys `+name` stay what they are and their lists are joined.
pub fn compose(patch: &mut Value, more: &Value) {
    let (Some(into), Some(fields)) = (patch.as_object_mut(), more.as_object()) else {
        *patch = more.clone();
        return;
    };
    for (key, value) in fields {
        match (into.get_mut(key), value) {
            (Some(Value::Array(list)), Value::Array(items)) if key.starts_with('+') => list.extend(items.iter().cloned()),
            (Some(old @ Value::Object(_)), Value::Object(_)) => compose(old, value),
            _ => drop(into.insert(key.clone(), value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging() {
        // Runtimes of an older minor version may refuse a newer one; what is newer in a case is only its own fields.
        let mut config = json!({"a": {"b": 1, "c": [1]}, "d": 2});
        merge(&mut config, &json!({"a": {"b": null, "+c": [2], "+e": [3]}, "d": [4]}));
        assert_eq!(config, json!({"a": {"c": [1, 2], "e": [3]}, "d": [4]}));
    }

    #[test]
    fn composing() {
        let mut patch = json!({"a": {"+b": [1]}, "+c": [1], "d": null});
        compose(&mut patch, &json!({"a": {"+b": [2], "e": 1}, "+f": [3]}));
        assert_eq!(patch, json!({"a": {"+b": [1, 2], "e": 1}, "+c": [1], "d": null, "+f": [3]}));
    }
}

//! Golden plans: the order of every step, reviewed as text, without root. A change of order is a change of a snapshot.

use std::path::Path;

use serde_json::{Value, json};

use super::{Confinement, Plan, Wishes};
use crate::cgroups::{Hierarchy, Layout, Mode};
use crate::config::Config;
use crate::host::Host;

fn host(user: u32) -> Host {
    Host {
        user: (user, user),
        nested: false,
        capabilities: if user == 0 { !0 } else { 0 },
        layout: Layout {
            mode: Mode::Unified,
            hierarchies: vec![Hierarchy {
                controllers: String::new(),
                mountpoint: "/sys/fs/cgroup".into(),
                own: "/sys/fs/cgroup".into(),
            }],
        },
    }
}

fn base() -> Value {
    json!({
        "ociVersion": "1.3.0",
        "root": { "path": "rootfs" },
        "process": {
            "args": ["sh"],
            "cwd": "/",
            "env": ["PATH=/bin"],
            "user": { "uid": 0, "gid": 0 },
            "noNewPrivileges": true,
            "capabilities": { "bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"] },
        },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
            { "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "gid=5"] },
        ],
        "linux": {
            "namespaces": [
                { "type": "pid" }, { "type": "network" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" },
            ],
            "maskedPaths": ["/proc/kcore"],
            "readonlyPaths": ["/proc/sys"],
        },
    })
}

/// `base` with `changes` laid over it, objects merged.
fn merge(base: &mut Value, changes: &Value) {
    match (base, changes) {
        (Value::Object(base), Value::Object(changes)) => {
            for (key, value) in changes {
                merge(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, changes) => *base = changes.clone(),
    }
}

fn plan(changes: &Value, user: u32, wishes: &Wishes) -> String {
    let mut document = base();
    merge(&mut document, changes);
    let bytes = serde_json::to_vec(&document).unwrap();
    let config = Config::parse(&bytes, Path::new("/bundle")).unwrap();
    let host = host(user);
    let confinement = Confinement::new(&config, config.process.as_ref().unwrap(), &host).unwrap();
    Plan::new(&config, &host, wishes, &confinement)
        .unwrap()
        .text()
}

fn wishes() -> Wishes {
    Wishes {
        id: "c".to_owned(),
        ..Wishes::default()
    }
}

fn check(name: &str, changes: &Value) {
    insta::assert_snapshot!(name, plan(changes, 0, &wishes()));
}

const FILTER: &str = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_ERRNO"}]}"#;

fn filter() -> Value {
    serde_json::from_str(FILTER).unwrap()
}

#[test]
fn plain() {
    check("plain", &json!({}));
}

#[test]
fn a_filter_with_no_new_privileges_comes_last() {
    check("filter_late", &json!({ "linux": { "seccomp": filter() } }));
}

#[test]
fn a_filter_without_comes_before_the_capabilities_go() {
    let changes =
        json!({ "process": { "noNewPrivileges": false }, "linux": { "seccomp": filter() } });
    check("filter_early", &changes);
}

#[test]
fn terminal_and_readonly_root() {
    let changes = json!({
        "root": { "readonly": true },
        "process": { "terminal": true, "consoleSize": { "height": 24, "width": 80 } },
    });
    check("terminal", &changes);
}

#[test]
fn every_hook() {
    let hook = json!([{ "path": "/bin/true" }]);
    let changes = json!({ "hooks": {
        "prestart": hook, "createRuntime": hook, "createContainer": hook, "startContainer": hook, "poststart": hook,
        "poststop": hook,
    } });
    check("hooks", &changes);
}

#[test]
fn user_namespace_of_root() {
    let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
    let changes = json!({
        "mounts": [{ "destination": "/data", "type": "bind", "source": "/srv", "options": ["rbind", "ro"] }],
        "linux": {
            "namespaces": [{ "type": "user" }, { "type": "mount" }, { "type": "pid" }, { "type": "cgroup" }],
            "uidMappings": map, "gidMappings": map,
        },
    });
    check("user_namespace", &changes);
}

#[test]
fn joined_namespaces() {
    let changes = json!({ "linux": { "namespaces": [
        { "type": "user", "path": "/proc/9/ns/user" }, { "type": "network", "path": "/proc/9/ns/net" },
        { "type": "pid" }, { "type": "mount" },
    ] } });
    check("joined", &changes);
}

#[test]
fn a_pid_namespace_is_entered_by_the_parent() {
    let changes = json!({ "linux": { "namespaces": [
        { "type": "pid", "path": "/proc/9/ns/pid" }, { "type": "mount" }, { "type": "time" },
    ] } });
    check("joined_pid", &changes);
}

#[test]
fn rootless_with_one_id() {
    let map = json!([{ "containerID": 0, "hostID": 1000, "size": 1 }]);
    let changes = json!({ "linux": {
        "namespaces": [{ "type": "user" }, { "type": "mount" }, { "type": "pid" }, { "type": "time" }],
        "uidMappings": map, "gidMappings": map, "timeOffsets": { "monotonic": { "secs": 7 } },
    } });
    insta::assert_snapshot!("rootless", plan(&changes, 1000, &wishes()));
}

#[test]
fn without_pivot_and_keyring() {
    let wishes = Wishes {
        no_pivot: true,
        no_new_keyring: true,
        passed_descriptors: 2,
        ..wishes()
    };
    insta::assert_snapshot!("no_pivot", plan(&json!({}), 0, &wishes));
}

#[test]
fn names_kernel_parameters_and_propagation() {
    let changes = json!({
        "hostname": "h", "domainname": "d",
        "linux": { "sysctl": { "net.ipv4.ip_forward": "1" }, "rootfsPropagation": "rshared" },
    });
    check("names", &changes);
}

#[test]
fn scheduling_and_limits() {
    let changes = json!({
        "process": {
            "scheduler": { "policy": "SCHED_BATCH", "nice": 5 },
            "ioPriority": { "class": "IOPRIO_CLASS_BE", "priority": 4 },
            "oomScoreAdj": 100,
            "rlimits": [{ "type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1024 }],
            "user": { "uid": 1000, "gid": 1000, "additionalGids": [5], "umask": 63 },
        },
        "linux": { "personality": { "domain": "LINUX32" }, "memoryPolicy": { "mode": "MPOL_BIND", "nodes": "0" } },
    });
    check("scheduling", &changes);
}

#[test]
fn no_mount_namespace() {
    let changes = json!({
        "mounts": [],
        "linux": { "namespaces": [{ "type": "pid" }], "maskedPaths": [], "readonlyPaths": [] },
    });
    check("no_mount_namespace", &changes);
}

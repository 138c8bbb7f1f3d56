//! features.md and features-linux.md: the features structure, and that what it names is recognised.
//! A runtime MAY lack it: then these cases are skipped.

use crate::case::{Case, case};
use crate::report::holds;
use crate::rig::Rig;
use crate::verdict::{Verdict, fail, same, skip};
use serde_json::{Value, json};

const FEATURES: &str = "features.md";
const LINUX: &str = "features-linux.md";

/// The options that are a MUST in config.md#linux-mount-options.
const REQUIRED: [&str; 37] = [
    "async",
    "atime",
    "bind",
    "defaults",
    "dev",
    "diratime",
    "dirsync",
    "exec",
    "iversion",
    "lazytime",
    "loud",
    "noatime",
    "nodev",
    "nodiratime",
    "noexec",
    "noiversion",
    "nolazytime",
    "norelatime",
    "nostrictatime",
    "nosuid",
    "private",
    "rbind",
    "relatime",
    "remount",
    "ro",
    "rprivate",
    "rshared",
    "rslave",
    "runbindable",
    "rw",
    "shared",
    "silent",
    "slave",
    "strictatime",
    "suid",
    "sync",
    "unbindable",
];

/// Architectures whose byte order is not that of the usual machines: a filter cannot hold both.
const FOREIGN: [&str; 12] = [
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_SHEB",
    "SCMP_ARCH_SH",
];

/// The chapter's cases.
pub fn cases() -> Vec<Case> {
    let check = |name: &str, clause: &'static str, judge: fn(&Rig, &Value) -> Verdict| {
        case(format!("features/{name}"), clause, move |rig| judge(rig, &read(rig)?))
    };
    let mut all = vec![
        check("versions", FEATURES, |_, f| {
            for field in ["ociVersionMin", "ociVersionMax"] {
                require!(f[field].as_str().is_some_and(super::state::is_semver), "{field}: {}", f[field]);
            }
            require!(numbers(&f["ociVersionMin"]) <= numbers(&f["ociVersionMax"]), "min {} is above max {}", f["ociVersionMin"], f["ociVersionMax"]);
            Ok(())
        }),
        check("ociVersionMin-accepted", FEATURES, |rig, f| rig.run(&json!({"ociVersion": f["ociVersionMin"]}), &["pid"])?.ok("pid").map(drop)),
        check("ociVersionMax-accepted", FEATURES, |rig, f| rig.run(&json!({"ociVersion": f["ociVersionMax"]}), &["pid"])?.ok("pid").map(drop)),
        check("types", FEATURES, types),
        check("hooks-recognised", FEATURES, |rig, f| {
            let probe = rig.session.work.join("probe");
            for kind in words(&f["hooks"]) {
                let path = if kind == "startContainer" { "/probe".to_owned() } else { probe.to_string_lossy().into_owned() };
                rig.run(&json!({"hooks": {kind: [{"path": path, "args": ["probe", "pid"]}]}}), &["pid"])?.ok("pid")?;
            }
            Ok(())
        }),
        check("mountOptions-hold-the-required", "config.md#linux-mount-options", |_, f| {
            let missing: Vec<&str> = REQUIRED.into_iter().filter(|o| !holds(&f["mountOptions"], o)).collect();
            require!(f["mountOptions"].is_null() || missing.is_empty(), "mountOptions lack {}", missing.join(" "));
            Ok(())
        }),
        check("mountOptions-none-of-a-file-system", FEATURES, |_, f| {
            let strange: Vec<&str> = words(&f["mountOptions"])
                .filter(|o| o.contains('=') || matches!(*o, "size" | "mode" | "uid" | "gid" | "newinstance" | "ptmxmode"))
                .collect();
            require!(strange.is_empty(), "mountOptions name what belongs to a file system: {}", strange.join(" "));
            Ok(())
        }),
        check("mountOptions-recognised", FEATURES, options_recognised),
        check("namespaces-recognised", LINUX, |rig, f| {
            let list: Vec<Value> =
                words(&f["linux"]["namespaces"]).filter(|n| *n != "user" || rig.session.rootless).map(|n| json!({"type": n})).collect();
            if list.is_empty() {
                return Ok(());
            }
            rig.run(&json!({"linux": {"namespaces": list}}), &["pid"])?.ok("pid").map(drop)
        }),
        check("stable", FEATURES, |rig, f| same("the second answer", &read(rig)?, f)),
    ];
    all.extend(seccomp());
    all.extend(policy());
    all
}

fn seccomp() -> Vec<Case> {
    let list = |name: &'static str, path: &'static str, make: fn(&str) -> Value| {
        case(format!("features/{name}-recognised"), "features-linux.md#seccomp", move |rig| {
            let features = read(rig)?;
            let list = &features["linux"]["seccomp"][path];
            if list.is_null() {
                return skip(format!("features that name seccomp's {path}"));
            }
            for word in words(list).filter(|w| !FOREIGN.contains(w)) {
                if let Err(text) = rig.takes(&json!({"linux": {"seccomp": make(word)}}))? {
                    return fail(format!("{word}: {text}"));
                }
            }
            Ok(())
        })
    };
    vec![
        list(
            "seccomp-operators",
            "operators",
            |op| json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["lseek"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "value": 9, "valueTwo": 9, "op": op}]}]}),
        ),
        list(
            "seccomp-archs",
            "archs",
            |arch| json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": [arch], "syscalls": [{"names": ["mkdirat"], "action": "SCMP_ACT_ERRNO"}]}),
        ),
        list(
            "seccomp-supportedFlags",
            "supportedFlags",
            |flag| json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": [flag], "syscalls": [{"names": ["mkdirat"], "action": "SCMP_ACT_ERRNO"}]}),
        ),
        list("seccomp-actions", "actions", |action| {
            // Notification needs an agent and is judged with it.
            let action = if action == "SCMP_ACT_NOTIFY" { "SCMP_ACT_ERRNO" } else { action };
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["swapon"], "action": action}]})
        }),
    ]
}

fn policy() -> Vec<Case> {
    vec![
        case("features/capabilities-recognised", LINUX, |rig| {
            let features = read(rig)?;
            let all: Vec<&str> = words(&features["linux"]["capabilities"]).collect();
            rig.run(&json!({"process": {"capabilities": {"bounding": all}}}), &["pid"])?.ok("pid").map(drop)
        }),
        case("features/memoryPolicy-modes-recognised", LINUX, |rig| {
            let features = read(rig)?;
            let modes = &features["linux"]["memoryPolicy"]["modes"];
            if modes.is_null() {
                return skip("features that name memory policies");
            }
            for mode in words(modes).filter(|m| *m != "MPOL_WEIGHTED_INTERLEAVE") {
                let mut policy = json!({"mode": mode, "nodes": "0"});
                if matches!(mode, "MPOL_DEFAULT" | "MPOL_LOCAL") {
                    policy = json!({"mode": mode});
                }
                rig.run(&json!({"linux": {"memoryPolicy": policy}}), &["pid"])?.ok("pid")?;
            }
            Ok(())
        }),
    ]
}

/// The structure; skipped where the runtime has no such command.
fn read(rig: &Rig) -> Verdict<Value> {
    let ran = rig.operate(&["features"])?;
    if !ran.ok {
        return skip("a runtime with `features`, which it may lack");
    }
    match serde_json::from_str(&ran.out) {
        Ok(features) => Ok(features),
        Err(error) => fail(format!("features is not JSON ({error})")),
    }
}

fn words(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn numbers(version: &Value) -> Vec<u64> {
    let core = version.as_str().unwrap_or_default().split(['-', '+']).next().unwrap_or_default();
    core.split('.').filter_map(|n| n.parse().ok()).collect()
}

/// Each property is absent, null or of its type.
fn types(_: &Rig, features: &Value) -> Verdict {
    let strings = [
        "/hooks",
        "/mountOptions",
        "/linux/namespaces",
        "/linux/capabilities",
        "/linux/seccomp/actions",
        "/linux/seccomp/operators",
        "/linux/seccomp/archs",
        "/linux/seccomp/knownFlags",
        "/linux/seccomp/supportedFlags",
        "/linux/memoryPolicy/modes",
        "/linux/memoryPolicy/flags",
        "/potentiallyUnsafeConfigAnnotations",
    ];
    for path in strings {
        let Some(value) = features.pointer(path).filter(|v| !v.is_null()) else { continue };
        require!(value.as_array().is_some_and(|list| list.iter().all(Value::is_string)), "{path}: {value} is no list of strings");
    }
    let flags = [
        "/linux/cgroup/v1",
        "/linux/cgroup/v2",
        "/linux/cgroup/systemd",
        "/linux/cgroup/systemdUser",
        "/linux/cgroup/rdma",
        "/linux/seccomp/enabled",
        "/linux/apparmor/enabled",
        "/linux/selinux/enabled",
        "/linux/intelRdt/enabled",
        "/linux/mountExtensions/idmap/enabled",
        "/linux/netDevices/enabled",
    ];
    for path in flags {
        let Some(value) = features.pointer(path).filter(|v| !v.is_null()) else { continue };
        require!(value.is_boolean(), "{path}: {value} is neither true nor false");
    }
    let annotations = features["annotations"].as_object().cloned().unwrap_or_default();
    require!(annotations.values().all(Value::is_string), "annotations: {annotations:?}");
    Ok(())
}

/// Every option named must be taken on a tmpfs or on a bind mount.
fn options_recognised(rig: &Rig, features: &Value) -> Verdict {
    let dir = rig.dir.to_string_lossy().into_owned();
    let mut unknown = Vec::new();
    for option in words(&features["mountOptions"]).filter(|o| !matches!(*o, "remount" | "idmap" | "ridmap" | "mand" | "nomand" | "acl" | "noacl")) {
        let tmpfs = json!({"+mounts": [{"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": [option]}]});
        let bind = json!({"+mounts": [{"destination": "/mnt", "source": dir, "options": ["bind", option]}]});
        if rig.takes(&tmpfs)?.is_err() && rig.takes(&bind)?.is_err() {
            unknown.push(option);
        }
    }
    require!(unknown.is_empty(), "named, but not taken: {}", unknown.join(" "));
    Ok(())
}

//! config-linux.md#unified, #allowed-device-list, #cgroup-ownership.

use super::cgroups::with;
use crate::case::{Case, case, must_refuse};
use crate::host::Layout;
use crate::rig::Rig;
use crate::verdict::{Verdict, same, skip};
use serde_json::{Value, json};

const UNIFIED: &str = "config-linux.md#unified";
const DEVICES: &str = "config-linux.md#allowed-device-list";
const OWNERSHIP: &str = "config-linux.md#cgroup-ownership";

/// The chapter's cases.
pub fn cases() -> Vec<Case> {
    let mut all = vec![
        case("unified/written", UNIFIED, |rig| {
            v2(rig)?;
            let report = rig.run(&with(&json!({"unified": {"cgroup.max.depth": "5"}})), &["read:/sys/fs/cgroup/cgroup.max.depth"])?;
            same("cgroup.max.depth", report.text("read:/sys/fs/cgroup/cgroup.max.depth")?, "5")
        }),
        case("unified/controller-enabled", UNIFIED, |rig| {
            v2(rig)?;
            if !rig.session.host.controls("hugetlb") {
                return skip("the cgroup controller hugetlb");
            }
            let report = rig.run(&with(&json!({"unified": {"hugetlb.2MB.max": "4194304"}})), &["read:/sys/fs/cgroup/hugetlb.2MB.max"])?;
            same("hugetlb.2MB.max", report.text("read:/sys/fs/cgroup/hugetlb.2MB.max")?, "4194304")
        }),
        case("unified/unknown-controller", UNIFIED, |rig| {
            v2(rig)?;
            must_refuse(rig, &with(&json!({"unified": {"lunch.max": "1"}})), false)
        }),
        case("unified/unknown-file", UNIFIED, |rig| {
            v2(rig)?;
            must_refuse(rig, &with(&json!({"unified": {"cgroup.lunch": "1"}})), false)
        }),
        case("unified/path-in-key", UNIFIED, |rig| {
            v2(rig)?;
            must_refuse(rig, &with(&json!({"unified": {"../cgroup.max.depth": "1"}})), false)
        }),
        case("unified/on-version-1", UNIFIED, |rig| {
            if !matches!(rig.session.host.cgroups, Layout::V1(_)) {
                return skip("cgroup v1");
            }
            must_refuse(rig, &with(&json!({"unified": {"memory.max": "104857600"}})), false)
        }),
    ];
    all.extend(device_rules());
    all.extend(ownership());
    all.into_iter().map(Case::root).collect()
}

fn v2(rig: &Rig) -> Verdict {
    if matches!(rig.session.host.cgroups, Layout::V2(..)) { Ok(()) } else { skip("cgroup v2") }
}

/// Rules, what is tried and whether it must be denied.
fn device_rules() -> Vec<Case> {
    let deny = json!({"allow": false, "access": "rwm"});
    let fuse = |allow: bool, access: &str| json!({"allow": allow, "type": "c", "major": 10, "minor": 229, "access": access});
    let zero = |allow: bool, access: &str| json!({"allow": allow, "type": "c", "major": 1, "minor": 5, "access": access});
    let make = "mknod:/mnt/made,c,10,229";
    let row = |name: &str, rules: Value, action: &'static str, denied: bool| {
        case(format!("device-rules/{name}"), DEVICES, move |rig| {
            let patch =
                json!({"linux": {"resources": {"devices": rules}, "devices": [{"path": "/mnt/fuse", "type": "c", "major": 10, "minor": 229}]}});
            // EPERM is the rule's answer; a kernel without the driver gives another one, once the rule has let it through.
            same("EPERM", rig.run(&patch, &[action])?.errno(action)? == 1, denied)
        })
    };
    vec![
        row("denied-by-default", json!([deny]), "open:/mnt/fuse", true),
        row("mknod-allowed", json!([deny, fuse(true, "m")]), make, false),
        row("read-allowed", json!([deny, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "r"}]), "open:/mnt/fuse", false),
        row(
            "read-does-not-allow-writing",
            json!([deny, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "r"}]),
            "openw:/mnt/fuse",
            true,
        ),
        row("write-allowed", json!([deny, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "w"}]), "openw:/mnt/fuse", false),
        row("any-minor", json!([deny, {"allow": true, "type": "c", "major": 10, "access": "rw"}]), "open:/mnt/fuse", false),
        row("any-major", json!([deny, {"allow": true, "type": "c", "minor": 229, "access": "rw"}]), "open:/mnt/fuse", false),
        row("other-type", json!([deny, {"allow": true, "type": "b", "major": 10, "minor": 229, "access": "rwm"}]), "open:/mnt/fuse", true),
        row("allow-all", json!([{"allow": true, "access": "rwm"}]), "open:/mnt/fuse", false),
        row("allow-all-type-a", json!([deny, {"allow": true, "type": "a", "access": "rwm"}]), "open:/mnt/fuse", false),
        row("default-devices-usable", json!([deny]), "open:/dev/zero", false),
        row("default-null-writable", json!([deny]), "openw:/dev/null", false),
        row(
            "later-rule-wins-deny",
            json!([{"allow": true, "access": "rwm"}, {"allow": false, "type": "c", "major": 10, "minor": 229, "access": "rw"}]),
            "open:/mnt/fuse",
            true,
        ),
        row(
            "later-rule-wins-allow",
            json!([deny, zero(true, "rw"), {"allow": false, "type": "c", "major": 10, "minor": 229, "access": "rw"}, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "r"}]),
            "open:/mnt/fuse",
            false,
        ),
        case("device-rules/unknown-type", "config.md#valid-values", |rig| {
            let rules = json!([{"allow": true, "type": "x", "access": "rwm"}]);
            must_refuse(rig, &json!({"linux": {"resources": {"devices": rules}}}), false)
        }),
    ]
}

/// The owner of the container's cgroup directory, as the container sees it.
fn ownership() -> Vec<Case> {
    let owner = |rig: &Rig, option: &str, user: u32| -> Verdict<Value> {
        let mut patch = with(&json!({}));
        patch["+mounts"][1]["options"] = json!([option, "nosuid", "noexec", "nodev"]);
        patch["process"] = json!({"user": {"uid": user, "gid": 0}});
        let report = rig.run(&patch, &["stat:/sys/fs/cgroup", "stat:/sys/fs/cgroup/cgroup.procs", "stat:/sys/fs/cgroup/cgroup.max.depth"])?;
        let uid = |path: &str| report.ok(&format!("stat:{path}")).map(|s| s["uid"].clone());
        Ok(json!([uid("/sys/fs/cgroup")?, uid("/sys/fs/cgroup/cgroup.procs")?, uid("/sys/fs/cgroup/cgroup.max.depth")?]))
    };
    vec![
        case("cgroup-ownership/writable", OWNERSHIP, move |rig| {
            v2(rig)?;
            let seen = owner(rig, "rw", 1000)?;
            same("the owners of the directory, cgroup.procs and cgroup.max.depth", seen, json!([1000, 1000, 0]))
        }),
        case("cgroup-ownership/readonly-unchanged", OWNERSHIP, move |rig| {
            v2(rig)?;
            same("the owners", owner(rig, "ro", 1000)?, json!([0, 0, 0]))
        }),
        case("cgroup-ownership/version-1-unchanged", OWNERSHIP, |rig| {
            let Layout::V1(all) = &rig.session.host.cgroups else { return skip("cgroup v1") };
            let Some(name) = all.values().next().and_then(|r| r.file_name()).map(|n| n.to_string_lossy().into_owned()) else {
                return skip("cgroup v1");
            };
            let mut patch = with(&json!({}));
            patch["+mounts"][1]["options"] = json!(["rw"]);
            patch["process"] = json!({"user": {"uid": 1000, "gid": 0}});
            let action = format!("stat:/sys/fs/cgroup/{name}");
            same("the owner", rig.run(&patch, &[&action])?.ok(&action)?["uid"].as_u64(), Some(0))
        }),
    ]
}

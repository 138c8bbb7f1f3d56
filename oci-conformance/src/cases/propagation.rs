//! Mount propagation: the options of config.md#linux-mount-options and config-linux.md#rootfs-mount-propagation.

use super::mount_options::{bind, tree};
use crate::case::{Case, case, refused};
use crate::rig::Rig;
use crate::verdict::{Verdict, same};
use nix::mount::{MsFlags, mount};
use serde_json::{Value, json};
use std::fs;

const OPTIONS: &str = "config.md#linux-mount-options";
const ROOTFS: &str = "config-linux.md#rootfs-mount-propagation";

/// The chapter's cases.
pub fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    for (option, tag) in [("private", ""), ("shared", "shared:"), ("slave", "master:"), ("unbindable", "unbindable")] {
        all.push(case(format!("propagation/option/{option}"), OPTIONS, move |rig| by_option(rig, option, tag, false)).root());
        all.push(case(format!("propagation/option/r{option}"), OPTIONS, move |rig| by_option(rig, &format!("r{option}"), tag, true)).root());
        all.push(case(format!("propagation/rootfs/{option}"), ROOTFS, move |rig| of_rootfs(rig, option, tag)).root());
    }
    all.push(case("propagation/rootfs/slave-receives", ROOTFS, |rig| receives(rig, "slave", true)).root());
    all.push(case("propagation/rootfs/private-does-not-receive", ROOTFS, |rig| receives(rig, "private", false)).root());
    all.push(case("propagation/rootfs/slave-does-not-send", ROOTFS, |rig| sends(rig, "slave")).root());
    all.push(case("propagation/rootfs/private-does-not-send", ROOTFS, |rig| sends(rig, "private")).root());
    all.push(case("propagation/rootfs/shared-not-with-the-host", ROOTFS, |rig| sends(rig, "shared")).root());
    all.push(case("propagation/rootfs/unset-does-not-send", ROOTFS, |rig| sends(rig, "")).root());
    all.push(refused("propagation/rootfs/invalid", "config.md#valid-values", json!({"linux": {"rootfsPropagation": "sideways"}})));
    all
}

fn tagged(mount: &Value, tag: &str) -> bool {
    let tags: Vec<&str> = mount["tags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if tag.is_empty() {
        !tags.iter().any(|t| t.starts_with("shared:") || t.starts_with("master:") || *t == "unbindable")
    } else {
        tags.iter().any(|t| t.starts_with(tag))
    }
}

fn share(path: &std::path::Path) -> Verdict {
    let none = None::<&str>;
    Ok(mount(none, path, none, MsFlags::MS_SHARED | MsFlags::MS_REC, none)?)
}

fn by_option(rig: &Rig, option: &str, tag: &str, deep: bool) -> Verdict {
    let source = tree(rig, "")?;
    share(&source)?;
    let report = rig.run(&bind(&source, &["rbind", option]), &["mounts"])?;
    let top = report.mount("/mnt")?;
    require!(tagged(top, tag), "/mnt has the tags {}", top["tags"]);
    let below = report.mount("/mnt/sub")?;
    // A container's mounts may all be slaves of the host's, so a lower mount left alone proves nothing for `slave`.
    require!(!deep || tagged(below, tag), "/mnt/sub has the tags {}", below["tags"]);
    require!(deep || tag.is_empty() || tag == "master:" || !tagged(below, tag), "/mnt/sub has the tags {} too", below["tags"]);
    Ok(())
}

/// A bundle on a shared mount; its root file system is a plain directory of it.
fn shared_rootfs(rig: &Rig, propagation: &str, actions: &[&str]) -> Verdict<crate::bundle::Bundle> {
    let bundle = rig.bundle()?;
    let none = None::<&str>;
    mount(Some(&bundle.dir), &bundle.dir, none, MsFlags::MS_BIND, none)?;
    share(&bundle.dir)?;
    let mut patch = json!({"process": {"capabilities": {}}});
    for set in ["bounding", "effective", "permitted"] {
        patch["process"]["capabilities"][format!("+{set}")] = json!(["CAP_SYS_ADMIN"]);
    }
    if !propagation.is_empty() {
        patch["linux"] = json!({"rootfsPropagation": propagation});
    }
    rig.bundle_at(&bundle, &patch, actions)
}

fn of_rootfs(rig: &Rig, propagation: &str, tag: &str) -> Verdict {
    let bundle = shared_rootfs(rig, propagation, &["mounts"])?;
    let report = rig.run_bundle(&bundle)?;
    let root = report.mount("/")?;
    require!(tagged(root, tag), "/ has the tags {}", root["tags"]);
    Ok(())
}

/// Mounts on the host, below the root file system, while the container runs.
fn receives(rig: &Rig, propagation: &str, wanted: bool) -> Verdict {
    let bundle = shared_rootfs(rig, propagation, &["await", "stat:/mnt/late"])?;
    let mut container = rig.create(&bundle)?;
    container.start(rig)?;
    container.ready()?;
    mount(Some("late"), &bundle.inside("/mnt"), Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    fs::write(bundle.inside("/mnt/late"), "")?;
    require!(rig.operate(&["kill", &container.id, "USR1"])?.ok, "kill failed");
    let report = container.finish()?;
    same("the host's mount being seen", report.errno("stat:/mnt/late")? == 0, wanted)
}

/// Mounts inside the container; the host must not see it.
fn sends(rig: &Rig, propagation: &str) -> Verdict {
    let bundle = shared_rootfs(rig, propagation, &["tmpfs:/mnt", "create:/mnt/inner", "hold"])?;
    let mut container = rig.create(&bundle)?;
    container.start(rig)?;
    let report = container.ready()?;
    report.ok("tmpfs:/mnt")?;
    report.ok("create:/mnt/inner")?;
    require!(!bundle.inside("/mnt/inner").exists(), "the host sees the container's mount");
    Ok(())
}

//! config.md#root and config.md#mounts: the root file system, where mounts land, their order, sources and types.

use crate::case::{Case, accepted, case, refused, sees};
use crate::report::holds;
use crate::rig::Rig;
use crate::verdict::{Verdict, same};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;

const ROOT: &str = "config.md#root";
const MOUNTS: &str = "config.md#mounts";
const POSIX: &str = "config.md#posix-platform-mounts";
const DEFAULTS: &str = "config-linux.md#default-filesystems";

/// The chapter's cases.
pub fn cases() -> Vec<Case> {
    let mut all = root();
    all.extend(destinations());
    all.extend(of_the_file_system());
    all.extend(vec![
        case("mounts/order/later-covers", MOUNTS, later_covers),
        case("mounts/order/nested", MOUNTS, |rig| {
            let list = json!({"+mounts": [
                {"destination": "/mnt", "type": "tmpfs", "source": "tmpfs"},
                {"destination": "/mnt/a", "type": "tmpfs", "source": "tmpfs", "options": ["ro"]},
                {"destination": "/mnt/a", "type": "tmpfs", "source": "tmpfs"},
                {"destination": "/mnt/a/b", "type": "tmpfs", "source": "tmpfs"},
            ]});
            let report = rig.run(&list, &["create:/mnt/a/b/file", "mounts"])?;
            report.ok("create:/mnt/a/b/file").map(drop)
        }),
        case("mounts/source/relative-to-bundle", MOUNTS, |rig| {
            let bundle = rig.bundle()?;
            fs::write(bundle.dir.join("beside"), "text")?;
            let patch = json!({"+mounts": [{"destination": "/mnt/file", "source": "beside", "options": ["bind"]}]});
            let bundle = rig.bundle_at(&bundle, &patch, &["read:/mnt/file"])?;
            same("the file inside", rig.run_bundle(&bundle)?.text("read:/mnt/file")?, "text")
        }),
        case("mounts/source/directory", MOUNTS, |rig| {
            let report = shared(rig, &["bind"])?;
            same("the file inside", report.text("read:/mnt/file")?, "text")
        }),
        case("mounts/bind/type-is-a-dummy", POSIX, |rig| {
            for kind in [json!("none"), json!("bind"), json!("ext4"), Value::Null] {
                let source = rig.dir.to_string_lossy().into_owned();
                let mut entry = json!({"destination": "/mnt", "source": source, "options": ["bind"]});
                if !kind.is_null() {
                    entry["type"] = kind;
                }
                rig.run(&json!({"+mounts": [entry]}), &["pid"])?.ok("pid")?;
            }
            Ok(())
        }),
        refused("mounts/source/missing", MOUNTS, json!({"+mounts": [{"destination": "/mnt", "source": "/no/such/thing", "options": ["bind"]}]})),
        refused("mounts/type/unknown", POSIX, json!({"+mounts": [{"destination": "/mnt", "type": "nosuchfs", "source": "none"}]})),
        case("mounts/overlay", POSIX, overlay).root(),
        case("mounts/tmpcopyup", "config.md#linux-mount-options", copy_up),
        accepted("mounts/none", MOUNTS, json!({"mounts": [], "linux": {"readonlyPaths": [], "maskedPaths": []}})),
    ]);
    all.extend(file_systems());
    all
}

/// Options the runtime does not know go to the file system.
fn of_the_file_system() -> Vec<Case> {
    vec![
        sees("mounts/data/size", "config.md#linux-mount-options", data(&["size=1m", "nr_inodes=100"]), &["mounts"], |r| {
            let own = &r.mount("/mnt")?["super"];
            require!(holds(own, "size=1024k") && holds(own, "nr_inodes=100"), "/mnt shows {own}");
            Ok(())
        }),
        sees("mounts/data/mode", "config.md#linux-mount-options", data(&["mode=1710"]), &["stat:/mnt"], |r| {
            same("the mode", r.ok("stat:/mnt")?["mode"].as_u64(), Some(0o1710))
        }),
        sees(
            "mounts/data/with-flags-between",
            "config.md#linux-mount-options",
            data(&["mode=700", "nosuid", "size=64k", "noexec"]),
            &["mounts", "stat:/mnt"],
            |r| {
                same("the mode", r.ok("stat:/mnt")?["mode"].as_u64(), Some(0o700))?;
                super::mount_options::shows(r, "/mnt", &["nosuid", "noexec", "super:size=64k"], &[])
            },
        ),
    ]
}

fn destinations() -> Vec<Case> {
    vec![
        sees("mounts/destination/made", MOUNTS, tmpfs("/not/there/yet"), &["mounts"], |r| r.mount("/not/there/yet").map(drop)),
        sees("mounts/destination/relative", MOUNTS, tmpfs("relative/path"), &["mounts"], |r| r.mount("/relative/path").map(drop)),
        case("mounts/destination/file-made", MOUNTS, |rig| {
            let source = rig.dir.join("file");
            fs::write(&source, "text")?;
            let patch = json!({"+mounts": [{"destination": "/new/dir/file", "source": source, "options": ["bind"]}]});
            same("the file inside", rig.run(&patch, &["read:/new/dir/file"])?.text("read:/new/dir/file")?, "text")
        }),
        case("mounts/destination/absolute-link-stays-inside", MOUNTS, |rig| link_stays_inside(rig, "/etc")),
        case("mounts/destination/relative-link-stays-inside", MOUNTS, |rig| link_stays_inside(rig, "../../../../../../etc")),
    ]
}

fn root() -> Vec<Case> {
    vec![
        sees("root/writable", ROOT, json!({}), &["create:/file"], |r| r.ok("create:/file").map(drop)),
        sees("root/readonly", ROOT, json!({"root": {"readonly": true}}), &["create:/file", "mounts"], |r| {
            same("errno", r.errno("create:/file")?, 30)?;
            super::mount_options::shows(r, "/", &["ro"], &[])
        }),
        sees(
            "root/readonly-leaves-mounts-writable",
            ROOT,
            json!({"root": {"readonly": true}, "+mounts": tmpfs("/mnt")["+mounts"]}),
            &["create:/mnt/file"],
            |r| r.ok("create:/mnt/file").map(drop),
        ),
        case("root/absolute-path", ROOT, |rig| {
            let bundle = rig.bundle()?;
            let other = rig.bundle()?;
            let bundle = rig.bundle_at(&bundle, &json!({"root": {"path": other.rootfs()}}), &["create:/here"])?;
            rig.run_bundle(&bundle)?.ok("create:/here")?;
            require!(other.inside("here").exists(), "the container ran in another root");
            Ok(())
        }),
        case("root/other-name", ROOT, |rig| {
            let bundle = rig.bundle()?;
            fs::rename(bundle.rootfs(), bundle.dir.join("tree"))?;
            let bundle = rig.bundle_at(&bundle, &json!({"root": {"path": "tree"}}), &["pid"])?;
            rig.run_bundle(&bundle)?.ok("pid").map(drop)
        }),
        refused("root/missing-directory", ROOT, json!({"root": {"path": "nothing"}})),
        case("root/file-instead-of-directory", ROOT, |rig| {
            let bundle = rig.bundle()?;
            fs::write(bundle.dir.join("file"), "")?;
            let bundle = rig.bundle_at(&bundle, &json!({"root": {"path": "file"}}), &["pid"])?;
            require!(rig.create_as(&rig.id(), &bundle, &[])?.is_err(), "create accepted a file as root");
            Ok(())
        }),
        refused("root/absent", ROOT, json!({"root": null})),
        case("root/host-not-visible", ROOT, |rig| {
            let report = rig.run(&json!({}), &["list:/", "stat:/rootfs", "mounts"])?;
            require!(!holds(report.ok("list:/")?, "rootfs") && report.errno("stat:/rootfs")? == 2, "the root shows {}", report.ok("list:/")?);
            let mounts = report.ok("mounts")?.as_array().map_or(0, Vec::len);
            require!(mounts <= 16, "{mounts} mounts are visible, so the host's are still there");
            Ok(())
        }),
    ]
}

/// The file systems a Linux container expects, each mounted as itself.
fn file_systems() -> Vec<Case> {
    let mut all = Vec::new();
    for (point, kind, options) in [
        ("/proc", "proc", &[][..]),
        ("/dev/pts", "devpts", &["newinstance", "ptmxmode=0666", "mode=0620"]),
        ("/dev/shm", "tmpfs", &["mode=1777"]),
        ("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        ("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    ] {
        let mut patch = json!({});
        if !matches!(kind, "proc" | "devpts") {
            patch = json!({"+mounts": [{"destination": point, "type": kind, "source": kind, "options": options}]});
        }
        if kind == "sysfs" {
            patch["linux"] = json!({"+namespaces": [{"type": "network"}]});
        }
        all.push(sees(format!("mounts/type/{kind}-at{}", point.replace('/', "-")), DEFAULTS, patch, &["mounts"], move |report| {
            same("the type", report.mount(point)?["type"].as_str(), Some(kind))
        }));
    }
    all
}

fn tmpfs(point: &str) -> Value {
    json!({"+mounts": [{"destination": point, "type": "tmpfs", "source": "tmpfs"}]})
}

fn data(options: &[&str]) -> Value {
    json!({"+mounts": [{"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": options}]})
}

fn shared(rig: &Rig, options: &[&str]) -> Verdict<crate::report::Report> {
    let source = rig.dir.join("source");
    fs::create_dir(&source)?;
    fs::write(source.join("file"), "text")?;
    rig.run(&super::mount_options::bind(&source, options), &["read:/mnt/file"])
}

fn later_covers(rig: &Rig) -> Verdict {
    for (order, wanted) in [(["one", "two"], "two"), (["two", "one"], "one")] {
        let mut list = Vec::new();
        for name in order {
            let source = rig.dir.join(name);
            fs::create_dir_all(&source)?;
            fs::write(source.join("name"), name)?;
            list.push(json!({"destination": "/mnt", "source": source, "options": ["bind"]}));
        }
        same("the topmost", rig.run(&json!({"+mounts": list}), &["read:/mnt/name"])?.text("read:/mnt/name")?, wanted)?;
    }
    Ok(())
}

/// A symbolic link on the way to a destination is followed inside the root file system, never on the host.
fn link_stays_inside(rig: &Rig, target: &str) -> Verdict {
    let bundle = rig.bundle()?;
    symlink(target, bundle.inside("/link"))?;
    let bundle = rig.bundle_at(&bundle, &tmpfs("/link/oci-conformance"), &["mounts"])?;
    rig.run_bundle(&bundle)?.mount("/etc/oci-conformance")?;
    require!(!std::path::Path::new("/etc/oci-conformance").exists(), "the link was followed on the host");
    Ok(())
}

fn overlay(rig: &Rig) -> Verdict {
    let dir = |name: &str| rig.dir.join(name);
    for name in ["lower", "upper", "work"] {
        fs::create_dir(dir(name))?;
    }
    fs::write(dir("lower").join("file"), "below")?;
    let layers = format!("lowerdir={},upperdir={},workdir={}", dir("lower").display(), dir("upper").display(), dir("work").display());
    let options: Vec<&str> = layers.split(',').collect();
    let patch = json!({"+mounts": [{"destination": "/mnt", "type": "overlay", "source": "overlay", "options": options}]});
    let report = rig.run(&patch, &["read:/mnt/file", "create:/mnt/new"])?;
    same("the lower file", report.text("read:/mnt/file")?, "below")?;
    require!(dir("upper").join("new").exists(), "the new file is not in the upper directory");
    Ok(())
}

/// The option is a MAY: a runtime that refuses it is not judged.
fn copy_up(rig: &Rig) -> Verdict {
    let bundle = rig.bundle()?;
    fs::write(bundle.inside("/mnt/file"), "text")?;
    let bundle = rig.bundle_at(&bundle, &data(&["tmpcopyup"]), &["read:/mnt/file"])?;
    if rig.takes(&data(&["tmpcopyup"]))?.is_err() {
        return crate::verdict::skip("the runtime's tmpcopyup, which it may lack");
    }
    same("the copied file", rig.run_bundle(&bundle)?.text("read:/mnt/file")?, "text")
}

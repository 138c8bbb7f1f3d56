//! config-linux.md: sysctl, masked and read-only paths, personality, memory policy, Intel RDT.

use crate::case::{Case, accepted, case, must_refuse, refused, sees};
use crate::report::Report;
use crate::rig::Rig;
use crate::verdict::{Verdict, same, skip};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const SYSCTL: &str = "config-linux.md#sysctl";
const MASKED: &str = "config-linux.md#masked-paths";
const READONLY: &str = "config-linux.md#readonly-paths";
const PERSONALITY: &str = "config-linux.md#personality";
const POLICY: &str = "config-linux.md#memory-policy";
const RDT: &str = "config-linux.md#intelrdt";

/// The chapter's cases.
pub fn cases() -> Vec<Case> {
    let mut all = sysctls();
    all.extend(paths());
    all.extend(personalities());
    all.extend(policies());
    all.extend(resctrl());
    all
}

fn sysctls() -> Vec<Case> {
    let row = |key: &'static str, value: &'static str| {
        let action = format!("read:/proc/sys/{}", key.replace('.', "/"));
        let seen = action.clone();
        let patch = json!({"linux": {"+namespaces": [{"type": "network"}], "sysctl": {key: value}}});
        sees(format!("sysctl/{key}"), SYSCTL, patch, &[&action], move |r| {
            let words: Vec<&str> = r.text(&seen)?.split_whitespace().collect();
            same(key, words.join(" "), value.to_owned())
        })
        .root()
    };
    vec![
        row("net.ipv4.ip_forward", "1"),
        row("net.core.somaxconn", "256"),
        row("net.ipv4.ping_group_range", "0 100"),
        row("kernel.msgmax", "16384"),
        row("kernel.msgmni", "512"),
        row("kernel.shmmni", "100"),
        row("kernel.sem", "100 2000 50 64"),
        row("kernel.shm_rmid_forced", "1"),
        row("fs.mqueue.msg_max", "20"),
        case("sysctl/several", SYSCTL, |rig| {
            let patch = json!({"linux": {"sysctl": {"kernel.msgmax": "4096", "kernel.shmmni": "50"}}});
            let report = rig.run(&patch, &["read:/proc/sys/kernel/msgmax", "read:/proc/sys/kernel/shmmni"])?;
            same("kernel.msgmax", report.text("read:/proc/sys/kernel/msgmax")?, "4096")?;
            same("kernel.shmmni", report.text("read:/proc/sys/kernel/shmmni")?, "50")
        })
        .root(),
        case("sysctl/host-unchanged", SYSCTL, |rig| {
            let before = fs::read_to_string("/proc/sys/kernel/msgmax")?;
            rig.run(&json!({"linux": {"sysctl": {"kernel.msgmax": "4321"}}}), &["pid"])?;
            same("the host's kernel.msgmax", fs::read_to_string("/proc/sys/kernel/msgmax")?, before)
        })
        .root(),
        refused("sysctl/unknown-key", "config.md#valid-values", json!({"linux": {"sysctl": {"kernel.lunch": "1"}}})),
        refused("sysctl/invalid-value", "config.md#valid-values", json!({"linux": {"sysctl": {"kernel.shm_rmid_forced": "lunch"}}})),
    ]
}

/// A run with a file and a directory below /etc, whose report must satisfy `check`.
fn with_tree(patch: Value, actions: &'static [&'static str], check: fn(&Report) -> Verdict) -> impl Fn(&Rig) -> Verdict + Send + Sync {
    move |rig| {
        let bundle = rig.bundle()?;
        fs::write(bundle.inside("/etc/file"), "text")?;
        fs::create_dir(bundle.inside("/etc/dir"))?;
        fs::write(bundle.inside("/etc/dir/file"), "text")?;
        let bundle = rig.bundle_at(&bundle, &patch, actions)?;
        check(&rig.run_bundle(&bundle)?)
    }
}

fn paths() -> Vec<Case> {
    let masked = |paths: &[&str]| json!({"linux": {"maskedPaths": paths}});
    let readonly = |paths: &[&str]| json!({"linux": {"readonlyPaths": paths}});
    let (file, dir) = (&["read:/etc/file"], &["list:/etc/dir", "create:/etc/dir/new"]);
    vec![
        case(
            "maskedPaths/file",
            MASKED,
            with_tree(masked(&["/etc/file"]), file, |r| {
                require!(r.errno("read:/etc/file")? != 0 || r.text("read:/etc/file")?.is_empty(), "the file can be read");
                Ok(())
            }),
        ),
        case(
            "maskedPaths/directory",
            MASKED,
            with_tree(masked(&["/etc/dir"]), dir, |r| same("what the directory shows", r.ok("list:/etc/dir")?, &json!([]))),
        ),
        case(
            "maskedPaths/directory-not-writable",
            MASKED,
            with_tree(masked(&["/etc/dir"]), dir, |r| {
                require!(r.errno("create:/etc/dir/new")? != 0, "files can be made in a masked directory");
                Ok(())
            }),
        ),
        sees("maskedPaths/proc", MASKED, masked(&["/proc/keys", "/proc/timer_list"]), &["read:/proc/keys"], |r| {
            require!(r.errno("read:/proc/keys")? != 0 || r.text("read:/proc/keys")?.is_empty(), "/proc/keys can be read");
            Ok(())
        }),
        accepted("maskedPaths/missing", MASKED, masked(&["/proc/no/such/file"])),
        refused("maskedPaths/relative", MASKED, masked(&["etc/file"])),
        case(
            "readonlyPaths/file",
            READONLY,
            with_tree(readonly(&["/etc/file"]), &["openw:/etc/file", "read:/etc/file"], |r| {
                same("errno of writing", r.errno("openw:/etc/file")?, 30)?;
                same("the text", r.text("read:/etc/file")?, "text")
            }),
        ),
        case(
            "readonlyPaths/directory",
            READONLY,
            with_tree(readonly(&["/etc/dir"]), &["create:/etc/dir/new", "openw:/etc/dir/file"], |r| {
                same("errno of making a file", r.errno("create:/etc/dir/new")?, 30)?;
                same("errno of writing", r.errno("openw:/etc/dir/file")?, 30)
            }),
        ),
        sees("readonlyPaths/proc-sys", READONLY, readonly(&["/proc/sys"]), &["openw:/proc/sys/kernel/hostname"], |r| {
            // EROFS; in a user namespace the file's mode comes first: EACCES.
            let errno = r.errno("openw:/proc/sys/kernel/hostname")?;
            require!(matches!(errno, 30 | 13), "errno {errno} instead of 30 (EROFS)");
            Ok(())
        }),
        case(
            "readonlyPaths/others-writable",
            READONLY,
            with_tree(readonly(&["/etc/dir"]), &["openw:/etc/file"], |r| r.ok("openw:/etc/file").map(drop)),
        ),
        accepted("readonlyPaths/missing", READONLY, readonly(&["/proc/no/such/file"])),
        refused("readonlyPaths/relative", READONLY, readonly(&["etc/file"])),
    ]
}

fn personalities() -> Vec<Case> {
    let of = |personality: Value| json!({"linux": {"personality": personality}});
    vec![
        case("personality/LINUX32", PERSONALITY, move |rig| {
            if std::env::consts::ARCH != "x86_64" {
                return skip("an x86_64 machine");
            }
            same("the machine", rig.run(&of(json!({"domain": "LINUX32"})), &["uname"])?.ok("uname")?["machine"].as_str(), Some("i686"))
        }),
        sees("personality/LINUX", PERSONALITY, of(json!({"domain": "LINUX"})), &["uname", "call:personality"], |r| {
            same("the machine", r.ok("uname")?["machine"].as_str(), Some(std::env::consts::ARCH))?;
            same("the domain", r.ok("call:personality")?.as_i64().map(|p| p & 0xff), Some(0))
        }),
        refused("personality/unknown-domain", "config.md#valid-values", of(json!({"domain": "LUNCH"}))),
        refused("personality/flags", PERSONALITY, of(json!({"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]}))),
    ]
}

/// Policies as /proc/self/numa_maps shows them (numa(7)).
fn policies() -> Vec<Case> {
    let row = |mode: &'static str, nodes: &'static str, flags: &'static [&'static str], wanted: &'static str| {
        let name = if flags.is_empty() { format!("memoryPolicy/{mode}") } else { format!("memoryPolicy/{mode}-{}", flags.join("-")) };
        case(name, POLICY, move |rig| {
            let mut policy = json!({"mode": mode, "flags": flags});
            if !nodes.is_empty() {
                policy["nodes"] = json!(nodes);
            }
            shown(rig, &policy, wanted)
        })
    };
    let bad = |name: &str, policy: Value| {
        case(format!("memoryPolicy/refused/{name}"), POLICY, move |rig| {
            numa()?;
            must_refuse(rig, &json!({"linux": {"memoryPolicy": policy}}), true)
        })
    };
    vec![
        row("MPOL_DEFAULT", "", &[], "default"),
        row("MPOL_BIND", "0", &[], "bind:0"),
        row("MPOL_INTERLEAVE", "0", &[], "interleave:0"),
        row("MPOL_WEIGHTED_INTERLEAVE", "0", &[], "weighted interleave:0"),
        row("MPOL_PREFERRED", "0", &[], "prefer:0"),
        row("MPOL_PREFERRED_MANY", "0", &[], "prefer (many):0"),
        row("MPOL_LOCAL", "", &[], "local"),
        row("MPOL_BIND", "0", &["MPOL_F_STATIC_NODES"], "bind=static:0"),
        row("MPOL_BIND", "0", &["MPOL_F_RELATIVE_NODES"], "bind=relative:0"),
        row("MPOL_BIND", "0", &["MPOL_F_NUMA_BALANCING"], "bind=balancing:0"),
        bad("unknown-mode", json!({"mode": "MPOL_LUNCH"})),
        bad("unknown-flag", json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_LUNCH"]})),
        bad("no-mode", json!({"nodes": "0"})),
        bad("bind-without-nodes", json!({"mode": "MPOL_BIND"})),
        bad("default-with-nodes", json!({"mode": "MPOL_DEFAULT", "nodes": "0"})),
        bad("malformed-nodes", json!({"mode": "MPOL_BIND", "nodes": "0-x"})),
        bad("static-and-relative", json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]})),
    ]
}

fn numa() -> Verdict {
    if Path::new("/proc/self/numa_maps").exists() { Ok(()) } else { skip("a kernel with NUMA") }
}

fn shown(rig: &Rig, policy: &Value, wanted: &str) -> Verdict {
    numa()?;
    if wanted.starts_with("weighted") && rig.session.host.kernel < (6, 9) {
        return skip("Linux 6.9 (weighted interleave)");
    }
    let report = rig.run(&json!({"linux": {"memoryPolicy": policy}}), &["read:/proc/self/numa_maps"])?;
    let text = report.text("read:/proc/self/numa_maps")?;
    let first = text.lines().next().and_then(|l| l.split_once(' ')).map(|(_, rest)| rest).unwrap_or_default();
    // Since Linux 6.18 names may be written with or without blanks and brackets; only the letters count.
    let plain = |text: &str| text.chars().filter(|c| !" ()\\040".contains(*c)).collect::<String>();
    require!(plain(first).starts_with(&plain(wanted)), "numa_maps says {first:?} instead of {wanted:?}");
    Ok(())
}

fn resctrl() -> Vec<Case> {
    let row = |name: &str, rdt: Value| {
        case(format!("intelRdt/without-resctrl/{name}"), RDT, move |rig| {
            if fs::read_to_string("/proc/self/mounts")?.lines().any(|l| l.split(' ').nth(2) == Some("resctrl")) {
                return skip("a machine without a mounted resctrl");
            }
            must_refuse(rig, &json!({"linux": {"intelRdt": rdt}}), false)
        })
    };
    vec![
        row("closID", json!({"closID": "group"})),
        row("l3CacheSchema", json!({"l3CacheSchema": "L3:0=f"})),
        row("memBwSchema", json!({"closID": "group", "memBwSchema": "MB:0=20"})),
        row("schemata", json!({"closID": "group", "schemata": ["L3:0=f"]})),
        row("enableMonitoring", json!({"enableMonitoring": true})),
    ]
}

//! config.md#linux-mount-options: every option of the table, on a file system of its own and on a bind mount.

use crate::case::{Case, case, sees};
use crate::report::{Report, holds};
use crate::rig::Rig;
use crate::verdict::{Verdict, same};
use nix::mount::{MsFlags, mount};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

const OPTIONS: &str = "config.md#linux-mount-options";

/// An option and what mountinfo must show for it: words that must be there and words that must not.
/// Words after `super:` are looked for among the file system's own options.
type Row = (&'static str, &'static [&'static str], &'static [&'static str]);

const FLAGS: [Row; 26] = [
    ("ro", &["ro"], &["rw"]),
    ("rw", &["rw"], &["ro"]),
    ("nosuid", &["nosuid"], &[]),
    ("suid", &[], &["nosuid"]),
    ("nodev", &["nodev"], &[]),
    ("dev", &[], &["nodev"]),
    ("noexec", &["noexec"], &[]),
    ("exec", &[], &["noexec"]),
    ("noatime", &["noatime"], &["relatime"]),
    ("atime", &[], &["noatime"]),
    ("nodiratime", &["nodiratime"], &[]),
    ("diratime", &[], &["nodiratime"]),
    ("relatime", &["relatime"], &["noatime"]),
    ("norelatime", &[], &["noatime"]),
    ("strictatime", &[], &["relatime", "noatime"]),
    ("nostrictatime", &[], &["noatime"]),
    ("nosymfollow", &["nosymfollow"], &[]),
    ("symfollow", &[], &["nosymfollow"]),
    ("defaults", &["rw"], &["nosuid", "nodev", "noexec", "super:sync"]),
    ("sync", &["super:sync"], &[]),
    ("async", &[], &["super:sync"]),
    ("dirsync", &["super:dirsync"], &[]),
    ("lazytime", &["super:lazytime"], &[]),
    ("nolazytime", &[], &["super:lazytime"]),
    ("silent", &[], &[]),
    ("loud", &[], &[]),
];

/// Pairs of which the later one must win, in either order.
const PAIRS: [(&str, &str, &str); 6] = [
    ("ro", "rw", "ro"),
    ("nosuid", "suid", "nosuid"),
    ("nodev", "dev", "nodev"),
    ("noexec", "exec", "noexec"),
    ("nodiratime", "diratime", "nodiratime"),
    ("sync", "async", "super:sync"),
];

/// Recursive options: what is set on the tree beforehand, the option, what must and must not show everywhere.
const RECURSIVE: [(&str, &str, &str, &str); 20] = [
    ("", "rro", "ro", "rw"),
    ("ro", "rrw", "rw", "ro"),
    ("", "rnosuid", "nosuid", ""),
    ("nosuid", "rsuid", "", "nosuid"),
    ("", "rnodev", "nodev", ""),
    ("nodev", "rdev", "", "nodev"),
    ("", "rnoexec", "noexec", ""),
    ("noexec", "rexec", "", "noexec"),
    ("", "rnodiratime", "nodiratime", ""),
    ("nodiratime", "rdiratime", "", "nodiratime"),
    ("", "rnoatime", "noatime", "relatime"),
    ("noatime", "ratime", "", "noatime"),
    ("noatime", "rrelatime", "relatime", "noatime"),
    ("relatime", "rnorelatime", "", "noatime"),
    ("relatime", "rstrictatime", "", "relatime"),
    ("strictatime", "rnostrictatime", "", "noatime"),
    ("", "rnosymfollow", "nosymfollow", ""),
    ("nosymfollow", "rsymfollow", "", "nosymfollow"),
    ("relatime", "rrelatime", "relatime", ""),
    ("ro", "rro", "ro", ""),
];

/// The chapter's cases.
pub fn cases() -> Vec<Case> {
    let mut all: Vec<Case> = FLAGS.into_iter().map(on_tmpfs).collect();
    all.extend(["iversion", "noiversion"].map(|option| on_tmpfs((option, &[], &[])).root()));
    // These name per-mount flags, or their absence; the rest belongs to the file system and cannot be given to a bind.
    all.extend(FLAGS.into_iter().take(18).map(on_bind));
    all.extend(PAIRS.into_iter().flat_map(later_wins));
    all.extend(["ro", "nosuid", "nodev", "noexec", "nodiratime", "noatime", "nosymfollow"].map(bind_clears));
    all.extend(RECURSIVE.into_iter().map(recursive));
    all.push(sees("mount-options/ro/refuses-writing", OPTIONS, on("/mnt", &["ro"]), &["create:/mnt/a"], |r| {
        same("errno", r.errno("create:/mnt/a")?, 30)
    }));
    all.push(case("mount-options/noexec/refuses-executing", OPTIONS, |rig| behaviour(rig, &["noexec"], "exec:/mnt/probe", 13)));
    all.push(case("mount-options/nosymfollow/refuses-following", OPTIONS, |rig| behaviour(rig, &["nosymfollow"], "read:/mnt/link", 40)).root());
    all.push(case("mount-options/nodev/refuses-devices", OPTIONS, |rig| behaviour(rig, &["nodev"], "open:/mnt/null", 13)).root());
    all.push(case("mount-options/bind/not-recursive", OPTIONS, |rig| depth(rig, "bind", false)).root());
    all.push(case("mount-options/rbind/recursive", OPTIONS, |rig| depth(rig, "rbind", true)).root());
    all.push(case("mount-options/remount", OPTIONS, remount));
    all.push(case("mount-options/unknown-to-the-file-system", "config.md#valid-values", |rig| {
        let patch = json!({"+mounts": [{"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": ["nosuchoption=1"]}]});
        crate::case::must_refuse(rig, &patch, false)
    }));
    all
}

/// A patch that mounts a tmpfs with the options.
fn on(point: &str, options: &[&str]) -> Value {
    json!({"+mounts": [{"destination": point, "type": "tmpfs", "source": "tmpfs", "options": options}]})
}

fn on_tmpfs((option, present, absent): Row) -> Case {
    sees(format!("mount-options/{option}/tmpfs"), OPTIONS, on("/mnt", &[option]), &["mounts"], move |report| shows(report, "/mnt", present, absent))
}

fn on_bind((option, present, absent): Row) -> Case {
    let mut bound = case(format!("mount-options/{option}/bind"), OPTIONS, move |rig| {
        let source = rig.dir.join("source");
        fs::create_dir(&source)?;
        let report = rig.run(&bind(&source, &["bind", option]), &["mounts"])?;
        shows(&report, "/mnt", present, absent)
    });
    // What a mount does with access times cannot be changed on a copy that came from outside a user namespace.
    bound.root = option.contains("atime");
    bound
}

fn later_wins((set, clear, word): (&'static str, &'static str, &'static str)) -> [Case; 2] {
    let made = |first: &'static str, second: &'static str, shown: bool| {
        let (present, absent) = if shown { (vec![word], vec![]) } else { (vec![], vec![word]) };
        sees(format!("mount-options/{first}-then-{second}"), OPTIONS, on("/mnt", &[first, second]), &["mounts"], move |report| {
            shows(report, "/mnt", &present, &absent)
        })
    };
    [made(set, clear, false), made(clear, set, true)]
}

/// A bind of a mount that has the flag, with the option that takes it away.
fn bind_clears(flag: &'static str) -> Case {
    let option = match flag {
        "ro" => "rw",
        "nosymfollow" => "symfollow",
        _ => flag.trim_start_matches("no"),
    };
    case(format!("mount-options/{option}/bind-clears-{flag}"), OPTIONS, move |rig| {
        let source = tree(rig, flag)?;
        let report = rig.run(&bind(&source, &["bind", option]), &["mounts"])?;
        shows(&report, "/mnt", &[], &[flag])
    })
    .root()
}

fn recursive((before, option, present, absent): (&'static str, &'static str, &'static str, &'static str)) -> Case {
    let name = if before == present { format!("mount-options/{option}/kept") } else { format!("mount-options/{option}/recursive") };
    case(name, OPTIONS, move |rig| {
        let source = tree(rig, before)?;
        let report = rig.run(&bind(&source, &["rbind", option]), &["mounts"])?;
        let words = |word: &'static str| if word.is_empty() { vec![] } else { vec![word] };
        shows(&report, "/mnt", &words(present), &words(absent))?;
        shows(&report, "/mnt/sub", &words(present), &words(absent))
    })
    .root()
}

/// A host tree of two mounts, one below the other, both with the flag set.
pub fn tree(rig: &Rig, flag: &str) -> Verdict<PathBuf> {
    let top = rig.dir.join("tree");
    fs::create_dir_all(&top)?;
    let flags = match flag {
        "ro" => MsFlags::MS_RDONLY,
        "nosuid" => MsFlags::MS_NOSUID,
        "nodev" => MsFlags::MS_NODEV,
        "noexec" => MsFlags::MS_NOEXEC,
        "nodiratime" => MsFlags::MS_NODIRATIME,
        "noatime" => MsFlags::MS_NOATIME,
        "strictatime" => MsFlags::MS_STRICTATIME,
        "nosymfollow" => MsFlags::from_bits_retain(256),
        _ => MsFlags::MS_RELATIME,
    };
    let none = None::<&str>;
    mount(Some("tree"), &top, Some("tmpfs"), MsFlags::empty(), none)?;
    fs::create_dir(top.join("sub"))?;
    mount(Some("tree"), &top.join("sub"), Some("tmpfs"), flags, none)?;
    mount(none, &top, none, MsFlags::MS_REMOUNT | MsFlags::MS_BIND | flags, none)?;
    Ok(top)
}

/// A patch that binds `source` to /mnt.
pub fn bind(source: &Path, options: &[&str]) -> Value {
    json!({"+mounts": [{"destination": "/mnt", "type": "none", "source": source, "options": options}]})
}

/// Whether the mount at `point` shows the words and lacks the others.
pub fn shows(report: &Report, point: &str, present: &[&str], absent: &[&str]) -> Verdict {
    let mount = report.mount(point)?;
    let has = |word: &str| match word.strip_prefix("super:") {
        Some(word) => holds(&mount["super"], word),
        None => holds(&mount["options"], word),
    };
    for word in present {
        require!(has(word), "{point} lacks {word}: {} {}", mount["options"], mount["super"]);
    }
    for word in absent {
        require!(!has(word), "{point} has {word}: {} {}", mount["options"], mount["super"]);
    }
    Ok(())
}

/// Binds a directory with a program, a link and a device and tries `action` on it.
fn behaviour(rig: &Rig, options: &[&str], action: &str, errno: i64) -> Verdict {
    let source = rig.dir.join("source");
    fs::create_dir(&source)?;
    fs::hard_link(rig.session.work.join("probe"), source.join("probe"))?;
    fs::write(source.join("file"), "text")?;
    std::os::unix::fs::symlink("file", source.join("link"))?;
    if !rig.session.rootless {
        use nix::sys::stat::{Mode, SFlag, makedev, mknod};
        mknod(&source.join("null"), SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 3))?;
    }
    let free = rig.run(&bind(&source, &["bind"]), &[action])?;
    same("errno without the option", free.errno(action)?, 0)?;
    let mut all = vec!["bind"];
    all.extend(options);
    let report = rig.run(&bind(&source, &all), &[action])?;
    same("errno with the option", report.errno(action)?, errno)
}

fn depth(rig: &Rig, option: &str, deep: bool) -> Verdict {
    let source = tree(rig, "")?;
    fs::write(source.join("sub/below"), "")?;
    let report = rig.run(&bind(&source, &[option]), &["stat:/mnt/sub/below"])?;
    same("the file below the second mount being seen", report.errno("stat:/mnt/sub/below")? == 0, deep)
}

/// A second entry for the same destination changes the first one's flags.
fn remount(rig: &Rig) -> Verdict {
    let mut patch = on("/mnt", &["mode=755"]);
    crate::bundle::compose(
        &mut patch,
        &json!({"+mounts": [{"destination": "/mnt", "type": "tmpfs", "source": "tmpfs", "options": ["remount", "ro", "nosuid"]}]}),
    );
    let report = rig.run(&patch, &["mounts"])?;
    shows(&report, "/mnt", &["ro", "nosuid"], &[])?;
    let all = report.ok("mounts")?.as_array().into_iter().flatten();
    same("mounts at /mnt", all.filter(|m| m["at"] == "/mnt").count(), 1)
}

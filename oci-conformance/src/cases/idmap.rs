//! config.md#posix-platform-mounts: mounts with their own user and group ID mappings.

use super::mount_options::{bind, tree};
use crate::case::{Case, case, must_refuse};
use crate::rig::Rig;
use crate::verdict::{Verdict, same, skip};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

const MAPPINGS: &str = "config.md#posix-platform-mounts";
const OPTIONS: &str = "config.md#linux-mount-options";

/// The chapter's cases.
pub fn cases() -> Vec<Case> {
    let all = vec![
        case("idmap/owner", MAPPINGS, |rig| owner(rig, &[(0, 0)], &map(&[(0, 100_000, 65536)]), &map(&[(0, 200_000, 65536)]), &[(100_000, 200_000)])),
        case("idmap/several-ranges", MAPPINGS, |rig| {
            let ranges = map(&[(0, 1000, 1), (1, 5000, 10)]);
            owner(rig, &[(0, 0), (3, 4)], &ranges, &ranges, &[(1000, 1000), (5002, 5003)])
        }),
        case("idmap/unmapped-owner", MAPPINGS, |rig| {
            let ranges = map(&[(0, 100_000, 1)]);
            owner(rig, &[(7, 7)], &ranges, &ranges, &[(65534, 65534)])
        }),
        case("idmap/writes-are-mapped-back", MAPPINGS, written),
        case("idmap/recursive", OPTIONS, |rig| depth(rig, "ridmap", true)),
        case("idmap/not-recursive", OPTIONS, |rig| depth(rig, "idmap", false)),
        case("idmap/within-user-namespace", MAPPINGS, within_userns),
        case("idmap/of-the-container", OPTIONS, of_container),
        case("idmap/only-uids", MAPPINGS, |rig| refused(rig, &["bind", "idmap"], &json!({"uidMappings": map(&[(0, 1000, 1)])}))),
        case("idmap/only-gids", MAPPINGS, |rig| refused(rig, &["bind", "idmap"], &json!({"gidMappings": map(&[(0, 1000, 1)])}))),
        case("idmap/no-mappings-no-user-namespace", OPTIONS, |rig| refused(rig, &["bind", "idmap"], &json!({}))),
        case("idmap/ridmap-no-mappings-no-user-namespace", OPTIONS, |rig| refused(rig, &["rbind", "ridmap"], &json!({}))),
    ];
    all.into_iter().map(Case::root).collect()
}

fn map(ranges: &[(u32, u32, u32)]) -> Value {
    ranges.iter().map(|(inside, outside, size)| json!({"containerID": inside, "hostID": outside, "size": size})).collect()
}

fn supported(rig: &Rig) -> Verdict {
    // tmpfs, on which the suite works, can be idmapped since Linux 6.3.
    if rig.session.host.kernel < (6, 3) { skip("Linux 6.3 (idmapped tmpfs)") } else { Ok(()) }
}

fn source(rig: &Rig) -> Verdict<PathBuf> {
    supported(rig)?;
    let source = rig.dir.join("source");
    fs::create_dir(&source)?;
    Ok(source)
}

fn mapped(source: &Path, options: &[&str], uids: &Value, gids: &Value) -> Value {
    let mut patch = bind(source, options);
    patch["+mounts"][0]["uidMappings"] = uids.clone();
    patch["+mounts"][0]["gidMappings"] = gids.clone();
    patch
}

/// Files with the given owners must show the wanted ones inside.
fn owner(rig: &Rig, owners: &[(u32, u32)], uids: &Value, gids: &Value, wanted: &[(u64, u64)]) -> Verdict {
    let source = source(rig)?;
    let mut actions = Vec::new();
    for (n, (uid, gid)) in owners.iter().enumerate() {
        let file = source.join(n.to_string());
        fs::write(&file, "")?;
        std::os::unix::fs::chown(&file, Some(*uid), Some(*gid))?;
        actions.push(format!("stat:/mnt/{n}"));
    }
    let words: Vec<&str> = actions.iter().map(String::as_str).collect();
    let report = rig.run(&mapped(&source, &["bind", "idmap"], uids, gids), &words)?;
    for (action, (uid, gid)) in words.iter().zip(wanted) {
        let seen = report.ok(action)?;
        same(action, (seen["uid"].as_u64(), seen["gid"].as_u64()), (Some(*uid), Some(*gid)))?;
    }
    Ok(())
}

fn written(rig: &Rig) -> Verdict {
    use std::os::unix::fs::MetadataExt;
    let source = source(rig)?;
    std::os::unix::fs::chown(&source, Some(10), Some(10))?;
    let ranges = map(&[(10, 0, 5)]);
    rig.run(&mapped(&source, &["bind", "idmap"], &ranges, &ranges), &["create:/mnt/new"])?.ok("create:/mnt/new")?;
    let new = fs::metadata(source.join("new"))?;
    same("the new file's owner on the host", (new.uid(), new.gid()), (10, 10))
}

fn depth(rig: &Rig, option: &str, deep: bool) -> Verdict {
    supported(rig)?;
    let source = tree(rig, "")?;
    fs::write(source.join("sub/file"), "")?;
    fs::write(source.join("file"), "")?;
    let ranges = map(&[(0, 1000, 10)]);
    let report = rig.run(&mapped(&source, &["rbind", option], &ranges, &ranges), &["stat:/mnt/file", "stat:/mnt/sub/file"])?;
    same("the upper file's owner", report.ok("stat:/mnt/file")?["uid"].as_u64(), Some(1000))?;
    same("the lower file's owner", report.ok("stat:/mnt/sub/file")?["uid"].as_u64(), Some(if deep { 1000 } else { 0 }))
}

fn userns(patch: &mut Value) {
    let ranges = map(&[(0, 100_000, 65536)]);
    crate::bundle::compose(patch, &json!({"linux": {"+namespaces": [{"type": "user"}], "uidMappings": ranges, "gidMappings": ranges}}));
}

fn within_userns(rig: &Rig) -> Verdict {
    let source = source(rig)?;
    fs::write(source.join("file"), "")?;
    let ranges = map(&[(0, 100_000, 65536)]);
    let mut patch = mapped(&source, &["bind", "idmap"], &ranges, &ranges);
    userns(&mut patch);
    let report = rig.run(&patch, &["stat:/mnt/file"])?;
    same("the owner inside", report.ok("stat:/mnt/file")?["uid"].as_u64(), Some(0))
}

/// Without mappings of its own the mount may take the container's, or be refused.
fn of_container(rig: &Rig) -> Verdict {
    let source = source(rig)?;
    fs::write(source.join("file"), "")?;
    let mut patch = bind(&source, &["bind", "idmap"]);
    userns(&mut patch);
    if rig.takes(&patch)?.is_err() {
        return Ok(());
    }
    let report = rig.run(&patch, &["stat:/mnt/file"])?;
    same("the owner inside", report.ok("stat:/mnt/file")?["uid"].as_u64(), Some(0))
}

fn refused(rig: &Rig, options: &[&str], more: &Value) -> Verdict {
    let mut patch = bind(&source(rig)?, options);
    crate::bundle::compose(&mut patch["+mounts"][0], more);
    must_refuse(rig, &patch, false)
}

//! What containers write: diff, commit, export, cp.

mod rig;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use gantry_store::archive::{self, PutOptions};
use gantry_store::rw::Base;
use gantry_store::tar::Kind;
use gantry_store::tar::read::Reader;
use gantry_store::{ChangeKind, CommitOptions, Driver, RwLayer, Store};
use rig::{Rig, archive, dir, file, link, read};

fn container(store: &Store, id: &str) -> RwLayer {
    let lease = store.lease();
    let tar = archive(&[
        dir("etc"),
        file("etc/passwd", "root"),
        file("etc/gone", "g"),
        dir("d"),
        file("d/old", "o"),
        dir("e"),
        file("e/kept", "k"),
        file("touched", "t"),
    ]);
    let layer = store.unpack(&lease, None, &tar[..], None).unwrap();
    store
        .create_rw(id, &Base::Chain(Some(layer.chain_id)), true)
        .unwrap()
}

fn work_in(merged: &Path) {
    fs::write(merged.join("etc/passwd"), "root and more").unwrap();
    fs::remove_file(merged.join("etc/gone")).unwrap();
    fs::remove_dir_all(merged.join("d")).unwrap();
    fs::create_dir(merged.join("d")).unwrap();
    fs::write(merged.join("d/new"), "n").unwrap();
    fs::create_dir(merged.join("made")).unwrap();
    fs::write(merged.join("made/a"), "a").unwrap();
    fs::hard_link(merged.join("made/a"), merged.join("made/b")).unwrap();
    fs::set_permissions(merged.join("touched"), fs::Permissions::from_mode(0o600)).unwrap();
    // Copied up and back to what it was: docker shows no change.
    fs::set_permissions(merged.join("e/kept"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(merged.join("e/kept"), fs::Permissions::from_mode(0o644)).unwrap();
}

fn diff(rw: &RwLayer) -> Vec<String> {
    let letter = |kind| match kind {
        ChangeKind::Modified => 'C',
        ChangeKind::Added => 'A',
        ChangeKind::Deleted => 'D',
    };
    let line = |c: gantry_store::Change| {
        format!("{} {}", letter(c.kind), String::from_utf8(c.path).unwrap())
    };
    rw.changes().unwrap().into_iter().map(line).collect()
}

const DIFF: [&str; 10] = [
    "C /d",
    "A /d/new",
    "D /d/old",
    "C /etc",
    "D /etc/gone",
    "C /etc/passwd",
    "A /made",
    "A /made/a",
    "A /made/b",
    "C /touched",
];

/// Committed twice the archive is the same, and a container of the result shows the same tree.
fn diff_and_commit(rig: &Rig) {
    let rw = container(&rig.store, "c");
    assert!(rw.changes().unwrap().is_empty());
    work_in(&rw.mount().unwrap());
    assert_eq!(diff(&rw), DIFF);
    let options = CommitOptions {
        author: "me".into(),
        ..CommitOptions::default()
    };
    let image = rw.commit(&options).unwrap();
    assert_eq!(
        rw.commit(&options).unwrap().config.rootfs,
        image.config.rootfs
    );
    let again = rig
        .store
        .create_rw("again", &Base::Image(image.id.clone()), true)
        .unwrap();
    let merged = again.mount().unwrap();
    assert_eq!(read(merged.join("etc/passwd")), "root and more");
    assert!(!merged.join("etc/gone").exists() && !merged.join("d/old").exists());
    assert_eq!(fs::metadata(merged.join("made/b")).unwrap().nlink(), 2);
    assert_eq!(
        fs::metadata(merged.join("touched")).unwrap().mode() & 0o777,
        0o600
    );
    assert!(again.changes().unwrap().is_empty());
    let mut tar = Vec::new();
    again.export(&mut tar).unwrap();
    let mut names = Vec::new();
    let mut reader = Reader::new(&tar[..]);
    while let Some(entry) = reader.next(&mut ()).unwrap() {
        names.push(String::from_utf8(entry.path).unwrap());
    }
    assert!(
        names.contains(&"made/b".to_owned()) && names.contains(&"etc/hosts".to_owned()),
        "{names:?}"
    );
    again.remove().unwrap();
    rw.remove().unwrap();
}

#[test]
fn overlay_diff_and_commit() {
    let rig = Rig::new();
    if rig::root() && rig.mounts() {
        diff_and_commit(&rig);
    }
}

#[test]
fn copied_diff_and_commit() {
    if rig::root() {
        diff_and_commit(&Rig::with(Some(Driver::Copy)));
    }
}

#[test]
fn an_empty_commit_adds_no_layer() {
    let rig = Rig::new();
    if !rig::root() || !rig.mounts() {
        return;
    }
    let rw = container(&rig.store, "c");
    let image = rw.commit(&CommitOptions::default()).unwrap();
    assert_eq!(image.config.rootfs.diff_ids.len(), 1);
    assert!(image.config.history[0].empty_layer);
}

#[test]
fn cp_both_ways() {
    if !rig::root() {
        return;
    }
    let rig = Rig::new();
    let root = rig.root.join("tmp/rootfs");
    fs::create_dir_all(root.join("dir/sub")).unwrap();
    fs::write(root.join("dir/f"), "content").unwrap();
    symlink("/dir", root.join("abs")).unwrap();
    symlink("../../../../../../dir/f", root.join("up")).unwrap();
    let names = |path: &str| {
        let mut tar = Vec::new();
        archive::get(&root, path, &mut tar).unwrap();
        let mut reader = Reader::new(&tar[..]);
        let mut names = Vec::new();
        while let Some(entry) = reader.next(&mut ()).unwrap() {
            names.push(String::from_utf8(entry.path).unwrap());
        }
        names.join(" ")
    };
    assert_eq!(names("/dir"), "dir/ dir/f dir/sub/");
    assert_eq!(names("/abs/"), "abs/ abs/f abs/sub/");
    assert_eq!(names("/abs"), "abs");
    assert_eq!(names("abs/f"), "f");
    assert_eq!(names("../../dir/."), "./ f sub/");
    let stat = archive::stat(&root, "/up").unwrap();
    assert_eq!((stat.link_target.as_str(), stat.mode >> 27), ("/dir/f", 1));
    assert!(archive::stat(&root, "/none").unwrap_err().is_not_found());
    let tar = archive(&[file("sub2/deep/x", "x"), file("f", "replaced")]);
    archive::put(&root, "/abs", &tar[..], PutOptions::default()).unwrap();
    assert_eq!(read(root.join("dir/sub2/deep/x")), "x");
    assert_eq!(read(root.join("dir/f")), "replaced");
    let error = |tar: &[u8], path: &str| {
        let options = PutOptions {
            no_overwrite_dir_non_dir: true,
            ..PutOptions::default()
        };
        archive::put(&root, path, tar, options)
            .unwrap_err()
            .to_string()
    };
    let over = archive(&[file("dir", "x")]);
    assert_eq!(
        error(&over, "/"),
        r#"cannot overwrite directory "/dir" with non-directory "dir""#
    );
    assert_eq!(
        error(&over, "/dir/f"),
        "extraction point is not a directory"
    );
}

/// A container that put a symlink where `docker cp` will write does not get the host's files written.
#[test]
fn cp_in_never_leaves_the_root() {
    if !rig::root() {
        return;
    }
    let rig = Rig::new();
    let root = rig.root.join("tmp/rootfs");
    let outside = rig.root.join("tmp/outside");
    fs::create_dir_all(&root).unwrap();
    fs::create_dir_all(&outside).unwrap();
    symlink(&outside, root.join("trap")).unwrap();
    let tars = [
        archive(&[file("trap/x", "x")]),
        archive(&[dir("trap"), file("trap/x", "x")]),
        archive(&[
            link(Kind::Symlink, "l", outside.to_str().unwrap()),
            file("l/x", "x"),
        ]),
        archive(&[
            link(Kind::HardLink, "h", &format!("..{}/x", outside.display())),
            file("h", "x"),
        ]),
    ];
    for tar in tars {
        for path in ["/", "/trap"] {
            if let Err(error) = archive::put(&root, path, &tar[..], PutOptions::default()) {
                eprintln!("refused, which is safe: {error}");
            }
            assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        }
    }
}

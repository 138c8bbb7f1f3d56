//! Layers and container layers on the real filesystem.

mod rig;

use std::fs;
use std::os::unix::fs::MetadataExt;

use gantry_store::rw::Base;
use gantry_store::tar::{Entry, Kind};
use gantry_store::{Digest, ImportOptions, Reference};
use rig::{Rig, archive, dir, file, link, read};

#[test]
fn import_then_run() {
    if !rig::root() {
        return;
    }
    let mut rig = Rig::new();
    let tar = archive(&[
        dir("./"),
        dir("bin"),
        file("bin/sh", "shell"),
        link(Kind::Symlink, "sh", "bin/sh"),
    ]);
    let image = rig
        .store
        .import(&tar[..], &ImportOptions::default())
        .unwrap();
    assert_eq!(image.config.rootfs.diff_ids, [Digest::of(&tar)]);
    assert_eq!(image.size, 5);
    rig.store
        .tag(&image.id, &Reference::parse("bb").unwrap())
        .unwrap();
    rig.reopen();
    let image = rig.store.resolve("bb").unwrap();
    assert_eq!(image.tags, ["bb:latest"]);
    assert_eq!(rig.store.resolve(image.id.short()).unwrap().id, image.id);
    assert_eq!(
        rig.store.resolve("nope").unwrap_err().to_string(),
        "No such image: nope:latest"
    );
    let mut again = Vec::new();
    rig.store
        .write_layer(image.top().unwrap(), &mut again)
        .unwrap();
    assert_eq!(again, tar);
    if !rig.mounts() {
        return;
    }
    let rw = rig
        .store
        .create_rw("c1", &Base::Image(image.id.clone()), true)
        .unwrap();
    let merged = rw.mount().unwrap();
    assert_eq!(read(merged.join("bin/sh")), "shell");
    assert!(merged.join("etc/hosts").exists());
    fs::write(merged.join("bin/new"), "1234").unwrap();
    assert_eq!(rw.size().unwrap(), 4);
    rw.unmount().unwrap();
    assert!(!merged.join("bin").exists());
    drop(rw);
    rig.reopen();
    let rw = rig.store.rw("c1").unwrap();
    assert_eq!(read(rw.mount().unwrap().join("bin/new")), "1234");
    rw.remove().unwrap();
    assert!(rig.store.rw("c1").is_err());
}

/// Compressed, with attributes of every kind, and out again byte for byte.
#[test]
fn attributes_survive() {
    if !rig::root() {
        return;
    }
    let rig = Rig::new();
    let mut suid = file("suid", "x");
    (suid.0.mode, suid.0.uid, suid.0.gid) = (0o4755, 12, 34);
    suid.0.xattrs = vec![(b"user.note".to_vec(), b"v".to_vec())];
    let mut null = (Entry::new(Kind::Char, "null"), Vec::new());
    (null.0.mode, null.0.device) = (0o666, (1, 3));
    let pipe = (Entry::new(Kind::Fifo, "pipe"), Vec::new());
    let mut sticky = dir("tmp");
    sticky.0.mode = 0o1777;
    let tar = archive(&[
        suid,
        null,
        pipe,
        sticky,
        link(Kind::HardLink, "tmp/also", "suid"),
    ]);
    let lease = rig.store.lease();
    let packed = zstd::encode_all(&tar[..], 3).unwrap();
    let layer = rig
        .store
        .unpack(&lease, None, &packed[..], Some(&Digest::of(&tar)))
        .unwrap();
    let root = rig
        .store
        .layer_dirs(Some(&layer.chain_id))
        .unwrap()
        .remove(0);
    let meta = fs::metadata(root.join("suid")).unwrap();
    assert_eq!(
        (meta.mode() & 0o7777, meta.uid(), meta.gid(), meta.nlink()),
        (0o4755, 12, 34, 2)
    );
    assert_eq!(meta.mtime(), 1_700_000_000);
    assert_eq!(fs::metadata(root.join("null")).unwrap().rdev(), 0x103);
    assert_eq!(
        fs::metadata(root.join("tmp")).unwrap().mode() & 0o7777,
        0o1777
    );
    let mut again = Vec::new();
    rig.store.write_layer(&layer.chain_id, &mut again).unwrap();
    assert_eq!(again, tar);
}

#[test]
fn the_last_entry_of_a_name_wins_and_the_archive_stays_whole() {
    if !rig::root() {
        return;
    }
    let rig = Rig::new();
    let tar = archive(&[
        dir("d"),
        file("d/a", "first"),
        file("d/a", "second!"),
        file("e", "file"),
        dir("e"),
        file("e/in", "below"),
        link(Kind::Symlink, "l", "d"),
        file("l/b", "through"),
        file("l", "no link"),
    ]);
    let lease = rig.store.lease();
    let layer = rig.store.unpack(&lease, None, &tar[..], None).unwrap();
    let root = rig
        .store
        .layer_dirs(Some(&layer.chain_id))
        .unwrap()
        .remove(0);
    assert_eq!(read(root.join("d/a")), "second!");
    assert_eq!(read(root.join("d/b")), "through");
    assert_eq!(read(root.join("e/in")), "below");
    assert_eq!(read(root.join("l")), "no link");
    let mut again = Vec::new();
    rig.store.write_layer(&layer.chain_id, &mut again).unwrap();
    assert_eq!(again, tar);
}

#[test]
fn whiteouts_hide_what_is_below_only() {
    let rig = Rig::new();
    if !rig::root() || !rig.mounts() {
        return;
    }
    let lease = rig.store.lease();
    let below = archive(&[
        dir("a"),
        file("a/x", "x"),
        file("a/y", "y"),
        dir("b"),
        file("b/z", "z"),
        dir("c"),
        file("c/q", "q"),
        dir("m"),
        file("m/keep", "k"),
    ]);
    let below = rig.store.unpack(&lease, None, &below[..], None).unwrap();
    let above = archive(&[
        file("a/.wh.x", ""),
        dir("b"),
        file("b/.wh..wh..opq", ""),
        file("b/new", "n"),
        file(".wh.c", ""),
        dir("c"),
        file("c/own", "o"),
        link(Kind::HardLink, "m/also", "m/keep"),
    ]);
    let above = rig
        .store
        .unpack(&lease, Some(&below.chain_id), &above[..], None)
        .unwrap();
    let rw = rig
        .store
        .create_rw("w", &Base::Chain(Some(above.chain_id)), false)
        .unwrap();
    let merged = rw.mount().unwrap();
    let names = |dir: &str| {
        let mut all: Vec<_> = fs::read_dir(merged.join(dir))
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        all.sort();
        all.join(" ")
    };
    assert_eq!(names("a"), "y");
    assert_eq!(names("b"), "new");
    assert_eq!(names("c"), "own");
    assert_eq!(read(merged.join("m/also")), "k");
}

/// Every way out that unpackers of the field once had.
#[test]
fn hostile_archives_stay_inside() {
    if !rig::root() {
        return;
    }
    let rig = Rig::new();
    let lease = rig.store.lease();
    let outside = rig.root.with_extension("outside");
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    let out = outside.to_str().unwrap();
    let refused = [
        vec![file("../escape", "x")],
        vec![file("a/../../escape", "x")],
        vec![link(
            Kind::HardLink,
            "h",
            &format!("../../../../..{out}/secret"),
        )],
        vec![link(Kind::HardLink, "h", &format!("{out}/secret"))],
        vec![
            link(Kind::Symlink, "s", out),
            link(Kind::HardLink, "h", "s/secret"),
        ],
        vec![file(".wh.", "")],
        vec![file(".wh...", "")],
        vec![file("./", "root is no file")],
    ];
    for entries in refused {
        let tar = archive(&entries);
        let got = rig.store.unpack(&lease, None, &tar[..], None);
        assert!(got.is_err(), "{entries:?} was taken");
    }
    for entries in harmless(out) {
        let tar = archive(&entries);
        if let Err(error) = rig.store.unpack(&lease, None, &tar[..], None) {
            eprintln!("refused, which is safe: {error}");
        }
        assert_eq!(
            fs::read_dir(&outside).unwrap().count(),
            1,
            "{entries:?} reached outside"
        );
        assert_eq!(read(outside.join("secret")), "secret");
    }
    fs::remove_dir_all(outside).unwrap();
}

/// Archives that may be taken but must end inside.
fn harmless(out: &str) -> Vec<Vec<(Entry, Vec<u8>)>> {
    vec![
        vec![link(Kind::Symlink, "s", out), file("s/planted", "x")],
        vec![
            link(Kind::Symlink, "s", "../../../../../.."),
            file(&format!("s{out}/planted"), "x"),
        ],
        vec![
            link(Kind::Symlink, "s", out),
            file("s", "replaces the link"),
        ],
        vec![
            link(Kind::Symlink, "s", out),
            dir("s"),
            file("s/planted", "x"),
        ],
        vec![
            link(Kind::Symlink, "s", &format!("{out}/secret")),
            link(Kind::HardLink, "h", "s"),
            file("h", "x"),
        ],
        vec![file(&format!("{out}/planted"), "x")],
        vec![link(Kind::Symlink, "s", out), file("s/.wh.secret", "")],
    ]
}

/// Sparse files in the three forms tar has for them, made by tar itself.
#[test]
fn sparse_files_stay_sparse() {
    if !rig::root() {
        return;
    }
    let rig = Rig::new();
    let work = rig.root.join("tmp/sparse");
    fs::create_dir_all(&work).unwrap();
    let hole = fs::File::create(work.join("hole")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&hole, b"begin", 0).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&hole, b"end", 5_000_000).unwrap();
    let lease = rig.store.lease();
    for format in [
        &["--format=gnu"][..],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=1.0"],
    ] {
        let out = std::process::Command::new("tar")
            .args(format)
            .args(["--sparse", "-cC"])
            .arg(&work)
            .arg("hole")
            .output();
        let Ok(out) = out else {
            eprintln!("skipped: needs tar");
            return;
        };
        let layer = rig
            .store
            .unpack(&lease, None, &out.stdout[..], None)
            .unwrap();
        let path = rig
            .store
            .layer_dirs(Some(&layer.chain_id))
            .unwrap()
            .remove(0)
            .join("hole");
        assert_eq!(
            fs::read(&path).unwrap(),
            fs::read(work.join("hole")).unwrap(),
            "{format:?}"
        );
        assert!(fs::metadata(&path).unwrap().blocks() < 1000);
        let mut again = Vec::new();
        rig.store.write_layer(&layer.chain_id, &mut again).unwrap();
        assert!(again == out.stdout, "{format:?}");
    }
    assert_eq!(rig.store.check(false).unwrap(), []);
}

/// Mounted volatile it must come up again after its mount was lost, as it does under an engine that was killed.
#[test]
fn a_temporary_layer_can_be_mounted_again() {
    let rig = Rig::new();
    if !rig::root() || !rig.mounts() {
        return;
    }
    let lease = rig.store.lease();
    let tar = archive(&[file("f", "x")]);
    let layer = rig.store.unpack(&lease, None, &tar[..], None).unwrap();
    let base = Base::Chain(Some(layer.chain_id));
    let rw = rig.store.create_temporary_rw("t", &base, true).unwrap();
    for round in 0..3 {
        let merged = rw.mount().unwrap();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let line = mounts
            .lines()
            .find(|line| line.contains(merged.to_str().unwrap()))
            .unwrap();
        assert!(line.contains("volatile"), "{line}");
        fs::write(merged.join(format!("n{round}")), "n").unwrap();
        assert_eq!(fs::read_dir(&merged).unwrap().count(), round + 7);
        rw.unmount().unwrap();
    }
}

//! Garbage, damage and sudden death.

mod rig;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use gantry_store::rw::Base;
use gantry_store::{
    CommitOptions, DeleteOptions, ImportOptions, Policy, Reference, Removed, Store, Use,
};
use rig::{Rig, archive, dir, file};

fn named(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

fn import(store: &Store, content: &str, name: &str) -> gantry_store::Image {
    let tar = archive(&[dir("d"), file("d/f", content)]);
    let image = store.import(&tar[..], &ImportOptions::default()).unwrap();
    store.tag(&image.id, &named(name)).unwrap();
    store.image(&image.id).unwrap()
}

fn du(path: &std::path::Path) -> u64 {
    let out = Command::new("du")
        .args(["-s", "-x", "--block-size=1"])
        .arg(path)
        .output()
        .unwrap()
        .stdout;
    String::from_utf8(out)
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn rmi_as_docker_does_it() {
    if !rig::root() {
        return;
    }
    let rig = Rig::new();
    let store = &rig.store;
    let image = import(store, "x", "a:1");
    store.tag(&image.id, &named("b:1")).unwrap();
    let gone = |name: &str, force: bool, uses: &[Use]| {
        store
            .delete(name, DeleteOptions { force, prune: true }, uses)
            .map_err(|e| e.to_string())
    };
    assert_eq!(
        gone(image.id.short(), false, &[]).unwrap_err(),
        format!(
            "conflict: unable to delete {} (must be forced) - image is referenced in multiple repositories",
            image.id.short()
        )
    );
    assert_eq!(
        gone("b:1", false, &[]).unwrap(),
        [Removed::Untagged("b:1".into(), image.id.clone())]
    );
    let container = "c".repeat(64);
    let user = |running| Use {
        container: container.clone(),
        image: image.id.clone(),
        running,
    };
    assert_eq!(
        gone("a:1", false, &[user(false)]).unwrap_err(),
        format!(
            "conflict: unable to remove repository reference \"a:1\" (must force) - container cccccccccccc is using its referenced image {}",
            image.id.short()
        )
    );
    assert_eq!(
        gone(image.id.short(), true, &[user(true)]).unwrap_err(),
        format!(
            "conflict: unable to delete {} (cannot be forced) - image is being used by running container cccccccccccc",
            image.id.short()
        )
    );
    let done = gone("a:1", false, &[]).unwrap();
    let chain = image.top().unwrap().clone();
    assert_eq!(
        done,
        [
            Removed::Untagged("a:1".into(), image.id.clone()),
            Removed::Deleted(image.id.clone()),
            Removed::Layer(chain)
        ]
    );
    assert_eq!(fs::read_dir(rig.root.join("trees")).unwrap().count(), 0);
    assert_eq!(
        fs::read_dir(rig.root.join("blobs/sha256")).unwrap().count(),
        0
    );
}

#[test]
fn a_child_keeps_its_parent_and_takes_it_along() {
    let rig = Rig::new();
    if !rig::root() || !rig.mounts() {
        return;
    }
    let store = &rig.store;
    let image = import(store, "x", "base");
    let rw = store
        .create_rw("c", &Base::Image(image.id.clone()), true)
        .unwrap();
    fs::write(rw.mount().unwrap().join("new"), "n").unwrap();
    let child = rw.commit(&CommitOptions::default()).unwrap();
    rw.remove().unwrap();
    drop(rw);
    assert_eq!(child.parent.as_ref(), Some(&image.id));
    let lines = store.history(&child.id).unwrap();
    assert_eq!((lines.len(), lines[0].size, lines[1].size), (2, 1, 1));
    assert_eq!(lines[1].tags, ["base:latest"]);
    let options = DeleteOptions {
        force: false,
        prune: true,
    };
    let text = store
        .delete(image.id.short(), options, &[])
        .unwrap_err()
        .to_string();
    assert!(
        text.ends_with("(cannot be forced) - image has dependent child images"),
        "{text}"
    );
    store.untag(&named("base")).unwrap();
    let done = store.delete(child.id.short(), options, &[]).unwrap();
    assert!(
        done.contains(&Removed::Deleted(image.id.clone())),
        "{done:?}"
    );
    assert!(store.images().is_empty());
}

#[test]
fn collection_leaves_nothing_unaccounted() {
    if !rig::root() {
        return;
    }
    let rig = Rig::new();
    let store = &rig.store;
    let keep = import(store, "kept", "kept:1");
    let dangling = import(store, "dangling", "gone:1");
    store.untag(&named("gone:1")).unwrap();
    let lease = store.lease();
    let loose = archive(&[file("loose", "l")]);
    let loose = store.unpack(&lease, None, &loose[..], None).unwrap();
    fs::create_dir(rig.root.join("trees/stray")).unwrap();
    fs::write(rig.root.join("trees/stray/x"), "x").unwrap();
    fs::write(rig.root.join("blobs/sha256/stray"), "x").unwrap();
    let policy = Policy {
        named: false,
        unused_for: Duration::ZERO,
        keep_bytes: 0,
        may_go: &|_| true,
    };
    let would = store.collect(&policy, &[], true).unwrap();
    assert!(store.image(&dangling.id).is_ok() && rig.root.join("trees/stray").exists());
    assert!(
        would
            .removed
            .contains(&Removed::Deleted(dangling.id.clone()))
    );
    assert_eq!(would.orphans.len(), 2);
    let did = store.collect(&policy, &[], false).unwrap();
    assert!(did.removed.contains(&Removed::Deleted(dangling.id.clone())) && did.bytes > 0);
    assert!(store.layer(&loose.chain_id).is_some(), "a lease holds it");
    drop(lease);
    store.collect(&policy, &[], false).unwrap();
    assert!(store.layer(&loose.chain_id).is_none());
    assert!(store.image(&keep.id).is_ok());
    assert_eq!(store.check(false).unwrap(), []);
    let space = store.space().unwrap();
    assert_eq!((space.total(), space.other), (du(&rig.root), 0));
    let none = Policy {
        named: true,
        ..policy
    };
    let uses = [Use {
        container: "c".into(),
        image: keep.id.clone(),
        running: false,
    }];
    assert!(
        store
            .collect(&none, &uses, false)
            .unwrap()
            .removed
            .is_empty()
    );
    store.collect(&none, &[], false).unwrap();
    assert_eq!((store.images().len(), store.layers_size()), (0, 0));
}

#[test]
fn check_finds_and_repairs() {
    if !rig::root() {
        return;
    }
    let rig = Rig::new();
    let store = &rig.store;
    let image = import(store, "content", "kept");
    let other = import(store, "other", "lost");
    let root = |image: &gantry_store::Image| store.layer_dirs(image.top()).unwrap().remove(0);
    assert_eq!(store.check(false).unwrap(), []);
    fs::set_permissions(root(&image).join("d/f"), fs::Permissions::from_mode(0o777)).unwrap();
    let found = store.check(false).unwrap();
    assert!(
        found.len() == 1 && found[0].what.ends_with("attributes of \"d/f\""),
        "{found:?}"
    );
    store.check(true).unwrap();
    assert_eq!(store.check(false).unwrap(), []);
    // What power loss does elsewhere: the file is there and empty.
    fs::write(root(&other).join("d/f"), "").unwrap();
    let found = store.check(true).unwrap();
    assert!(
        found
            .iter()
            .any(|p| p.what.contains("is shorter than its layer says")),
        "{found:?}"
    );
    assert!(store.resolve("lost").is_err() && store.resolve("kept").is_ok());
    store
        .collect(
            &Policy {
                named: false,
                unused_for: Duration::ZERO,
                keep_bytes: 0,
                may_go: &|_| false,
            },
            &[],
            false,
        )
        .unwrap();
    assert_eq!(store.check(false).unwrap(), []);
    assert_eq!(import(store, "other", "lost").id.hex().len(), 64);
    assert_eq!(store.check(false).unwrap(), []);
}

/// Not a test of its own: what the next one kills.
#[test]
fn worker() {
    let Ok(root) = std::env::var("GANTRY_STORE_WORKER") else {
        return;
    };
    let store = Store::open(root).unwrap();
    for round in 0.. {
        let image = import(
            &store,
            &format!("round {round} {}", std::process::id()),
            &format!("r:{}", round % 3),
        );
        let id = format!("c{}-{round}", std::process::id());
        if store.driver() == gantry_store::Driver::Overlay {
            let rw = store
                .create_rw(&id, &Base::Image(image.id.clone()), true)
                .unwrap();
            fs::write(rw.mount().unwrap().join("new"), &id).unwrap();
            rw.commit(&CommitOptions::default()).unwrap();
            rw.remove().unwrap();
        }
        store
            .delete(
                &format!("r:{}", round % 3),
                DeleteOptions {
                    force: true,
                    prune: true,
                },
                &[],
            )
            .unwrap();
    }
}

#[test]
fn sudden_death_leaves_a_sound_store() {
    if !rig::root() {
        return;
    }
    let mut rig = Rig::new();
    let holder = rig.root.with_extension("holder");
    for round in 0..12u64 {
        rig.store = Store::open(&holder).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "worker"])
            .env("GANTRY_STORE_WORKER", &rig.root)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(40 + round * 17));
        child.kill().unwrap();
        child.wait().unwrap();
        rig.store = Store::open(&rig.root).unwrap();
        for id in rig.store.rw_ids() {
            rig.store.rw(&id).unwrap().remove().unwrap();
        }
        let found = rig.store.check(false).unwrap();
        assert!(
            found.iter().all(|p| p.what.ends_with("no record names it")),
            "{found:?}"
        );
        rig.store.check(true).unwrap();
        assert_eq!(rig.store.check(false).unwrap(), []);
    }
    fs::remove_dir_all(holder).unwrap();
}

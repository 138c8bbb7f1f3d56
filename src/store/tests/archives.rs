//! save and load: docker's archives and OCI's, with skopeo as the other reader and writer.

mod rig;

use std::process::{Command, Stdio};

use gantry_store::tar::Kind;
use gantry_store::tar::read::Reader;
use gantry_store::{Digest, Image, ImportOptions, LoadEvent, Reference, Store};
use rig::{Rig, archive, dir, file, link};

fn image(store: &Store, name: &str) -> Image {
    let tar = archive(&[
        dir("etc"),
        file("etc/name", name),
        link(Kind::Symlink, "n", "etc/name"),
    ]);
    let base = store.import(&tar[..], &ImportOptions::default()).unwrap();
    store
        .tag(&base.id, &Reference::parse(name).unwrap())
        .unwrap();
    store.image(&base.id).unwrap()
}

fn save(store: &Store, names: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    store.save(&names, &mut out).unwrap();
    out
}

fn load(store: &Store, tar: &[u8]) -> Result<Vec<LoadEvent>, String> {
    let mut events = Vec::new();
    store
        .load(tar, &mut |event| events.push(event))
        .map_err(|e| e.to_string())?;
    Ok(events)
}

#[test]
fn saved_is_loaded() {
    if !rig::root() {
        return;
    }
    let (rig, other) = (Rig::new(), Rig::new());
    let (one, two) = (image(&rig.store, "one:1"), image(&rig.store, "reg.io/two"));
    rig.store
        .tag(&one.id, &Reference::parse("one:2").unwrap())
        .unwrap();
    let tar = save(&rig.store, &["one", "reg.io/two:latest", one.id.short()]);
    assert_eq!(
        tar,
        save(&rig.store, &["one", "reg.io/two:latest", one.id.short()])
    );
    let packed = zstd::encode_all(&tar[..], 1).unwrap();
    let events = load(&other.store, &packed).unwrap();
    let named =
        |name: &str, id: &Digest| LoadEvent::Name(Reference::parse(name).unwrap(), id.clone());
    assert!(events.contains(&named("one:1", &one.id)) && events.contains(&named("one:2", &one.id)));
    assert!(events.contains(&named("reg.io/two:latest", &two.id)));
    assert_eq!(other.store.resolve("one:2").unwrap().config, one.config);
    let bare = save(&rig.store, &[one.id.short()]);
    assert_eq!(
        load(&other.store, &bare).unwrap(),
        [LoadEvent::Image(one.id.clone())]
    );
    let text = rig
        .store
        .save(&["none".to_owned()], &mut Vec::new())
        .unwrap_err()
        .to_string();
    assert_eq!(text, "No such image: none:latest");
}

#[test]
fn the_layout_has_what_docker_and_oci_ask_for() {
    if !rig::root() {
        return;
    }
    let rig = Rig::new();
    let image = image(&rig.store, "app:1");
    let tar = save(&rig.store, &["app:1"]);
    let mut reader = Reader::new(&tar[..]);
    let mut names = Vec::new();
    while let Some(entry) = reader.next(&mut ()).unwrap() {
        let name = String::from_utf8(entry.path).unwrap();
        if name == "manifest.json" {
            let json: serde_json::Value =
                serde_json::from_slice(&reader.body_to_vec(1 << 20).unwrap()).unwrap();
            assert_eq!(json[0]["RepoTags"][0], "app:1");
            assert_eq!(
                json[0]["Config"],
                format!("blobs/sha256/{}", image.id.hex())
            );
        }
        if name == "index.json" {
            let json: serde_json::Value =
                serde_json::from_slice(&reader.body_to_vec(1 << 20).unwrap()).unwrap();
            let notes = &json["manifests"][0]["annotations"];
            assert_eq!(notes["io.containerd.image.name"], "docker.io/library/app:1");
            assert_eq!(notes["org.opencontainers.image.ref.name"], "1");
        }
        names.push(name);
    }
    for name in ["oci-layout", "index.json", "manifest.json", "repositories"] {
        assert!(names.iter().any(|n| n == name), "{name} in {names:?}");
    }
}

#[test]
fn skopeo_agrees() {
    if !rig::root() {
        return;
    }
    if Command::new("skopeo")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        eprintln!("skipped: needs skopeo");
        return;
    }
    let rig = Rig::new();
    let image = image(&rig.store, "app:1");
    let work = rig.root.join("tmp/skopeo");
    std::fs::create_dir_all(&work).unwrap();
    std::fs::write(work.join("ours.tar"), save(&rig.store, &["app:1"])).unwrap();
    let at = |name: &str| work.join(name).display().to_string();
    for (from, to) in [
        (
            format!("docker-archive:{}", at("ours.tar")),
            format!("docker-archive:{}:back:1", at("docker.tar")),
        ),
        (
            format!("docker-archive:{}", at("ours.tar")),
            format!("oci-archive:{}:x/back:2", at("oci.tar")),
        ),
    ] {
        let done = Command::new("skopeo")
            .args(["copy", "--insecure-policy", &from, &to])
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }
    for (tar, name) in [("docker.tar", "back:1"), ("oci.tar", "x/back:2")] {
        let other = Rig::new();
        load(&other.store, &std::fs::read(work.join(tar)).unwrap()).unwrap();
        assert_eq!(
            other.store.resolve(name).unwrap().config.rootfs,
            image.config.rootfs
        );
    }
}

#[test]
fn what_is_no_image_archive_is_refused() {
    if !rig::root() {
        return;
    }
    let rig = Rig::new();
    let manifest = |config: &str| {
        serde_json::json!([{"Config": config, "RepoTags": ["x:1"], "Layers": []}]).to_string()
    };
    let outside = rig.root.with_extension("config");
    let config =
        r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    std::fs::write(&outside, config).unwrap();
    let path = outside.to_str().unwrap();
    let cases = [
        (archive(&[file("a", "b")]), "no image archive"),
        (
            archive(&[file("manifest.json", "nonsense")]),
            "manifest.json: ",
        ),
        (
            archive(&[file("manifest.json", &manifest("none"))]),
            "archive has no file",
        ),
        (
            archive(&[file("manifest.json", &manifest(path))]),
            "archive has no file",
        ),
        (
            archive(&[
                file("manifest.json", &manifest("c")),
                link(Kind::Symlink, "c", path),
            ]),
            "archive has no file",
        ),
        (
            archive(&[file("manifest.json", &manifest("c")), dir("c")]),
            "no regular file",
        ),
        (
            archive(&[link(Kind::Fifo, "manifest.json", "")]),
            "device or pipe",
        ),
        (b"no tar at all".to_vec(), "archive/tar"),
    ];
    for (tar, why) in cases {
        let text = load(&rig.store, &tar).unwrap_err();
        assert!(text.contains(why), "{text:?} instead of {why:?}");
    }
    std::fs::remove_file(outside).unwrap();
    assert!(rig.store.images().is_empty());
    assert_eq!(std::fs::read_dir(rig.root.join("tmp")).unwrap().count(), 0);
}

//! Push and pull against Debian's docker-registry, with skopeo as the other client.

mod rig;

use std::process::Command;

use gantry_registry::{Credentials, Platform, Settings, distribution, login, tags};
use rig::{Dir, Guard, image, name, pulled, pushed, registry, user};

fn nobody() -> Credentials {
    Credentials::default()
}

#[test]
fn push_and_pull_tell_what_docker_tells() {
    let dir = Dir::new();
    let Some(server) = registry(&dir.0, Guard::Open) else {
        return;
    };
    let (ours, theirs) = (dir.store("a"), dir.store("b"));
    let settings = Settings::default();
    let image = image(&ours, 5, 40_000);
    let tag = format!("{}/team/app:one", server.host);
    ours.tag(&image.id, &name(&tag)).unwrap();
    let (done, told) = pushed(&ours, &settings, &tag, &nobody());
    done.unwrap();
    let lines = told.lines();
    assert_eq!(
        lines[0],
        format!("The push refers to repository [{}/team/app]", server.host)
    );
    let count = |what: &str| lines.iter().filter(|line| line.ends_with(what)).count();
    assert_eq!(
        (count(": Preparing"), count(": Waiting"), count(": Pushed")),
        (5, 2, 5)
    );
    assert!(
        lines[lines.len() - 2].starts_with("one: digest: sha256:"),
        "{lines:?}"
    );

    let (got, told) = pulled(&theirs, &settings, &tag, &nobody());
    let got = got.unwrap();
    assert_eq!((&got.id, got.size), (&image.id, image.size));
    let lines = told.lines();
    assert_eq!(lines[0], "one: Pulling from team/app");
    let count = |what: &str| lines.iter().filter(|line| line.ends_with(what)).count();
    for (status, times) in [
        ("Pulling fs layer", 5),
        ("Waiting", 2),
        ("Verifying Checksum", 5),
        ("Download complete", 5),
        ("Pull complete", 5),
    ] {
        assert_eq!(count(status), times, "{status} in {lines:?}");
    }
    assert!(lines[lines.len() - 2].starts_with("Digest: sha256:"));
    assert_eq!(
        lines[lines.len() - 1],
        format!("Status: Downloaded newer image for {tag}")
    );
    assert_eq!(got.digests.len(), 1);
    let (_, told) = pulled(&theirs, &settings, &tag, &nobody());
    assert!(
        told.has(&format!("Status: Image is up to date for {tag}")) && told.has("Already exists")
    );
    assert_eq!(
        std::fs::read_dir(dir.0.join("b/ingest")).unwrap().count(),
        0
    );
}

#[test]
fn layers_a_registry_has_are_not_sent() {
    let dir = Dir::new();
    let Some(server) = registry(&dir.0, Guard::Open) else {
        return;
    };
    let (ours, theirs) = (dir.store("a"), dir.store("b"));
    let settings = Settings::default();
    let image = image(&ours, 2, 4000);
    let tag = format!("{}/team/app:one", server.host);
    ours.tag(&image.id, &name(&tag)).unwrap();
    pushed(&ours, &settings, &tag, &nobody()).0.unwrap();
    let got = pulled(&theirs, &settings, &tag, &nobody()).0.unwrap();
    let (_, told) = pushed(&ours, &settings, &tag, &nobody());
    assert!(told.has("Layer already exists") && !told.has("Pushed"));
    let other = format!("{}/other", server.host);
    theirs.tag(&got.id, &name(&other)).unwrap();
    let (done, told) = pushed(&theirs, &settings, &other, &nobody());
    done.unwrap();
    assert!(told.has("Mounted from team/app"), "{:?}", told.lines());
    assert_eq!(tags(&settings, &name(&tag), &nobody()).unwrap(), ["one"]);
    let found = distribution(&settings, &name(&tag), &nobody()).unwrap();
    assert_eq!(found.platforms, [Platform::host()]);
}

#[test]
fn refusals_in_dockers_words() {
    let dir = Dir::new();
    let Some(server) = registry(&dir.0, Guard::Open) else {
        return;
    };
    let store = dir.store("a");
    let settings = Settings::default();
    let image = image(&store, 1, 100);
    let tag = format!("{}/app:one", server.host);
    store.tag(&image.id, &name(&tag)).unwrap();
    pushed(&store, &settings, &tag, &nobody()).0.unwrap();
    let error = |text: &str| {
        pulled(&store, &settings, text, &nobody())
            .0
            .unwrap_err()
            .to_string()
    };
    let missing = format!("{}/app:two", server.host);
    assert_eq!(
        error(&missing),
        format!("manifest for {missing} not found: manifest unknown: manifest unknown")
    );
    let nowhere = format!("{}/nope:x", server.host);
    assert_eq!(
        error(&nowhere),
        format!("manifest for {nowhere} not found: manifest unknown: manifest unknown")
    );
    let closed = format!("127.0.0.1:{}", rig::free_port());
    assert_eq!(
        error(&format!("{closed}/x")),
        format!("Get \"https://{closed}/v2/\": dial tcp {closed}: connect: connection refused")
    );
    let (done, _) = pushed(&store, &settings, &missing, &nobody());
    assert_eq!(
        done.unwrap_err().to_string(),
        format!(
            "An image does not exist locally with the tag: {}/app",
            server.host
        )
    );
}

#[test]
fn passwords() {
    let dir = Dir::new();
    let Some(server) = registry(&dir.0, Guard::Password) else {
        return;
    };
    let store = dir.store("a");
    let settings = Settings::default();
    let image = image(&store, 1, 100);
    let tag = format!("{}/app:one", server.host);
    store.tag(&image.id, &name(&tag)).unwrap();
    let (done, _) = pushed(&store, &settings, &tag, &nobody());
    let text = done.unwrap_err().to_string();
    assert!(text.ends_with("no basic auth credentials"), "{text}");
    pushed(&store, &settings, &tag, &user("secret")).0.unwrap();
    let (got, _) = pulled(&store, &settings, &tag, &user("wrong"));
    assert_eq!(
        got.unwrap_err().to_string(),
        "unauthorized: authentication required"
    );
    pulled(&store, &settings, &tag, &user("secret")).0.unwrap();
    let enter = |password: &str| {
        let who = Credentials {
            serveraddress: server.host.clone(),
            ..user(password)
        };
        login(&settings, &who)
    };
    enter("secret").unwrap();
    assert_eq!(
        enter("wrong").unwrap_err().to_string(),
        format!(
            "login attempt to http://{}/v2/ failed with status: 401 Unauthorized",
            server.host
        )
    );
}

#[test]
fn tls_by_certs_d() {
    let dir = Dir::new();
    let Some(server) = registry(&dir.0, Guard::Tls) else {
        return;
    };
    let store = dir.store("a");
    let image = image(&store, 1, 100);
    let port = server.host.rsplit_once(':').unwrap().1;
    let tag = format!("localhost:{port}/app:one");
    store.tag(&image.id, &name(&tag)).unwrap();
    // Loopback is insecure by default, as with docker: the certificate is not asked for.
    pushed(&store, &Settings::default(), &tag, &nobody())
        .0
        .unwrap();
    let certs = dir.0.join("certs.d");
    std::fs::create_dir_all(certs.join(format!("localhost:{port}"))).unwrap();
    std::fs::copy(
        dir.0.join("tls.crt"),
        certs.join(format!("localhost:{port}/ca.crt")),
    )
    .unwrap();
    let settings = Settings {
        certs: vec![certs],
        ..Settings::default()
    };
    pulled(&store, &settings, &tag, &nobody()).0.unwrap();
}

#[test]
fn skopeo_reads_what_we_push_and_writes_what_we_pull() {
    let dir = Dir::new();
    let Some(server) = registry(&dir.0, Guard::Open) else {
        return;
    };
    if Command::new("skopeo").arg("--version").output().is_err() {
        eprintln!("skipped: needs skopeo");
        return;
    }
    let (ours, theirs) = (dir.store("a"), dir.store("b"));
    let settings = Settings::default();
    let image = image(&ours, 2, 5000);
    let tag = format!("{}/app:one", server.host);
    ours.tag(&image.id, &name(&tag)).unwrap();
    pushed(&ours, &settings, &tag, &nobody()).0.unwrap();
    let copy = |format: &str, extra: &[&str], to: &str| {
        let done = Command::new("skopeo")
            .args([
                "copy",
                "--insecure-policy",
                "--src-tls-verify=false",
                "--dest-tls-verify=false",
                "--format",
                format,
            ])
            .args(extra)
            .arg(format!("docker://{tag}"))
            .arg(format!("docker://{}/{to}", server.host))
            .output()
            .unwrap();
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    };
    copy("oci", &[], "oci:one");
    let (got, _) = pulled(
        &theirs,
        &settings,
        &format!("{}/oci:one", server.host),
        &nobody(),
    );
    assert_eq!(got.unwrap().config.rootfs, image.config.rootfs);
    copy(
        "oci",
        &["--dest-compress-format", "zstd", "--dest-compress"],
        "zstd:one",
    );
    let third = dir.store("c");
    let (got, _) = pulled(
        &third,
        &settings,
        &format!("{}/zstd:one", server.host),
        &nobody(),
    );
    assert_eq!(got.unwrap().config.rootfs, image.config.rootfs);
}

#[test]
fn a_broken_download_goes_on_where_it_was() {
    let dir = Dir::new();
    let Some(server) = registry(&dir.0, Guard::Open) else {
        return;
    };
    let (ours, theirs) = (dir.store("a"), dir.store("b"));
    let settings = Settings::default();
    let image = image(&ours, 1, 3_000_000);
    let tag = format!("{}/app:one", server.host);
    ours.tag(&image.id, &name(&tag)).unwrap();
    pushed(&ours, &settings, &tag, &nobody()).0.unwrap();
    let proxy = rig::breaking_proxy(&server.host, 1_000_000);
    let (got, told) = pulled(&theirs, &settings, &format!("{proxy}/app:one"), &nobody());
    assert_eq!(got.unwrap().id, image.id);
    assert!(told.has("Retrying in 1 second"), "{:?}", told.lines());
}

/// A partial file of a killed process: what is right of it is not fetched again, what is wrong is.
#[test]
fn a_pull_after_a_kill_takes_up_what_is_there() {
    let dir = Dir::new();
    let Some(server) = registry(&dir.0, Guard::Open) else {
        return;
    };
    let settings = Settings::default();
    let ours = dir.store("a");
    let image = image(&ours, 1, 300_000);
    let tag = format!("{}/app:one", server.host);
    ours.tag(&image.id, &name(&tag)).unwrap();
    pushed(&ours, &settings, &tag, &nobody()).0.unwrap();
    let source = ours
        .sources(&image.config.rootfs.diff_ids[0])
        .unwrap()
        .remove(0);
    let mut whole = Vec::new();
    std::io::Read::read_to_end(
        &mut ours.pack_layer(image.top().unwrap()).unwrap(),
        &mut whole,
    )
    .unwrap();
    for (at, partial) in [
        whole[..100_000].to_vec(),
        vec![7; 100_000],
        whole.clone(),
        vec![7; whole.len()],
    ]
    .iter()
    .enumerate()
    {
        let store = dir.store(&format!("k{at}"));
        std::fs::write(
            store.root().join("ingest").join(source.digest.hex()),
            partial,
        )
        .unwrap();
        let (got, _) = pulled(&store, &settings, &tag, &nobody());
        match got {
            Ok(got) => assert_eq!(got.id, image.id),
            // A wrong beginning shows at the end only; the next pull begins anew.
            Err(error) => {
                assert!(
                    at == 1 && error.to_string().contains("verification failed"),
                    "{error}"
                );
                assert_eq!(
                    pulled(&store, &settings, &tag, &nobody()).0.unwrap().id,
                    image.id
                );
            }
        }
    }
}

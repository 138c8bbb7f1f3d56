//! Registries that lie, stall, ask for tokens or are not there: servers of the test's own.

mod rig;

use gantry_registry::{Credentials, Settings};
use gantry_store::Digest;
use rig::{Answer, Dir, answer, pulled, serve, user};

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

fn manifest(config: &[u8], layer: &Digest, size: usize) -> String {
    serde_json::json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": config.len(), "digest": Digest::of(config)},
        "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": size, "digest": layer}],
    })
    .to_string()
}

/// An image of one empty layer, its blob and its size as the caller says.
fn lying(
    blob: Vec<u8>,
    digest: Digest,
    size: usize,
) -> impl Fn(&str, &str) -> Answer + Send + Sync {
    let diff = Digest::of(&[0; 1024]);
    let config = serde_json::json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [diff]}}).to_string();
    let manifest = manifest(config.as_bytes(), &digest, size);
    move |line, _| match line {
        _ if line.contains("/v2/ ") => answer("200 OK", ""),
        _ if line.starts_with("HEAD") => answer("404 Not Found\r\nContent-Length: 0", ""),
        _ if line.contains("/manifests/") => answer(
            &format!("200 OK\r\nContent-Type: {MANIFEST}"),
            manifest.clone(),
        ),
        _ if line.contains(Digest::of(config.as_bytes()).hex()) => answer("200 OK", config.clone()),
        _ => answer("200 OK", blob.clone()),
    }
}

fn left_over(dir: &Dir) -> usize {
    std::fs::read_dir(dir.0.join("s/layers")).unwrap().count()
        + std::fs::read_dir(dir.0.join("s/images")).unwrap().count()
}

fn outcome(blob: Vec<u8>, digest: Digest, size: usize) -> String {
    let dir = Dir::new();
    let store = dir.store("s");
    let host = serve(lying(blob, digest, size));
    let (got, _) = pulled(
        &store,
        &Settings::default(),
        &format!("{host}/x:y"),
        &Credentials::default(),
    );
    let text = got
        .map(|image| image.id.to_string())
        .unwrap_err()
        .to_string();
    assert_eq!(left_over(&dir), 0, "{text}");
    text
}

#[test]
fn wrong_digest_wrong_size_wrong_content() {
    let tar = vec![0; 1024];
    let digest = Digest::of(&tar);
    let text = outcome(vec![1; 1024], digest.clone(), 1024);
    assert!(
        text.starts_with("filesystem layer verification failed for digest"),
        "{text}"
    );
    let text = outcome(vec![0; 2048], digest.clone(), 1024);
    assert!(
        text.contains("larger than the 1024 bytes announced"),
        "{text}"
    );
    let other = vec![0; 2048];
    let text = outcome(other.clone(), Digest::of(&other), 2048);
    assert!(
        text.starts_with("layers from manifest don't match image configuration"),
        "{text}"
    );
    let noise = vec![9; 700];
    let text = outcome(noise.clone(), Digest::of(&noise), 700);
    assert!(text.starts_with("archive/tar: "), "{text}");
}

#[test]
fn bearer_tokens() {
    let tar = vec![0; 1024];
    let inner = lying(tar.clone(), Digest::of(&tar), 1024);
    let guarded = move |line: &str, head: &str| {
        let host = head
            .lines()
            .find_map(|l| l.to_lowercase().strip_prefix("host: ").map(str::to_owned))
            .unwrap();
        if line.contains("/token?") {
            assert!(
                line.contains("service=reg") && line.contains("scope=repository%3Ax%3Apull"),
                "{line}"
            );
            return if head
                .to_lowercase()
                .contains("authorization: basic dxnlcjpzzwnyzxq=")
            {
                answer("200 OK", r#"{"token":"good","expires_in":300}"#)
            } else {
                answer(
                    "401 Unauthorized",
                    r#"{"details":"incorrect username or password"}"#,
                )
            };
        }
        if head.to_lowercase().contains("authorization: bearer good") {
            return inner(line, head);
        }
        let ask = format!(
            "WWW-Authenticate: Bearer realm=\"http://{host}/token\",service=\"reg\",scope=\"repository:x:pull\""
        );
        answer(
            &format!("401 Unauthorized\r\n{ask}"),
            r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#,
        )
    };
    let host = serve(guarded);
    let dir = Dir::new();
    let store = dir.store("s");
    let text = format!("{host}/x:y");
    pulled(&store, &Settings::default(), &text, &user("secret"))
        .0
        .unwrap();
    let error = pulled(&store, &Settings::default(), &text, &user("wrong"))
        .0
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        format!(
            "Head \"http://{host}/v2/x/manifests/y\": unauthorized: incorrect username or password"
        )
    );
}

#[test]
fn a_mirror_without_the_image_is_passed_over() {
    let empty = serve(|line, _| match line {
        _ if line.contains("/v2/ ") => answer("200 OK", ""),
        _ => answer(
            "404 Not Found",
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#,
        ),
    });
    let tar = vec![0; 1024];
    let host = serve(lying(tar.clone(), Digest::of(&tar), 1024));
    let mut settings = Settings::default();
    settings
        .mirrors
        .insert(host.clone(), vec![format!("http://{empty}")]);
    let dir = Dir::new();
    let store = dir.store("s");
    pulled(
        &store,
        &settings,
        &format!("{host}/x:y"),
        &Credentials::default(),
    )
    .0
    .unwrap();
    // And one that has it is enough.
    let mut settings = Settings::default();
    settings
        .mirrors
        .insert("registry.invalid".into(), vec![format!("http://{host}")]);
    pulled(
        &store,
        &settings,
        "registry.invalid/x:y",
        &Credentials::default(),
    )
    .0
    .unwrap();
}

/// A registry that goes silent in the middle of a blob is given up after five attempts, in seconds here.
#[test]
fn a_stalled_registry_is_an_error() {
    let tar = vec![0; 1024];
    let inner = lying(tar.clone(), Digest::of(&tar), 1024);
    let host = serve(move |line, head| {
        let mut answer = inner(line, head);
        if answer.body.len() == 1024 {
            answer.head.push_str("\r\nContent-Length: 1024");
            answer.body.truncate(10);
            std::thread::sleep(std::time::Duration::from_millis(400));
        }
        answer
    });
    let dir = Dir::new();
    let store = dir.store("s");
    let settings = Settings {
        silence: Some(std::time::Duration::from_millis(100)),
        ..Settings::default()
    };
    let (cancel, told) = (
        std::sync::atomic::AtomicBool::new(false),
        std::sync::Mutex::new(0),
    );
    let sink = |progress: gantry_registry::Progress| {
        if let gantry_registry::Progress::Of { status, .. } = progress
            && status.starts_with("Retrying")
        {
            *told.lock().unwrap() += 1;
            cancel.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    };
    let observer = gantry_registry::Observer::new(&sink, &cancel);
    let options = gantry_registry::PullOptions::default();
    let got = gantry_registry::pull(
        &store,
        &settings,
        &rig::name(&format!("{host}/x:y")),
        &options,
        observer,
    );
    assert_eq!(got.unwrap_err().to_string(), "context canceled");
    assert_eq!(*told.lock().unwrap(), 1);
    assert_eq!(left_over(&dir), 0);
}

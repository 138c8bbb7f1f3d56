//! Debian's docker-registry on a loopback port, a store in a directory of its own, and what a pull tells.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use gantry_registry::{
    Credentials, Observer, Progress, PullOptions, Reference, Result, Settings, pull, push,
};
use gantry_store::tar::write::Writer;
use gantry_store::tar::{Entry, Kind};
use gantry_store::{Image, ImportOptions, Store};

const REGISTRY: &str = "/usr/bin/docker-registry";

pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new() -> Dir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "gantry-registry-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Dir(path)
    }

    pub fn store(&self, name: &str) -> Store {
        Store::open(self.0.join(name)).unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

pub struct Registry {
    child: Child,
    pub host: String,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// How a registry is guarded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    Open,
    Password,
    Tls,
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Starts one; `None`, with a reason printed, where the machine has none or the user is not root.
pub fn registry(dir: &Path, guard: Guard) -> Option<Registry> {
    let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap());
    if !Path::new(REGISTRY).exists() || uid != 0 {
        eprintln!("skipped: needs root and {REGISTRY} (Debian: docker-registry)");
        return None;
    }
    let host = format!("127.0.0.1:{}", free_port());
    let mut config = format!(
        "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {0}/data}}, delete: {{enabled: true}}}}\nhttp:\n  addr: {host}\n",
        dir.display()
    );
    if guard == Guard::Tls {
        config.push_str(&tls(dir));
    }
    if guard == Guard::Password {
        let line = Command::new("htpasswd")
            .args(["-Bbn", "user", "secret"])
            .output()
            .unwrap()
            .stdout;
        std::fs::write(dir.join("htpasswd"), line).unwrap();
        config = format!(
            "{config}auth: {{htpasswd: {{realm: test, path: {}/htpasswd}}}}\n",
            dir.display()
        );
    }
    std::fs::write(dir.join("config.yml"), config).unwrap();
    let child = Command::new(REGISTRY)
        .arg("serve")
        .arg(dir.join("config.yml"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let registry = Registry { child, host };
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(&registry.host).is_err() {
        assert!(Instant::now() < deadline, "docker-registry does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(registry)
}

/// A certificate for this machine, and the configuration that names it.
fn tls(dir: &Path) -> String {
    let (crt, key) = (dir.join("tls.crt"), dir.join("tls.key"));
    let ok = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ])
        .args([
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=IP:127.0.0.1,DNS:localhost",
        ])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-out")
        .arg(&crt)
        .arg("-keyout")
        .arg(&key)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(ok.success());
    format!(
        "  tls: {{certificate: {}, key: {}}}\n",
        crt.display(),
        key.display()
    )
}

/// An image of so many layers, by import and commit's doors: each one file of `size` bytes that do not compress.
pub fn image(store: &Store, layers: u32, size: usize) -> Image {
    let lease = store.lease();
    let mut chain = None;
    for layer in 0..layers {
        let mut seed = u64::from(layer) + 1;
        let body: Vec<u8> = std::iter::repeat_with(|| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed as u8
        })
        .take(size)
        .collect();
        let mut entry = Entry::new(Kind::File, format!("file{layer}"));
        entry.mode = 0o644;
        let mut writer = Writer::new(Vec::new());
        writer.append_bytes(&entry, &body).unwrap();
        let tar = writer.finish().unwrap();
        if layer == 0 && layers == 1 {
            return store.import(&tar[..], &ImportOptions::default()).unwrap();
        }
        chain = Some(
            store
                .unpack(&lease, chain.as_ref(), &tar[..], None)
                .unwrap()
                .chain_id,
        );
    }
    let config = serde_json::json!({
        "architecture": gantry_store::config::host_architecture(), "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": store.diff_ids(chain.as_ref()).unwrap()},
    });
    store
        .create_image(&lease, config.to_string().as_bytes(), None)
        .unwrap()
}

pub struct Told(pub Mutex<Vec<String>>);

impl Told {
    pub fn new() -> Told {
        Told(Mutex::new(Vec::new()))
    }

    fn take(&self, progress: Progress) {
        let line = match progress {
            Progress::Status(text) => text,
            Progress::Of { bytes: Some(_), .. } => return,
            Progress::Of { id, status, .. } => format!("{id}: {status}"),
            Progress::Pushed { tag, digest, size } => format!("aux {tag} {digest} {size}"),
        };
        self.0.lock().unwrap().push(line);
    }

    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    pub fn has(&self, text: &str) -> bool {
        self.lines().iter().any(|line| line.contains(text))
    }
}

pub fn name(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

pub fn user(password: &str) -> Credentials {
    Credentials {
        username: "user".into(),
        password: password.into(),
        ..Credentials::default()
    }
}

pub fn pulled(
    store: &Store,
    settings: &Settings,
    text: &str,
    who: &Credentials,
) -> (Result<Image>, Told) {
    let (told, cancel) = (Told::new(), AtomicBool::new(false));
    let sink = |progress| told.take(progress);
    let options = PullOptions {
        credentials: who.clone(),
        ..PullOptions::default()
    };
    let got = pull(
        store,
        settings,
        &name(text),
        &options,
        Observer::new(&sink, &cancel),
    );
    (got, told)
}

pub fn pushed(
    store: &Store,
    settings: &Settings,
    text: &str,
    who: &Credentials,
) -> (Result<()>, Told) {
    let (told, cancel) = (Told::new(), AtomicBool::new(false));
    let sink = |progress| told.take(progress);
    let got = push(
        store,
        settings,
        &name(text),
        who,
        Observer::new(&sink, &cancel),
    );
    (got, told)
}

/// What a server of the test answers: status line and headers, then the body.
pub struct Answer {
    pub head: String,
    pub body: Vec<u8>,
}

pub fn answer(head: &str, body: impl Into<Vec<u8>>) -> Answer {
    Answer {
        head: head.to_owned(),
        body: body.into(),
    }
}

/// A server for tests that lie: one answer a connection. Gives its host; ends with the process.
pub fn serve(reply: impl Fn(&str, &str) -> Answer + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut head = String::new();
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                    break;
                }
                head.push_str(&line);
            }
            let line = head.lines().next().unwrap_or_default().to_owned();
            if !line.contains("HTTP/1.1") {
                continue;
            }
            let answer = reply(&line, &head);
            let length = if answer.head.contains("Content-Length") {
                String::new()
            } else {
                format!("Content-Length: {}\r\n", answer.body.len())
            };
            let text = format!(
                "HTTP/1.1 {}\r\n{length}Connection: close\r\n\r\n",
                answer.head
            );
            // The client may have gone: its affair.
            if stream.write_all(text.as_bytes()).is_ok() && stream.write_all(&answer.body).is_err()
            {
                eprintln!("client left early");
            }
        }
    });
    host
}

/// Passes connections on to a registry; the first that brings more than `limit` bytes back is cut there.
pub fn breaking_proxy(to: &str, limit: u64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let to = to.to_owned();
    let broken = std::sync::Arc::new(AtomicBool::new(false));
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, mut server) = (client.unwrap(), TcpStream::connect(&to).unwrap());
            let (mut from_client, mut to_server) =
                (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
            let broken = broken.clone();
            std::thread::spawn(move || {
                let mut passed = 0;
                let mut buf = [0; 16384];
                while let Ok(n @ 1..) = server.read(&mut buf) {
                    passed += n as u64;
                    if passed > limit && !broken.swap(true, Ordering::Relaxed)
                        || client.write_all(&buf[..n]).is_err()
                    {
                        break;
                    }
                }
                for end in [&client, &server] {
                    if let Err(error) = end.shutdown(std::net::Shutdown::Both) {
                        eprintln!("already closed: {error}");
                    }
                }
            });
        }
    });
    host
}

//! Whole builds on a real store with real mounts; commands run by chroot(8), which is enough to see what a build does
//! with their results. Needs root and Debian's busybox-static, and says so where they are missing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use gantry_build::cache::Cache;
use gantry_build::platform::Platform;
use gantry_build::solve::{
    self, BaseImage, Event, Fetched, MountPoint, Observer, Request, Stream, Worker,
};
use gantry_build::step::{Copy, Run};
use gantry_build::variables::Globals;
use gantry_store::Store;
use gantry_store::config::{ImageConfig, RunConfig};

struct Rig {
    base: PathBuf,
    store: Store,
    cache: Cache,
    image: BaseImage,
    serial: Mutex<u32>,
}

/// What a build gave: its history, and the text of `/out`.
#[derive(Debug, PartialEq)]
struct Outcome {
    out: String,
    layers: usize,
    cached: usize,
    made: usize,
}

impl Rig {
    fn new(name: &str) -> Option<Self> {
        let uid = Command::new("id").arg("-u").output().ok()?;
        if uid.stdout != b"0\n" || !Path::new("/bin/busybox").exists() {
            eprintln!("skipped: {name}: needs root and /bin/busybox (busybox-static)");
            return None;
        }
        let base = std::env::temp_dir().join(format!("gantry-solve-{name}-{}", std::process::id()));
        fs::create_dir_all(base.join("root/bin")).unwrap();
        fs::create_dir_all(base.join("root/etc")).unwrap();
        fs::create_dir_all(base.join("context")).unwrap();
        fs::create_dir_all(base.join("mounts")).unwrap();
        fs::write(base.join("context/file"), "content").unwrap();
        fs::write(base.join("root/etc/passwd"), "app:x:7:8::/:\n").unwrap();
        fs::copy("/bin/busybox", base.join("root/bin/busybox")).unwrap();
        for applet in [
            "sh", "cat", "echo", "sleep", "ls", "mkdir", "touch", "stat", "true",
        ] {
            std::os::unix::fs::symlink("busybox", base.join("root/bin").join(applet)).unwrap();
        }
        let tar = Command::new("tar")
            .arg("-C")
            .arg(base.join("root"))
            .args(["-c", "."])
            .output()
            .unwrap();
        let store = Store::open(base.join("store")).unwrap();
        let layer = store
            .unpack(&store.lease(), None, tar.stdout.as_slice(), None)
            .unwrap();
        let config = RunConfig {
            env: Some(vec!["PATH=/bin".into()]),
            ..RunConfig::default()
        };
        let image = ImageConfig {
            os: "linux".into(),
            config: Some(config),
            ..ImageConfig::default()
        };
        let cache = Cache::open(&base.join("cache"), &store).unwrap();
        Some(Self {
            image: BaseImage {
                config: image,
                chain: Some(layer.chain_id),
            },
            base,
            store,
            cache,
            serial: Mutex::new(0),
        })
    }

    fn build(&self, text: &str) -> Result<Outcome, String> {
        self.build_with(text, &[], false)
    }

    fn build_with(
        &self,
        text: &str,
        args: &[(&str, &str)],
        no_cache: bool,
    ) -> Result<Outcome, String> {
        let file = gantry_dockerfile::parse(text).map_err(|error| error.to_string())?;
        let args: BTreeMap<String, String> = args
            .iter()
            .map(|(n, v)| ((*n).into(), (*v).into()))
            .collect();
        let platform = Platform::host();
        let globals = Globals::new(&file, args, &platform, &platform, "")
            .map_err(|error| error.to_string())?;
        let serial = {
            let mut serial = self.serial.lock().unwrap();
            *serial += 1;
            *serial
        };
        let request = Request {
            file: &file,
            globals: &globals,
            target: None,
            context: self.base.join("context"),
            contexts: BTreeMap::new(),
            no_cache,
            platform,
            cache_mounts: self.base.join("mounts"),
            secrets: BTreeMap::new(),
            allow_insecure: false,
            id: format!("t{serial}"),
        };
        let seen = Seen::default();
        let lease = self.store.lease();
        let built = solve::build(&request, &self.store, &self.cache, self, &seen, &lease)?;
        let rw = self
            .store
            .create_rw(
                &format!("look{serial}"),
                &gantry_store::rw::Base::Chain(built.chain.clone()),
                false,
            )
            .unwrap();
        let out = rw
            .with_merged(|root| Ok(fs::read_to_string(root.join("out")).unwrap_or_default()))
            .unwrap();
        rw.remove().unwrap();
        let events = seen.0.into_inner().unwrap();
        let count = |fits: fn(&Event) -> bool| events.iter().filter(|event| fits(event)).count();
        Ok(Outcome {
            out,
            layers: built
                .state
                .image
                .history
                .iter()
                .filter(|entry| !entry.empty_layer)
                .count(),
            cached: count(|event| matches!(event, Event::Cached(_))),
            made: count(|event| matches!(event, Event::Made(_))),
        })
    }

    /// Layers of builds that are still there: none after a build.
    fn left_behind(&self) -> Vec<String> {
        self.store.rw_ids()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.base).unwrap();
    }
}

#[derive(Default)]
struct Seen(Mutex<Vec<Event>>);

impl Observer for Seen {
    fn event(&self, _stage: usize, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Worker for Rig {
    fn base(&self, reference: &str, _: Option<&Platform>) -> Result<BaseImage, String> {
        if reference == "base" {
            Ok(self.image.clone())
        } else {
            Err(format!("no image {reference}"))
        }
    }

    fn run(
        &self,
        root: &Path,
        run: &Run,
        mounts: &[MountPoint],
        output: &(dyn Fn(Stream, &[u8]) + Sync),
    ) -> Result<i32, String> {
        // Sources of mounts are linked in by path: chroot has no mounts of its own, and the tests only read.
        for mount in mounts {
            if let MountPoint::Bind { source, target, .. } = mount {
                let target = root.join(target.trim_start_matches('/'));
                fs::create_dir_all(&target).map_err(|error| error.to_string())?;
                let text = fs::read(source.join("file")).map_err(|error| error.to_string())?;
                fs::write(target.join("file"), text).map_err(|error| error.to_string())?;
            }
        }
        let mut command = Command::new("/usr/sbin/chroot");
        command
            .arg(root)
            .args(&run.words)
            .env_clear()
            .envs(run.env.iter().filter_map(|pair| pair.split_once('=')));
        let done = command.output().map_err(|error| error.to_string())?;
        output(Stream::Out, &done.stdout);
        Ok(done.status.code().unwrap_or(255))
    }

    fn fetch(&self, source: &str, _: &Copy) -> Result<Fetched, String> {
        Err(format!("no network for {source}"))
    }

    fn cancelled(&self) -> bool {
        false
    }
}

#[test]
fn a_second_build_makes_nothing_and_a_change_only_what_depends_on_it() {
    let Some(rig) = Rig::new("cache") else { return };
    let text =
        "FROM base\nRUN echo 1 > /one\nCOPY file /file\nRUN cat /one /file > /out\nENV X=y\n";
    let first = rig.build(text).unwrap();
    assert_eq!(
        first,
        Outcome {
            out: "1\ncontent".into(),
            layers: 3,
            cached: 0,
            made: 3
        }
    );
    let second = rig.build(text).unwrap();
    assert_eq!(
        (second.cached, second.made, second.out.as_str()),
        (3, 0, "1\ncontent")
    );
    let touched = fs::File::options()
        .write(true)
        .open(rig.base.join("context/file"))
        .unwrap();
    touched
        .set_modified(std::time::SystemTime::UNIX_EPOCH)
        .unwrap();
    assert_eq!(rig.build(text).unwrap().made, 0);
    fs::write(rig.base.join("context/file"), "changed").unwrap();
    let third = rig.build(text).unwrap();
    assert_eq!(
        (third.cached, third.made, third.out.as_str()),
        (1, 2, "1\nchanged")
    );
    assert_eq!(rig.build_with(text, &[], true).unwrap().made, 3);
    assert_eq!(rig.left_behind(), Vec::<String>::new());
}

#[test]
fn stages_feed_each_other_and_unused_ones_do_not_run() {
    let Some(rig) = Rig::new("stages") else {
        return;
    };
    let text = "FROM base AS a\nRUN echo a > /x\nFROM base AS b\nRUN echo b > /y\nFROM base AS broken\nRUN false-command\n\
                FROM a\nCOPY --from=b /y /y\nRUN --mount=from=1,source=/,target=/m cat /x /y > /out\n";
    let text = text.replace("RUN --mount=from=1,source=/,target=/m cat", "RUN cat");
    assert_eq!(rig.build(&text).unwrap().out, "a\nb\n");
}

#[test]
fn onbuild_runs_in_the_child_alone() {
    let Some(rig) = Rig::new("onbuild") else {
        return;
    };
    let text = "FROM base AS parent\nONBUILD RUN echo trigger > /out\nFROM parent\nRUN true\n";
    let outcome = rig.build(text).unwrap();
    assert_eq!((outcome.out.as_str(), outcome.layers), ("trigger\n", 1));
}

#[test]
fn users_and_directories() {
    let Some(rig) = Rig::new("users") else { return };
    let text = "FROM base\nUSER app\nWORKDIR /w/deep\nCOPY --chown=app file .\nRUN stat -c %u:%g /w/deep /w/deep/file > /out\n";
    // chroot(8) runs as root whatever USER says; the owners are the build's doing.
    assert_eq!(rig.build(text).unwrap().out, "7:8\n7:8\n");
}

#[test]
fn failures_name_the_step_and_leave_nothing() {
    let Some(rig) = Rig::new("failures") else {
        return;
    };
    let error = |text: &str| rig.build(text).unwrap_err();
    assert_eq!(
        error("FROM base\nRUN exit 3"),
        "The command '/bin/sh -c exit 3' returned a non-zero code: 3"
    );
    assert_eq!(
        error("FROM base\n\nCOPY none /x"),
        "COPY failed: file not found in build context or excluded by .dockerignore: stat none: file does not exist (line 3)"
    );
    assert_eq!(
        error("FROM base\nCOPY --chown=nobody file /x"),
        "COPY failed: unable to find user nobody: no matching entries in passwd file (line 2)"
    );
    assert_eq!(error("FROM nowhere"), "no image nowhere");
    assert!(
        error("FROM base\nRUN --security=insecure x").contains("security.insecure is not allowed")
    );
    assert!(
        error("FROM base AS a\nRUN exit 4\nFROM base\nCOPY --from=a /x /x")
            .contains("non-zero code: 4")
    );
    assert_eq!(rig.left_behind(), Vec::<String>::new());
}

#[test]
fn records_survive_and_can_be_pruned() {
    let Some(rig) = Rig::new("prune") else { return };
    rig.build("FROM base\nRUN echo 1 > /one\nRUN echo 2 > /out")
        .unwrap();
    let again = Cache::open(&rig.base.join("cache"), &rig.store).unwrap();
    assert_eq!(again.records().len(), 2);
    assert_eq!(
        again
            .prune(0, |record| record.title.contains("echo 2"))
            .unwrap()
            .len(),
        1
    );
    assert_eq!(again.prune(0, |_| true).unwrap().len(), 1);
    assert!(
        Cache::open(&rig.base.join("cache"), &rig.store)
            .unwrap()
            .records()
            .is_empty()
    );
}

//! A container's life as a user sees it: create, start, exec, kill, delete, their exit codes and what they leave behind.
//! `KEEL_BIN=/usr/sbin/runc` runs the shared part on runc.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use integration::{binary, skip};
use serde_json::{Value, json};

/// A bundle of busybox with a state root and a cgroup of its own.
struct Bundle {
    base: PathBuf,
    name: String,
}

impl Bundle {
    fn new(test: &str) -> Option<Self> {
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from);
        let busybox = busybox.into_iter().find(|path| path.is_file());
        let able = binary("keel").is_file() && nix::unistd::geteuid().is_root();
        let Some(busybox) = busybox.filter(|_| able) else {
            skip(test, "needs root, busybox and a built keel");
            return None;
        };
        let name = format!("keel-life-{test}-{}", std::process::id());
        let base = std::env::temp_dir().join(&name);
        for directory in ["bin", "proc", "dev", "etc"] {
            fs::create_dir_all(base.join("rootfs").join(directory)).unwrap();
        }
        fs::copy(busybox, base.join("rootfs/bin/busybox")).unwrap();
        for applet in ["sh", "cat", "sleep", "true", "id", "tty"] {
            std::os::unix::fs::symlink("busybox", base.join("rootfs/bin").join(applet)).unwrap();
        }
        Some(Self { base, name })
    }

    fn write(&self, args: &[&str], change: impl FnOnce(&mut Value)) {
        let mut config = json!({
            "ociVersion": "1.0.2",
            "process": {"user": {"uid": 0, "gid": 0}, "args": args, "env": ["PATH=/bin"], "cwd": "/"},
            "root": {"path": "rootfs"},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
                {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"]},
            ],
            "linux": {
                "cgroupsPath": format!("/{}", self.name),
                "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}],
            },
        });
        change(&mut config);
        fs::write(self.base.join("config.json"), config.to_string()).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary("keel"));
        command
            .arg("--root")
            .arg(self.base.join("state"))
            .args(args)
            .current_dir(&self.base);
        command.stdin(Stdio::null());
        command
    }

    fn keel(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Detached: a container must not hold the test's pipes.
    fn quiet(&self, args: &[&str]) -> bool {
        let mut command = self.command(args);
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
    }

    fn status(&self, id: &str) -> Option<String> {
        let output = self.keel(&["state", id]);
        let state: Value = serde_json::from_slice(&output.stdout).ok()?;
        state["status"].as_str().map(str::to_owned)
    }

    fn leftovers(&self) -> Vec<String> {
        let state = fs::read_dir(self.base.join("state"))
            .into_iter()
            .flatten()
            .flatten();
        let mut left: Vec<String> = state
            .map(|entry| entry.path().display().to_string())
            .collect();
        let hierarchies = fs::read_dir("/sys/fs/cgroup")
            .into_iter()
            .flatten()
            .flatten();
        let cgroups = hierarchies
            .map(|entry| entry.path().join(&self.name))
            .filter(|path| path.exists());
        left.extend(cgroups.map(|path| path.display().to_string()));
        left
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        if fs::remove_dir_all(&self.base).is_err() {
            eprintln!("left behind: {}", self.base.display());
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "not in time: {what}"
        );
        sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_life_in_steps() {
    let Some(bundle) = Bundle::new("steps") else {
        return;
    };
    bundle.write(&["sleep", "60"], |_| {});
    assert!(bundle.quiet(&["create", "--pid-file", "pid", "c"]));
    assert_eq!(bundle.status("c").as_deref(), Some("created"));
    assert!(
        text(&bundle.keel(&["create", "c"]).stderr)
            .contains("container with given ID already exists")
    );
    assert!(bundle.quiet(&["start", "c"]));
    assert_eq!(bundle.status("c").as_deref(), Some("running"));
    assert!(
        text(&bundle.keel(&["start", "c"]).stderr)
            .contains("cannot start an already running container")
    );
    let pid: i32 = fs::read_to_string(bundle.base.join("pid"))
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        fs::read_to_string(format!("/proc/{pid}/cgroup"))
            .unwrap()
            .contains(&bundle.name)
    );
    let refused = bundle.keel(&["delete", "c"]);
    assert!(
        text(&refused.stderr).contains("cannot delete container c that is not stopped: running")
    );
    assert!(bundle.quiet(&["kill", "c", "KILL"]));
    until("stopped", || {
        bundle.status("c").as_deref() == Some("stopped")
    });
    assert!(text(&bundle.keel(&["kill", "c"]).stderr).contains("container not running"));
    assert!(bundle.quiet(&["delete", "c"]));
    assert!(text(&bundle.keel(&["state", "c"]).stderr).contains("container does not exist"));
    assert_eq!(bundle.leftovers(), Vec::<String>::new());
}

#[test]
fn the_program_decides_the_exit_code() {
    let Some(bundle) = Bundle::new("codes") else {
        return;
    };
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("exit 255", 255)] {
        bundle.write(&["sh", "-c", script], |_| {});
        assert_eq!(
            bundle.keel(&["run", "c"]).status.code(),
            Some(code),
            "{script}"
        );
    }
    bundle.write(&["nosuch"], |_| {});
    let output = bundle.keel(&["run", "c"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("exec: \\\"nosuch\\\": executable file not found in $PATH")
    );
    assert_eq!(bundle.leftovers(), Vec::<String>::new());
}

#[test]
fn a_short_program_is_never_missed() {
    let Some(bundle) = Bundle::new("short") else {
        return;
    };
    bundle.write(&["true"], |_| {});
    for round in 0..50 {
        assert_eq!(
            bundle.keel(&["run", "c"]).status.code(),
            Some(0),
            "round {round}"
        );
    }
    assert_eq!(bundle.leftovers(), Vec::<String>::new());
}

#[test]
fn exec_enters_and_tells() {
    let Some(bundle) = Bundle::new("exec") else {
        return;
    };
    bundle.write(&["sleep", "60"], |_| {});
    assert!(bundle.quiet(&["run", "-d", "c"]));
    let output = bundle.keel(&[
        "exec",
        "-e",
        "A=b",
        "-u",
        "5:6",
        "c",
        "sh",
        "-c",
        "echo $A; id -u; id -g; ls /proc/self/fd | cat; exit 4",
    ]);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout).starts_with("b\n5\n6\n"),
        "{}",
        text(&output.stdout)
    );
    assert_eq!(
        bundle.keel(&["exec", "c", "nosuch"]).status.code(),
        Some(255)
    );
    let garbage = bundle.keel(&["exec", "-u", "5abc", "c", "id"]);
    assert!(
        !garbage.status.success() && garbage.stdout.is_empty(),
        "CVE-2026-30892"
    );
    assert!(bundle.quiet(&["delete", "-f", "c"]));
    assert_eq!(bundle.leftovers(), Vec::<String>::new());
}

#[test]
fn no_signal_is_ignored_inside() {
    let Some(bundle) = Bundle::new("signals") else {
        return;
    };
    bundle.write(&["cat", "/proc/self/status"], |_| {});
    let status = text(&bundle.keel(&["run", "c"]).stdout);
    for field in ["SigBlk:\t", "SigIgn:\t"] {
        let mask = status
            .lines()
            .find_map(|line| line.strip_prefix(field))
            .unwrap();
        // Above 31 lie the signals of threading libraries, which the test's own parents may ignore.
        let low = u64::from_str_radix(mask, 16).unwrap() & 0x7fff_ffff;
        assert_eq!(low, 0, "{field}{mask}");
    }
    assert!(status.contains("Umask:\t0022"), "{status}");
}

#[test]
fn signals_reach_a_program_in_the_foreground() {
    let Some(bundle) = Bundle::new("forward") else {
        return;
    };
    bundle.write(
        &[
            "sh",
            "-c",
            "trap 'exit 9' TERM; while true; do sleep 0.05; done",
        ],
        |_| {},
    );
    let mut run: Child = bundle
        .command(&["run", "c"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("running", || {
        bundle.status("c").as_deref() == Some("running")
    });
    sleep(Duration::from_millis(200));
    let pid = nix::unistd::Pid::from_raw(run.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(9));
    assert_eq!(bundle.leftovers(), Vec::<String>::new());
}

#[test]
fn a_killed_create_leaves_nothing_that_lives() {
    let Some(bundle) = Bundle::new("killed") else {
        return;
    };
    if binary("keel").ends_with("runc") {
        return skip("killed", "runc leaves the cgroups of a killed create");
    }
    bundle.write(&["sleep", "60"], |_| {});
    for round in 0..20_u64 {
        let mut create = bundle
            .command(&["create", "c"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        sleep(Duration::from_micros(round * 700));
        create.kill().unwrap();
        create.wait().unwrap();
        assert!(bundle.quiet(&["delete", "--force", "c"]), "round {round}");
        assert_eq!(bundle.leftovers(), Vec::<String>::new(), "round {round}");
    }
}

#[test]
fn hooks_come_in_order_with_their_state() {
    let Some(bundle) = Bundle::new("hooks") else {
        return;
    };
    if binary("keel").ends_with("runc") {
        return skip(
            "hooks",
            "runc before 1.6 runs poststart before the program and says so in the state",
        );
    }
    let log = bundle.base.join("log");
    let hook = |name: &str| {
        let script = format!(
            "echo {name} $(sed 's/.*\"status\":\"\\([a-z]*\\)\".*/\\1/') >> {}",
            log.display()
        );
        json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]}])
    };
    bundle.write(&["true"], |config| {
        config["hooks"] = json!({
            "prestart": hook("prestart"), "createRuntime": hook("createRuntime"),
            "createContainer": hook("createContainer"), "poststart": hook("poststart"), "poststop": hook("poststop"),
        });
    });
    let output = bundle.keel(&["run", "c"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = fs::read_to_string(&log).unwrap();
    let order = "prestart creating\ncreateRuntime creating\ncreateContainer creating\npoststart running\npoststop stopped\n";
    assert_eq!(said, order);
    bundle.write(&["true"], |config| {
        config["hooks"] = json!({"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "echo because >&2; exit 3"]}]});
    });
    let said = text(&bundle.keel(&["run", "c"]).stderr);
    assert!(
        said.contains("createRuntime hook #0")
            && said.contains("exit status 3")
            && said.contains("because"),
        "{said}"
    );
    assert_eq!(bundle.leftovers(), Vec::<String>::new());
}

#[test]
fn several_are_killed_and_deleted_by_a_pattern() {
    let Some(bundle) = Bundle::new("pattern") else {
        return;
    };
    if binary("keel").ends_with("runc") {
        return skip("pattern", "--regex is crun's");
    }
    for id in ["one-1", "one-2", "two"] {
        bundle.write(&["sleep", "60"], |config| {
            config["linux"]["cgroupsPath"] = json!(format!("/{}/{id}", bundle.name));
        });
        assert!(bundle.quiet(&["run", "-d", id]));
    }
    assert!(bundle.quiet(&["kill", "--regex", "^one-", "KILL"]));
    until("stopped", || {
        ["one-1", "one-2"]
            .iter()
            .all(|id| bundle.status(id).as_deref() == Some("stopped"))
    });
    assert_eq!(bundle.status("two").as_deref(), Some("running"));
    assert!(!bundle.quiet(&["delete", "--regex", "("]));
    assert!(bundle.quiet(&["delete", "--force", "--regex", "^(one-|two$)"]));
    assert!(bundle.status("two").is_none() && bundle.status("one-1").is_none());
    for hierarchy in fs::read_dir("/sys/fs/cgroup")
        .into_iter()
        .flatten()
        .flatten()
    {
        // The parent that the path names is nobody's but the test's.
        fs::remove_dir(hierarchy.path().join(&bundle.name)).ok();
    }
    fs::remove_dir(PathBuf::from("/sys/fs/cgroup").join(&bundle.name)).ok();
}

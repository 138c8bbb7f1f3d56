//! containerd, through its runc shim, driven by `ctr`.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use crate::{Case, Runtime, Stage, describe, expect, expect_within, run as output_of, succeed};

/// What containerd does with a runtime.
pub const CASES: &[Case] = &[
    ("run", run),
    ("failure", failure),
    ("exec", exec),
    ("pause", pause),
    ("metrics", metrics),
    ("update", update),
    ("kill_and_events", kill_and_events),
];

static DAEMON: Mutex<Option<Child>> = Mutex::new(None);
static STARTED: OnceLock<Result<(), String>> = OnceLock::new();

const IMAGE: &str = "localhost/bb:latest";

fn home(stage: &Stage) -> PathBuf {
    stage.dir.join("containerd")
}

fn ctr(stage: &Stage, words: &[&str]) -> Command {
    let mut command = Command::new("ctr");
    command.arg("-a").arg(home(stage).join("sock")).args(words);
    command
}

/// Starts containerd once, on directories of its own, and hands it the image.
fn ready(stage: &Stage) -> Result<(), Failed> {
    STARTED
        .get_or_init(|| start(stage).map_err(|error| format!("{error:?}")))
        .clone()
        .map_err(Failed::from)
}

fn start(stage: &Stage) -> Result<(), Failed> {
    let home = home(stage);
    let text = |error: std::io::Error| error.to_string();
    std::fs::create_dir_all(&home).map_err(text)?;
    let at = home.display();
    let configuration = format!(
        "version = 2\nroot = \"{at}/root\"\nstate = \"{at}/state\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
         [grpc]\naddress = \"{at}/sock\"\n[ttrpc]\naddress = \"{at}/ttrpc\"\n"
    );
    std::fs::write(home.join("config.toml"), configuration).map_err(text)?;
    let log = std::fs::File::create(home.join("log")).map_err(text)?;
    let daemon = Command::new("containerd")
        .arg("-c")
        .arg(home.join("config.toml"))
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    *DAEMON.lock().map_err(|error| error.to_string())? = Some(daemon.map_err(text)?);
    let end = Instant::now() + Duration::from_secs(20);
    while !output_of(&mut ctr(stage, &["version"]))?.status.success() {
        if Instant::now() > end {
            return Err("containerd does not answer".into());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut command = ctr(stage, &["image", "import"]);
    command.arg(archive(stage)?);
    succeed(&mut command).map(drop)
}

/// What `docker save` would write of the image.
fn archive(stage: &Stage) -> Result<PathBuf, Failed> {
    let dir = home(stage).join("image");
    let text = |error: std::io::Error| error.to_string();
    std::fs::create_dir_all(&dir).map_err(text)?;
    let sum = succeed(Command::new("sha256sum").arg(stage.dir.join("rootfs.tar")))?;
    let digest = sum.split_whitespace().next().unwrap_or_default();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]}
    });
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]);
    std::fs::write(dir.join("config.json"), config.to_string()).map_err(text)?;
    std::fs::write(dir.join("manifest.json"), manifest.to_string()).map_err(text)?;
    std::fs::copy(stage.dir.join("rootfs.tar"), dir.join("layer.tar")).map_err(text)?;
    let out = home(stage).join("image.tar");
    succeed(
        Command::new("tar")
            .arg("-C")
            .arg(&dir)
            .arg("-cf")
            .arg(&out)
            .args(["manifest.json", "config.json", "layer.tar"]),
    )?;
    Ok(out)
}

/// Ends the daemon this process started.
pub fn stop() {
    let Some(mut daemon) = DAEMON.lock().ok().and_then(|mut daemon| daemon.take()) else {
        return;
    };
    let ended = Command::new("kill")
        .arg(daemon.id().to_string())
        .status()
        .and_then(|_| daemon.wait());
    if let Err(error) = ended {
        eprintln!("callers: containerd: {error}");
    }
}

fn run_words<'a>(
    runtime: &'a Runtime,
    extra: &[&'a str],
    name: &'a str,
    words: &[&'a str],
) -> Vec<&'a str> {
    let path = runtime.path.to_str().unwrap_or_default();
    let mut all = vec!["run", "--runc-binary", path, "--snapshotter", "native"];
    all.extend(extra);
    all.extend([IMAGE, name]);
    all.extend(words);
    all
}

/// A container that sleeps, removed when dropped.
struct Sleeping<'a> {
    stage: &'a Stage,
    name: String,
}

impl<'a> Sleeping<'a> {
    fn start(stage: &'a Stage, runtime: &Runtime, case: &str) -> Result<Self, Failed> {
        ready(stage)?;
        let name = format!("{case}-{}", runtime.name);
        let words = run_words(
            runtime,
            &["-d", "--memory-limit", "67108864"],
            &name,
            &["sleep", "600"],
        );
        succeed(&mut ctr(stage, &words))?;
        Ok(Self { stage, name })
    }

    fn task(&self, words: &[&str]) -> Result<String, Failed> {
        let mut all = vec!["task"];
        all.extend(words);
        succeed(&mut ctr(self.stage, &all))
    }
}

impl Drop for Sleeping<'_> {
    fn drop(&mut self) {
        for words in [&["task", "rm", "-f"][..], &["container", "rm"]] {
            let mut command = ctr(self.stage, words);
            command.arg(&self.name);
            if let Err(error) = output_of(&mut command) {
                eprintln!("callers: {error:?}");
            }
        }
    }
}

fn run(stage: &Stage, runtime: &Runtime) -> Result<(), Failed> {
    ready(stage)?;
    let name = format!("run-{}", runtime.name);
    let words = run_words(runtime, &["--rm"], &name, &["sh", "-c", "echo out; exit 4"]);
    let mut command = ctr(stage, &words);
    let output = output_of(&mut command)?;
    if output.status.code() != Some(4) || output.stdout != b"out\n" {
        return Err(describe(&command, &output).into());
    }
    Ok(())
}

/// The text of the runtime's log reaches the user.
fn failure(stage: &Stage, runtime: &Runtime) -> Result<(), Failed> {
    ready(stage)?;
    let name = format!("failure-{}", runtime.name);
    let output = output_of(&mut ctr(
        stage,
        &run_words(runtime, &["--rm"], &name, &["nowhere"]),
    ))?;
    expect_within(
        &String::from_utf8_lossy(&output.stderr),
        "exec: \"nowhere\": executable file not found in $PATH",
    )
}

fn exec(stage: &Stage, runtime: &Runtime) -> Result<(), Failed> {
    let box_ = Sleeping::start(stage, runtime, "exec")?;
    expect(
        &box_.task(&["exec", "--exec-id", "e", &box_.name, "echo", "inside"])?,
        "inside",
    )?;
    let status = output_of(&mut ctr(
        stage,
        &[
            "task",
            "exec",
            "--exec-id",
            "f",
            &box_.name,
            "sh",
            "-c",
            "exit 6",
        ],
    ))?;
    if status.status.code() == Some(6) {
        Ok(())
    } else {
        Err(format!("exec ends with {}", status.status).into())
    }
}

fn pause(stage: &Stage, runtime: &Runtime) -> Result<(), Failed> {
    let box_ = Sleeping::start(stage, runtime, "pause")?;
    let state = |box_: &Sleeping| -> Result<String, Failed> {
        let all = box_.task(&["ls"])?;
        let line = all
            .lines()
            .find(|line| line.starts_with(&box_.name))
            .unwrap_or_default()
            .to_owned();
        Ok(line
            .split_whitespace()
            .last()
            .unwrap_or_default()
            .to_owned())
    };
    box_.task(&["pause", &box_.name])?;
    expect(&state(&box_)?, "PAUSED")?;
    box_.task(&["resume", &box_.name])?;
    expect(&state(&box_)?, "RUNNING")
}

fn metrics(stage: &Stage, runtime: &Runtime) -> Result<(), Failed> {
    let box_ = Sleeping::start(stage, runtime, "metrics")?;
    expect_within(&box_.task(&["metrics", &box_.name])?, "pids.current")
}

/// As the shim calls it: resources on standard input, the state root of the namespace.
fn update(stage: &Stage, runtime: &Runtime) -> Result<(), Failed> {
    let box_ = Sleeping::start(stage, runtime, "update")?;
    let resources = home(stage).join(format!("resources-{}.json", runtime.name));
    std::fs::write(&resources, "{\"memory\":{\"limit\":134217728}}")
        .map_err(|error| error.to_string())?;
    let root = "/run/containerd/runc/default";
    let stdin = std::fs::File::open(&resources).map_err(|error| error.to_string())?;
    let mut command = Command::new(&runtime.path);
    succeed(
        command
            .args(["--root", root, "update", "--resources=-", &box_.name])
            .stdin(stdin),
    )?;
    let seen = box_.task(&["metrics", &box_.name])?;
    let limit = seen
        .lines()
        .find(|line| line.starts_with("memory.limit_in_bytes"));
    match limit {
        Some(line) => expect_within(line, "134217728"),
        None => {
            integration::skip(
                "containerd update",
                "no cgroup v1 memory controller to read the limit from",
            );
            Ok(())
        }
    }
}

fn kill_and_events(stage: &Stage, runtime: &Runtime) -> Result<(), Failed> {
    let log = home(stage).join(format!("events-{}", runtime.name));
    let out = std::fs::File::create(&log).map_err(|error| error.to_string())?;
    ready(stage)?;
    let mut listener = ctr(stage, &["events"])
        .stdout(out)
        .spawn()
        .map_err(|error| error.to_string())?;
    let box_ = Sleeping::start(stage, runtime, "kill")?;
    box_.task(&["kill", "-s", "KILL", &box_.name])?;
    let end = Instant::now() + Duration::from_secs(10);
    let seen = loop {
        let text = std::fs::read_to_string(&log).map_err(|error| error.to_string())?;
        if text.contains("/tasks/exit") || Instant::now() > end {
            break text;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    listener
        .kill()
        .and_then(|()| listener.wait())
        .map_err(|error| error.to_string())?;
    expect_within(&seen, "/tasks/start")?;
    expect_within(&seen, "\"exit_status\":137")
}

//! The engine under the real docker command: what users type and what they get. Each test has an engine of its own on
//! directories of its own; networks are none, so nothing of the host is touched.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// An engine with an image `bb` in it; gone with everything when dropped.
struct Engine {
    root: PathBuf,
    process: Child,
}

/// What a command gave.
#[derive(Debug)]
struct Output {
    code: i32,
    out: String,
    err: String,
}

impl Engine {
    /// None, with the reason told, where the machine lacks something.
    fn start(test: &str) -> Result<Option<Self>> {
        let busybox = Path::new("/bin/busybox");
        let missing = ["gantryd", "gantry-monitor"]
            .into_iter()
            .find(|name| !integration::binary(name).is_file());
        let missing = missing
            .or((!busybox.is_file()).then_some("busybox"))
            .or_else(|| {
                let docker = Command::new("docker").arg("--version").output();
                docker.is_err().then_some("the docker command")
            });
        if let Some(missing) = missing.or((!nix::unistd::geteuid().is_root()).then_some("root")) {
            integration::skip(test, missing);
            return Ok(None);
        }
        let root = std::env::temp_dir().join(format!("gantry-{test}-{}", std::process::id()));
        let bin = root.join("tree/bin");
        fs::create_dir_all(&bin)?;
        fs::create_dir_all(root.join("tree/etc"))?;
        fs::create_dir_all(root.join("tree/tmp"))?;
        fs::copy(busybox, bin.join("busybox"))?;
        for name in [
            "sh", "cat", "echo", "sleep", "true", "false", "seq", "id", "hostname", "tty", "env",
            "rm",
        ] {
            std::os::unix::fs::symlink("busybox", bin.join(name))?;
        }
        fs::write(
            root.join("tree/etc/passwd"),
            "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
        )?;
        fs::write(
            root.join("tree/etc/group"),
            "root:x:0:\nnobody:x:65534:\nextra:x:77:nobody\n",
        )?;
        let mut engine = Self {
            process: Self::spawn(&root)?,
            root,
        };
        engine.ready()?;
        let tree = Command::new("tar")
            .arg("-C")
            .arg(engine.root.join("tree"))
            .args(["-c", "."])
            .stdout(Stdio::piped())
            .spawn()?;
        let tar = tree.stdout.context("tar's output")?;
        let done = engine.docker(&["import", "-", "bb"]).stdin(tar).output()?;
        ensure!(done.status.success(), "import: {done:?}");
        Ok(Some(engine))
    }

    fn spawn(root: &Path) -> Result<Child> {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(root.join("log"))?;
        Ok(Command::new(integration::binary("gantryd"))
            .arg("-H")
            .arg(format!("unix://{}", root.join("s").display()))
            .arg("--data-root")
            .arg(root.join("data"))
            .arg("--exec-root")
            .arg(root.join("exec"))
            .arg("--monitor")
            .arg(integration::binary("gantry-monitor"))
            .args([
                "--cgroup-parent",
                &format!("/gantry-test-{}", std::process::id()),
            ])
            .stderr(log)
            .spawn()?)
    }

    fn ready(&mut self) -> Result<()> {
        let begun = Instant::now();
        while UnixStream::connect(self.root.join("s")).is_err() {
            ensure!(
                begun.elapsed() < Duration::from_secs(20),
                "the engine does not answer: {:?}",
                fs::read_to_string(self.root.join("log"))
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Kills the engine without a word and starts the next one on the same directories.
    fn crash(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        fs::remove_file(self.root.join("s"))?;
        self.process = Self::spawn(&self.root)?;
        self.ready()
    }

    fn docker(&self, words: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command
            .arg("-H")
            .arg(format!("unix://{}", self.root.join("s").display()))
            .args(words)
            .stdin(Stdio::null());
        command.env("DOCKER_CONFIG", self.root.join("client"));
        command
    }

    fn run(&self, words: &[&str]) -> Result<Output> {
        let done = self.docker(words).output()?;
        Ok(Output {
            code: done.status.code().unwrap_or(-1),
            out: String::from_utf8(done.stdout)?,
            err: String::from_utf8(done.stderr)?,
        })
    }

    /// Runs what must succeed; gives its output without the last newline.
    fn ok(&self, words: &[&str]) -> Result<String> {
        let done = self.run(words)?;
        ensure!(done.code == 0, "docker {words:?}: {done:?}");
        Ok(done.out.trim_end().to_owned())
    }

    /// Waits until `docker words` prints `wanted`.
    fn until(&self, words: &[&str], wanted: &str) -> Result<()> {
        let begun = Instant::now();
        loop {
            let now = self.run(words)?;
            if now.out.trim_end() == wanted {
                return Ok(());
            }
            ensure!(
                begun.elapsed() < Duration::from_secs(15),
                "docker {words:?}: {now:?}, expected {wanted:?}"
            );
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    fn http(&self, request: &str) -> Result<String> {
        let mut stream = UnixStream::connect(self.root.join("s"))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let all = self
            .run(&["ps", "-aq"])
            .map(|done| done.out)
            .unwrap_or_default();
        let ids: Vec<&str> = all.split_whitespace().collect();
        if !ids.is_empty() && self.run(&[&["rm", "-f"][..], &ids].concat()).is_err() {
            eprintln!("containers {ids:?} are left");
        }
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.process.id()).unwrap_or(0));
        let ended = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)
            .map_err(anyhow::Error::from);
        let ended = ended.and_then(|()| Ok(self.process.wait()?));
        if let Err(error) = ended.and_then(|_| Ok(fs::remove_dir_all(&self.root)?)) {
            eprintln!("{}: {error}", self.root.display());
        }
    }
}

const NONE: [&str; 4] = ["run", "--rm", "--network", "none"];

fn run<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&NONE[..], more].concat()
}

#[test]
fn c1_run_prints_and_ends_as_the_command_does() -> Result<()> {
    let Some(engine) = Engine::start("run")? else {
        return Ok(());
    };
    let both = engine.run(&run(&["bb", "sh", "-c", "echo out; echo err >&2; exit 7"]))?;
    assert_eq!(
        (both.code, both.out.as_str(), both.err.as_str()),
        (7, "out\n", "err\n")
    );
    let missing = engine.run(&run(&["bb", "nosuch"]))?;
    assert_eq!(missing.code, 127);
    assert!(
        missing
            .err
            .contains("exec: \"nosuch\": executable file not found in $PATH"),
        "{}",
        missing.err
    );
    assert_eq!(engine.run(&run(&["bb", "/etc"]))?.code, 126);
    assert_eq!(
        engine.run(&["run", "--memory", "1m", "bb", "true"])?.code,
        125
    );
    assert_eq!(
        engine.ok(&["ps", "-aq"])?.lines().count(),
        0,
        "--rm leaves nothing, nor do failed starts"
    );
    let mut child = engine
        .docker(&run(&["-i", "bb", "cat"]))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let data = "0123456789abcdef".repeat(40_000);
    let mut input = child.stdin.take().context("stdin")?;
    let sent = data.clone();
    let writer = std::thread::spawn(move || input.write_all(sent.as_bytes()));
    let done = child.wait_with_output()?;
    writer.join().expect("writer")?;
    assert_eq!(done.stdout.len(), data.len(), "all that goes in comes out");
    Ok(())
}

#[test]
fn c6_options_reach_the_process() -> Result<()> {
    let Some(engine) = Engine::start("options")? else {
        return Ok(());
    };
    let shell = |options: &[&str], script: &str| {
        engine.ok(&run(&[options, &["bb", "sh", "-c", script]].concat()))
    };
    assert_eq!(
        shell(&["-e", "A=1", "-e", "B=two words"], "echo $A $B")?,
        "1 two words"
    );
    assert_eq!(
        shell(&["-h", "box"], "hostname; echo $HOSTNAME")?,
        "box\nbox"
    );
    assert_eq!(
        shell(&["-u", "nobody"], "id")?,
        "uid=65534(nobody) gid=65534(nobody) groups=77(extra),65534(nobody)"
    );
    assert_eq!(shell(&["-u", "5:6"], "id -u; id -g")?, "5\n6");
    assert_eq!(shell(&["-w", "/some/where"], "pwd")?, "/some/where");
    assert_eq!(shell(&["--ulimit", "nofile=100:200"], "ulimit -n")?, "100");
    assert_eq!(
        shell(
            &["--read-only", "--tmpfs", "/t"],
            "echo x >/t/x && cat /t/x; ! echo y >/y 2>/dev/null && echo ro"
        )?,
        "x\nro"
    );
    let caps = |options: &[&str]| {
        shell(
            options,
            "while read k v; do [ $k = CapEff: ] && echo $v; done </proc/self/status; true",
        )
    };
    assert_eq!(caps(&[])?, "00000000a80425fb");
    assert_eq!(
        caps(&["--cap-drop", "ALL", "--cap-add", "chown"])?,
        "0000000000000001"
    );
    assert_eq!(shell(&["--entrypoint", "echo"], "x")?, "sh -c x");
    let refused = engine.run(&run(&["-u", "nosuch", "bb", "true"]))?;
    assert!(
        refused
            .err
            .contains("unable to find user nosuch: no matching entries in passwd file"),
        "{}",
        refused.err
    );
    assert_eq!(refused.code, 125);
    Ok(())
}

#[test]
fn c17_start_stop_exec_and_friends() -> Result<()> {
    let Some(engine) = Engine::start("life")? else {
        return Ok(());
    };
    engine.ok(&[
        "run",
        "-d",
        "--name",
        "aa",
        "--network",
        "none",
        "bb",
        "sh",
        "-c",
        "trap 'exit 3' TERM; while :; do sleep 0.05; done",
    ])?;
    let state = [
        "inspect",
        "-f",
        "{{.State.Status}} {{.State.ExitCode}}",
        "aa",
    ];
    assert_eq!(engine.ok(&state)?, "running 0");
    assert_eq!(
        engine.ok(&[
            "exec",
            "-e",
            "X=1",
            "-w",
            "/etc",
            "aa",
            "sh",
            "-c",
            "echo $X; pwd"
        ])?,
        "1\n/etc"
    );
    assert_eq!(engine.run(&["exec", "aa", "sh", "-c", "exit 5"])?.code, 5);
    assert_eq!(engine.run(&["exec", "aa", "nosuch"])?.code, 127);
    engine.ok(&["pause", "aa"])?;
    assert_eq!(engine.ok(&state)?, "paused 0");
    let paused = engine.run(&["exec", "aa", "true"])?;
    assert!(
        paused
            .err
            .contains("is paused, unpause the container before exec"),
        "{}",
        paused.err
    );
    engine.ok(&["unpause", "aa"])?;
    let running = engine.run(&["rm", "aa"])?;
    assert!(
        running.err.contains("cannot remove container \"/aa\": container is running: stop the container before removing or force remove"),
        "{}",
        running.err
    );
    assert_eq!(engine.ok(&["stop", "aa"])?, "aa");
    assert_eq!(engine.ok(&state)?, "exited 3");
    assert_eq!(
        engine.ok(&["stop", "aa"])?,
        "aa",
        "stopping what stopped is success"
    );
    engine.ok(&["start", "aa"])?;
    engine.ok(&["rename", "aa", "cc"])?;
    let taken = engine.run(&["create", "--name", "cc", "bb", "true"])?;
    assert!(
        taken
            .err
            .contains("Conflict. The container name \"/cc\" is already in use by container"),
        "{}",
        taken.err
    );
    assert_eq!(engine.ok(&["restart", "-t", "1", "cc"])?, "cc");
    engine.ok(&["kill", "cc"])?;
    assert_eq!(engine.ok(&["wait", "cc"])?, "137");
    assert!(engine.run(&["kill", "cc"])?.err.contains("is not running"));
    assert_eq!(engine.ok(&["rm", "cc"])?, "cc");
    assert!(
        engine
            .run(&["start", "cc"])?
            .err
            .contains("No such container: cc")
    );
    Ok(())
}

#[test]
fn c30_logs_keep_streams_times_and_order() -> Result<()> {
    let Some(engine) = Engine::start("logs")? else {
        return Ok(());
    };
    engine.ok(&[
        "run",
        "-d",
        "--name",
        "ll",
        "--network",
        "none",
        "bb",
        "sh",
        "-c",
        "seq 5; echo bad >&2; echo -n end",
    ])?;
    engine.ok(&["wait", "ll"])?;
    let all = engine.run(&["logs", "ll"])?;
    assert_eq!(
        (all.out.as_str(), all.err.as_str()),
        ("1\n2\n3\n4\n5\nend", "bad\n")
    );
    assert_eq!(engine.ok(&["logs", "--tail", "2", "ll"])?, "end");
    let stamped = engine.ok(&["logs", "-t", "ll"])?;
    let first = stamped.lines().next().unwrap_or_default();
    assert!(
        first.len() == 32 && first.ends_with("Z 1") && first.as_bytes()[19] == b'.',
        "{first}"
    );
    let path = engine.ok(&["inspect", "-f", "{{.LogPath}}", "ll"])?;
    let file = fs::read_to_string(path)?;
    assert!(
        file.starts_with("{\"log\":\"1\\n\",\"stream\":\"stdout\",\"time\":\""),
        "{file}"
    );
    let follow = engine.ok(&[
        "run",
        "-d",
        "--network",
        "none",
        "bb",
        "sh",
        "-c",
        "echo a; sleep 0.3; echo b",
    ])?;
    assert_eq!(engine.ok(&["logs", "-f", &follow])?, "a\nb");
    let small = [
        "run",
        "-d",
        "--name",
        "rr",
        "--network",
        "none",
        "--log-opt",
        "max-size=1k",
        "--log-opt",
        "max-file=2",
        "bb",
        "seq",
        "100",
    ];
    engine.ok(&small)?;
    engine.ok(&["wait", "rr"])?;
    let kept = engine.ok(&["logs", "rr"])?;
    assert!(
        kept.ends_with("99\n100") && !kept.starts_with("1\n"),
        "{kept}"
    );
    Ok(())
}

#[test]
fn a_killed_engine_loses_nothing() -> Result<()> {
    let Some(mut engine) = Engine::start("crash")? else {
        return Ok(());
    };
    let script = "i=0; while [ $i -lt 40 ]; do echo line $i; i=$((i+1)); sleep 0.02; done; exit 9";
    engine.ok(&[
        "run",
        "-d",
        "--name",
        "ended",
        "--network",
        "none",
        "bb",
        "sh",
        "-c",
        script,
    ])?;
    engine.ok(&[
        "run",
        "-d",
        "--name",
        "lives",
        "--network",
        "none",
        "bb",
        "sleep",
        "60",
    ])?;
    engine.ok(&[
        "run",
        "-d",
        "--name",
        "again",
        "--restart",
        "always",
        "--network",
        "none",
        "bb",
        "sh",
        "-c",
        "sleep 0.2; exit 1",
    ])?;
    engine.process.kill()?;
    engine.process.wait()?;
    std::thread::sleep(Duration::from_millis(1200));
    engine.crash()?;
    engine.until(
        &[
            "inspect",
            "-f",
            "{{.State.Status}} {{.State.ExitCode}}",
            "ended",
        ],
        "exited 9",
    )?;
    let lines: Vec<String> = (0..40).map(|number| format!("line {number}")).collect();
    assert_eq!(engine.ok(&["logs", "ended"])?, lines.join("\n"));
    assert_eq!(engine.ok(&["exec", "lives", "echo", "here"])?, "here");
    let count = engine.ok(&["inspect", "-f", "{{.RestartCount}}", "again"])?;
    let begun = Instant::now();
    while engine.ok(&["inspect", "-f", "{{.RestartCount}}", "again"])? == count {
        ensure!(
            begun.elapsed() < Duration::from_secs(20),
            "the policy is forgotten"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

#[test]
fn a_killed_monitor_is_an_end_with_a_reason() -> Result<()> {
    let Some(engine) = Engine::start("monitor")? else {
        return Ok(());
    };
    engine.ok(&[
        "run",
        "-d",
        "--name",
        "mm",
        "--network",
        "none",
        "bb",
        "sleep",
        "60",
    ])?;
    let pid: i32 = engine
        .ok(&["inspect", "-f", "{{.State.Pid}}", "mm"])?
        .parse()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let parent = status
        .lines()
        .find_map(|line| line.strip_prefix("PPid:"))
        .context("PPid")?
        .trim()
        .parse()?;
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(parent),
        nix::sys::signal::Signal::SIGKILL,
    )?;
    engine.until(
        &[
            "inspect",
            "-f",
            "{{.State.Status}} {{.State.ExitCode}}",
            "mm",
        ],
        "exited 137",
    )?;
    // Gone, or waiting for whoever reaps on this machine.
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    assert!(
        status.is_empty() || status.contains("State:\tZ"),
        "its process lives: {status}"
    );
    Ok(())
}

#[test]
fn restart_policy_counts_and_health_is_told() -> Result<()> {
    let Some(engine) = Engine::start("policy")? else {
        return Ok(());
    };
    engine.ok(&[
        "run",
        "-d",
        "--name",
        "ff",
        "--restart",
        "on-failure:2",
        "--network",
        "none",
        "bb",
        "false",
    ])?;
    engine.until(
        &["inspect", "-f", "{{.RestartCount}} {{.State.Status}}", "ff"],
        "2 exited",
    )?;
    let health = [
        "--health-cmd",
        "cat /tmp/ok",
        "--health-interval",
        "100ms",
        "--health-retries",
        "2",
    ];
    engine.ok(&[
        &["run", "-d", "--name", "hh", "--network", "none"][..],
        &health,
        &["bb", "sh", "-c", "echo >/tmp/ok; sleep 60"],
    ]
    .concat())?;
    let status = ["inspect", "-f", "{{.State.Health.Status}}", "hh"];
    engine.until(&status, "healthy")?;
    engine.ok(&["exec", "hh", "rm", "/tmp/ok"])?;
    engine.until(&status, "unhealthy")?;
    assert!(
        engine
            .ok(&[
                "ps",
                "--filter",
                "health=unhealthy",
                "--format",
                "{{.Names}} {{.Status}}"
            ])?
            .ends_with("(unhealthy)")
    );
    Ok(())
}

#[test]
fn c33_archives_commit_and_images() -> Result<()> {
    let Some(engine) = Engine::start("archive")? else {
        return Ok(());
    };
    engine.ok(&[
        "run",
        "-d",
        "--name",
        "xx",
        "--network",
        "none",
        "bb",
        "sh",
        "-c",
        "echo new >/new; rm /etc/group; sleep 60",
    ])?;
    engine.until(&["diff", "xx"], "C /etc\nD /etc/group\nA /new")?;
    let file = engine.root.join("file");
    fs::write(&file, "from the host")?;
    engine.ok(&["cp", &file.to_string_lossy(), "xx:/tmp/in"])?;
    assert_eq!(
        engine.ok(&["exec", "xx", "cat", "/tmp/in"])?,
        "from the host"
    );
    let back = engine.root.join("back");
    engine.ok(&["cp", "xx:/new", &back.to_string_lossy()])?;
    assert_eq!(fs::read_to_string(&back)?, "new\n");
    let missing = engine.run(&["cp", "xx:/nosuch", "-"])?;
    assert!(
        missing
            .err
            .contains("Could not find the file /nosuch in container xx"),
        "{}",
        missing.err
    );
    engine.ok(&["commit", "-c", "CMD [\"cat\",\"/new\"]", "xx", "made:v1"])?;
    assert_eq!(engine.ok(&run(&["made:v1"]))?, "new");
    let archive = engine.root.join("made.tar");
    engine.ok(&["save", "-o", &archive.to_string_lossy(), "made:v1"])?;
    assert_eq!(
        engine.ok(&["rmi", "made:v1"])?.lines().next(),
        Some("Untagged: made:v1")
    );
    assert_eq!(
        engine.ok(&["load", "-i", &archive.to_string_lossy()])?,
        "Loaded image: made:v1"
    );
    assert_eq!(engine.ok(&run(&["made:v1"]))?, "new");
    let used = engine.run(&["rmi", "bb"])?;
    assert!(
        used.err.contains(
            "conflict: unable to remove repository reference \"bb\" (must force) - container"
        ),
        "{}",
        used.err
    );
    Ok(())
}

#[test]
fn events_come_in_dockers_order() -> Result<()> {
    let Some(engine) = Engine::start("events")? else {
        return Ok(());
    };
    let watch = [
        "events",
        "--filter",
        "type=container",
        "--format",
        "{{.Action}}",
    ];
    let mut child = engine.docker(&watch).stdout(Stdio::piped()).spawn()?;
    std::thread::sleep(Duration::from_millis(300));
    engine.ok(&run(&["--name", "ee", "bb", "true"]))?;
    engine.ok(&[
        "run",
        "-d",
        "--name",
        "kk",
        "--network",
        "none",
        "bb",
        "sleep",
        "60",
    ])?;
    engine.ok(&["rm", "-f", "kk"])?;
    std::thread::sleep(Duration::from_millis(200));
    child.kill()?;
    let seen = String::from_utf8(child.wait_with_output()?.stdout)?;
    let wanted = [
        "create", "attach", "start", "die", "destroy", "create", "start", "kill", "die", "destroy",
    ];
    assert_eq!(seen.lines().collect::<Vec<_>>(), wanted);
    Ok(())
}

#[test]
fn the_api_speaks_dockers_http() -> Result<()> {
    let Some(engine) = Engine::start("http")? else {
        return Ok(());
    };
    let get = |path: &str| {
        engine.http(&format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ))
    };
    let ping = get("/_ping")?;
    for header in [
        "HTTP/1.1 200 OK",
        "Api-Version: 1.50",
        "Ostype: linux",
        "Docker-Experimental: false",
        "Swarm: inactive",
        "\r\n\r\nOK",
    ] {
        assert!(ping.contains(header), "{header}: {ping}");
    }
    let new = get("/v1.99/info")?;
    assert!(
        new.starts_with("HTTP/1.1 400 ")
            && new
                .contains("client version 1.99 is too new. Maximum supported API version is 1.50"),
        "{new}"
    );
    let none = get("/v1.40/containers/nosuch/json")?;
    assert!(
        none.starts_with("HTTP/1.1 404 ")
            && none.contains(r#"{"message":"No such container: nosuch"}"#),
        "{none}"
    );
    assert!(get("/nosuch")?.contains(r#"{"message":"page not found"}"#));
    assert!(get("/v1.50/swarm")?.starts_with("HTTP/1.1 503 "));
    assert!(
        get("/v1.50/containers/json?filters=%7B%22nope%22%3A%5B%22x%22%5D%7D")?
            .starts_with("HTTP/1.1 400 ")
    );
    Ok(())
}

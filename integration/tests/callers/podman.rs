//! podman, through conmon.

use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use crate::{Case, Runtime, Stage, describe, expect, expect_within, run, succeed};

/// What podman does with a runtime.
pub const CASES: &[Case] = &[
    ("run", run_command),
    ("exit_status", exit_status),
    ("command_not_found", command_not_found),
    ("run_tty", run_tty),
    ("exec", exec),
    ("pause", pause),
    ("stop", stop),
    ("kill", kill),
    ("limits", limits),
    ("cap_drop", cap_drop),
    ("read_only_tmpfs_volume", read_only_tmpfs_volume),
    ("user", user),
    ("userns", userns),
    ("bridge", bridge),
    ("build", build),
];

fn podman(stage: &Stage, runtime: &Runtime) -> Command {
    let home = stage.dir.join(format!("podman-{}", runtime.name));
    let mut command = Command::new("podman");
    command.env("CONTAINERS_CONF", stage.dir.join("containers.conf"));
    for (flag, dir) in [
        ("--root", "root"),
        ("--runroot", "run"),
        ("--tmpdir", "tmp"),
    ] {
        command.arg(flag).arg(home.join(dir));
    }
    command.args([
        "--events-backend",
        "none",
        "--cgroup-manager",
        "cgroupfs",
        "--storage-driver",
        "overlay",
        "--runtime",
    ]);
    command.arg(&runtime.path);
    command
}

/// A podman that has the image.
fn ready(stage: &Stage, runtime: &Runtime) -> Result<impl Fn(&[&str]) -> Command + use<>, Failed> {
    static IMPORT: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let guard = IMPORT.lock().map_err(|error| error.to_string())?;
    // podman would make it for root alone, and then no mapped root can walk through it.
    let home = stage.dir.join(format!("podman-{}", runtime.name));
    std::fs::create_dir_all(home).map_err(|error| error.to_string())?;
    let present = run(podman(stage, runtime).args(["image", "exists", "localhost/bb"]))?;
    if !present.status.success() {
        succeed(
            podman(stage, runtime)
                .arg("import")
                .arg(stage.dir.join("rootfs.tar"))
                .arg("localhost/bb"),
        )?;
    }
    drop(guard);
    let (stage, runtime) = (
        Stage {
            dir: stage.dir.clone(),
        },
        runtime.clone(),
    );
    Ok(move |arguments: &[&str]| {
        let mut command = podman(&stage, &runtime);
        command.args(arguments);
        command
    })
}

fn alone<'a>(extra: &[&'a str], command: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["run", "--rm", "--network", "none"];
    all.extend(extra);
    all.push("localhost/bb");
    all.extend(command);
    all
}

fn run_command(stage: &Stage, runtime: &Runtime) -> Result<(), Failed> {
    let podman = ready(stage, runtime)?;
    expect(
        &succeed(&mut podman(&alone(
            &["-e", "A=b"],
            &["sh", "-c", "echo $A $(hostname | grep -c .)"],
        )))?,
        "b 1",
    )
}

fn exit_status(stage: &Stage, runtime: &Runtime) -> Result<(), Failed> {
    let podman = ready(stage, runtime)?;
    for (script, status) in [("exit 7", 7), ("kill -9 $$", 137)] {
        // As PID 1 a process cannot kill itself, so a shell below it does.
        let nested = format!("sh -c '{script}'");
        let mut command = podman(&alone(&[], &["sh", "-c", &format!("{nested}; exit $?")]));
        let output = run(&mut command)?;
        if output.status.code() != Some(status) {
            return Err(describe(&command, &output).into());
        }
    }
    Ok(())
}

fn command_not_found(stage: &Stage, runtime: &Runtime) -> Result<(), Failed> {
    let podman = ready(stage, runtime)?;
    for (program, status) in [("/nowhere", 127), ("nowhere", 127), ("/etc/passwd", 126)] {
        let mut command = podman(&alone(&[], &[program]));
        let output = run(&mut command)?;
        if output.status.code() != Some(status) {
            return Err(describe(&command, &output).into());
        }
        expect_within(&String::from_utf8_lossy(&output.stderr), program)?;
    }
    Ok(())
}

/// `script` gives podman a terminal to hand on.
fn run_tty(stage: &Stage, runtime: &Runtime) -> Result<(), Failed> {
    let podman = ready(stage, runtime)?;
    let command = podman(&alone(
        &["-it"],
        &["sh", "-c", "test -t 0 && test -t 1 && stty size && exit 5"],
    ));
    let line: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    let mut script = Command::new("script");
    script.env("CONTAINERS_CONF", stage.dir.join("containers.conf"));
    script.args([
        "-qec",
        &format!("stty cols 91 rows 33; {}", line.join(" ")),
        "/dev/null",
    ]);
    let output = run(&mut script)?;
    if output.status.code() != Some(5) {
        return Err(describe(&script, &output).into());
    }
    expect_within(&String::from_utf8_lossy(&output.stdout), "33 91")
}

/// A container that sleeps, removed when dropped.
struct Sleeping<F: Fn(&[&str]) -> Command> {
    podman: F,
    name: String,
}

impl<F: Fn(&[&str]) -> Command> Sleeping<F> {
    fn start(podman: F, name: &str, extra: &[&str]) -> Result<Self, Failed> {
        let mut all = vec!["run", "-d", "--name", name, "--network", "none"];
        all.extend(extra);
        all.extend([
            "localhost/bb",
            "sh",
            "-c",
            "trap 'exit 9' TERM; while :; do sleep 0.1; done",
        ]);
        succeed(&mut podman(&all))?;
        Ok(Self {
            podman,
            name: name.to_owned(),
        })
    }

    fn state(&self) -> Result<String, Failed> {
        succeed(&mut (self.podman)(&[
            "inspect",
            "--format",
            "{{.State.Status}} {{.State.ExitCode}}",
            &self.name,
        ]))
    }

    fn reaches(&self, state: &str) -> Result<(), Failed> {
        let end = Instant::now() + Duration::from_secs(10);
        while self.state()? != state {
            if Instant::now() > end {
                return expect(&self.state()?, state);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl<F: Fn(&[&str]) -> Command> Drop for Sleeping<F> {
    fn drop(&mut self) {
        if let Err(error) = run(&mut (self.podman)(&["rm", "-f", "-t", "0", &self.name])) {
            eprintln!("callers: {error:?}");
        }
    }
}

fn exec(stage: &Stage, runtime: &Runtime) -> Result<(), Failed> {
    let box_ = Sleeping::start(ready(stage, runtime)?, "exec", &[])?;
    let inside = |extra: &[&str], words: &[&str]| {
        let mut all = vec!["exec"];
        all.extend(extra);
        all.push("exec");
        all.extend(words);
        (box_.podman)(&all)
    };
    expect(
        &succeed(&mut inside(
            &["-u", "1000", "-e", "X=y", "-w", "/tmp"],
            &["sh", "-c", "echo $X $(id -u) $PWD"],
        ))?,
        "y 1000 /tmp",
    )?;
    let status = |words: &[&str]| -> Result<Option<i32>, Failed> {
        Ok(run(&mut inside(&[], words))?.status.code())
    };
    if (status(&["sh", "-c", "exit 3"])?, status(&["/nowhere"])?) != (Some(3), Some(127)) {
        return Err(format!(
            "exec ends with {:?} and {:?}",
            status(&["sh", "-c", "exit 3"])?,
            status(&["/nowhere"])?
        )
        .into());
    }
    Ok(())
}

fn pause(stage: &Stage, runtime: &Runtime) -> Result<(), Failed> {
    let box_ = Sleeping::start(ready(stage, runtime)?, "pause", &[])?;
    succeed(&mut (box_.podman)(&["pause", "pause"]))?;
    expect(&box_.state()?, "paused 0")?;
    succeed(&mut (box_.podman)(&["unpause", "pause"]))?;
    expect(&box_.state()?, "running 0")
}

fn stop(stage: &Stage, runtime: &Runtime) -> Result<(), Failed> {
    let box_ = Sleeping::start(ready(stage, runtime)?, "stop", &[])?;
    succeed(&mut (box_.podman)(&["stop", "-t", "5", "stop"]))?;
    box_.reaches("exited 9")
}

fn kill(stage: &Stage, runtime: &Runtime) -> Result<(), Failed> {
    let box_ = Sleeping::start(ready(stage, runtime)?, "kill", &[])?;
    succeed(&mut (box_.podman)(&["kill", "kill"]))?;
    box_.reaches("exited 137")
}

fn limits(stage: &Stage, runtime: &Runtime) -> Result<(), Failed> {
    let podman = ready(stage, runtime)?;
    let script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max";
    let limits = alone(
        &["--memory", "64m", "--pids-limit", "23"],
        &["sh", "-c", script],
    );
    if !std::path::Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists() {
        integration::skip(
            "podman limits",
            "no cgroup v1 memory controller at /sys/fs/cgroup/memory",
        );
        return Ok(());
    }
    expect(&succeed(&mut podman(&limits))?, "67108864\n23")
}

fn cap_drop(stage: &Stage, runtime: &Runtime) -> Result<(), Failed> {
    let podman = ready(stage, runtime)?;
    let bounding = |extra: &[&str]| {
        succeed(&mut podman(&alone(
            extra,
            &["grep", "CapBnd", "/proc/self/status"],
        )))
    };
    expect(
        &bounding(&["--cap-drop", "all"])?,
        "CapBnd:\t0000000000000000",
    )?;
    expect(
        &bounding(&["--cap-drop", "all", "--cap-add", "chown"])?,
        "CapBnd:\t0000000000000001",
    )
}

fn read_only_tmpfs_volume(stage: &Stage, runtime: &Runtime) -> Result<(), Failed> {
    let podman = ready(stage, runtime)?;
    let host = stage.dir.join(format!("volume-{}", runtime.name));
    std::fs::create_dir_all(&host).map_err(|error| error.to_string())?;
    let volume = format!("{}:/v", host.display());
    let script = "touch /x 2>/dev/null || echo ro; touch /t/x && echo > /v/x && mount | grep -c '/t type tmpfs\\| /t '";
    let extra = ["--read-only", "--tmpfs", "/t:size=1m", "-v", &volume];
    expect(
        &succeed(&mut podman(&alone(&extra, &["sh", "-c", script])))?,
        "ro\n1",
    )?;
    if host.join("x").exists() {
        Ok(())
    } else {
        Err("the volume's file is not on the host".into())
    }
}

fn user(stage: &Stage, runtime: &Runtime) -> Result<(), Failed> {
    let podman = ready(stage, runtime)?;
    let id = |user: &str| {
        succeed(&mut podman(&alone(
            &["--user", user],
            &["sh", "-c", "id -u; id -g"],
        )))
    };
    expect(&id("user")?, "1000\n1000")?;
    expect(&id("5:6")?, "5\n6")
}

fn userns(stage: &Stage, runtime: &Runtime) -> Result<(), Failed> {
    let podman = ready(stage, runtime)?;
    let maps = ["--uidmap", "0:100000:5000", "--gidmap", "0:200000:5000"];
    let seen = succeed(&mut podman(&alone(
        &maps,
        &["sh", "-c", "id -u; cat /proc/self/uid_map"],
    )))?;
    let words: Vec<&str> = seen.split_whitespace().collect();
    expect(&words.join(" "), "0 0 100000 5000")
}

fn bridge(stage: &Stage, runtime: &Runtime) -> Result<(), Failed> {
    let podman = ready(stage, runtime)?;
    let seen = succeed(&mut podman(&[
        "run",
        "--rm",
        "localhost/bb",
        "ip",
        "-4",
        "addr",
        "show",
        "eth0",
    ]))?;
    expect_within(&seen, "inet 10.88.")
}

fn build(stage: &Stage, runtime: &Runtime) -> Result<(), Failed> {
    let podman = ready(stage, runtime)?;
    let context = stage.dir.join("context");
    std::fs::create_dir_all(&context).map_err(|error| error.to_string())?;
    let file = stage.dir.join("Dockerfile");
    let (file, context) = (file.display().to_string(), context.display().to_string());
    succeed(&mut podman(&[
        "build",
        "-q",
        "--network",
        "none",
        "-t",
        "built",
        "-f",
        &file,
        &context,
    ]))?;
    expect(
        &succeed(&mut podman(&["run", "--rm", "--network", "none", "built"]))?,
        "two",
    )
}

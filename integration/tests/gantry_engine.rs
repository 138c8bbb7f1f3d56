//! The engine under the real docker command: what users type and what they get. Each test has an engine of its own on
//! directories of its own; networks are none, so nothing of the host is touched.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use anyhow::{Context, Result};
use integration::engine::Engine;

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
    assert_eq!(engine.ok(&["stop", "aa"])?, "aa");
    assert_eq!(engine.ok(&state)?, "exited 3");
    assert_eq!(
        engine.ok(&["stop", "aa"])?,
        "aa",
        "stopping what stopped is success"
    );
    Ok(())
}

#[test]
fn c21_pause_unpause_and_rm_of_the_living() -> Result<()> {
    let Some(engine) = Engine::start("pause")? else {
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
        "sleep",
        "60",
    ])?;
    let state = [
        "inspect",
        "-f",
        "{{.State.Status}} {{.State.ExitCode}}",
        "aa",
    ];
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
    Ok(())
}

#[test]
fn c20_rename_restart_kill_wait_rm() -> Result<()> {
    let Some(engine) = Engine::start("rename")? else {
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
        "sleep",
        "60",
    ])?;
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
    Ok(())
}

#[test]
fn c30_logs_follow_and_rotate() -> Result<()> {
    let Some(engine) = Engine::start("follow")? else {
        return Ok(());
    };
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

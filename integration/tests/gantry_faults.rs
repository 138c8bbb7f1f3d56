//! What the engine keeps and tells when things end badly, or by policy.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use integration::engine::Engine;

const NONE: [&str; 4] = ["run", "--rm", "--network", "none"];

fn run<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&NONE[..], more].concat()
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
    Ok(())
}

#[test]
fn a_killed_engine_keeps_restart_policies() -> Result<()> {
    let Some(mut engine) = Engine::start("policies")? else {
        return Ok(());
    };
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
    engine.crash()?;
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

#[test]
fn exec_streams_begin_after_the_answer() -> Result<()> {
    let Some(engine) = Engine::start("hijack")? else {
        return Ok(());
    };
    engine.ok(&[
        "run",
        "-d",
        "--name",
        "hh",
        "--network",
        "none",
        "bb",
        "sleep",
        "60",
    ])?;
    let post = |path: &str, body: &str, more: &str| {
        engine.http(&format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{more}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    let body = r#"{"Cmd":["echo","hi"],"AttachStdout":true}"#;
    let made = post("/v1.50/containers/hh/exec", body, "Connection: close\r\n")?;
    let id = made.split("\"Id\":\"").nth(1).context("an id")?;
    let id = id.split('"').next().context("an id")?;
    let upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n";
    let answer = post(&format!("/v1.50/exec/{id}/start"), "{}", upgrade)?;
    ensure!(answer.starts_with("HTTP/1.1 101 UPGRADED\r\n"), "{answer}");
    ensure!(
        answer.contains("Content-Type: application/vnd.docker.multiplexed-stream\r\n"),
        "{answer}"
    );
    ensure!(
        answer.ends_with("\r\n\r\n\u{1}\0\0\0\0\0\0\u{3}hi\n"),
        "{answer:?}"
    );
    let twice = post(
        &format!("/v1.50/exec/{id}/start"),
        "{}",
        "Connection: close\r\n",
    )?;
    ensure!(twice.starts_with("HTTP/1.1 409 "), "{twice}");
    Ok(())
}

#[test]
fn an_engine_killed_in_a_start_leaves_nothing_mounted() -> Result<()> {
    let Some(mut engine) = Engine::start("halfway")? else {
        return Ok(());
    };
    for round in 0..6 {
        let name = format!("half{round}");
        let words = [
            "run",
            "--rm",
            "--name",
            &name,
            "--network",
            "none",
            "bb",
            "sleep",
            "0.1",
        ];
        let mut client = engine
            .docker(&words)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        std::thread::sleep(Duration::from_millis(15 + round * 25));
        engine.crash()?;
        client.kill()?;
        client.wait()?;
    }
    // What was created and not started is no leftover: docker keeps it too.
    let begun = Instant::now();
    loop {
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let left = mounts
            .lines()
            .filter(|line| line.contains(&*engine.root.to_string_lossy()))
            .count();
        if left == 0 {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < Duration::from_secs(10),
            "{left} mounts are left"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}

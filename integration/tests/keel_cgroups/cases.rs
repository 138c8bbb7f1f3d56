//! What runc and keel do alike.

use std::io::{BufRead, BufReader};

use libtest_mimic::Failed;
use serde_json::{Value, json};

use crate::Case;
use crate::stage::{Lane, Stage, check, said, same};

/// All of them.
pub const ALL: &[(Lane, &str, Case)] = &[
    (
        Lane::Host,
        "joins_and_leaves_every_hierarchy",
        joins_and_leaves_every_hierarchy,
    ),
    (Lane::Host, "limits_of_the_config", limits_of_the_config),
    (Lane::Host, "update_by_flags", update_by_flags),
    (Lane::Host, "update_by_file", update_by_file),
    (Lane::Host, "update_refuses", update_refuses),
    (Lane::Host, "pause_and_resume", pause_and_resume),
    (Lane::V2, "pause_and_resume", pause_and_resume),
    (Lane::Host, "kill_of_what_is_paused", kill_of_what_is_paused),
    (
        Lane::Host,
        "ps_shows_the_containers_processes",
        ps_shows_the_containers_processes,
    ),
    (
        Lane::V2,
        "ps_shows_the_containers_processes",
        ps_shows_the_containers_processes,
    ),
    (Lane::Host, "events_once", events_once),
    (Lane::Host, "events_tell_of_a_kill", events_tell_of_a_kill),
    (Lane::Host, "devices_are_filtered", devices_are_filtered),
    (Lane::V2, "devices_are_filtered", devices_are_filtered),
    (
        Lane::Host,
        "exec_below_the_container",
        exec_below_the_container,
    ),
    (Lane::Host, "what_is_stopped", what_is_stopped),
];

fn joins_and_leaves_every_hierarchy(stage: &Stage) -> Result<(), Failed> {
    stage.start()?;
    let inside = stage.ok(&["exec", "ID", "cat", "/proc/self/cgroup"])?;
    let wanted = format!("/{}/c", stage.id);
    for line in inside.lines() {
        check(line.ends_with(&wanted), || {
            format!("not in the container's cgroup: {line}")
        })?;
    }
    stage.ok(&["delete", "--force", "ID"])?;
    for hierarchy in Stage::hierarchies()? {
        let left = hierarchy.join(&stage.id).join("c");
        check(!left.exists(), || format!("{} is left", left.display()))?;
    }
    Ok(())
}

fn limits_of_the_config(stage: &Stage) -> Result<(), Failed> {
    stage.change(|config| {
        config["linux"]["resources"] = json!({
            "memory": {"limit": 67_108_864, "reservation": 33_554_432, "swap": 134_217_728, "swappiness": 10},
            "cpu": {"shares": 512, "quota": 20_000, "period": 50_000, "cpus": "0", "mems": "0"},
            "pids": {"limit": 40},
        });
    })?;
    stage.start()?;
    for (controller, file, value) in [
        ("memory", "memory.limit_in_bytes", "67108864"),
        ("memory", "memory.soft_limit_in_bytes", "33554432"),
        ("memory", "memory.memsw.limit_in_bytes", "134217728"),
        ("memory", "memory.swappiness", "10"),
        ("cpu", "cpu.shares", "512"),
        ("cpu", "cpu.cfs_quota_us", "20000"),
        ("cpu", "cpu.cfs_period_us", "50000"),
        ("cpuset", "cpuset.cpus", "0"),
        ("pids", "pids.max", "40"),
    ] {
        check(stage.file(controller, file)? == value, || {
            format!("{file} is not {value}")
        })?;
    }
    Ok(())
}

fn update_by_flags(stage: &Stage) -> Result<(), Failed> {
    stage.start()?;
    stage.ok(&[
        "update",
        "--memory",
        "64m",
        "--memory-swap",
        "96m",
        "--memory-reservation",
        "16m",
        "ID",
    ])?;
    same(
        stage.file("memory", "memory.limit_in_bytes")?.as_str(),
        "67108864",
    )?;
    same(
        stage
            .file("memory", "memory.memsw.limit_in_bytes")?
            .as_str(),
        "100663296",
    )?;
    // Both ways over the other's old value.
    stage.ok(&["update", "--memory", "128m", "--memory-swap", "256m", "ID"])?;
    stage.ok(&["update", "--memory", "32m", "--memory-swap", "32m", "ID"])?;
    same(
        stage
            .file("memory", "memory.memsw.limit_in_bytes")?
            .as_str(),
        "33554432",
    )?;
    same(
        stage.file("memory", "memory.soft_limit_in_bytes")?.as_str(),
        "16777216",
    )?;
    stage.ok(&["update", "--cpu-quota", "5000", "ID"])?;
    stage.ok(&["update", "--cpu-period", "50000", "ID"])?;
    same(stage.file("cpu", "cpu.cfs_quota_us")?.as_str(), "5000")?;
    same(stage.file("cpu", "cpu.cfs_period_us")?.as_str(), "50000")?;
    stage.ok(&[
        "update",
        "--cpu-quota",
        "-1",
        "--cpu-share",
        "300",
        "--pids-limit",
        "20",
        "--cpuset-cpus",
        "0",
        "ID",
    ])?;
    same(stage.file("cpu", "cpu.cfs_quota_us")?.as_str(), "-1")?;
    same(stage.file("cpu", "cpu.shares")?.as_str(), "300")?;
    same(stage.file("pids", "pids.max")?.as_str(), "20")?;
    stage.ok(&["update", "--pids-limit", "-1", "--memory", "-1", "ID"])?;
    same(stage.file("pids", "pids.max")?.as_str(), "max")?;
    same(
        stage.file("memory", "memory.limit_in_bytes")?.as_str(),
        "9223372036854771712",
    )
}

fn update_by_file(stage: &Stage) -> Result<(), Failed> {
    stage.start()?;
    let path = stage.path("new.json");
    let new =
        json!({"memory": {"limit": 50_331_648}, "cpu": {"shares": 100}, "pids": {"limit": 9}});
    std::fs::write(&path, new.to_string())?;
    let before = stage.file("devices", "devices.list")?;
    // Flags beside a file have no effect.
    stage.ok(&[
        "update",
        "--resources",
        &path.display().to_string(),
        "--memory",
        "1g",
        "ID",
    ])?;
    same(
        stage.file("memory", "memory.limit_in_bytes")?.as_str(),
        "50331648",
    )?;
    same(stage.file("cpu", "cpu.shares")?.as_str(), "100")?;
    same(stage.file("pids", "pids.max")?.as_str(), "9")?;
    same(stage.file("devices", "devices.list")?, before)
}

fn update_refuses(stage: &Stage) -> Result<(), Failed> {
    stage.start()?;
    stage.fails(
        &["update", "--memory", "lots", "ID"],
        "invalid size: 'lots'",
    )?;
    stage.fails(
        &["update", "--cpu-share", "1", "ID"],
        "the minimum allowed cpu-shares is 2",
    )?;
    stage.fails(
        &["update", "--cpu-share", "300000", "ID"],
        "the maximum allowed cpu-shares is 262144",
    )?;
    stage.fails(&["update", "--cpuset-cpus", "4000", "ID"], "cpuset.cpus")?;
    stage.fails(
        &["update", "--memory", "1m", "no-such-container"],
        "does not exist",
    )?;
    stage.ok(&["kill", "ID", "KILL"])?;
    stage.wait_for("stopped")?;
    stage.fails(
        &["update", "--memory", "64m", "ID"],
        "container not running",
    )
}

fn pause_and_resume(stage: &Stage) -> Result<(), Failed> {
    stage.start()?;
    stage.fails(&["resume", "ID"], "container not paused")?;
    stage.ok(&["pause", "ID"])?;
    same(stage.status()?.as_str(), "paused")?;
    stage.fails(&["pause", "ID"], "container not running")?;
    let refused = stage.run(&["exec", "ID", "true"])?;
    check(
        said(&refused).contains("cannot exec in a paused container"),
        || said(&refused),
    )?;
    stage.ok(&["resume", "ID"])?;
    same(stage.status()?.as_str(), "running")?;
    stage.ok(&["exec", "ID", "true"]).map(drop)
}

fn kill_of_what_is_paused(stage: &Stage) -> Result<(), Failed> {
    stage.start()?;
    stage.ok(&["pause", "ID"])?;
    stage.ok(&["kill", "ID", "KILL"])?;
    stage.wait_for("stopped")
}

fn ps_shows_the_containers_processes(stage: &Stage) -> Result<(), Failed> {
    stage
        .change(|config| config["process"]["args"] = json!(["sh", "-c", "sleep 99 & sleep 98"]))?;
    stage.start()?;
    let state: Value = serde_json::from_str(&stage.ok(&["state", "ID"])?)?;
    let text = stage.ok(&["ps", "--format", "json", "ID"])?;
    let pids: Vec<i64> = serde_json::from_str(&text)?;
    check(
        text.ends_with("]\n") && pids.contains(&state["pid"].as_i64().unwrap_or(-1)),
        || text.clone(),
    )?;
    check((2..=3).contains(&pids.len()), || text)?;
    let table = stage.ok(&["ps", "ID"])?;
    check(
        table.starts_with("UID ") && table.contains("sleep 9"),
        || table.clone(),
    )?;
    check(table.lines().count() == pids.len() + 1, || table)?;
    let own = stage.ok(&["ps", "ID", "-o", "pid,comm"])?;
    check(own.trim_start().starts_with("PID COMMAND"), || own)?;
    stage.fails(
        &["ps", "ID", "-o", "comm"],
        "couldn't find PID field in ps output",
    )
}

fn events_once(stage: &Stage) -> Result<(), Failed> {
    stage.start()?;
    let text = stage.ok(&["events", "--stats", "ID"])?;
    let event: Value = serde_json::from_str(&text)?;
    same(event["type"].as_str(), Some("stats"))?;
    same(event["id"].as_str(), Some(stage.id.as_str()))?;
    let data = event["data"].as_object().ok_or("no data")?;
    let keys: Vec<&str> = data.keys().map(String::as_str).collect();
    let mut wanted = [
        "cpu",
        "cpuset",
        "memory",
        "pids",
        "blkio",
        "hugetlb",
        "intel_rdt",
        "network_interfaces",
    ]
    .to_vec();
    wanted.sort_unstable();
    same(keys, wanted)?;
    check(data["pids"]["current"].as_u64() >= Some(1), || text.clone())?;
    let usage = data["memory"]["usage"].as_object().ok_or("no usage")?;
    let entry: Vec<&str> = usage.keys().map(String::as_str).collect();
    same(entry, vec!["failcnt", "limit", "max", "usage"])?;
    check(data["memory"]["raw"]["rss"].is_u64(), || text.clone())?;
    check(
        data["cpu"]["usage"]["percpu"].is_array() && data["cpuset"]["mems"] == json!([0]),
        || text,
    )
}

fn events_tell_of_a_kill(stage: &Stage) -> Result<(), Failed> {
    stage.change(|config| {
        config["process"]["args"] = json!(["sleep", "100"]);
        config["linux"]["resources"]["memory"] = json!({"limit": 16_777_216, "swap": 16_777_216});
    })?;
    stage.start()?;
    let mut events = stage.spawn(&["events", "--interval", "200ms", "ID"])?;
    let mut lines = BufReader::new(events.stdout.take().ok_or("no output")?).lines();
    let first = lines.next().ok_or("no event")??;
    check(first.starts_with("{\"type\":\"stats\""), || first)?;
    let killed = stage.run(&["exec", "ID", "tail", "/dev/zero"])?;
    check(!killed.status.success(), || said(&killed))?;
    let mut told = false;
    for line in lines.by_ref().take(50) {
        let event: Value = serde_json::from_str(&line?)?;
        told = event["type"] == "oom";
        if told {
            same(event, json!({"type": "oom", "id": stage.id}))?;
            break;
        }
    }
    check(told, || "no oom event")?;
    stage.ok(&["kill", "ID", "KILL"])?;
    stage.wait_for("stopped")?;
    stage.ok(&["delete", "ID"])?;
    // The stream ends with the container.
    check(lines.take(50).count() < 50, || "events go on after the end")?;
    events.wait()?;
    Ok(())
}

fn devices_are_filtered(stage: &Stage) -> Result<(), Failed> {
    let script = "mknod /k c 1 11 && cat /k >/null 2>&1 || echo refused; \
                  mknod /z c 1 5 && (: </z) && echo zero; mknod /n c 1 3 && (: >/n) && echo null";
    stage.change(|config| {
        for set in ["bounding", "effective", "permitted"] {
            if let Some(set) = config["process"]["capabilities"][set].as_array_mut() {
                set.push(json!("CAP_MKNOD"));
            }
        }
        config["process"]["args"] = json!(["sh", "-c", format!("{script}; sleep 100")]);
    })?;
    stage.start()?;
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !stage.log()?.contains("null") && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    same(stage.log()?.as_str(), "refused\nzero\nnull\n")
}

fn exec_below_the_container(stage: &Stage) -> Result<(), Failed> {
    stage.start()?;
    let sub = stage.cgroup("pids").join("sub");
    std::fs::create_dir(&sub)?;
    let inside = stage.ok(&[
        "exec",
        "--cgroup",
        "pids:sub",
        "ID",
        "cat",
        "/proc/self/cgroup",
    ])?;
    let at = |controller: &str| {
        inside
            .lines()
            .find(|l| l.contains(&format!(":{controller}:")))
            .map(str::to_owned)
    };
    check(at("pids").is_some_and(|l| l.ends_with("/c/sub")), || {
        inside.clone()
    })?;
    check(at("memory").is_some_and(|l| l.ends_with("/c")), || {
        inside.clone()
    })?;
    for (path, words) in [
        ("pids:nothing", "nothing"),
        ("pids:../..", "is not a sub cgroup path"),
        ("none:sub", "unknown controller"),
    ] {
        let refused = stage.run(&["exec", "--cgroup", path, "ID", "true"])?;
        check(
            refused.status.code() == Some(255) && said(&refused).contains(words),
            || said(&refused),
        )?;
    }
    Ok(())
}

fn what_is_stopped(stage: &Stage) -> Result<(), Failed> {
    stage.start()?;
    stage.ok(&["kill", "ID", "KILL"])?;
    stage.wait_for("stopped")?;
    stage.fails(&["pause", "ID"], "container not running")?;
    stage.fails(&["resume", "ID"], "container not paused")?;
    let gone = format!("container with id {} is not running", stage.id);
    stage.fails(&["events", "ID"], &gone)?;
    same(stage.ok(&["ps", "-f", "json", "ID"])?.as_str(), "null\n")?;
    same(stage.ok(&["ps", "ID"])?.lines().count(), 1)
}

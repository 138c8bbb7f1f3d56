//! What keel does and runc does not, or does only in newer versions than Debian's.

use libtest_mimic::Failed;
use serde_json::json;

use crate::Case;
use crate::stage::{Lane, Stage, check, said, same};

/// All of them.
pub const ALL: &[(Lane, &str, Case)] = &[
    (
        Lane::Host,
        "delete_ends_who_outlived_init",
        delete_ends_who_outlived_init,
    ),
    (
        Lane::V2,
        "delete_ends_who_outlived_init",
        delete_ends_who_outlived_init,
    ),
    (
        Lane::V2,
        "a_threaded_cgroup_is_named",
        a_threaded_cgroup_is_named,
    ),
    (
        Lane::Host,
        "a_refused_update_changes_nothing",
        a_refused_update_changes_nothing,
    ),
    (
        Lane::Host,
        "an_update_knows_the_one_before",
        an_update_knows_the_one_before,
    ),
    (
        Lane::Host,
        "a_limit_below_the_usage_is_refused",
        a_limit_below_the_usage_is_refused,
    ),
    (
        Lane::Host,
        "refusals_name_the_field",
        refusals_name_the_field,
    ),
    (
        Lane::Host,
        "a_frozen_cgroup_is_refused",
        a_frozen_cgroup_is_refused,
    ),
    (
        Lane::Host,
        "a_cgroup_in_use_is_refused",
        a_cgroup_in_use_is_refused,
    ),
    (
        Lane::V2,
        "a_cgroup_in_use_is_refused",
        a_cgroup_in_use_is_refused,
    ),
    (Lane::Host, "no_systemd_is_said", no_systemd_is_said),
    (
        Lane::Host,
        "disabled_makes_no_cgroup",
        disabled_makes_no_cgroup,
    ),
    (
        Lane::V2,
        "controllers_that_are_missing_are_named",
        controllers_that_are_missing_are_named,
    ),
    (Lane::V2, "unified_values", unified_values),
];

fn a_refused_update_changes_nothing(stage: &Stage) -> Result<(), Failed> {
    stage.start()?;
    stage.ok(&["update", "--memory", "64m", "--pids-limit", "30", "ID"])?;
    let cpus = stage.file("cpuset", "cpuset.cpus")?;
    // The quota is refused last, after everything else was written.
    let refused = [
        "update",
        "--cpuset-cpus",
        "0",
        "--memory",
        "32m",
        "--cpu-share",
        "77",
        "--cpu-quota",
        "1",
        "ID",
    ];
    stage.fails(&refused, "cpu.cfs_quota_us")?;
    same(stage.file("cpuset", "cpuset.cpus")?, cpus)?;
    same(
        stage.file("memory", "memory.limit_in_bytes")?.as_str(),
        "67108864",
    )?;
    same(stage.file("cpu", "cpu.shares")?.as_str(), "1024")?;
    same(stage.file("pids", "pids.max")?.as_str(), "30")
}

fn an_update_knows_the_one_before(stage: &Stage) -> Result<(), Failed> {
    stage.start()?;
    stage.ok(&["update", "--memory", "64m", "ID"])?;
    stage.fails(
        &["update", "--memory-swap", "32m", "ID"],
        "memory+swap limit should be >= memory limit",
    )?;
    stage.ok(&["update", "--memory-swap", "96m", "ID"])?;
    same(
        stage
            .file("memory", "memory.memsw.limit_in_bytes")?
            .as_str(),
        "100663296",
    )
}

fn a_limit_below_the_usage_is_refused(stage: &Stage) -> Result<(), Failed> {
    stage.start()?;
    let path = stage.path("new.json");
    std::fs::write(
        &path,
        json!({"memory": {"limit": 4096, "checkBeforeUpdate": true}}).to_string(),
    )?;
    let path = path.display().to_string();
    stage.fails(
        &["update", "-r", &path, "ID"],
        "rejecting memory limit 4096 <= usage",
    )
}

fn refusals_name_the_field(stage: &Stage) -> Result<(), Failed> {
    for (resources, field) in [
        (
            json!({"memory": {"limit": 9, "swap": 8}}),
            "linux.resources.memory.swap: ",
        ),
        (json!({"cpu": {"cpus": "0-"}}), "linux.resources.cpu.cpus: "),
        (
            json!({"unified": {"memory.high": "1"}}),
            "linux.resources.unified: ",
        ),
        (
            json!({"devices": [{"allow": true, "access": "x"}]}),
            "linux.resources.devices[0].access: ",
        ),
    ] {
        stage.change(|config| config["linux"]["resources"] = resources)?;
        stage.fails(&["create", "ID"], field)?;
        check(!stage.cgroup("pids").exists(), || "a cgroup is left")?;
    }
    Ok(())
}

fn a_frozen_cgroup_is_refused(stage: &Stage) -> Result<(), Failed> {
    let dir = stage.cgroup("freezer");
    std::fs::create_dir_all(&dir)?;
    std::fs::write(dir.join("freezer.state"), "FROZEN")?;
    let refused = stage.run(&["create", "ID"])?;
    std::fs::write(dir.join("freezer.state"), "THAWED")?;
    std::fs::remove_dir(&dir)?;
    check(
        said(&refused).contains("container's cgroup unexpectedly frozen"),
        || said(&refused),
    )
}

fn no_systemd_is_said(stage: &Stage) -> Result<(), Failed> {
    let id = stage.id.clone();
    stage.change(|config| config["linux"]["cgroupsPath"] = json!(format!("{id}.slice:x:y")))?;
    let refused = stage.run(&["--systemd-cgroup", "create", "ID"])?;
    let running = std::path::Path::new("/run/dbus/system_bus_socket").exists();
    let told = said(&refused).contains("without systemd use --cgroup-manager=cgroupfs")
        || said(&refused).contains("invalid slice name");
    check(!refused.status.success() && (told || running), || {
        said(&refused)
    })
}

fn disabled_makes_no_cgroup(stage: &Stage) -> Result<(), Failed> {
    let mut arguments = vec!["--cgroup-manager", "disabled"];
    stage.change(|config| config["process"]["args"] = json!(["cat", "/proc/self/cgroup"]))?;
    arguments.extend(["run", "ID"]);
    let inside = stage.ok(&arguments)?;
    check(!inside.contains(&stage.id), || inside)
}

fn controllers_that_are_missing_are_named(stage: &Stage) -> Result<(), Failed> {
    let root =
        std::fs::read_to_string("/sys/fs/cgroup/unified/cgroup.controllers").unwrap_or_default();
    if root.contains("memory") {
        integration::skip("controllers_that_are_missing_are_named", "v2 has them all");
        return Ok(());
    }
    stage.change(|config| config["linux"]["resources"]["memory"] = json!({"limit": 67_108_864}))?;
    stage.fails(&["create", "ID"], "not available in /sys/fs/cgroup/")
}

fn unified_values(stage: &Stage) -> Result<(), Failed> {
    if !std::path::Path::new("/sys/fs/cgroup/unified/cgroup.procs").exists() {
        integration::skip(
            "unified_values",
            "cgroup2 is not mounted at /sys/fs/cgroup/unified",
        );
        return Ok(());
    }
    stage.change(|config| {
        config["linux"]["resources"]["unified"] = json!({"cgroup.max.descendants": "7"})
    })?;
    stage.start()?;
    let file = std::path::Path::new("/sys/fs/cgroup/unified")
        .join(&stage.id)
        .join("c/cgroup.max.descendants");
    same(std::fs::read_to_string(&file)?.as_str(), "7\n")?;
    stage.ok(&["update", "--unified", "cgroup.max.descendants=9", "ID"])?;
    same(std::fs::read_to_string(&file)?.as_str(), "9\n")?;
    stage.fails(
        &["update", "--unified", "memory=1", "ID"],
        "must be in the form CONTROLLER.PARAMETER",
    )
}

/// Debian's runc only warns of it; newer ones refuse as keel does.
fn a_cgroup_in_use_is_refused(stage: &Stage) -> Result<(), Failed> {
    stage.start()?;
    stage.fails(
        &["create", "second"],
        "container's cgroup is not empty: 1 process(es) found",
    )?;
    same(stage.status()?.as_str(), "running")?;
    stage.ok(&["exec", "ID", "true"]).map(drop)
}

fn a_threaded_cgroup_is_named(stage: &Stage) -> Result<(), Failed> {
    let parent = std::path::Path::new("/sys/fs/cgroup/unified").join(&stage.id);
    if !parent
        .parent()
        .is_some_and(|root| root.join("cgroup.procs").exists())
    {
        integration::skip(
            "a_threaded_cgroup_is_named",
            "cgroup2 is not mounted at /sys/fs/cgroup/unified",
        );
        return Ok(());
    }
    std::fs::create_dir(&parent)?;
    std::fs::write(parent.join("cgroup.type"), "threaded")?;
    stage.fails(&["create", "ID"], "mode; choose a cgroupsPath below")?;
    check(!parent.join("c").exists(), || "the refused cgroup is left")
}

/// Without a pid namespace the end of init ends nobody else.
fn delete_ends_who_outlived_init(stage: &Stage) -> Result<(), Failed> {
    stage.change(|config| {
        if let Some(namespaces) = config["linux"]["namespaces"].as_array_mut() {
            namespaces.retain(|it| it["type"] != "pid");
        }
        config["process"]["args"] = json!(["sh", "-c", "sleep 97 & true"]);
    })?;
    stage.start()?;
    stage.wait_for("stopped")?;
    check(
        stage.ok(&["ps", "ID"])?.contains("sleep 97"),
        || "nobody is left to be ended",
    )?;
    stage.ok(&["delete", "ID"])?;
    check(!stage.cgroup("pids").exists(), || "the cgroup is left")
}

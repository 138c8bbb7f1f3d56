//! runtime.md: the operations, what each does and what each refuses.

use crate::case::{Case, case, gone, refused_by_start};
use crate::rig::Rig;
use crate::verdict::{Verdict, fail, same};
use serde_json::json;
use std::fs;

const CREATE: &str = "runtime.md#create";
const START: &str = "runtime.md#start";
const KILL: &str = "runtime.md#kill";
const DELETE: &str = "runtime.md#delete";
const LIFECYCLE: &str = "runtime.md#lifecycle";
const ERRORS: &str = "runtime.md#errors";

/// The chapter's cases.
pub fn cases() -> Vec<Case> {
    let mut all = vec![
        case("lifecycle/create/not-started", LIFECYCLE, not_started),
        case("lifecycle/create/config-changed-afterwards", LIFECYCLE, changed_config),
        case("lifecycle/create/duplicate-id", CREATE, duplicate_id),
        case("lifecycle/create/no-config", CREATE, |rig| {
            let bundle = rig.bundle()?;
            let id = rig.id();
            require!(rig.create_as(&id, &bundle, &[])?.is_err(), "create accepted a bundle without config.json");
            gone(rig, &id)
        }),
        case("lifecycle/create/config-not-json", CREATE, |rig| {
            let bundle = rig.bundle()?;
            fs::write(bundle.dir.join("config.json"), "{\"ociVersion\": \"1.3.0\",")?;
            let id = rig.id();
            require!(rig.create_as(&id, &bundle, &[])?.is_err(), "create accepted half a config.json");
            gone(rig, &id)
        }),
        case("lifecycle/create/no-bundle", CREATE, |rig| {
            let missing = rig.dir.join("missing").to_string_lossy().into_owned();
            let id = rig.id();
            require!(!rig.operate(&["create", "--bundle", &missing, &id])?.ok, "create accepted a bundle that is not there");
            gone(rig, &id)
        }),
        case("lifecycle/create/failure-leaves-cgroups-alone", ERRORS, failure_leaves_nothing).root(),
        case("lifecycle/create/failed-id-can-be-used", ERRORS, failed_id),
        case("lifecycle/start/runs-program", START, |rig| rig.run(&json!({}), &["pid"])?.ok("pid").map(drop)),
        case("lifecycle/start/twice", START, start_running),
        case("lifecycle/start/stopped", START, start_stopped),
        refused_by_start("lifecycle/start/no-process", START, json!({"process": null})),
        case("lifecycle/kill/created", KILL, kill_created),
        case("lifecycle/kill/stopped", KILL, kill_stopped),
        case("lifecycle/delete/running", DELETE, delete_running),
        case("lifecycle/delete/created", DELETE, delete_created),
        case("lifecycle/delete/forgets", DELETE, |rig| {
            let mut container = rig.launch(&json!({}), &[])?;
            container.finish()?;
            rig.delete(&container.id)?;
            gone(rig, &container.id)
        }),
        case("lifecycle/delete/twice", DELETE, |rig| {
            let mut container = rig.launch(&json!({}), &[])?;
            container.finish()?;
            rig.delete(&container.id)?;
            require!(!rig.operate(&["delete", &container.id])?.ok, "delete accepted a container that is gone");
            Ok(())
        }),
        case("lifecycle/delete/id-used-again", DELETE, id_again),
        case("lifecycle/delete/keeps-bundle", DELETE, keeps_bundle),
        case("lifecycle/delete/keeps-bind-source", DELETE, keeps_source),
        case("lifecycle/delete/removes-cgroups", DELETE, removes_cgroups).root(),
        case("lifecycle/delete/keeps-joined-namespace", DELETE, keeps_namespace).root(),
    ];
    all.extend(missing_arguments());
    all.extend(bad_ids());
    all.extend(signals());
    all
}

fn missing_arguments() -> Vec<Case> {
    let mut all = Vec::new();
    for (verb, clause) in [("create", CREATE), ("start", START), ("kill", KILL), ("delete", DELETE), ("state", "runtime.md#query-state")] {
        all.push(case(format!("lifecycle/{verb}/no-id"), clause, move |rig| {
            let bundle = rig.bundle_with(&json!({}), &[])?;
            let dir = bundle.dir.to_string_lossy().into_owned();
            let words = if verb == "create" { vec!["create", "--bundle", &dir] } else { vec![verb] };
            require!(!rig.operate(&words)?.ok, "{verb} accepted that no ID was given");
            Ok(())
        }));
        if verb != "create" {
            all.push(case(format!("lifecycle/{verb}/unknown-id"), clause, move |rig| {
                let words = if verb == "kill" { vec!["kill", "nobody", "KILL"] } else { vec![verb, "nobody"] };
                require!(!rig.operate(&words)?.ok, "{verb} accepted the ID of no container");
                Ok(())
            }));
        }
    }
    all
}

fn bad_ids() -> Vec<Case> {
    let bad = [("empty", ""), ("parent", ".."), ("itself", "."), ("slash", "a/b"), ("escape", "../a"), ("newline", "a\nb")];
    let judge = |id: &'static str| {
        move |rig: &Rig| {
            let bundle = rig.bundle_with(&json!({}), &[])?;
            let dir = bundle.dir.to_string_lossy().into_owned();
            let pid = rig.dir.join("pid").to_string_lossy().into_owned();
            if rig.operate(&["create", "--bundle", &dir, "--pid-file", &pid, id])?.ok {
                drop(rig.operate(&["delete", "--force", id]));
                return fail(format!("create accepted the ID {id:?}"));
            }
            Ok(())
        }
    };
    bad.into_iter().map(|(name, id)| case(format!("lifecycle/create/invalid-id-{name}"), CREATE, judge(id))).collect()
}

/// Each signal must reach the container's process, as number and as name.
fn signals() -> Vec<Case> {
    let named =
        [("HUP", 1), ("SIGINT", 2), ("QUIT", 3), ("USR1", 10), ("SIGUSR2", 12), ("TERM", 15), ("CONT", 18), ("WINCH", 28), ("2", 2), ("15", 15)];
    let judge = |name: &'static str, number: i32| {
        move |rig: &Rig| {
            let mut container = rig.launch(&json!({}), &["await"])?;
            container.ready()?;
            let ran = rig.operate(&["kill", &container.id, name])?;
            require!(ran.ok, "kill failed: {}", ran.text);
            same("the signal inside", container.finish()?.ok("await")?.as_i64(), Some(i64::from(number)))
        }
    };
    let mut all: Vec<Case> =
        named.into_iter().map(|(name, number)| case(format!("lifecycle/kill/signal-{name}"), KILL, judge(name, number))).collect();
    all.push(case("lifecycle/kill/signal-KILL", KILL, |rig| {
        let mut container = rig.launch(&json!({}), &["hold"])?;
        container.ready()?;
        require!(rig.operate(&["kill", &container.id, "KILL"])?.ok, "kill failed");
        same("the status", container.wait()?, Some(137))
    }));
    all.push(case("lifecycle/kill/invalid-signal", KILL, |rig| {
        let mut container = rig.launch(&json!({}), &["hold"])?;
        container.ready()?;
        require!(!rig.operate(&["kill", &container.id, "NOSUCHSIGNAL"])?.ok, "kill accepted a signal that does not exist");
        same("the status", container.state(rig)?["status"].as_str(), Some("running"))
    }));
    all
}

fn not_started(rig: &Rig) -> Verdict {
    let bundle = rig.bundle_with(&json!({}), &["append:/ran=yes"])?;
    let mut container = rig.create(&bundle)?;
    same("the status", container.state(rig)?["status"].as_str(), Some("created"))?;
    require!(!bundle.inside("/ran").exists(), "create ran the program");
    container.start(rig)?;
    container.finish()?;
    require!(bundle.inside("/ran").exists(), "start did not run the program");
    Ok(())
}

fn changed_config(rig: &Rig) -> Verdict {
    let bundle = rig.bundle_with(&json!({"hostname": "before"}), &["uname", "env"])?;
    let mut container = rig.create(&bundle)?;
    bundle.write(&rig.config(&json!({"hostname": "after", "process": {"env": ["LATE=1"]}}), &["exit:3"]))?;
    container.start(rig)?;
    let report = container.finish()?;
    same("the host name", report.ok("uname")?["node"].as_str(), Some("before"))?;
    require!(!crate::report::holds(report.ok("env")?, "LATE=1"), "the later environment was used");
    same("the status", report.code, Some(0))
}

fn duplicate_id(rig: &Rig) -> Verdict {
    let bundle = rig.bundle_with(&json!({}), &["hold"])?;
    let mut first = rig.create(&bundle)?;
    first.start(rig)?;
    first.ready()?;
    let other = rig.bundle_with(&json!({"linux": {"cgroupsPath": null}}), &["hold"])?;
    require!(rig.create_as(&first.id, &other, &[])?.is_err(), "create accepted an ID in use");
    let state = first.state(rig)?;
    same("the first container's status", state["status"].as_str(), Some("running"))?;
    same("the first container's bundle", state["bundle"].as_str(), bundle.dir.to_str())
}

fn failure_leaves_nothing(rig: &Rig) -> Verdict {
    let group = format!("{}/{}", rig.session.group, rig.name);
    crate::case::must_refuse(rig, &json!({"root": {"path": "missing"}}), false)?;
    crate::case::must_refuse(rig, &json!({"+mounts": [{"destination": "/mnt", "source": "/no/such", "options": ["bind"]}]}), false)?;
    for root in &rig.session.host.hierarchies {
        require!(!root.join(&group).exists(), "a failed create left the cgroup {}", root.join(&group).display());
    }
    Ok(())
}

fn failed_id(rig: &Rig) -> Verdict {
    let id = rig.id();
    let bundle = rig.bundle_with(&json!({"root": {"path": "missing"}}), &["pid"])?;
    require!(rig.create_as(&id, &bundle, &[])?.is_err(), "create accepted a root that is not there");
    bundle.write(&rig.config(&json!({}), &["pid"]))?;
    match rig.create_as(&id, &bundle, &[])? {
        Ok(_) => Ok(()),
        Err(text) => fail(format!("the ID of a failed create cannot be used: {text}")),
    }
}

fn start_running(rig: &Rig) -> Verdict {
    let mut container = rig.launch(&json!({}), &["hold"])?;
    container.ready()?;
    require!(!rig.operate(&["start", &container.id])?.ok, "start accepted a running container");
    same("the status", container.state(rig)?["status"].as_str(), Some("running"))
}

fn start_stopped(rig: &Rig) -> Verdict {
    let mut container = rig.launch(&json!({}), &["pid"])?;
    container.finish()?;
    require!(!rig.operate(&["start", &container.id])?.ok, "start accepted a stopped container");
    same("the status", container.state(rig)?["status"].as_str(), Some("stopped"))
}

fn kill_created(rig: &Rig) -> Verdict {
    let bundle = rig.bundle_with(&json!({}), &["pid"])?;
    let mut container = rig.create(&bundle)?;
    let ran = rig.operate(&["kill", &container.id, "KILL"])?;
    require!(ran.ok, "kill refused a created container: {}", ran.text);
    container.wait()?;
    same("the status", container.state(rig)?["status"].as_str(), Some("stopped"))
}

fn kill_stopped(rig: &Rig) -> Verdict {
    let mut container = rig.launch(&json!({}), &["pid"])?;
    container.finish()?;
    require!(!rig.operate(&["kill", &container.id, "TERM"])?.ok, "kill accepted a stopped container");
    same("the status", container.state(rig)?["status"].as_str(), Some("stopped"))
}

fn delete_running(rig: &Rig) -> Verdict {
    let mut container = rig.launch(&json!({}), &["hold"])?;
    container.ready()?;
    require!(!rig.operate(&["delete", &container.id])?.ok, "delete accepted a running container");
    same("the status", container.state(rig)?["status"].as_str(), Some("running"))
}

/// The clause asks for an error. Every runtime in use deletes the container and containerd relies on it, so either is
/// accepted, but nothing between: an error without effect, or the container gone with its process.
fn delete_created(rig: &Rig) -> Verdict {
    let bundle = rig.bundle_with(&json!({}), &["pid"])?;
    let mut container = rig.create(&bundle)?;
    if rig.operate(&["delete", &container.id])?.ok {
        container.wait()?;
        return gone(rig, &container.id);
    }
    same("the status", container.state(rig)?["status"].as_str(), Some("created"))
}

fn id_again(rig: &Rig) -> Verdict {
    let bundle = rig.bundle_with(&json!({}), &["pid"])?;
    let mut first = rig.create(&bundle)?;
    first.start(rig)?;
    first.finish()?;
    rig.delete(&first.id)?;
    match rig.create_as(&first.id, &bundle, &[])? {
        Ok(mut second) => {
            second.start(rig)?;
            second.finish()?.ok("pid").map(drop)
        }
        Err(text) => fail(format!("a deleted container's ID cannot be used: {text}")),
    }
}

fn keeps_bundle(rig: &Rig) -> Verdict {
    let bundle = rig.bundle_with(&json!({}), &["append:/data=kept"])?;
    rig.run_bundle(&bundle)?;
    require!(bundle.dir.join("config.json").exists(), "delete removed config.json");
    same("the file the container wrote", fs::read_to_string(bundle.inside("/data"))?.trim(), "kept")
}

fn keeps_source(rig: &Rig) -> Verdict {
    let source = rig.dir.join("source");
    fs::create_dir(&source)?;
    fs::write(source.join("file"), "kept")?;
    let mount = json!({"+mounts": [{"destination": "/mnt", "source": source, "options": ["bind"]}]});
    let report = rig.run(&mount, &["read:/mnt/file"])?;
    same("the file inside", report.text("read:/mnt/file")?, "kept")?;
    same("the file afterwards", fs::read_to_string(source.join("file"))?.as_str(), "kept")
}

fn removes_cgroups(rig: &Rig) -> Verdict {
    let group = format!("{}/{}", rig.session.group, rig.name);
    let present = || rig.session.host.hierarchies.iter().map(|r| r.join(&group)).filter(|g| g.exists()).collect::<Vec<_>>();
    let mut container = rig.launch(&json!({}), &["hold"])?;
    container.ready()?;
    require!(!present().is_empty(), "no hierarchy has the container's cgroup {group}");
    require!(rig.operate(&["kill", &container.id, "KILL"])?.ok, "kill failed");
    container.wait()?;
    rig.delete(&container.id)?;
    require!(present().is_empty(), "delete left {:?}", present());
    Ok(())
}

fn keeps_namespace(rig: &Rig) -> Verdict {
    let pid = rig.keep(&["net"])?;
    let path = format!("/proc/{pid}/ns/net");
    rig.run(&json!({"linux": {"+namespaces": [{"type": "network", "path": path}]}}), &["pid"])?;
    require!(fs::read_link(path).is_ok(), "the joined namespace is gone");
    Ok(())
}

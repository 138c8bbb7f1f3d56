//! config.md#posix-platform-hooks: each kind of hook, where and when it runs, what it is given, what its failure does.

use crate::case::{Case, case, refused, sees};
use crate::rig::Rig;
use crate::verdict::{Verdict, fail, same};
use serde_json::{Map, Value, json};
use std::fs;

const HOOKS: &str = "config.md#posix-platform-hooks";
const LIFECYCLE: &str = "runtime.md#lifecycle";

/// The six kinds in the order of the lifecycle.
pub const KINDS: [&str; 6] = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// The chapter's cases.
pub fn cases() -> Vec<Case> {
    let mut all = vec![
        case("hooks/order-of-kinds", LIFECYCLE, order_of_kinds),
        case("hooks/poststop/failure-is-only-a-warning", LIFECYCLE, failing_poststop),
        case("hooks/poststop/not-before-delete", "config.md#poststop", |rig| {
            let (log, patch) = one(rig, "poststop", &[])?;
            let mut container = rig.launch(&patch, &["pid"])?;
            container.finish()?;
            require!(!log.exists(), "poststop ran before delete");
            rig.delete(&container.id)?;
            require!(log.exists(), "poststop did not run by the end of delete");
            Ok(())
        }),
        case("hooks/startContainer/not-at-create", "config.md#startcontainer-hooks", |rig| not_at_create(rig, "startContainer")),
        case("hooks/poststart/not-at-create", "config.md#poststart", |rig| not_at_create(rig, "poststart")),
        case("hooks/poststart/after-program", "config.md#poststart", |rig| {
            let seen = record(rig, "poststart", &json!({}))?;
            let payload = seen["payload"].as_str().unwrap_or_default();
            require!(payload.starts_with("/probe hold"), "at poststart the container's process was {payload:?}");
            Ok(())
        }),
        case("hooks/createContainer/before-pivot-root", "config.md#createcontainer-hooks", |rig| {
            let seen = record(rig, "createContainer", &json!({"+stat": []}))?;
            same("the hook's program on the host", seen["exists"][rig.session.work.join("probe").to_string_lossy().as_ref()].as_bool(), Some(true))
        }),
        case("hooks/createContainer/mounts-are-made", "config.md#createcontainer-hooks", mounts_are_made),
        case("hooks/none-and-empty", HOOKS, |rig| {
            rig.run(&json!({"hooks": {}}), &["pid"])?;
            let empty: Map<String, Value> = KINDS.iter().map(|k| ((*k).to_owned(), json!([]))).collect();
            rig.run(&json!({"hooks": empty}), &["pid"])?.ok("pid").map(drop)
        }),
        sees("hooks/unknown-kind-ignored", "config.md#extensibility", json!({"hooks": {"beforeLunch": [{"path": "/no/such"}]}}), &["pid"], |r| {
            r.ok("pid").map(drop)
        }),
    ];
    for kind in KINDS {
        all.extend(each(kind));
    }
    for kind in &KINDS[..5] {
        all.extend(failures(kind));
    }
    all
}

/// The cases every kind has.
fn each(kind: &'static str) -> Vec<Case> {
    let named = |what: &str| format!("hooks/{kind}/{what}");
    vec![
        case(named("state-on-stdin"), HOOKS, move |rig| state_on_stdin(rig, kind)),
        case(named("state-status"), "runtime.md#state", move |rig| state_status(rig, kind)),
        case(named("namespaces"), HOOKS, move |rig| namespaces(rig, kind)),
        case(named("listed-order"), HOOKS, move |rig| listed_order(rig, kind)),
        case(named("args"), HOOKS, move |rig| {
            let seen = record(rig, kind, &json!({}))?;
            same("argv", seen["args"].as_array().map(|a| json!([a[0], a[1], a[3]])), Some(json!(["probe", "hook", kind])))
        }),
        case(named("env"), HOOKS, move |rig| {
            let seen = record(rig, kind, &json!({"env": ["ONE=1", "TWO=a b"]}))?;
            same("the environment", &seen["env"], &json!(["ONE=1", "TWO=a b"]))
        }),
        refused(named("relative-path"), HOOKS, json!({"hooks": {kind: [{"path": "bin/true"}]}})),
        refused(named("timeout-of-zero"), HOOKS, json!({"hooks": {kind: [{"path": "/probe", "timeout": 0}]}})),
        refused(named("timeout-below-zero"), HOOKS, json!({"hooks": {kind: [{"path": "/probe", "timeout": -1}]}})),
    ]
}

/// What a failing hook of the kinds before poststop must do: an error, the container stopped and destroyed, poststop run.
fn failures(kind: &'static str) -> Vec<Case> {
    let named = |what: &str| format!("hooks/{kind}/{what}");
    vec![
        case(named("failure"), LIFECYCLE, move |rig| failing(rig, kind, "fail", None)),
        case(named("missing-program"), LIFECYCLE, move |rig| {
            let patch = json!({"hooks": {kind: [{"path": "/no/such/program"}]}});
            let (created, started) = attempt(rig, &patch)?;
            require!(!(created && started), "create and start succeeded without the hook's program");
            Ok(())
        }),
        case(named("timeout"), HOOKS, move |rig| failing(rig, kind, "slow", Some(1))),
        case(named("failure-stops-the-list"), LIFECYCLE, move |rig| {
            let log = log_path(rig, kind)?;
            let hooks = json!([hook(rig, kind, &log.1, &["fail"]), hook(rig, kind, &log.1, &["second"])]);
            let bundle = rig.bundle_at(&log.0, &json!({"hooks": {kind: hooks}}), &["hold"])?;
            drive(rig, &bundle)?;
            same("the hooks that ran", read(&log.2)?.len(), 1)
        }),
    ]
}

/// A hook that runs the probe; startContainer's path is the one inside the container.
fn hook(rig: &Rig, kind: &str, log: &str, words: &[&str]) -> Value {
    let host = rig.session.work.join("probe").to_string_lossy().into_owned();
    let path = if kind == "startContainer" { "/probe" } else { &host };
    let mut args = vec!["probe", "hook", log, kind];
    args.extend(words);
    json!({"path": path, "args": args})
}

/// Where such a hook writes: the bundle's directory name, the path as the hook sees it, the path on the host.
fn log_path(rig: &Rig, kind: &str) -> Verdict<(crate::bundle::Bundle, String, std::path::PathBuf)> {
    let bundle = rig.bundle()?;
    let outside = bundle.inside("/hooks.log");
    let seen = if kind == "startContainer" { "/hooks.log".to_owned() } else { outside.to_string_lossy().into_owned() };
    Ok((bundle, seen, outside))
}

/// Records of the hooks that ran.
fn read(log: &std::path::Path) -> Verdict<Vec<Value>> {
    let text = fs::read_to_string(log).unwrap_or_default();
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

/// The log and a patch with one hook of the kind that logs on the host (not for startContainer).
fn one(rig: &Rig, kind: &str, words: &[&str]) -> Verdict<(std::path::PathBuf, Value)> {
    let log = rig.dir.join("hooks.log");
    let hooks = json!([hook(rig, kind, &log.to_string_lossy(), words)]);
    Ok((log, json!({"hooks": {kind: hooks}})))
}

/// Creates, starts, kills and deletes; returns whether create and start succeeded.
fn drive(rig: &Rig, bundle: &crate::bundle::Bundle) -> Verdict<(bool, bool)> {
    let id = rig.id();
    let Ok(mut container) = rig.create_as(&id, bundle, &[])? else {
        return Ok((false, false));
    };
    let started = rig.operate(&["start", &id])?.ok;
    if started {
        container.ready()?;
        require!(rig.operate(&["kill", &id, "KILL"])?.ok, "kill failed");
    }
    container.wait()?;
    drop(rig.operate(&["delete", &id])?);
    Ok((true, started))
}

fn attempt(rig: &Rig, patch: &Value) -> Verdict<(bool, bool)> {
    let bundle = rig.bundle_with(patch, &["hold"])?;
    drive(rig, &bundle)
}

/// Runs a container with one hook of the kind (`more` laid over it) to its end and returns what the hook recorded.
fn record(rig: &Rig, kind: &str, more: &Value) -> Verdict<Value> {
    let (bundle, seen, outside) = log_path(rig, kind)?;
    let stat = format!("stat:{}", rig.session.work.join("probe").to_string_lossy());
    let mut entry = hook(rig, kind, &seen, &[&stat]);
    crate::bundle::merge(&mut entry, more);
    let patch = json!({"hooks": {kind: [entry]}, "annotations": {"org.example": "yes"}});
    let bundle = rig.bundle_at(&bundle, &patch, &["hold"])?;
    let outcome = drive(rig, &bundle)?;
    same("create and start succeeding", outcome, (true, true))?;
    match read(&outside)?.into_iter().next() {
        Some(record) => Ok(record),
        None => fail(format!("no {kind} hook ran")),
    }
}

fn state_on_stdin(rig: &Rig, kind: &str) -> Verdict {
    let state = record(rig, kind, &json!({}))?["state"].take();
    require!(state.is_object(), "stdin held {state}");
    for field in ["ociVersion", "id", "status", "bundle"] {
        require!(state[field].is_string(), "{field}: {} instead of a string", state[field]);
    }
    require!(state["bundle"].as_str().is_some_and(|b| b.starts_with(rig.dir.to_string_lossy().as_ref())), "bundle: {}", state["bundle"]);
    same("an annotation", state["annotations"]["org.example"].as_str(), Some("yes"))
}

/// The status each kind may see, and the pid where the status asks for one.
fn state_status(rig: &Rig, kind: &str) -> Verdict {
    let state = record(rig, kind, &json!({}))?["state"].take();
    let allowed: &[&str] = match kind {
        "startContainer" => &["created"],
        "poststart" => &["running"],
        "poststop" => &["stopped"],
        _ => &["creating", "created"],
    };
    let status = state["status"].as_str().unwrap_or_default();
    require!(allowed.contains(&status), "status: {status:?} instead of {}", allowed.join(" or "));
    if matches!(status, "created" | "running") {
        let pid = state["pid"].as_i64().unwrap_or(0);
        require!(pid > 0, "pid: {} while {status}", state["pid"]);
        if matches!(kind, "createContainer" | "startContainer") {
            same("the pid as the container sees it", pid, 1)?;
        }
    }
    Ok(())
}

/// Kinds for the runtime run in its namespaces; createContainer and startContainer in the container's.
fn namespaces(rig: &Rig, kind: &str) -> Verdict {
    let seen = record(rig, kind, &json!({}))?;
    let own = crate::probe::namespaces();
    let inside = matches!(kind, "createContainer" | "startContainer");
    for name in ["mnt", "uts", "ipc", "pid"] {
        let shared = seen["ns"][name] == own[name];
        require!(shared != inside, "the {name} namespace is {}the runtime's", if shared { "" } else { "not " });
    }
    Ok(())
}

fn listed_order(rig: &Rig, kind: &str) -> Verdict {
    let (bundle, seen, outside) = log_path(rig, kind)?;
    let hooks: Vec<Value> = ["a", "b", "c"].iter().map(|n| hook(rig, n, &seen, &[])).collect();
    let mut hooks = json!(hooks);
    for entry in hooks.as_array_mut().into_iter().flatten() {
        entry["path"] = hook(rig, kind, &seen, &[])["path"].clone();
    }
    let bundle = rig.bundle_at(&bundle, &json!({"hooks": {kind: hooks}}), &["hold"])?;
    drive(rig, &bundle)?;
    let names: Vec<Value> = read(&outside)?.iter_mut().map(|r| r["name"].take()).collect();
    same("the hooks in the order they ran", json!(names), json!(["a", "b", "c"]))
}

fn order_of_kinds(rig: &Rig) -> Verdict {
    let bundle = rig.bundle()?;
    let outside = bundle.inside("/hooks.log").to_string_lossy().into_owned();
    let mut hooks = Map::new();
    for kind in KINDS {
        let log = if kind == "startContainer" { "/hooks.log" } else { &outside };
        hooks.insert(kind.to_owned(), json!([hook(rig, kind, log, &[])]));
    }
    let bundle = rig.bundle_at(&bundle, &json!({"hooks": hooks}), &["hold"])?;
    same("create and start succeeding", drive(rig, &bundle)?, (true, true))?;
    let names: Vec<Value> = read(&bundle.inside("/hooks.log"))?.iter_mut().map(|r| r["name"].take()).collect();
    same("the kinds in the order they ran", json!(names), json!(KINDS))
}

fn failing_poststop(rig: &Rig) -> Verdict {
    let log = rig.dir.join("hooks.log");
    let path = log.to_string_lossy().into_owned();
    let hooks = json!([hook(rig, "poststop", &path, &["fail"]), hook(rig, "poststop", &path, &["second"])]);
    let mut container = rig.launch(&json!({"hooks": {"poststop": hooks}}), &["pid"])?;
    container.finish()?;
    drop(rig.operate(&["delete", &container.id])?);
    same("the hooks that ran", read(&log)?.len(), 2)?;
    crate::case::gone(rig, &container.id)
}

fn not_at_create(rig: &Rig, kind: &str) -> Verdict {
    let (bundle, seen, outside) = log_path(rig, kind)?;
    let bundle = rig.bundle_at(&bundle, &json!({"hooks": {kind: [hook(rig, kind, &seen, &[])]}}), &["hold"])?;
    let mut container = rig.create(&bundle)?;
    require!(read(&outside)?.is_empty(), "{kind} ran at create");
    container.start(rig)?;
    container.ready()?;
    same("hooks run by the time the program runs", read(&outside)?.len(), 1)
}

/// The container's mounts are in place when createContainer hooks run, below the root file system's path.
fn mounts_are_made(rig: &Rig) -> Verdict {
    let (bundle, seen, outside) = log_path(rig, "createContainer")?;
    let inside = format!("stat:{}", bundle.inside("/proc/self").to_string_lossy());
    let entry = hook(rig, "createContainer", &seen, &[&inside]);
    let bundle = rig.bundle_at(&bundle, &json!({"hooks": {"createContainer": [entry]}}), &["hold"])?;
    drive(rig, &bundle)?;
    let seen = read(&outside)?.into_iter().next().unwrap_or_default();
    same("the container's /proc being mounted", &seen["exists"], &json!({inside.trim_start_matches("stat:"): true}))
}

/// The hook fails or outlives its timeout: an error, no container, poststop run.
fn failing(rig: &Rig, kind: &str, how: &str, timeout: Option<u32>) -> Verdict {
    let (bundle, seen, _) = log_path(rig, kind)?;
    let stop = rig.dir.join("poststop.log");
    let mut entry = hook(rig, kind, &seen, &[how]);
    if let Some(seconds) = timeout {
        entry["timeout"] = json!(seconds);
    }
    let hooks = json!({kind: [entry], "poststop": [hook(rig, "poststop", &stop.to_string_lossy(), &[])]});
    let bundle = rig.bundle_at(&bundle, &json!({"hooks": hooks}), &["append:/ran=yes", "hold"])?;
    let id = rig.id();
    let created = rig.create_as(&id, &bundle, &[])?;
    if matches!(kind, "startContainer" | "poststart") {
        let mut container = match created {
            Ok(container) => container,
            Err(text) => return fail(format!("create failed: {text}")),
        };
        require!(!rig.operate(&["start", &id])?.ok, "start succeeded");
        container.wait()?;
    } else {
        require!(created.is_err(), "create succeeded");
    }
    require!(kind == "poststart" || !bundle.inside("/ran").exists(), "the program ran all the same");
    let known = rig.operate(&["state", &id])?;
    require!(!known.ok, "the container is not destroyed: {}", known.out);
    same("poststop hooks run", read(&stop)?.len(), 1)
}

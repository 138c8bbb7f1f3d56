//! runtime.md: the state of a container, through its life.

use crate::case::{Case, case};
use crate::rig::Rig;
use crate::verdict::{Verdict, same};
use serde_json::{Value, json};

const STATE: &str = "runtime.md#state";
const QUERY: &str = "runtime.md#query-state";

/// The chapter's cases.
pub fn cases() -> Vec<Case> {
    let mut all = vec![
        case("state/annotations", STATE, |rig| {
            let wanted = json!({"org.example.one": "1", "org.example.empty": ""});
            let state = held(rig, &json!({"annotations": wanted}))?;
            same("one annotation", &state["annotations"]["org.example.one"], &json!("1"))?;
            same("an empty annotation", &state["annotations"]["org.example.empty"], &json!(""))
        }),
        case("state/no-annotations", STATE, |rig| {
            let state = held(rig, &json!({}))?;
            let annotations = state.get("annotations").cloned().unwrap_or(json!({}));
            require!(annotations.as_object().is_some_and(serde_json::Map::is_empty), "annotations: {annotations}");
            Ok(())
        }),
        case("state/bundle-by-relative-path", STATE, relative_bundle),
        case("state/bundle-is-current-directory", "runtime.md#create", current_directory),
        case("state/stopped-after-failure", STATE, |rig| {
            let mut container = rig.launch(&json!({}), &["exit:3"])?;
            container.finish()?;
            same("the status", container.state(rig)?["status"].as_str(), Some("stopped"))
        }),
        case("state/stopped-after-kill", STATE, |rig| {
            let mut container = rig.launch(&json!({}), &["hold"])?;
            container.ready()?;
            require!(rig.operate(&["kill", &container.id, "KILL"])?.ok, "kill failed");
            container.wait()?;
            same("the status", container.state(rig)?["status"].as_str(), Some("stopped"))
        }),
    ];
    for moment in ["created", "running", "stopped"] {
        all.push(case(format!("state/{moment}/schema"), QUERY, move |rig| schema(rig, moment)));
        all.push(case(format!("state/{moment}/status"), STATE, move |rig| {
            let (state, ..) = at(rig, moment)?;
            same("the status", state["status"].as_str(), Some(moment))
        }));
        all.push(case(format!("state/{moment}/id-and-bundle"), STATE, move |rig| {
            let (state, id, bundle, _) = at(rig, moment)?;
            same("the ID", state["id"].as_str(), Some(id.as_str()))?;
            same("the bundle", state["bundle"].as_str(), Some(bundle.as_str()))
        }));
        if moment != "stopped" {
            all.push(case(format!("state/{moment}/pid"), STATE, move |rig| {
                let (state, _, _, pid) = at(rig, moment)?;
                same("the pid", state["pid"].as_i64(), Some(i64::from(pid)))
            }));
        }
    }
    all
}

fn held(rig: &Rig, patch: &Value) -> Verdict<Value> {
    let bundle = rig.bundle_with(patch, &["pid"])?;
    let container = rig.create(&bundle)?;
    container.state(rig)
}

/// The state at that moment of a container's life, its ID, its bundle and its pid.
fn at(rig: &Rig, moment: &str) -> Verdict<(Value, String, String, i32)> {
    let actions: &[&str] = if moment == "running" { &["hold"] } else { &["pid"] };
    let bundle = rig.bundle_with(&json!({}), actions)?;
    let mut container = rig.create(&bundle)?;
    if moment != "created" {
        container.start(rig)?;
    }
    match moment {
        "running" => drop(container.ready()?),
        "stopped" => drop(container.finish()?),
        _ => {}
    }
    let dir = bundle.dir.to_string_lossy().into_owned();
    Ok((container.state(rig)?, container.id.clone(), dir, container.pid))
}

/// state-schema.json: the required properties and their types.
fn schema(rig: &Rig, moment: &str) -> Verdict {
    let (state, ..) = at(rig, moment)?;
    for field in ["ociVersion", "id", "status", "bundle"] {
        require!(state[field].is_string(), "{field}: {} instead of a string", state[field]);
    }
    let version = state["ociVersion"].as_str().unwrap_or_default();
    require!(is_semver(version), "ociVersion: {version:?} is no semantic version");
    if let Some(pid) = state.get("pid") {
        require!(pid.as_i64().is_some_and(|p| p >= 0), "pid: {pid} is not a number from 0 up");
    } else {
        same("the moment without a pid", moment, "stopped")?;
    }
    let annotations = state.get("annotations").cloned().unwrap_or(json!({}));
    require!(annotations.is_object(), "annotations: {annotations} is no object");
    Ok(())
}

/// MAJOR.MINOR.PATCH with an optional pre-release and build (semver.org 2.0.0).
pub fn is_semver(text: &str) -> bool {
    let core = text.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    numbers.len() == 3 && numbers.iter().all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

fn relative_bundle(rig: &Rig) -> Verdict {
    let bundle = rig.bundle_with(&json!({}), &["pid"])?;
    let id = rig.id();
    let name = bundle.dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // The runtime's working directory is the case's own, which holds the bundle.
    let relative = crate::bundle::Bundle { dir: name.into() };
    let created = rig.create_as(&id, &relative, &[])?;
    require!(created.is_ok(), "create refused a relative path: {:?}", created.err());
    same("the bundle", rig.state(&id)?["bundle"].as_str(), bundle.dir.to_str())
}

fn current_directory(rig: &Rig) -> Verdict {
    let bundle = rig.bundle_with(&json!({}), &["pid"])?;
    let id = rig.id();
    let (out, into) = std::io::pipe()?;
    let mut command = rig.command(&["create", "--pid-file", "pid", &id]);
    command.current_dir(&bundle.dir).stdin(std::process::Stdio::null()).stdout(into).stderr(std::process::Stdio::null());
    let code = crate::rig::finish(command.spawn()?, &["create"])?;
    drop(out);
    rig.adopt(&id);
    same("create's status", code, Some(0))?;
    same("the bundle", rig.state(&id)?["bundle"].as_str(), bundle.dir.to_str())
}

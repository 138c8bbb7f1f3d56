//! config-linux.md#containerprocessstate: seccomp's user notification and what is sent to its agent.

use super::terminal::receive;
use crate::case::{Case, case, sees};
use crate::container::{Container, LIMIT, readable};
use crate::rig::Rig;
use crate::verdict::{Verdict, fail, same};
use serde_json::{Value, json};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::Instant;

const STATE: &str = "config-linux.md#the-container-process-state";
const SECCOMP: &str = "config-linux.md#seccomp";

/// The chapter's cases.
pub fn cases() -> Vec<Case> {
    vec![
        case("seccomp/notify/one-state", STATE, |rig| {
            let told = tell(rig)?;
            require!(told.state.is_object(), "the agent received {}", told.state);
            require!(told.state["ociVersion"].as_str().is_some_and(super::state::is_semver), "ociVersion: {}", told.state["ociVersion"]);
            Ok(())
        }),
        case("seccomp/notify/fds", STATE, |rig| same("fds", &tell(rig)?.state["fds"], &json!(["seccompFd"]))),
        case("seccomp/notify/pid", STATE, |rig| {
            let told = tell(rig)?;
            same("pid", told.state["pid"].as_i64(), Some(i64::from(told.container.pid)))
        }),
        case("seccomp/notify/metadata", SECCOMP, |rig| same("metadata", tell(rig)?.state["metadata"].as_str(), Some("for the agent"))),
        case("seccomp/notify/state", STATE, |rig| {
            let told = tell(rig)?;
            let state = &told.state["state"];
            same("id", state["id"].as_str(), Some(told.container.id.as_str()))?;
            same("an annotation", state["annotations"]["org.example"].as_str(), Some("yes"))?;
            require!(state["bundle"].as_str().is_some_and(|b| b.starts_with('/')), "bundle: {}", state["bundle"]);
            let status = state["status"].as_str().unwrap_or_default();
            require!(matches!(status, "creating" | "created" | "running"), "status: {status}");
            Ok(())
        }),
        case("seccomp/notify/connection-closed", SECCOMP, |rig| same("bytes after the state", tell(rig)?.after, 0)),
        case("seccomp/notify/descriptor-works", SECCOMP, |rig| {
            let mut told = tell(rig)?;
            require!(readable(told.descriptor.as_fd(), Instant::now() + LIMIT)?, "no notification came for the container's mkdir");
            // With its listener closed the kernel answers the waiting call with ENOSYS.
            drop(told.descriptor);
            same("errno inside", told.container.finish()?.errno("call:mkdir")?, 38)
        }),
        case("seccomp/notify/nobody-listens", SECCOMP, |rig| {
            let path = rig.dir.join("nobody").to_string_lossy().into_owned();
            crate::case::must_refuse(rig, &patch(&path), true)
        }),
        sees(
            "seccomp/notify/path-ignored-without-action",
            SECCOMP,
            json!({"linux": {"seccomp": {
            "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/no/such/socket", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}}}),
            &["pid"],
            |r| r.ok("pid").map(drop),
        ),
    ]
}

/// What an agent was told, and the container it was told of.
struct Told {
    state: Value,
    descriptor: OwnedFd,
    after: usize,
    container: Container,
}

fn patch(path: &str) -> Value {
    json!({"annotations": {"org.example": "yes"}, "linux": {"seccomp": {
        "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "listenerMetadata": "for the agent",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}],
    }}})
}

/// Starts a container whose mkdir is notified and takes the agent's message.
fn tell(rig: &Rig) -> Verdict<Told> {
    let path = rig.dir.join("agent");
    let listener = UnixListener::bind(&path)?;
    let container = rig.launch(&patch(&path.to_string_lossy()), &["call:mkdir"])?;
    if !readable(listener.as_fd(), Instant::now() + LIMIT)? {
        return fail("nobody connected to the agent");
    }
    let (mut stream, _) = listener.accept()?;
    let (mut bytes, descriptor) = receive(&stream)?;
    let Some(descriptor) = descriptor else { return fail("no descriptor came with the first message") };
    let mut after = 0;
    let mut seen = Vec::new();
    while serde_json::from_slice::<Value>(&bytes).is_err() && readable(stream.as_fd(), Instant::now() + LIMIT)? {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(&chunk[..count]);
    }
    if readable(stream.as_fd(), Instant::now() + LIMIT)? {
        after = stream.read_to_end(&mut seen)?;
    }
    Ok(Told { state: serde_json::from_slice(&bytes)?, descriptor, after, container })
}

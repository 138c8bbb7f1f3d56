//! Handing the notification descriptor to whoever answers: one message on a unix socket, the container's state as JSON
//! beside the descriptor (runtime-spec, config-linux.md, "The Seccomp Container Process State").

use std::ffi::CString;
use std::os::fd::BorrowedFd;

use serde_json::value::RawValue;

use super::profile::Listener;
use crate::cli::SPEC_VERSION;
use crate::error::{Error, Kernelize as _, Result};

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessState<'a> {
    oci_version: &'a str,
    fds: [&'a str; 1],
    pid: i32,
    #[serde(skip_serializing_if = "str::is_empty")]
    metadata: &'a str,
    state: &'a RawValue,
}

/// Sends `descriptor` to the listener. `pid` is the process under the filter, `state` the container's state as JSON.
///
/// # Errors
/// The socket does not take the message, or `state` is no JSON.
pub fn notify(
    listener: &Listener,
    descriptor: BorrowedFd<'_>,
    pid: i32,
    state: &str,
) -> Result<()> {
    let step = || format!("seccomp listener {:?}", listener.path);
    let bug = |e: serde_json::Error| Error::Bug(format!("container state is no JSON: {e}"));
    let state: &RawValue = serde_json::from_str(state).map_err(bug)?;
    let message = ProcessState {
        oci_version: SPEC_VERSION,
        fds: ["seccompFd"],
        pid,
        metadata: &listener.metadata,
        state,
    };
    let message = serde_json::to_vec(&message).map_err(bug)?;
    let path = CString::new(listener.path.as_str())
        .map_err(|_| Error::config("linux.seccomp.listenerPath", "contains a NUL byte"))?;
    let socket = sys::socket::connect_stream(&path).step(step, "connect")?;
    sys::socket::send(std::os::fd::AsFd::as_fd(&socket), &message, &[descriptor])
        .step(step, "sendmsg")
}

//! Annotations that change what keel does: crun's `run.oci.*`, CRIU's, systemd's and keel's own. What crun does by one and
//! keel cannot is refused, never ignored; all other annotations are handed on and mean nothing here (config.md, "Annotations").

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::{Error, Result};

/// File that standard output of hooks is appended to.
pub const HOOKS_STDOUT: &str = "run.oci.hooks.stdout";
/// File that standard error of hooks is appended to.
pub const HOOKS_STDERR: &str = "run.oci.hooks.stderr";
/// Key under which the mount label is given to filesystems.
pub const MOUNT_CONTEXT_TYPE: &str = "run.oci.mount_context_type";
/// Unix socket that receives a pidfd of init, as by `--pidfd-socket`.
pub const PIDFD_RECEIVER: &str = "run.oci.pidfd_receiver";
/// A filter in place of the profile's, base64 of its instructions.
pub const SECCOMP_BPF_DATA: &str = "run.oci.seccomp_bpf_data";
/// Socket that takes seccomp notifications where the profile names none.
pub const SECCOMP_RECEIVER: &str = "run.oci.seccomp.receiver";
/// Unknown system calls of the profile are an error.
pub const SECCOMP_FAIL_UNKNOWN: &str = "run.oci.seccomp_fail_unknown_syscall";

/// All that are heeded, with what they do; the manual page has them from here.
pub const HEEDED: [(&str, &str); 13] = [
    (
        "keel.core_scheduling",
        "new: the container's tasks share a core's hyperthreads with nobody else's (Linux 5.14)",
    ),
    (
        "keel.landlock",
        "JSON {\"handled\": [RIGHT…], \"rules\": [{\"path\": PATH, \"allow\": [RIGHT…]}]}: rights to files that are taken away for good, \
      and where they are given back; rights are execute, read, list, write, make and ioctl (Linux 5.13)",
    ),
    (
        HOOKS_STDERR,
        "file that standard error of hooks is appended to; startContainer hooks excepted",
    ),
    (
        HOOKS_STDOUT,
        "file that standard output of hooks is appended to; startContainer hooks excepted",
    ),
    (
        "run.oci.keep_original_groups",
        "keep the caller's supplementary groups",
    ),
    (
        MOUNT_CONTEXT_TYPE,
        "context, fscontext, defcontext or rootcontext: how linux.mountLabel is given to filesystems",
    ),
    (PIDFD_RECEIVER, "unix socket that receives a pidfd of init"),
    (
        SECCOMP_RECEIVER,
        "unix socket that takes seccomp notifications where linux.seccomp.listenerPath names none",
    ),
    (
        SECCOMP_BPF_DATA,
        "base64 of a classic BPF program in place of linux.seccomp",
    ),
    (
        SECCOMP_FAIL_UNKNOWN,
        "1: refuse system calls in linux.seccomp that nobody knows",
    ),
    ("org.criu.config", "configuration file for CRIU"),
    (
        "org.systemd.property.NAME",
        "property of the systemd scope, in GVariant text",
    ),
    (
        "run.oci.systemd.subgroup",
        "accepted: the container's cgroup is the scope itself",
    ),
];

const REFUSED: [(&str, &str); 4] = [
    (
        "run.oci.handler",
        "another way of running the program than exec",
    ),
    (
        "run.oci.seccomp.plugins",
        "plugins for seccomp notifications; a listener can be named by linux.seccomp.listenerPath",
    ),
    (
        "run.oci.systemd.force_cgroup_v1",
        "a v1 hierarchy on a v2 host",
    ),
    ("run.oci.delegate-cgroup", "a delegated sub-cgroup"),
];

/// Refuses annotations that ask for what keel cannot do, or heeded ones with a wrong value.
///
/// # Errors
/// [`Error::InvalidConfig`] with the annotation's path.
pub fn check(annotations: &BTreeMap<String, String>) -> Result<()> {
    for (name, what) in REFUSED {
        if annotations.get(name).is_some_and(|value| !value.is_empty()) {
            return Err(Error::config(
                format!("annotations.{name}"),
                format!("not supported: {what} (accepted: no such annotation)"),
            ));
        }
    }
    mount_context_key(annotations).map(drop)
}

/// The key of the mount label.
///
/// # Errors
/// [`Error::InvalidConfig`] for an unknown one.
pub fn mount_context_key(annotations: &BTreeMap<String, String>) -> Result<&str> {
    match annotations.get(MOUNT_CONTEXT_TYPE).map(String::as_str) {
        None | Some("") => Ok("context"),
        Some(key @ ("context" | "fscontext" | "defcontext" | "rootcontext")) => Ok(key),
        Some(other) => {
            let reason =
                format!("{other:?} (accepted: context, fscontext, defcontext, rootcontext)");
            Err(Error::config(
                format!("annotations.{MOUNT_CONTEXT_TYPE}"),
                reason,
            ))
        }
    }
}

/// The annotations that set properties of the systemd scope.
#[must_use]
pub fn systemd_properties(annotations: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mine = annotations
        .iter()
        .filter(|(name, _)| name.starts_with("org.systemd.property."));
    mine.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// A file that an annotation names.
#[must_use]
pub fn path(annotations: &BTreeMap<String, String>, name: &str) -> Option<PathBuf> {
    annotations
        .get(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        for (name, _) in REFUSED {
            let said = check(&one(name, "x")).unwrap_err().to_string();
            assert!(
                said.starts_with(&format!("annotations.{name}: not supported")),
                "{said}"
            );
        }
        assert_eq!(check(&one("com.example", "x")), Ok(()));
        assert!(check(&one(MOUNT_CONTEXT_TYPE, "x")).is_err());
        assert_eq!(
            mount_context_key(&one(MOUNT_CONTEXT_TYPE, "fscontext")),
            Ok("fscontext")
        );
    }
}

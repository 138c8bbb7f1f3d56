//! The words that other programs match in runc's output. Each phrase stands beside who matches it and what follows there;
//! everything in keel that says one of these things says it with these constants, and the tests below match as the callers
//! do. Changing a phrase breaks that caller.

use crate::cli::Command;
use crate::error::Error;

/// containerd's shim (process/utils.go) turns it into "not found" on kill and delete; so do CRI-O, podman and buildah.
pub const CONTAINER_DOES_NOT_EXIST: &str = "container does not exist";
/// containerd's shim and CRI-O (runtime_oci.go) take it for a process that is gone already.
pub const CONTAINER_NOT_RUNNING: &str = "container not running";
/// containerd's shim lower-cases before it compares, CRI-O does not: hence never with a capital.
pub const NO_SUCH_PROCESS: &str = "no such process";
/// containerd's shim: a kill after the end is no failure.
pub const PROCESS_ALREADY_FINISHED: &str = "os: process already finished";
/// CRI-O and Kubernetes' tests look for it after a second create.
pub const ID_EXISTS: &str = "container with given ID already exists";
/// runc's own tests, and scripts, for ids with characters other than `[A-Za-z0-9_+.-]`.
pub const INVALID_ID: &str = "invalid container ID format";
/// The same for no id at all.
pub const EMPTY_ID: &str = "container id cannot be empty";
/// CRI-O and podman on pause of what is paused.
pub const CONTAINER_PAUSED: &str = "container paused";
/// Callers of resume (containerd's task service passes it on).
pub const CONTAINER_NOT_PAUSED: &str = "container not paused";
/// Delete without force, after a stop that did not end it.
pub const CONTAINER_STILL_RUNNING: &str = "container still running";
/// Delete with force, when the kernel does not let go of init.
pub const INIT_STILL_RUNNING: &str = "container init still running";
/// Operations on a cgroup that somebody removed.
pub const CGROUP_NOT_EXIST: &str = "cgroup not exist";
/// Start, a second time.
pub const START_RUNNING: &str = "cannot start an already running container";
/// Start, after the end.
pub const START_STOPPED: &str = "cannot start a container that has stopped";
/// Exec, after the end.
pub const EXEC_STOPPED: &str = "cannot exec in a stopped container";
/// Exec while paused.
pub const EXEC_PAUSED: &str = "cannot exec in a paused container (use --ignore-paused to override)";
/// A detached container with a terminal and nobody to take it.
pub const TTY_NEEDS_SOCKET: &str =
    "cannot allocate tty if runc will detach without setting console socket";
/// A console socket where no terminal comes of it.
pub const SOCKET_NEEDS_TTY: &str =
    "cannot use console socket if runc will not detach or allocate tty";
/// dockerd and Kubernetes show it to users whose limit is below what a start needs.
pub const INIT_OOM_KILLED: &str = "container init was OOM-killed (memory limit too low?)";
/// dockerd (daemon/errors.go) answers 127, podman (libpod/oci_util.go) likewise.
pub const NOT_IN_PATH: &str = "executable file not found in $PATH";
/// dockerd and podman answer 127.
pub const NO_SUCH_FILE: &str = "no such file or directory";
/// dockerd and podman answer 126.
pub const PERMISSION_DENIED: &str = "permission denied";
/// dockerd answers 126.
pub const IS_A_DIRECTORY: &str = "is a directory";
/// podman and CRI-O (checkpoint_restore_utils.go) probe `restore --lsm-mount-context` without a value for it.
pub const FLAG_NEEDS_ARGUMENT: &str = "flag needs an argument";
/// Scripts that write a config.json once.
pub const SPEC_EXISTS: &str = "File config.json exists. Remove it first";
/// go-runc and buildkit, for a bundle without its file.
pub const SPEC_NOT_FOUND: &str = "JSON specification file config.json not found";

/// `args[0]` that is in no directory of the container's PATH.
#[must_use]
pub fn not_in_path(program: &str) -> String {
    format!("exec: {program:?}: {NOT_IN_PATH}")
}

/// `args[0]` as a path that leads nowhere.
#[must_use]
pub fn no_such_program(path: &str) -> String {
    format!("exec: {path:?}: stat {path}: {NO_SUCH_FILE}")
}

/// Delete without force of what is not stopped; `status` as in the state's JSON.
#[must_use]
pub fn not_stopped(id: &str, status: &str) -> String {
    format!("cannot delete container {id} that is not stopped: {status}")
}

/// A preserved file descriptor that is not open, counted from 1, and how many were asked for.
#[must_use]
pub fn no_preserved_fd(fd: u32, count: u32) -> String {
    format!("unable to stat preserved-fd {fd} (of {count})")
}

/// Create in a cgroup where somebody lives already.
#[must_use]
pub fn cgroup_not_empty(processes: usize) -> String {
    format!("container's cgroup is not empty: {processes} process(es) found")
}

/// A limit in a hierarchy that is not mounted, or where a rootless caller may make no cgroup; runc's own tests and
/// scripts for rootless set-ups look for it.
#[must_use]
pub fn not_joined(controller: &str) -> String {
    format!("cannot set {controller} limit: container could not join or create cgroup")
}

/// `exec --cgroup` with a path that leads out of the container's cgroup: runc's tests, old words and new ones.
#[must_use]
pub fn bad_sub_cgroup(path: &str) -> String {
    format!("bad sub cgroup path: {path} is not a sub cgroup path")
}

/// `exec --cgroup` with a cgroup that is not there: runc's tests.
#[must_use]
pub fn no_sub_cgroup(path: &std::path::Path) -> String {
    format!(
        "error adding pid to cgroup {}: {NO_SUCH_FILE}",
        path.display()
    )
}

/// Events of a container that is not running.
#[must_use]
pub fn not_running(id: &str) -> String {
    format!("container with id {id} is not running")
}

/// The whole line for a failed command, and the exit code: create, run and restore name themselves (containerd cuts that
/// prefix off), an exec that could not launch its process exits with 255, everything else with 1.
#[must_use]
pub fn verdict(program: &str, command: &Command, error: &Error) -> (String, u8) {
    match command {
        Command::Create(_) => (format!("{program} create failed: {error}"), 1),
        Command::Run(_) => (format!("{program} run failed: {error}"), 1),
        Command::Exec(_) => (format!("exec failed: {error}"), 255),
        _ => (error.to_string(), 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// containerd, cmd/containerd-shim-runc-v2/process/utils.go.
    fn shim_says_not_found(message: &str) -> bool {
        let lower = message.to_lowercase();
        message.contains("os: process already finished")
            || message.contains("container not running")
            || lower.contains("no such process")
            || message.contains("does not exist")
    }

    /// CRI-O, internal/oci/runtime_oci.go: case matters.
    fn crio_says_gone(message: &str) -> bool {
        [
            "no such process",
            "container not running",
            "invalid process",
        ]
        .iter()
        .any(|p| message.contains(p))
    }

    /// podman, libpod/oci_util.go: 126, 127 or the engine's own code.
    fn podman_code(message: &str) -> u8 {
        let lower = message.to_lowercase();
        let has = |phrases: &[&str]| phrases.iter().any(|p| lower.contains(p));
        if has(&["permission denied", "operation not permitted"]) {
            126
        } else if has(&[
            "executable file not found in",
            "no such file or directory",
            "open executable",
        ]) {
            127
        } else {
            125
        }
    }

    /// dockerd, daemon/errors.go.
    fn dockerd_code(message: &str) -> u8 {
        let lower = message.to_lowercase();
        let has = |phrases: &[&str]| phrases.iter().any(|p| lower.contains(p));
        if has(&[
            "executable file not found",
            "no such file or directory",
            "system cannot find the file specified",
            "failed to run runc create/exec call",
        ]) {
            127
        } else if has(&["permission denied", "is a directory"]) {
            126
        } else {
            128
        }
    }

    #[test]
    fn shims_see_what_is_gone() {
        for phrase in [
            CONTAINER_DOES_NOT_EXIST,
            CONTAINER_NOT_RUNNING,
            NO_SUCH_PROCESS,
            PROCESS_ALREADY_FINISHED,
        ] {
            assert!(shim_says_not_found(phrase), "{phrase}");
        }
        for phrase in [CONTAINER_NOT_RUNNING, NO_SUCH_PROCESS] {
            assert!(crio_says_gone(phrase), "{phrase}");
        }
    }

    #[test]
    fn engines_tell_a_missing_command_from_a_forbidden_one() {
        let create = Command::Create(crate::cli::Create::default());
        let line = |text: String| verdict("runc", &create, &Error::NotFound(text)).0;
        for message in [
            line(not_in_path("nosuch")),
            line(no_such_program("/nosuch")),
        ] {
            assert_eq!(
                (podman_code(&message), dockerd_code(&message)),
                (127, 127),
                "{message}"
            );
        }
        let message = line(format!("exec: \"/etc/passwd\": {PERMISSION_DENIED}"));
        assert_eq!((podman_code(&message), dockerd_code(&message)), (126, 126));
        let message = line(format!("exec: \"/etc\": {IS_A_DIRECTORY}"));
        assert_eq!(dockerd_code(&message), 126);
    }

    #[test]
    fn other_failures_are_not_taken_for_a_missing_command() {
        for phrase in [
            CONTAINER_DOES_NOT_EXIST,
            ID_EXISTS,
            CGROUP_NOT_EXIST,
            INIT_OOM_KILLED,
            SPEC_NOT_FOUND,
            TTY_NEEDS_SOCKET,
        ] {
            assert_eq!(
                (podman_code(phrase), dockerd_code(phrase)),
                (125, 128),
                "{phrase}"
            );
        }
    }

    #[test]
    fn kernel_answers_keep_gos_case() {
        for (errno, phrase) in [
            (sys::Errno::SRCH, NO_SUCH_PROCESS),
            (sys::Errno::NOENT, NO_SUCH_FILE),
            (sys::Errno::ACCESS, PERMISSION_DENIED),
            (sys::Errno::ISDIR, IS_A_DIRECTORY),
            (sys::Errno::PERM, "operation not permitted"),
            (sys::Errno::NOTDIR, "not a directory"),
        ] {
            let text = Error::kernel("kill", "pidfd_send_signal", "", errno).to_string();
            assert!(text.ends_with(phrase), "{text}");
        }
    }

    #[test]
    fn commands_name_themselves() {
        let error = Error::NotFound(CONTAINER_DOES_NOT_EXIST.to_owned());
        let run = Command::Run(crate::cli::Run::default());
        assert_eq!(
            verdict("runc", &run, &error),
            ("runc run failed: container does not exist".to_owned(), 1)
        );
        let exec = Command::Exec(crate::cli::Exec::default());
        assert_eq!(
            verdict("runc", &exec, &error),
            ("exec failed: container does not exist".to_owned(), 255)
        );
        let start = Command::Start(crate::cli::Start::default());
        assert_eq!(
            verdict("runc", &start, &error),
            ("container does not exist".to_owned(), 1)
        );
    }

    #[test]
    fn a_missing_value_is_found_by_those_who_probe_for_it() {
        let words = ["runc", "restore", "--lsm-mount-context"].map(Into::into);
        let refusal = crate::cli::parse(words).unwrap_err();
        assert!(refusal.message.contains(FLAG_NEEDS_ARGUMENT));
    }
}

//! `POST /containers/{id}/exec`, `POST /exec/{id}/start`, `GET /exec/{id}/json`.

use crate::word::object;

object! {
    /// The body that makes an exec session.
    ExecRequest {
        "User" user: String,
        "Privileged" privileged: bool,
        "Tty" tty: bool,
        /// Height, then width.
        "ConsoleSize"? console_size: Option<[u64; 2]>,
        "AttachStdin" attach_stdin: bool,
        "AttachStderr" attach_stderr: bool,
        "AttachStdout" attach_stdout: bool,
        "DetachKeys" detach_keys: String,
        "Env" env: Option<Vec<String>>,
        "WorkingDir" working_dir: String,
        "Cmd"* cmd: Option<Vec<String>>,
    }
}

object! {
    /// The body that starts it.
    ExecStart {
        "Detach" detach: bool,
        "Tty" tty: bool,
        /// Height, then width.
        "ConsoleSize"? console_size: Option<[u64; 2]>,
    }
}

object! {
    /// What an exec session is and how it ended.
    ExecInspect {
        "ID" id: String,
        "Running" running: bool,
        /// `null` until the process has ended.
        "ExitCode" exit_code: Option<i64>,
        "ProcessConfig" process_config: ProcessConfig,
        "OpenStdin" open_stdin: bool,
        "OpenStderr" open_stderr: bool,
        "OpenStdout" open_stdout: bool,
        "CanRemove" can_remove: bool,
        "ContainerID" container_id: String,
        "DetachKeys" detach_keys: String,
        "Pid" pid: i64,
    }
}

object! {
    /// The process of an exec session.
    ProcessConfig {
        "tty" tty: bool,
        "entrypoint" entrypoint: String,
        "arguments" arguments: Option<Vec<String>>,
        "privileged"? privileged: Option<bool>,
        "user"? user: String,
    }
}

//! `Config`: what of a container is portable between hosts.

use crate::word::{Map, Set, object};

object! {
    /// The portable part of a container, as the client sends it and `inspect` shows it.
    Config {
        "Hostname" hostname: String,
        "Domainname" domainname: String,
        "User" user: String,
        "AttachStdin" attach_stdin: bool,
        "AttachStdout" attach_stdout: bool,
        "AttachStderr" attach_stderr: bool,
        "ExposedPorts"? exposed_ports: Set,
        "Tty" tty: bool,
        "OpenStdin" open_stdin: bool,
        "StdinOnce" stdin_once: bool,
        "Env" env: Option<Vec<String>>,
        "Cmd"* cmd: Option<Vec<String>>,
        "Healthcheck"? healthcheck: Option<Healthcheck>,
        "ArgsEscaped"? args_escaped: bool,
        "Image" image: String,
        "Volumes" volumes: Option<Set>,
        "WorkingDir" working_dir: String,
        "Entrypoint"* entrypoint: Option<Vec<String>>,
        "NetworkDisabled"? network_disabled: bool,
        "MacAddress"? mac_address: String,
        "OnBuild" on_build: Option<Vec<String>>,
        "Labels" labels: Option<Map>,
        "StopSignal"? stop_signal: String,
        /// Seconds; -1 waits for ever.
        "StopTimeout"? stop_timeout: Option<i64>,
        "Shell"? shell: Vec<String>,
    }
}

object! {
    /// How a container's health is probed; times in nanoseconds, zero meaning the default.
    Healthcheck {
        /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", text]`; empty inherits the image's.
        "Test"? test: Vec<String>,
        "Interval"? interval: i64,
        "Timeout"? timeout: i64,
        "StartPeriod"? start_period: i64,
        "StartInterval"? start_interval: i64,
        "Retries"? retries: i64,
    }
}

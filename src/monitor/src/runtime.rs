//! Calls of the OCI runtime: by exec, never waited for here; the poll loop reaps them.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, Result};

/// A started call: whose pid to wait for and where the runtime writes its log.
#[derive(Debug)]
pub struct Call {
    /// The runtime's pid.
    pub pid: i32,
    log: PathBuf,
}

/// The stdio a call hands to the container's process.
#[derive(Debug, Default)]
pub struct Stdio3 {
    /// Standard input; none is `/dev/null`.
    pub stdin: Option<OwnedFd>,
    /// Standard output.
    pub stdout: Option<OwnedFd>,
    /// Standard error.
    pub stderr: Option<OwnedFd>,
}

impl Call {
    /// Execs `runtime[0]` with the global arguments, a log file of its own and `arguments`.
    pub fn spawn(
        runtime: &[String],
        number: u64,
        arguments: &[&str],
        stdio: Stdio3,
    ) -> Result<Self> {
        let directory =
            std::env::current_dir().map_err(|e| Error::kernel("working directory", e))?;
        let log = directory.join(format!("runtime-{number}.log"));
        let (program, globals) = runtime.split_first().ok_or_else(|| {
            Error::Runtime("monitor.json: runtime: empty, expected a program".into())
        })?;
        let given = |fd: Option<OwnedFd>| fd.map_or_else(Stdio::null, Stdio::from);
        let child = Command::new(program)
            .args(globals)
            .args([
                "--log".as_ref(),
                log.as_os_str(),
                "--log-format".as_ref(),
                "json".as_ref(),
            ])
            .args(arguments)
            .stdin(given(stdio.stdin))
            .stdout(given(stdio.stdout))
            .stderr(given(stdio.stderr))
            .spawn()
            .map_err(|e| Error::kernel(format!("exec of the runtime {program:?}"), e))?;
        let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
        Ok(Self { pid, log })
    }

    /// The verdict on a finished call: the last error of its log, or its status where it logged none.
    pub fn finish(self, code: i32) -> Result<()> {
        let message = (code != 0).then(|| last_error(&self.log));
        if let Err(error) = fs::remove_file(&self.log)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            eprintln!("gantry-monitor: {:?}: {error}", self.log);
        }
        match message {
            None => Ok(()),
            Some(Some(message)) => Err(Error::Runtime(message)),
            Some(None) => Err(Error::Runtime(format!(
                "the runtime ended with status {code} and no message"
            ))),
        }
    }
}

/// The message of the last entry of level error in a runtime's JSON log.
fn last_error(log: &Path) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Entry {
        level: String,
        msg: String,
    }
    let text = fs::read_to_string(log).ok()?;
    text.lines()
        .rev()
        .filter_map(|line| serde_json::from_str::<Entry>(line).ok())
        .find(|entry| entry.level == "error" || entry.level == "fatal")
        .map(|entry| entry.msg)
}

/// The pid a runtime wrote to `file`.
pub fn read_pid(file: &Path) -> Result<i32> {
    let text =
        fs::read_to_string(file).map_err(|e| Error::kernel(format!("pid file {file:?}"), e))?;
    text.trim()
        .parse()
        .map_err(|_| Error::Runtime(format!("pid file {file:?}: {text:?} is not a pid")))
}

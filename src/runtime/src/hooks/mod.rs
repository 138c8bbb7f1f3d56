//! Hooks: programs run at six points, with the container's state on standard input and a deadline.
//!
//! The only room that runs another program.

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use sys::{Errno, process};

use crate::config::{Hook, Point};
use crate::error::{Error, Result};

/// What is shown of a failed hook's output, its end.
const OUTPUT: usize = 2048;

/// What a hook sees besides its own arguments.
#[derive(Debug, Clone, Default)]
pub struct Setting<'a> {
    /// The state, as JSON.
    pub state: Vec<u8>,
    /// The working directory.
    pub directory: Option<&'a Path>,
    /// The environment where the hook names none; `None`: the caller's.
    pub environment: Option<Vec<(String, String)>>,
}

/// Runs all hooks of a point in order; the first failure ends it.
///
/// # Errors
/// [`Error::Hook`] with the hook's number, its path, how it ended and what it said.
pub fn run(point: Point, hooks: &[Hook], setting: &Setting<'_>) -> Result<()> {
    for (index, hook) in hooks.iter().enumerate() {
        one(hook, setting).map_err(|reason| {
            Error::Hook(format!(
                "error running {} hook #{index}: {:?}: {reason}",
                point.name(),
                hook.path.display()
            ))
        })?;
    }
    Ok(())
}

fn one(hook: &Hook, setting: &Setting<'_>) -> std::result::Result<(), String> {
    // Both streams in one pipe: a hook that writes much to one while we read the other would never end.
    let (mut reader, writer) = std::io::pipe().map_err(|error| text(&error))?;
    let mut child = command(hook, setting, writer)?
        .spawn()
        .map_err(|error| text(&error))?;
    let pid = i32::try_from(child.id()).map_err(|error| error.to_string())?;
    let pidfd = process::open(pid).map_err(sys::describe)?;
    if let Some(mut input) = child.stdin.take() {
        // A hook need not read its state: EPIPE is no failure.
        drop(input.write_all(&setting.state));
    }
    let (ended, output) = listen(hook, pidfd.as_fd(), &mut reader)?;
    if !ended {
        child.kill().map_err(|error| text(&error))?;
        child.wait().map_err(|error| text(&error))?;
        let seconds = hook.timeout.map_or(0, |limit| limit.as_secs());
        return Err(format!("hook ran past specified timeout of {seconds}s"));
    }
    let status = child.wait().map_err(|error| text(&error))?;
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output[output.len().saturating_sub(OUTPUT)..])
        .trim()
        .replace('\n', "; ");
    let how = status
        .to_string()
        .replace("exit status: ", "exit status ")
        .replace("signal: ", "signal ");
    Err(format!("{how}, stdout and stderr: {said}"))
}

fn command(
    hook: &Hook,
    setting: &Setting<'_>,
    output: PipeWriter,
) -> std::result::Result<Command, String> {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(&hook.path);
    if let Some((name, rest)) = hook.args.split_first() {
        command.arg0(name).args(rest);
    }
    if let Some(environment) = hook.env.as_ref().or(setting.environment.as_ref()) {
        command
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)));
    }
    if let Some(directory) = setting.directory {
        command.current_dir(directory);
    }
    let second = output.try_clone().map_err(|error| text(&error))?;
    command.stdin(Stdio::piped());
    command.stdout(stream(hook.stdout.as_deref(), output)?);
    command.stderr(stream(hook.stderr.as_deref(), second)?);
    Ok(command)
}

/// The file that an annotation names, else the pipe.
fn stream(file: Option<&Path>, pipe: PipeWriter) -> std::result::Result<Stdio, String> {
    let Some(path) = file else {
        return Ok(pipe.into());
    };
    let opened = std::fs::File::options()
        .append(true)
        .create(true)
        .open(path);
    opened
        .map(Stdio::from)
        .map_err(|error| format!("{:?}: {}", path.display(), text(&error)))
}

/// Collects what the hook says until it ends, or its time is up: whether it ended, and its words.
fn listen(
    hook: &Hook,
    pidfd: BorrowedFd<'_>,
    reader: &mut PipeReader,
) -> std::result::Result<(bool, Vec<u8>), String> {
    let started = Instant::now();
    let mut output = Vec::new();
    let mut open = true;
    loop {
        let left = hook.timeout.map_or(-1, |limit| {
            let left = limit.saturating_sub(started.elapsed()).as_millis();
            i32::try_from(left).unwrap_or(i32::MAX)
        });
        let watched = [pidfd, reader.as_fd()];
        let watched = if open { &watched[..] } else { &watched[..1] };
        let ready = sys::signal::poll(watched, left).map_err(sys::describe)?;
        if ready.get(1) == Some(&true) {
            open = collect(reader, &mut output);
        } else if ready[0] {
            return Ok((true, output));
        } else if left == 0 {
            return Ok((false, output));
        }
    }
}

fn collect(reader: &mut impl Read, output: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 4096];
    match reader.read(&mut buffer) {
        Ok(0) | Err(_) => false,
        Ok(length) => {
            output.extend_from_slice(&buffer[..length]);
            let excess = output.len().saturating_sub(16 * OUTPUT);
            output.drain(..excess);
            true
        }
    }
}

fn text(error: &std::io::Error) -> String {
    sys::describe(Errno::from_io_error(error).unwrap_or(Errno::IO))
}

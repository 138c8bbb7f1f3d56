//! `--init`: a first process that passes signals on to the program and reaps what nobody else does.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Runs the program after `--` and ends with its exit code, 128+n for signal n; 127 or 126 when it cannot be run.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut words = arguments.skip_while(|word| word == "--");
    let Some(program) = words.next() else {
        eprintln!("docker-init: expected a program after --");
        return ExitCode::from(2);
    };
    let signals = SigSet::all();
    // Blocked before the program starts, so that none is lost in between.
    if let Err(error) = signals.thread_block() {
        eprintln!("docker-init: signal mask: {error}");
        return ExitCode::from(1);
    }
    // A group of its own: a terminal's signals reach the program without our passing them on twice.
    let child = match Command::new(&program).args(words).process_group(0).spawn() {
        Ok(child) => Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX)),
        Err(error) => {
            eprintln!("docker-init: {}: {error}", program.display());
            return ExitCode::from(if error.kind() == std::io::ErrorKind::NotFound {
                127
            } else {
                126
            });
        }
    };
    take_terminal(child);
    loop {
        match signals.wait() {
            Ok(Signal::SIGCHLD) => {
                if let Some(code) = reap(child) {
                    return ExitCode::from(code);
                }
            }
            Ok(signal) => {
                // The program may have ended already: then its end is the next signal.
                if kill(child, signal).is_err() {
                    continue;
                }
            }
            Err(error) => {
                eprintln!("docker-init: waiting for signals: {error}");
                return ExitCode::from(1);
            }
        }
    }
}

/// Makes the program's group the terminal's foreground, where there is a terminal.
fn take_terminal(child: Pid) {
    let Some(group) = rustix::process::Pid::from_raw(child.as_raw()) else {
        return;
    };
    let input = std::io::stdin();
    if rustix::termios::isatty(&input)
        && let Err(error) = rustix::termios::tcsetpgrp(&input, group)
    {
        eprintln!("docker-init: terminal: {error}");
    }
}

/// Reaps everything that has ended; the program's exit code if it is among that.
fn reap(child: Pid) -> Option<u8> {
    let mut code = None;
    loop {
        let (pid, value) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, value)) => (pid, value),
            Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, 128 + signal as i32),
            Ok(WaitStatus::StillAlive) | Err(_) => return code,
            Ok(_) => continue,
        };
        if pid == child {
            code = Some(u8::try_from(value).unwrap_or(255));
        }
    }
}

//! keel, a low-level OCI runtime: the command line in, an exit code out.

use std::process::ExitCode;

use keel::error::Result;
use keel::{cli, compat, lifecycle, log, query};

fn main() -> ExitCode {
    let invocation = match cli::parse(std::env::args_os()) {
        Ok(invocation) => invocation,
        Err(refusal) => return refuse(&refusal),
    };
    let log = match log::init(&invocation.global) {
        Ok(log) => log,
        Err(error) => {
            log::fail_without_log(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
    match run(&invocation) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let (message, code) = compat::verdict(invocation.program, &invocation.command, &error);
            log.fail(&message);
            ExitCode::from(code)
        }
    }
}

fn run(invocation: &cli::Invocation) -> Result<u8> {
    match query::run(invocation) {
        Some(done) => done.map(|()| 0),
        None => lifecycle::perform(invocation).map(|status| u8::try_from(status).unwrap_or(255)),
    }
}

/// Says what is wrong with the command line: help on standard output, the reason in the log.
fn refuse(refusal: &cli::Refusal) -> ExitCode {
    match log::init(&refusal.global) {
        Ok(log) => log.fail(&refusal.message),
        Err(_) => log::fail_without_log(&refusal.message),
    }
    match query::print(refusal.stdout.as_bytes()) {
        Ok(()) => ExitCode::from(refusal.code),
        Err(_) => ExitCode::FAILURE,
    }
}

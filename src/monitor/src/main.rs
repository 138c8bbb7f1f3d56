//! `gantry-monitor DIRECTORY`: runs the container described by `DIRECTORY/monitor.json` until it ends.
//! Called as `docker-init -- PROGRAM…` it is a container's first process instead (`--init`).

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let called = std::env::args_os().next().map(PathBuf::from);
    if called.as_deref().and_then(std::path::Path::file_name) == Some("docker-init".as_ref()) {
        return gantry_monitor::init::run(std::env::args_os().skip(1));
    }
    let mut arguments = std::env::args_os().skip(1);
    let (Some(directory), None) = (arguments.next(), arguments.next()) else {
        eprintln!("gantry-monitor: expected one argument: the directory that holds monitor.json");
        return ExitCode::from(2);
    };
    match gantry_monitor::run(&PathBuf::from(directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The engine reads the first line of standard output as the verdict on the creation.
            let line = gantry_monitor::protocol::Verdict::Failed {
                message: error.to_string(),
            };
            if let Ok(text) = serde_json::to_string(&line)
                && writeln!(std::io::stdout(), "{text}").is_err()
            {
                return ExitCode::from(3);
            }
            ExitCode::FAILURE
        }
    }
}

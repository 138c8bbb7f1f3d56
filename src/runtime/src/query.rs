//! The commands that need no container: they print or write what this build knows.

use std::io::Write as _;
use std::path::Path;

use crate::cgroups::{Layout, Mode};
use crate::cli::{self, Command, Invocation};
use crate::error::{Error, Result};
use crate::{features, spec};

/// Carries out such a command; nothing for the others.
#[must_use]
pub fn run(invocation: &Invocation) -> Option<Result<()>> {
    let failed = |error: std::io::Error| Error::Bug(error.to_string());
    let text = match &invocation.command {
        Command::Help(text) => Ok(text.clone().into_bytes()),
        Command::Version(_) => Ok(cli::version(invocation.program).into_bytes()),
        Command::Completion(completion) => {
            Ok(cli::completion(completion.shell, invocation.program))
        }
        Command::Man(_) => cli::manual().map_err(failed),
        Command::Features(_) => features::document().map_err(|error| failed(error.into())),
        Command::Spec(flags) => return Some(spec_command(flags, invocation.program)),
        _ => return None,
    };
    Some(text.and_then(|text| print(&text)))
}

/// Writes to standard output.
///
/// # Errors
/// The kernel's answer, a reader that went away included.
pub fn print(text: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text)
        .and_then(|()| out.flush())
        .map_err(|error| {
            let errno = error
                .raw_os_error()
                .map_or(sys::Errno::IO, sys::Errno::from_raw_os_error);
            Error::kernel("standard output", "write", "", errno)
        })
}

fn spec_command(flags: &cli::Spec, program: &str) -> Result<()> {
    let ids = (
        nix::unistd::geteuid().as_raw(),
        nix::unistd::getegid().as_raw(),
    );
    let circumstances = spec::Circumstances {
        hostname: program,
        rootless: flags.rootless.then_some(ids),
        // Without cgroups there is nothing to have a namespace of.
        unified: Layout::probe().is_ok_and(|layout| layout.mode == Mode::Unified),
    };
    let name = flags.file.as_deref().unwrap_or(Path::new("config.json"));
    spec::write(flags.bundle.as_deref(), name, circumstances)
}

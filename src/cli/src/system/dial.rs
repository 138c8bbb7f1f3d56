//! `system dial-stdio`: the engine's connection on standard input and output, for `ssh://` on the other side.

use std::io;
use std::os::fd::AsRawFd;
use std::thread;

use crate::failure::Outcome;
use crate::grammar::{COMMAND as BASE, Command, Parsed};
use crate::session::Session;

/// `system dial-stdio`.
pub const COMMAND: Command = Command {
    name: "dial-stdio",
    about: "Connect standard input and output to the engine (for ssh)",
    run,
    ..BASE
};

fn run(session: &Session, _: &Parsed) -> Outcome {
    let connection = session.engine()?.connect()?;
    let mut to = connection.try_clone()?;
    thread::spawn(move || {
        // However reading ends, the engine is told that nothing more comes.
        drop(io::copy(&mut io::stdin(), &mut to));
        nix::sys::socket::shutdown(to.as_raw_fd(), nix::sys::socket::Shutdown::Write).ok();
    });
    io::copy(&mut &connection, &mut io::stdout())?;
    Ok(())
}

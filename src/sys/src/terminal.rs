//! Pseudo terminals and what `ioctl(2)` does to them.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::termios::{OptionalActions, Termios, Winsize};

/// How a terminal treats what passes through it.
pub type Settings = Termios;

use crate::{Errno, Result, check};

/// Both ends of a pseudo terminal and its number in its devpts.
#[derive(Debug)]
pub struct Pair {
    /// The end that the user's side holds.
    pub master: OwnedFd,
    /// The end that is the terminal.
    pub slave: OwnedFd,
    /// The name of the slave in the devpts instance.
    pub number: u32,
}

/// Opens a new pseudo terminal of the devpts instance mounted at `devpts`. The slave is opened by the master
/// (`TIOCGPTPEER`, Linux 4.13), so that no path can be swapped in between.
pub fn open(devpts: BorrowedFd<'_>) -> Result<Pair> {
    from_multiplexer(crate::file::open_both(devpts, c"ptmx")?)
}

/// Makes a terminal of a freshly opened multiplexer.
pub fn from_multiplexer(master: OwnedFd) -> Result<Pair> {
    let unlocked: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads one int, which outlives the call.
    let result = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked) };
    check(libc::c_long::from(result))?;
    let mut number: libc::c_uint = 0;
    // SAFETY: TIOCGPTN writes one unsigned int, which outlives the call.
    let result = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN, &raw mut number) };
    check(libc::c_long::from(result))?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: TIOCGPTPEER takes open flags as a number and returns a new descriptor.
    let result = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags) };
    let slave = i32::try_from(check(libc::c_long::from(result))?).map_err(|_| Errno::OVERFLOW)?;
    // SAFETY: the kernel has just made it, nobody else owns it.
    let slave = unsafe { OwnedFd::from_raw_fd(slave) };
    Ok(Pair {
        master,
        slave,
        number,
    })
}

/// Makes `terminal` the controlling terminal of this session, whose leader this process must be.
pub fn control(terminal: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: TIOCSCTTY takes a number.
    let result = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) };
    check(libc::c_long::from(result)).map(drop)
}

/// Whether a descriptor is a terminal.
#[must_use]
pub fn is(file: impl AsFd) -> bool {
    rustix::termios::isatty(file)
}

/// Sets rows and columns.
pub fn set_size(terminal: BorrowedFd<'_>, rows: u16, columns: u16) -> Result<()> {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    rustix::termios::tcsetwinsize(terminal, size)
}

/// Gives `to` the size of `from`.
pub fn copy_size(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    rustix::termios::tcsetwinsize(to, rustix::termios::tcgetwinsize(from)?)
}

/// The settings of a terminal, to be given back later.
pub fn settings(terminal: BorrowedFd<'_>) -> Result<Termios> {
    rustix::termios::tcgetattr(terminal)
}

/// Gives a terminal `settings`.
pub fn set_settings(terminal: BorrowedFd<'_>, settings: &Termios) -> Result<()> {
    rustix::termios::tcsetattr(terminal, OptionalActions::Now, settings)
}

/// Passes every byte as it is: no echo, no line editing, no signals by keys.
pub fn make_raw(terminal: BorrowedFd<'_>) -> Result<Termios> {
    let before = settings(terminal)?;
    let mut raw = before.clone();
    raw.make_raw();
    set_settings(terminal, &raw)?;
    Ok(before)
}

/// Switches the translation of line feeds to carriage return and line feed (`ONLCR`) off.
pub fn keep_line_feeds(terminal: BorrowedFd<'_>) -> Result<()> {
    let mut settings = settings(terminal)?;
    settings
        .output_modes
        .remove(rustix::termios::OutputModes::ONLCR);
    set_settings(terminal, &settings)
}

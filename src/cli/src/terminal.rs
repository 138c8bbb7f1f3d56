//! The terminal: its size, raw mode, and the signals a client passes on.

use std::os::fd::AsFd;

use rustix::termios::{self, OptionalActions, Termios};

use crate::failure::Outcome;

/// Rows and columns of a terminal; `None` if it is none.
pub fn size(terminal: impl AsFd) -> Option<(u16, u16)> {
    termios::tcgetwinsize(terminal)
        .ok()
        .map(|size| (size.ws_row, size.ws_col))
}

/// Whether a descriptor is a terminal.
pub fn is_terminal(descriptor: impl AsFd) -> bool {
    termios::isatty(descriptor)
}

/// A terminal in raw mode for as long as this lives.
pub struct Raw {
    before: Option<Termios>,
}

impl Raw {
    /// Sets standard input to raw mode if it is a terminal.
    ///
    /// # Errors
    /// When the terminal refuses.
    pub fn enter() -> Outcome<Self> {
        let stdin = std::io::stdin();
        if !is_terminal(&stdin) {
            return Ok(Self { before: None });
        }
        let before = termios::tcgetattr(&stdin).map_err(std::io::Error::from)?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(&stdin, OptionalActions::Now, &raw).map_err(std::io::Error::from)?;
        Ok(Self {
            before: Some(before),
        })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // Nothing more can be done for a terminal that is gone.
            termios::tcsetattr(std::io::stdin(), OptionalActions::Now, before).ok();
        }
    }
}

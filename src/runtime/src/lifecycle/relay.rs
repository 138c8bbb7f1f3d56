//! Bytes between the caller's terminal and the container's.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use sys::{Errno, file, terminal};

use crate::error::{Error, Kernelize, Result};

/// The master of the container's terminal, connected to the standard streams.
pub struct Relay {
    master: OwnedFd,
    input_open: bool,
    master_open: bool,
    before: Option<terminal::Settings>,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Relay")
            .field("master", &self.master)
            .finish_non_exhaustive()
    }
}

impl Relay {
    /// Takes the caller's terminal over, where standard input is one.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new(master: OwnedFd) -> Result<Self> {
        let input = std::io::stdin();
        let mut relay = Self {
            master,
            input_open: true,
            master_open: true,
            before: None,
        };
        if terminal::is(input.as_fd()) {
            relay.resize();
            let before =
                terminal::make_raw(input.as_fd()).step(|| "terminal".to_owned(), "tcsetattr")?;
            relay.before = Some(before);
        }
        Ok(relay)
    }

    /// What is to be watched for input, in the order in which [`Self::pump`] expects the answers.
    #[must_use]
    pub fn watched(&self) -> Vec<BorrowedFd<'_>> {
        let mut watched = Vec::new();
        if self.master_open {
            watched.push(self.master.as_fd());
        }
        if self.input_open {
            watched.push(STDIN.as_fd());
        }
        watched
    }

    /// Moves what is there to be read.
    ///
    /// # Errors
    /// The kernel's, where the caller's side cannot be written.
    pub fn pump(&mut self, ready: &[bool]) -> Result<()> {
        let mut ready = ready.iter();
        if self.master_open && ready.next() == Some(&true) {
            self.master_open = self.output()?;
        }
        if self.input_open && ready.next() == Some(&true) {
            self.input_open = match file::read_some(STDIN.as_fd()) {
                Ok(bytes) if bytes.is_empty() => self.end_of_input(),
                // The container may have closed its side.
                Ok(bytes) => file::write_all(self.master.as_fd(), &bytes).is_ok(),
                Err(errno) => errno == Errno::AGAIN,
            };
        }
        Ok(())
    }

    /// A terminal knows the end of input only as a character.
    fn end_of_input(&self) -> bool {
        const END_OF_TRANSMISSION: u8 = 4;
        file::write_all(self.master.as_fd(), &[END_OF_TRANSMISSION]).ok();
        false
    }

    fn output(&self) -> Result<bool> {
        match file::read_some(self.master.as_fd()) {
            Ok(bytes) if bytes.is_empty() => Ok(false),
            Ok(bytes) => {
                let output = std::io::stdout();
                file::write_all(output.as_fd(), &bytes)
                    .step(|| "standard output".to_owned(), "write")?;
                Ok(true)
            }
            // Every slave is closed.
            Err(Errno::IO) => Ok(false),
            Err(errno) => Err(Error::kernel("terminal", "read", "", errno)),
        }
    }

    /// Moves what the program wrote before its end.
    ///
    /// # Errors
    /// The kernel's.
    pub fn drain(&mut self) -> Result<()> {
        while self.master_open
            && sys::signal::poll(&[self.master.as_fd()], 0).is_ok_and(|ready| ready[0])
        {
            self.master_open = self.output()?;
        }
        Ok(())
    }

    /// Gives the container's terminal the size of the caller's.
    pub fn resize(&self) {
        // A caller without a terminal has no size to give.
        terminal::copy_size(STDIN.as_fd(), self.master.as_fd()).ok();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            terminal::set_settings(STDIN.as_fd(), before).ok();
        }
    }
}

static STDIN: std::sync::LazyLock<std::io::Stdin> = std::sync::LazyLock::new(std::io::stdin);

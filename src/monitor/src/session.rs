//! The stdio of one process: the container's first, or an exec session's.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::error::{Error, Result};
use crate::jsonlog::Line;
use crate::runtime::Stdio3;

/// How long output may go on after the process itself is gone (others may hold its pipe); docker waits as long.
const GRACE: Duration = Duration::from_secs(2);

/// Which output a byte came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Standard output or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One process' streams and end.
#[derive(Debug, Default)]
pub struct Session {
    /// The engine's name; empty for the container's first process.
    pub name: String,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Our end of its input.
    stdin: Option<File>,
    /// Input not yet taken by the process.
    pending: Vec<u8>,
    ending: bool,
    /// Our end of its output, or the terminal's master.
    pub stdout: Option<File>,
    /// Our end of its error output.
    pub stderr: Option<File>,
    /// Waits for the runtime to send the terminal's master.
    pub console: Option<UnixListener>,
    console_path: String,
    size: (u16, u16),
    /// The process, once the runtime has made it.
    pub pid: Option<i32>,
    /// Its exit code and the moment it was reaped.
    pub exit: Option<(i32, Instant)>,
    /// Unfinished log lines of both outputs.
    pub lines: [Line; 2],
}

impl Session {
    /// A process with pipes; gives the ends the runtime hands on.
    pub fn piped(name: String, open_stdin: bool) -> Result<(Self, Stdio3)> {
        let pipe =
            || nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(|e| Error::kernel("stdio pipe", e));
        let mut theirs = Stdio3::default();
        let mut session = Self {
            name,
            ..Self::default()
        };
        if open_stdin {
            let (read, write) = pipe()?;
            theirs.stdin = Some(read);
            session.stdin = Some(nonblocking(write)?);
        }
        let (read, write) = pipe()?;
        session.stdout = Some(nonblocking(read)?);
        theirs.stdout = Some(write);
        let (read, write) = pipe()?;
        session.stderr = Some(nonblocking(read)?);
        theirs.stderr = Some(write);
        Ok((session, theirs))
    }

    /// A process with a terminal; the runtime sends its master to the socket `console_path` (relative, short).
    pub fn terminal(name: String, console_path: String, size: (u16, u16)) -> Result<Self> {
        let listener = UnixListener::bind(&console_path)
            .map_err(|e| Error::kernel(format!("socket {console_path:?}"), e))?;
        listener
            .set_nonblocking(true)
            .map_err(|e| Error::kernel("console socket", e))?;
        Ok(Self {
            name,
            tty: true,
            console: Some(listener),
            console_path,
            size,
            ..Self::default()
        })
    }

    /// Takes the master the runtime sends on the console socket.
    pub fn receive_console(&mut self) -> Result<()> {
        let Some(listener) = &self.console else {
            return Ok(());
        };
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(Error::kernel("console socket", error)),
        };
        stream
            .set_nonblocking(false)
            .map_err(|e| Error::kernel("console socket", e))?;
        let master = receive_fd(&stream)?;
        self.drop_console();
        let writer = master
            .try_clone()
            .map_err(|e| Error::kernel("terminal", e))?;
        self.stdin = Some(nonblocking(writer)?);
        self.stdout = Some(nonblocking(master)?);
        let (height, width) = self.size;
        if height != 0 || width != 0 {
            self.resize(height, width)?;
        }
        self.flush_input();
        Ok(())
    }

    /// Forgets the console socket.
    pub fn drop_console(&mut self) {
        if self.console.take().is_some()
            && let Err(error) = fs::remove_file(&self.console_path)
        {
            eprintln!("gantry-monitor: {:?}: {error}", self.console_path);
        }
    }

    /// Sets the terminal's size, now or as soon as there is one.
    pub fn resize(&mut self, height: u16, width: u16) -> Result<()> {
        self.size = (height, width);
        match (&self.stdout, self.tty) {
            (Some(master), true) => {
                let size = Winsize {
                    ws_row: height,
                    ws_col: width,
                    ws_xpixel: 0,
                    ws_ypixel: 0,
                };
                tcsetwinsize(master, size).map_err(|e| Error::kernel("terminal size", e))
            }
            _ => Ok(()),
        }
    }

    /// Queues input for the process.
    pub fn input(&mut self, bytes: &[u8]) {
        if self.stdin.is_some() || self.console.is_some() {
            self.pending.extend_from_slice(bytes);
            self.flush_input();
        }
    }

    /// Ends the input after what is queued; a terminal has no end.
    pub fn end_input(&mut self) {
        if !self.tty {
            self.ending = true;
            self.flush_input();
        }
    }

    /// Whether input waits for the process to read.
    pub fn input_waits(&self) -> Option<&File> {
        self.stdin.as_ref().filter(|_| !self.pending.is_empty())
    }

    /// Whether so much input waits that no more should be taken from clients.
    pub fn input_full(&self) -> bool {
        self.pending.len() > 64 * 1024
    }

    /// Writes what the process takes now.
    pub fn flush_input(&mut self) {
        let Some(stdin) = &mut self.stdin else { return };
        while !self.pending.is_empty() {
            match stdin.write(&self.pending) {
                Ok(written) => drop(self.pending.drain(..written)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    // The process closed its input: what it does not want is not kept.
                    self.pending = Vec::new();
                    self.stdin = None;
                    return;
                }
            }
        }
        if self.pending.capacity() > 4096 {
            self.pending = Vec::new();
        }
        if self.ending {
            self.stdin = None;
        }
    }

    /// Reads once from an output; None when nothing is there now. At the end the output is dropped.
    pub fn read(&mut self, output: Output, buffer: &mut [u8]) -> Option<usize> {
        let slot = match output {
            Output::Stdout => &mut self.stdout,
            Output::Stderr => &mut self.stderr,
        };
        loop {
            match slot.as_mut()?.read(buffer) {
                Ok(0) => *slot = None,
                Ok(count) => return Some(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                // A terminal whose last user is gone says EIO.
                Err(_) => *slot = None,
            }
        }
    }

    /// Whether process and output are through.
    pub fn finished(&self) -> bool {
        self.exit.is_some_and(|(_, at)| {
            (self.stdout.is_none() && self.stderr.is_none()) || at.elapsed() >= GRACE
        })
    }

    /// How long the loop may sleep before this session's grace ends.
    pub fn deadline(&self) -> Option<Duration> {
        self.exit.map(|(_, at)| GRACE.saturating_sub(at.elapsed()))
    }
}

fn nonblocking(fd: OwnedFd) -> Result<File> {
    fcntl(fd.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
        .map_err(|e| Error::kernel("stdio", e))?;
    Ok(File::from(fd))
}

/// The one descriptor the runtime sends with its message.
fn receive_fd(stream: &std::os::unix::net::UnixStream) -> Result<OwnedFd> {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut name = [0_u8; 4096];
    let mut parts = [io::IoSliceMut::new(&mut name)];
    recvmsg(stream, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        .map_err(|e| Error::kernel("terminal from the runtime", e))?;
    ancillary
        .drain()
        .find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
            _ => None,
        })
        .ok_or_else(|| Error::Runtime("the runtime sent no terminal on the console socket".into()))
}

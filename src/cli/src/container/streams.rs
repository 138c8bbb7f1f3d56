//! What goes on while a terminal is attached: input, output, signals, the window's size, the keys that detach.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;

use crate::connection::{Hijacked, Query};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::session::Engine;
use crate::terminal::{self, Raw};

/// Signals held back from this process, to be read one by one.
pub struct Signals {
    file: Option<SignalFd>,
    proxy: bool,
}

impl Signals {
    /// Blocks them. Must come before any thread is started, which would otherwise take them.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn block(proxy: bool) -> Outcome<Self> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGWINCH);
        if proxy {
            let kept = [
                Signal::SIGCHLD,
                Signal::SIGURG,
                Signal::SIGPIPE,
                Signal::SIGKILL,
                Signal::SIGSTOP,
                Signal::SIGSEGV,
                Signal::SIGBUS,
                Signal::SIGFPE,
                Signal::SIGILL,
                Signal::SIGTSTP,
                Signal::SIGTTIN,
                Signal::SIGTTOU,
            ];
            for signal in Signal::iterator().filter(|signal| !kept.contains(signal)) {
                set.add(signal);
            }
        }
        set.thread_block()?;
        Ok(Self {
            file: Some(SignalFd::new(&set)?),
            proxy,
        })
    }

    /// Passes them on from now on: to `{path}/kill`, a changed window to `{path}/resize`.
    pub fn proxy(mut self, engine: &Engine, path: &str, tty: bool) {
        let Some(file) = self.file.take() else { return };
        let (engine, path, proxy) = (engine.clone(), path.to_owned(), self.proxy);
        thread::spawn(move || {
            while let Ok(Some(info)) = file.read_signal() {
                let number = i32::try_from(info.ssi_signo).unwrap_or(0);
                match Signal::try_from(number) {
                    Ok(Signal::SIGWINCH) if tty => resize(&engine, &path),
                    Ok(Signal::SIGWINCH) | Err(_) => {}
                    Ok(signal) if proxy => {
                        let name = signal.as_str().trim_start_matches("SIG");
                        // A container that has ended takes no signals; its end is told elsewhere.
                        drop(
                            engine
                                .post(&format!("{path}/kill"), &Query::new().with("signal", name)),
                        );
                    }
                    Ok(_) => {}
                }
            }
        });
    }
}

/// Tells the engine the size of the terminal.
pub fn resize(engine: &Engine, path: &str) {
    let Some((rows, columns)) = terminal::size(io::stdout()) else {
        return;
    };
    if rows == 0 || columns == 0 {
        return;
    }
    let query = Query::new()
        .with("h", &rows.to_string())
        .with("w", &columns.to_string());
    for pause in [0, 10, 20, 40, 80, 160] {
        thread::sleep(Duration::from_millis(pause));
        if engine.post(&format!("{path}/resize"), &query).is_ok() {
            return;
        }
    }
    output::complain("failed to resize tty, using default size");
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The process closed it.
    Closed,
    /// The detach keys were typed.
    Detached,
}

/// An attached stream.
pub struct Attached {
    hijacked: Option<Hijacked>,
    tty: bool,
    stdin: bool,
    keys: Vec<u8>,
    kept: bool,
    raw: Option<Raw>,
}

impl Attached {
    /// Takes the connection; a terminal goes into raw mode when both sides have one.
    ///
    /// # Errors
    /// For detach keys that are none, or a terminal that refuses.
    pub fn new(hijacked: Hijacked, tty: bool, stdin: bool, keys: &str) -> Outcome<Self> {
        let keys = parse_keys(if keys.is_empty() {
            "ctrl-p,ctrl-q"
        } else {
            keys
        })?;
        let raw = if tty && stdin {
            Some(Raw::enter()?)
        } else {
            None
        };
        Ok(Self {
            hijacked: Some(hijacked),
            tty,
            stdin,
            keys,
            kept: false,
            raw,
        })
    }

    /// Keeps the last detach key from the engine, which would print an error into an exec's stream for it.
    #[must_use]
    pub fn keeping_keys(mut self) -> Self {
        self.kept = true;
        self
    }

    /// Gives the terminal back, for an error to be told.
    pub fn abandon(&mut self) {
        self.raw = None;
        self.hijacked = None;
    }

    /// Copies both ways until the engine closes its side.
    ///
    /// # Errors
    /// When the stream breaks.
    pub fn copy(&mut self) -> Outcome<Ended> {
        let Some(hijacked) = self.hijacked.take() else {
            return Ok(Ended::Closed);
        };
        let detached = Arc::new(AtomicBool::new(false));
        let multiplexed = hijacked.multiplexed.unwrap_or(!self.tty);
        let writer = hijacked.writer.try_clone()?;
        let mut reader = hijacked.reader;
        if self.stdin {
            let keys = self.tty.then(|| self.keys.clone());
            let (kept, seen) = (self.kept, Arc::clone(&detached));
            thread::spawn(move || send_stdin(&writer, keys, kept, &seen));
        }
        let copied = if multiplexed {
            gantry_api::frame::copy(&mut reader, &mut io::stdout(), &mut io::stderr()).map(drop)
        } else {
            copy_plain(&mut reader)
        };
        self.raw = None;
        if detached.load(Ordering::SeqCst) {
            return Ok(Ended::Detached);
        }
        match copied {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::exit(141)),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(Ended::Closed),
            Err(error) => Err(error.into()),
            Ok(()) => Ok(Ended::Closed),
        }
    }
}

fn copy_plain(reader: &mut impl Read) -> io::Result<()> {
    let mut buffer = vec![0; 32 * 1024];
    let mut out = io::stdout();
    loop {
        let count = reader.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        out.write_all(&buffer[..count])?;
        out.flush()?;
    }
}

/// Sends standard input; the keys go through to the engine, which is the one that detaches, but are noted here.
fn send_stdin(writer: &std::fs::File, keys: Option<Vec<u8>>, kept: bool, detached: &AtomicBool) {
    let mut buffer = vec![0; 32 * 1024];
    let mut watch = keys.map(|keys| Watch { keys, matched: 0 });
    let mut to = writer;
    // Not through std's buffer: its lock would be held while waiting for a key.
    let copied = io::stdin().as_fd().try_clone_to_owned();
    let Ok(mut from) = copied.map(std::fs::File::from) else {
        return;
    };
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let found = watch
            .as_mut()
            .and_then(|watch| watch.find(&buffer[..count]));
        let end = found.map_or(count, |last| if kept { last } else { last + 1 });
        if found.is_some() {
            detached.store(true, Ordering::SeqCst);
        }
        if to.write_all(&buffer[..end]).is_err() {
            return;
        }
        if found.is_some() {
            if !kept {
                // An engine that does not know the keys is left all the same.
                thread::sleep(Duration::from_millis(500));
            }
            return shut(writer, nix::sys::socket::Shutdown::Both);
        }
    }
    shut(writer, nix::sys::socket::Shutdown::Write);
}

/// Looks for the detach keys, which may come one by one.
struct Watch {
    keys: Vec<u8>,
    matched: usize,
}

impl Watch {
    /// Where the last key is, if all of them have come.
    fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        bytes.iter().position(|&byte| {
            let goes_on = byte == self.keys[self.matched];
            self.matched = if goes_on {
                self.matched + 1
            } else {
                usize::from(byte == self.keys[0])
            };
            self.matched == self.keys.len()
        })
    }
}

fn shut(writer: &std::fs::File, how: nix::sys::socket::Shutdown) {
    use std::os::fd::AsRawFd;
    // A peer that is gone already needs no telling.
    nix::sys::socket::shutdown(writer.as_raw_fd(), how).ok();
}

/// Reads `ctrl-p,ctrl-q` or `a,b` into bytes.
///
/// # Errors
/// For a word that is no key.
pub fn parse_keys(text: &str) -> Outcome<Vec<u8>> {
    text.split(',')
        .map(|word| match word.strip_prefix("ctrl-") {
            None if word.len() == 1 => Ok(word.as_bytes()[0]),
            Some(letter) => match letter.as_bytes() {
                [byte @ b'a'..=b'z'] => Ok(byte - b'a' + 1),
                [b'@'] => Ok(0),
                [b'['] => Ok(27),
                [b'\\'] => Ok(28),
                [b']'] => Ok(29),
                [b'^'] => Ok(30),
                [b'_'] => Ok(31),
                _ => Err(Failure::new(format!(
                    "invalid detach keys ({text}): Unknown character: '{word}'"
                ))),
            },
            None => Err(Failure::new(format!(
                "invalid detach keys ({text}): Unknown character: '{word}'"
            ))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::parse_keys;

    #[test]
    fn keys_are_control_letters_or_letters() {
        assert_eq!(parse_keys("ctrl-p,ctrl-q").ok(), Some(vec![16, 17]));
        assert_eq!(parse_keys("a").ok(), Some(vec![b'a']));
        assert!(parse_keys("nokey").is_err());
    }
}

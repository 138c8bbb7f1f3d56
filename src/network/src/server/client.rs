//! The engine's side: finds the server or starts it, and asks.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::protocol::{Answer, Binding, Request, VERSION};
use crate::error::{Error, Result};
use crate::names::directory::Sandbox;
use crate::nft::table::Publication;

/// A connection to the network server, made again when it breaks.
#[derive(Debug)]
pub struct Client {
    socket: PathBuf,
    program: Vec<String>,
    stream: Option<BufReader<UnixStream>>,
    renewed: bool,
}

impl Client {
    /// Talks to the server at `socket`; where none listens, `program` is started with the listening socket as standard input.
    #[must_use]
    pub fn new(socket: PathBuf, program: Vec<String>) -> Self {
        Self {
            socket,
            program,
            stream: None,
            renewed: false,
        }
    }

    /// Whether a server had to be started since this was last asked: it knows nothing yet.
    pub fn take_renewed(&mut self) -> bool {
        std::mem::take(&mut self.renewed)
    }

    /// Makes sure that a server is there.
    ///
    /// # Errors
    /// It could not be started.
    pub fn ensure(&mut self) -> Result<()> {
        self.ask(&Request::Hello).map(drop)
    }

    /// See [`Request::Name`].
    ///
    /// # Errors
    /// The server could not do it.
    pub fn name(&mut self, sandbox: Sandbox) -> Result<()> {
        self.ask(&Request::Name { sandbox }).map(drop)
    }

    /// See [`Request::Unname`].
    ///
    /// # Errors
    /// The server could not be asked.
    pub fn unname(&mut self, id: &str) -> Result<()> {
        self.ask(&Request::Unname { id: id.into() }).map(drop)
    }

    /// See [`Request::Publish`].
    ///
    /// # Errors
    /// [`Error::Taken`] for a port that is not free; then none was opened.
    pub fn publish(&mut self, id: &str, bindings: Vec<Binding>) -> Result<Vec<Publication>> {
        match self.ask(&Request::Publish {
            id: id.into(),
            bindings,
        })? {
            Answer::Published { ports } => Ok(ports),
            other => Err(Error::Server(format!("unexpected answer {other:?}"))),
        }
    }

    /// See [`Request::Unpublish`].
    ///
    /// # Errors
    /// The server could not be asked.
    pub fn unpublish(&mut self, id: &str) -> Result<()> {
        self.ask(&Request::Unpublish { id: id.into() }).map(drop)
    }

    /// The containers with a resolver and those with ports.
    ///
    /// # Errors
    /// The server could not be asked.
    pub fn list(&mut self) -> Result<(Vec<String>, Vec<String>)> {
        match self.ask(&Request::List)? {
            Answer::Known { named, published } => Ok((named, published)),
            other => Err(Error::Server(format!("unexpected answer {other:?}"))),
        }
    }

    fn ask(&mut self, request: &Request) -> Result<Answer> {
        // A server that left in the meantime costs one more try.
        let answer = match self.exchange(request) {
            Ok(answer) => answer,
            Err(_) => {
                self.stream = None;
                self.connect()?;
                self.exchange(request)
                    .map_err(|e| Error::Server(e.to_string()))?
            }
        };
        match answer {
            Answer::Taken { message } => Err(Error::Taken(message)),
            Answer::Failed { message } => Err(Error::Server(message)),
            answer => Ok(answer),
        }
    }

    fn exchange(&mut self, request: &Request) -> std::io::Result<Answer> {
        let stream = self
            .stream
            .as_mut()
            .ok_or(std::io::ErrorKind::NotConnected)?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.get_mut().write_all(&line)?;
        let mut text = String::new();
        if stream.read_line(&mut text)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&text)?)
    }

    fn connect(&mut self) -> Result<()> {
        if let Ok(stream) = UnixStream::connect(&self.socket) {
            self.stream = Some(BufReader::new(stream));
            if matches!(
                self.exchange(&Request::Hello),
                Ok(Answer::Version { version: VERSION })
            ) {
                return Ok(());
            }
            // Another version, or it is just leaving: its end closes the listening socket too.
            if self.exchange(&Request::Leave).is_err() {
                tracing::debug!("network server: left before it was asked to");
            }
            self.stream = None;
        }
        self.start()
    }

    /// Starts a server on a new socket. The socket listens before the process runs, so connecting never has to be retried.
    fn start(&mut self) -> Result<()> {
        let fail = |call: &str| {
            let call = call.to_string();
            move |e: std::io::Error| Error::kernel("network server", call, e)
        };
        let [program, arguments @ ..] = self.program.as_slice() else {
            return Err(Error::Server("no program to start".into()));
        };
        remove(&self.socket).map_err(fail("unlink"))?;
        let listener = UnixListener::bind(&self.socket).map_err(fail("bind"))?;
        let input = std::os::fd::OwnedFd::from(listener);
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::from(input))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // A signal to the engine's group must not reach the server.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command
            .spawn()
            .map_err(fail(&format!("start {program:?}")))?;
        tracing::debug!("network server started, pid {}", child.id());
        let stream = UnixStream::connect(&self.socket).map_err(fail("connect"))?;
        self.stream = Some(BufReader::new(stream));
        self.renewed = true;
        reap(child);
        Ok(())
    }
}

/// Collects the server's exit, whenever that is: it must not stay as a zombie of a long-lived engine.
fn reap(mut child: std::process::Child) {
    std::thread::spawn(move || {
        if let Err(error) = child.wait() {
            tracing::debug!("network server: wait: {error}");
        }
    });
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The listening socket a started server finds as its standard input.
///
/// # Errors
/// Standard input is no socket.
pub fn inherited() -> Result<UnixListener> {
    let input = std::os::fd::AsFd::as_fd(&std::io::stdin()).try_clone_to_owned();
    let input = input.map_err(|e| Error::kernel("network server", "dup", e))?;
    let listener = UnixListener::from(input);
    listener
        .local_addr()
        .map_err(|e| Error::kernel("network server", "getsockname of standard input", e))?;
    Ok(listener)
}

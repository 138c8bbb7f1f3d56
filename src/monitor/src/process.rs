//! The monitor itself: one thread, one poll loop.

use std::collections::BTreeMap;
use std::fs::{self};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::client::Client;
use crate::error::{Error, Result};
use crate::jobs::{Jobs, Purpose};
use crate::jsonlog::Log;
use crate::protocol::{self, Exit, Kind, PID_FILE, SOCKET, Setup};
use crate::runtime::{Call, Stdio3};
use crate::session::{Output, Session};

/// The container's first process among the sessions.
pub(crate) const INIT: u64 = 0;

/// Everything a monitor holds.
pub(crate) struct Monitor {
    pub(crate) setup: Setup,
    pub(crate) listener: UnixListener,
    pub(crate) signals: SignalFd,
    pub(crate) clients: BTreeMap<u64, Client>,
    pub(crate) next_client: u64,
    pub(crate) sessions: BTreeMap<u64, Session>,
    pub(crate) next_session: u64,
    pub(crate) jobs: Jobs,
    pub(crate) log: Option<Log>,
    pub(crate) oom: Option<(PathBuf, u64)>,
    pub(crate) started: bool,
    pub(crate) exited: Option<Exit>,
    pub(crate) over: bool,
}

/// What a poll entry stands for.
#[derive(Clone, Copy)]
enum Token {
    Listener,
    Signals,
    Client(u64),
    Output(u64, Output),
    Input(u64),
    Console(u64),
}

/// Runs the monitor of the bundle `directory` until its container is gone and every client has had its bytes.
///
/// # Errors
/// Whatever kept the container from being created; later failures go to the clients.
pub fn run(directory: &Path) -> Result<()> {
    std::env::set_current_dir(directory)
        .map_err(|e| Error::kernel(format!("directory {directory:?}"), e))?;
    let setup = fs::read(protocol::SETUP).map_err(|e| Error::kernel("monitor.json", e))?;
    let setup: Setup = serde_json::from_slice(&setup).map_err(Error::Config)?;
    // The engine may be the leader of our session or group; its end must not be ours.
    nix::unistd::setsid().map_err(|e| Error::kernel("setsid", e))?;
    nix::sys::prctl::set_child_subreaper(true).map_err(|e| Error::kernel("child subreaper", e))?;
    let mut mask = SigSet::empty();
    for signal in [
        Signal::SIGCHLD,
        Signal::SIGPIPE,
        Signal::SIGHUP,
        Signal::SIGINT,
    ] {
        mask.add(signal);
    }
    mask.thread_block()
        .map_err(|e| Error::kernel("signal mask", e))?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
        .map_err(|e| Error::kernel("signalfd", e))?;
    let listener = UnixListener::bind(SOCKET).map_err(|e| Error::kernel("monitor.sock", e))?;
    listener
        .set_nonblocking(true)
        .map_err(|e| Error::kernel("monitor.sock", e))?;
    let log = setup
        .log
        .clone()
        .map(Log::open)
        .transpose()
        .map_err(|e| Error::kernel("log", e))?;
    let mut monitor = Monitor {
        setup,
        listener,
        signals,
        clients: BTreeMap::new(),
        next_client: 0,
        sessions: BTreeMap::new(),
        next_session: INIT + 1,
        jobs: Jobs::default(),
        log,
        oom: None,
        started: false,
        exited: None,
        over: false,
    };
    monitor.create()?;
    monitor.serve()
}

impl Monitor {
    fn create(&mut self) -> Result<()> {
        let bundle = std::env::current_dir().map_err(|e| Error::kernel("working directory", e))?;
        // Absolute, because not every runtime reads it where it was called.
        let pid_file = bundle.join(PID_FILE).to_string_lossy().into_owned();
        let bundle = bundle.to_string_lossy().into_owned();
        let mut arguments = vec![
            "create",
            "--bundle",
            bundle.as_str(),
            "--pid-file",
            pid_file.as_str(),
        ];
        let (session, stdio) = if self.setup.tty {
            arguments.extend(["--console-socket", "console.sock"]);
            (
                Session::terminal(String::new(), "console.sock".into(), self.setup.size)?,
                Stdio3::default(),
            )
        } else {
            Session::piped(String::new(), self.setup.open_stdin)?
        };
        arguments.push(&self.setup.id);
        let call = Call::spawn(&self.setup.runtime, self.jobs.number(), &arguments, stdio)?;
        self.sessions.insert(INIT, session);
        self.jobs.add(call, Purpose::Create);
        Ok(())
    }

    fn serve(&mut self) -> Result<()> {
        loop {
            let ready = self.wait()?;
            for (token, flags) in ready {
                self.handle(token, flags)?;
            }
            self.end_sessions();
            self.clients.retain(|_, client| !client.dead);
            if self.over && self.clients.values().all(|client| !client.waits()) {
                return Ok(());
            }
        }
    }

    /// Sleeps until something can be done; gives what.
    fn wait(&self) -> Result<Vec<(Token, PollFlags)>> {
        let (mut tokens, mut fds) = (vec![Token::Listener, Token::Signals], Vec::new());
        fds.push(PollFd::new(self.listener.as_fd(), PollFlags::POLLIN));
        fds.push(PollFd::new(self.signals.as_fd(), PollFlags::POLLIN));
        for (number, client) in &self.clients {
            let mut wanted = PollFlags::empty();
            let blocked = client.attached.is_some_and(|(session, _)| {
                self.sessions.get(&session).is_some_and(Session::input_full)
            });
            wanted.set(PollFlags::POLLIN, !client.ended && !blocked);
            wanted.set(PollFlags::POLLOUT, client.waits());
            // Hang-ups are reported even where nothing is asked for.
            tokens.push(Token::Client(*number));
            fds.push(PollFd::new(client.stream.as_fd(), wanted));
        }
        for (number, session) in &self.sessions {
            self.session_fds(*number, session, &mut tokens, &mut fds);
        }
        let sleep = self.sessions.values().filter_map(Session::deadline).min();
        let timeout = sleep.map_or(PollTimeout::NONE, |left| {
            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut fds, timeout) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(Error::kernel("poll", error)),
        }
        let flags = fds
            .iter()
            .map(|fd| fd.revents().unwrap_or(PollFlags::empty()));
        Ok(tokens
            .into_iter()
            .zip(flags)
            .filter(|(_, flags)| !flags.is_empty())
            .collect())
    }

    fn session_fds<'a>(
        &self,
        number: u64,
        session: &'a Session,
        tokens: &mut Vec<Token>,
        fds: &mut Vec<PollFd<'a>>,
    ) {
        let paused = self
            .clients
            .values()
            .any(|client| client.attached.is_some_and(|(at, _)| at == number) && client.full());
        // Output before the answer to the exec that causes it would be taken for nobody's.
        let known = number == INIT || session.pid.is_some();
        if known && !paused {
            for (file, output) in [
                (&session.stdout, Output::Stdout),
                (&session.stderr, Output::Stderr),
            ] {
                if let Some(file) = file {
                    tokens.push(Token::Output(number, output));
                    fds.push(PollFd::new(file.as_fd(), PollFlags::POLLIN));
                }
            }
        }
        if let Some(stdin) = session.input_waits() {
            tokens.push(Token::Input(number));
            fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLOUT));
        }
        if let Some(console) = &session.console {
            tokens.push(Token::Console(number));
            fds.push(PollFd::new(console.as_fd(), PollFlags::POLLIN));
        }
    }

    fn handle(&mut self, token: Token, flags: PollFlags) -> Result<()> {
        match token {
            Token::Listener => self.accept(),
            Token::Signals => return self.reap(),
            Token::Client(number) => self.serve_client(number, flags),
            Token::Output(number, output) => self.pass_output(number, output),
            Token::Input(number) => {
                if let Some(session) = self.sessions.get_mut(&number) {
                    session.flush_input();
                }
            }
            Token::Console(number) => {
                if let Some(session) = self.sessions.get_mut(&number) {
                    session.receive_console()?;
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if let Ok(client) = Client::new(stream) {
                self.clients.insert(self.next_client, client);
                self.next_client += 1;
            }
        }
    }

    fn pass_output(&mut self, number: u64, output: Output) {
        let mut buffer = [0_u8; 32 * 1024];
        let Some(session) = self.sessions.get_mut(&number) else {
            return;
        };
        let Some(count) = session.read(output, &mut buffer) else {
            return;
        };
        let bytes = &buffer[..count];
        let (kind, stream) = match output {
            Output::Stdout => (Kind::Stdout, "stdout"),
            Output::Stderr => (Kind::Stderr, "stderr"),
        };
        if number == INIT
            && let Some(log) = &mut self.log
            && let Err(error) = log.write(stream, &mut session.lines[output as usize], bytes)
        {
            eprintln!("gantry-monitor: log of {}: {error}", self.setup.id);
        }
        for client in self.clients.values_mut() {
            let wants = client.attached.is_some_and(|(at, streams)| {
                at == number
                    && if output == Output::Stdout {
                        streams.stdout
                    } else {
                        streams.stderr
                    }
            });
            if wants && !client.dead {
                client.output(kind, bytes);
            }
        }
    }
}

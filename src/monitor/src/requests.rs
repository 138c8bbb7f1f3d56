//! What clients ask, and what they type.

use nix::poll::PollFlags;

use crate::client::Client;
use crate::jobs::Purpose;
use crate::process::{INIT, Monitor};
use crate::protocol::{Kind, Reply, Request};
use crate::runtime::{Call, Stdio3};
use crate::session::Session;

impl Monitor {
    pub(crate) fn serve_client(&mut self, number: u64, flags: PollFlags) {
        let Some(client) = self.clients.get_mut(&number) else {
            return;
        };
        if flags.contains(PollFlags::POLLOUT) {
            client.flush();
        }
        if flags.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR)
            && !client.ended
        {
            client.receive();
        }
        while let Some((kind, payload)) = self.clients.get_mut(&number).and_then(Client::next_frame)
        {
            match kind {
                Kind::Message => self.request(number, &payload),
                Kind::Stdin | Kind::StdinEnd => {
                    self.client_input(number, (kind == Kind::Stdin).then_some(&payload[..]))
                }
                Kind::Stdout | Kind::Stderr => {
                    self.with_client(number, |client| client.dead = true)
                }
            }
        }
        let Some(client) = self.clients.get_mut(&number) else {
            return;
        };
        if client.ended
            && flags.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR)
        {
            let whole = flags.intersects(PollFlags::POLLHUP | PollFlags::POLLERR);
            client.dead |= whole || client.attached.is_none();
            self.client_input(number, None);
        }
    }

    pub(crate) fn with_client(&mut self, number: u64, act: impl FnOnce(&mut Client)) {
        if let Some(client) = self.clients.get_mut(&number) {
            act(client);
        }
    }

    /// Input of an attached client, or its end.
    pub(crate) fn client_input(&mut self, number: u64, bytes: Option<&[u8]>) {
        let Some((session, streams)) = self.clients.get(&number).and_then(|client| client.attached)
        else {
            return;
        };
        let once = session != INIT || self.setup.stdin_once;
        let Some(target) = self.sessions.get_mut(&session).filter(|_| streams.stdin) else {
            return;
        };
        match bytes {
            Some(bytes) => target.input(bytes),
            None if once => target.end_input(),
            None => {}
        }
    }

    pub(crate) fn request(&mut self, number: u64, payload: &[u8]) {
        let request = match serde_json::from_slice::<Request>(payload) {
            Ok(request) => request,
            Err(error) => return self.refuse(number, format!("request: {error}")),
        };
        match request {
            Request::Start => self.start(number),
            Request::Attach(streams) => {
                self.with_client(number, |client| client.attached = Some((INIT, streams)));
                self.with_client(number, |client| client.reply(&Reply::Done));
            }
            Request::Exec { .. } => self.exec(number, request),
            Request::Resize {
                session,
                height,
                width,
            } => {
                let name = session.unwrap_or_default();
                let found = self
                    .sessions
                    .values_mut()
                    .find(|session| session.name == name);
                match found.map(|session| session.resize(height, width)) {
                    Some(Ok(())) => self.with_client(number, |client| client.reply(&Reply::Done)),
                    Some(Err(error)) => self.refuse(number, error.to_string()),
                    None => self.refuse(number, format!("exec session {name:?} is not running")),
                }
            }
            Request::Status => {
                let reply = self.status();
                self.with_client(number, |client| client.reply(&reply));
            }
            Request::Watch => {
                self.with_client(number, |client| {
                    client.watches = true;
                    client.reply(&Reply::Done);
                });
            }
        }
    }

    pub(crate) fn refuse(&mut self, number: u64, message: String) {
        self.with_client(number, |client| client.reply(&Reply::Failed { message }));
    }

    pub(crate) fn status(&self) -> Reply {
        let execs = self
            .sessions
            .iter()
            .filter(|(number, session)| **number != INIT && session.exit.is_none())
            .filter_map(|(_, session)| Some((session.name.clone(), session.pid?)))
            .collect();
        let pid = self
            .sessions
            .get(&INIT)
            .and_then(|session| session.pid)
            .unwrap_or(0);
        Reply::Status {
            pid,
            started: self.started,
            execs,
        }
    }

    pub(crate) fn start(&mut self, client: u64) {
        let number = self.jobs.number();
        match Call::spawn(
            &self.setup.runtime,
            number,
            &["start", &self.setup.id],
            Stdio3::default(),
        ) {
            Ok(call) => self.jobs.add(call, Purpose::Start { client }),
            Err(error) => self.refuse(client, error.to_string()),
        }
    }

    pub(crate) fn exec(&mut self, client: u64, request: Request) {
        let Request::Exec {
            id,
            process,
            tty,
            size,
            streams,
        } = request
        else {
            return;
        };
        let number = self.next_session;
        self.next_session += 1;
        let call = self.jobs.number();
        let made = if tty {
            Session::terminal(id, format!("console-{number}.sock"), size)
                .map(|made| (made, Stdio3::default()))
        } else {
            Session::piped(id, streams.stdin)
        };
        let directory = std::env::current_dir().unwrap_or_default();
        let pid_file = directory.join(format!("exec-{number}.pid"));
        let console = format!("console-{number}.sock");
        let (process, pid_text) = (
            process.to_string_lossy().into_owned(),
            pid_file.to_string_lossy().into_owned(),
        );
        let mut arguments = vec![
            "exec",
            "--detach",
            "--process",
            process.as_str(),
            "--pid-file",
            pid_text.as_str(),
        ];
        if tty {
            arguments.extend(["--tty", "--console-socket", console.as_str()]);
        }
        arguments.push(&self.setup.id);
        let spawned = made.and_then(|(session, stdio)| {
            Ok((
                session,
                Call::spawn(&self.setup.runtime, call, &arguments, stdio)?,
            ))
        });
        match spawned {
            Ok((session, call)) => {
                self.sessions.insert(number, session);
                self.with_client(client, |client| client.attached = Some((number, streams)));
                self.jobs.add(
                    call,
                    Purpose::Exec {
                        session: number,
                        client,
                        pid_file,
                    },
                );
            }
            Err(error) => self.refuse(client, error.to_string()),
        }
    }
}

//! A blocking client of one D-Bus connection: enough to ask systemd for a unit and to wait until it is there.
//!
//! Everything up to the first answer is written at once (authentication, Hello, the match rule, the first call), so a
//! command costs one round trip; every wait has a deadline.

use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::{Duration, Instant};

use super::wire::{self, Call, Kind, Message, Value};

/// How long systemd may take for one job.
pub const TIME: Duration = Duration::from_secs(30);

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";

/// Why a call has no result.
#[derive(Debug)]
pub enum Failure {
    /// The service refused: the error's name and its text.
    Refused(String, String),
    /// The connection broke or never was; another may work.
    Broken(String),
    /// No answer in time.
    Late,
}

/// The result of a call.
pub type Answer<T> = Result<T, Failure>;

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Late,
            _ => Self::Broken(error.to_string()),
        }
    }
}

/// A connection to systemd.
pub struct Bus {
    stream: UnixStream,
    /// False where systemd itself is at the other end.
    brokered: bool,
    authenticated: bool,
    pending: Vec<u8>,
    received: Vec<u8>,
    serial: u32,
    /// Signals that came while an answer was awaited.
    signals: Vec<Message>,
}

impl Bus {
    /// Connects to the system bus, or to the caller's own. Root falls back on systemd's private socket, which is there
    /// early at boot when no broker runs yet.
    pub fn open(user: bool) -> Answer<Self> {
        let addresses = if user {
            user_addresses()
        } else {
            system_addresses()
        };
        match connect(&addresses) {
            Ok(stream) => Ok(Self::over(stream, true)),
            Err(error) if user => Err(Failure::Broken(format!(
                "cannot connect to the user bus {addresses}: {error}"
            ))),
            Err(error) => match UnixStream::connect("/run/systemd/private") {
                Ok(stream) => Ok(Self::over(stream, false)),
                Err(_) => Err(Failure::Broken(format!(
                    "cannot connect to the system bus {addresses}: {error}"
                ))),
            },
        }
    }

    fn over(stream: UnixStream, brokered: bool) -> Self {
        let mut bus = Self {
            stream,
            brokered,
            authenticated: false,
            // No name in EXTERNAL: the other end asks the kernel who we are, which stays true in a user namespace.
            pending: b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n".to_vec(),
            received: Vec::new(),
            serial: 0,
            signals: Vec::new(),
        };
        if brokered {
            bus.daemon("Hello", &[]);
            let rule = "type='signal',sender='org.freedesktop.systemd1',\
                        interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";
            bus.daemon("AddMatch", &[Value::text(rule)]);
        }
        bus
    }

    fn daemon(&mut self, member: &str, arguments: &[Value]) {
        self.queue(&Call {
            destination: Some("org.freedesktop.DBus"),
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member,
            arguments,
        });
    }

    fn queue(&mut self, call: &Call<'_>) -> u32 {
        self.serial += 1;
        self.pending.extend(wire::method_call(call, self.serial));
        self.serial
    }

    /// Calls a method of systemd's manager object.
    pub fn manager(&mut self, member: &str, arguments: &[Value]) -> Answer<Vec<Value>> {
        let destination = self.brokered.then_some(SYSTEMD);
        self.call(&Call {
            destination,
            path: MANAGER_PATH,
            interface: MANAGER,
            member,
            arguments,
        })
    }

    /// Reads a property of systemd's manager object.
    pub fn property(&mut self, name: &str) -> Answer<Option<Value>> {
        let destination = self.brokered.then_some(SYSTEMD);
        let mut values = self.call(&Call {
            destination,
            path: MANAGER_PATH,
            interface: "org.freedesktop.DBus.Properties",
            member: "Get",
            arguments: &[Value::text(MANAGER), Value::text(name)],
        })?;
        Ok((!values.is_empty()).then(|| values.remove(0)))
    }

    /// Calls a method that starts a job and waits for the job's end: its result, `done` when all went well.
    pub fn job(&mut self, member: &str, arguments: &[Value]) -> Answer<String> {
        let deadline = Instant::now() + TIME;
        let values = self.manager(member, arguments)?;
        let Some(Value::Text(job)) = values.first().cloned() else {
            return Err(Failure::Broken(format!(
                "systemd answered {member} without a job"
            )));
        };
        loop {
            for signal in std::mem::take(&mut self.signals) {
                if let [_, Value::Text(path), _, Value::Text(result), ..] = signal.body.as_slice()
                    && *path == job
                {
                    return Ok(result.clone());
                }
            }
            let message = self.receive(deadline)?;
            self.keep(message);
        }
    }

    fn call(&mut self, call: &Call<'_>) -> Answer<Vec<Value>> {
        let deadline = Instant::now() + TIME;
        let serial = self.queue(call);
        self.stream.set_write_timeout(Some(TIME))?;
        let bytes = std::mem::take(&mut self.pending);
        self.stream.write_all(&bytes)?;
        self.authenticate(deadline)?;
        loop {
            let message = self.receive(deadline)?;
            // A refused Hello or AddMatch means that no answer will ever come.
            if message.kind == Kind::Error && message.reply_to <= serial {
                let text = match message.body.into_iter().next() {
                    Some(Value::Text(text)) => text,
                    _ => String::new(),
                };
                return Err(Failure::Refused(message.error, text));
            }
            if message.kind == Kind::Reply && message.reply_to == serial {
                return Ok(message.body);
            }
            self.keep(message);
        }
    }

    fn keep(&mut self, message: Message) {
        if message.kind == Kind::Signal && message.member == "JobRemoved" {
            self.signals.push(message);
        }
    }

    /// Reads the other end's lines up to its `OK`.
    fn authenticate(&mut self, deadline: Instant) -> Answer<()> {
        while !self.authenticated {
            let Some(end) = self.received.windows(2).position(|w| w == b"\r\n") else {
                if self.received.len() > 1024 {
                    return Err(Failure::Broken("the bus does not speak D-Bus".to_owned()));
                }
                self.fill(deadline)?;
                continue;
            };
            let line: Vec<u8> = self.received.drain(..end + 2).collect();
            let line = String::from_utf8_lossy(&line);
            match line.split_whitespace().next() {
                Some("OK") => self.authenticated = true,
                Some("DATA") => {}
                _ => {
                    let text = format!("the bus does not accept this user: {}", line.trim_end());
                    return Err(Failure::Refused(
                        "org.freedesktop.DBus.Error.AuthFailed".to_owned(),
                        text,
                    ));
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self, deadline: Instant) -> Answer<Message> {
        let broken = || Failure::Broken("the bus sent no D-Bus message".to_owned());
        loop {
            let head = self.received.first_chunk::<16>();
            let size = head.map(|h| wire::size(h).ok_or_else(broken)).transpose()?;
            match size {
                Some(size) if self.received.len() >= size => {
                    let bytes: Vec<u8> = self.received.drain(..size).collect();
                    return wire::parse(&bytes).ok_or_else(broken);
                }
                _ => self.fill(deadline)?,
            }
        }
    }

    /// Waits for more bytes.
    fn fill(&mut self, deadline: Instant) -> Answer<()> {
        let mut part = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Failure::Late);
            }
            self.stream.set_read_timeout(Some(left))?;
            match self.stream.read(&mut part) {
                Ok(0) => return Err(Failure::Broken("the bus closed the connection".to_owned())),
                Ok(count) => {
                    self.received.extend_from_slice(&part[..count]);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

fn system_addresses() -> String {
    variable("DBUS_SYSTEM_BUS_ADDRESS")
        .unwrap_or_else(|| "unix:path=/run/dbus/system_bus_socket".to_owned())
}

/// podman passes only `XDG_RUNTIME_DIR`.
fn user_addresses() -> String {
    variable("DBUS_SESSION_BUS_ADDRESS")
        .or_else(|| variable("XDG_RUNTIME_DIR").map(|dir| format!("unix:path={dir}/bus")))
        .unwrap_or_else(|| format!("unix:path=/run/user/{}/bus", nix::unistd::geteuid()))
}

/// Connects to the first address of the list that answers ("Server Addresses" of the specification).
fn connect(addresses: &str) -> io::Result<UnixStream> {
    let mut last = io::Error::new(
        io::ErrorKind::InvalidInput,
        "no address of the form unix:path=… or unix:abstract=…",
    );
    for address in addresses.split(';').filter_map(|a| a.strip_prefix("unix:")) {
        let value = |key: &str| {
            let found = address
                .split(',')
                .find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
            found.map(unescape)
        };
        let connected = match (value("path"), value("abstract")) {
            (Some(path), _) => UnixStream::connect(std::ffi::OsString::from(path)),
            (_, Some(name)) => {
                SocketAddr::from_abstract_name(name).and_then(|a| UnixStream::connect_addr(&a))
            }
            _ => continue,
        };
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut parts = text.split('%');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let code = part
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code {
            Some(byte) => {
                out.push(char::from(byte));
                out.push_str(&part[2..]);
            }
            None => {
                out.push('%');
                out.push_str(part);
            }
        }
    }
    out
}

//! A private bus and a systemd on it that only pretends, for tests: starts nothing, stops nothing, says it did.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::wire::{self, Call, Value, put};

/// The bus, and what the service on it was asked.
pub struct Fake {
    daemon: Child,
    dir: PathBuf,
    /// `Method unit`, in order; for StartTransientUnit with the names of the properties.
    pub asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    /// Starts both; `None` where dbus-daemon is not installed.
    pub fn start(name: &str) -> Option<Self> {
        let dir = std::env::temp_dir().join(format!("keel-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let config = dir.join("bus.conf");
        let address = format!("unix:path={}", dir.join("bus").display());
        let text = format!(
            "<busconfig><listen>{address}</listen><auth>EXTERNAL</auth><policy context=\"default\">\
             <allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/><allow own=\"*\"/>\
             <allow user=\"*\"/></policy></busconfig>"
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("dbus-daemon");
        command
            .arg("--nofork")
            .arg(format!("--config-file={}", config.display()));
        let daemon = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let fake = Self {
            daemon,
            dir,
            asked: Arc::default(),
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        let stream = loop {
            match UnixStream::connect(fake.dir.join("bus")) {
                Ok(stream) => break stream,
                Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
                Err(error) => panic!("{error}"),
            }
        };
        let asked = Arc::clone(&fake.asked);
        let mut service = Service {
            stream,
            asked,
            serial: 0,
            failed: None,
        };
        service.register();
        std::thread::spawn(move || service.serve());
        Some(fake)
    }

    /// Where the bus listens.
    pub fn address(&self) -> String {
        format!("unix:path={}", self.dir.join("bus").display())
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.daemon.kill().unwrap();
        self.daemon.wait().unwrap();
        std::fs::remove_dir_all(&self.dir).unwrap();
    }
}

struct Service {
    stream: UnixStream,
    asked: Arc<Mutex<Vec<String>>>,
    serial: u32,
    /// The unit that is still known as failed; one called `…again…` is, until it is reset.
    failed: Option<String>,
}

impl Service {
    fn register(&mut self) {
        let call = |member, arguments| Call {
            destination: Some("org.freedesktop.DBus"),
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member,
            arguments,
        };
        let mut out = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n".to_vec();
        out.extend(wire::method_call(&call("Hello", &[]), 1));
        let name = [Value::text("org.freedesktop.systemd1"), Value::U32(0)];
        out.extend(wire::method_call(&call("RequestName", &name), 2));
        self.serial = 2;
        self.stream.write_all(&out).unwrap();
        let mut line = Vec::new();
        let mut byte = [0];
        while !(line.ends_with(b"\r\n") && String::from_utf8_lossy(&line).contains("OK ")) {
            self.stream.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        while self
            .next()
            .is_some_and(|bytes| wire::parse(&bytes).unwrap().reply_to != 2)
        {}
    }

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; 16];
        self.stream.read_exact(&mut bytes).ok()?;
        let size = wire::size(bytes[..].try_into().ok()?)?;
        bytes.resize(size, 0);
        self.stream.read_exact(&mut bytes[16..]).ok()?;
        Some(bytes)
    }

    fn serve(&mut self) {
        while let Some(bytes) = self.next() {
            let message = wire::parse(&bytes).unwrap();
            if bytes[1] != 1 {
                continue;
            }
            let serial = u32::from_le_bytes(bytes[8..12].try_into().unwrap());
            let sender = text_behind(&bytes, b"\x07\x01s\0");
            let unit = match message.body.first() {
                Some(Value::Text(unit)) => unit.clone(),
                _ => String::new(),
            };
            let names = if message.member == "StartTransientUnit" {
                properties(&bytes)
            } else {
                String::new()
            };
            let line = format!("{} {unit}{names}", message.member);
            self.asked.lock().unwrap().push(line);
            self.answer(&message.member, &unit, &sender, serial);
        }
    }

    fn answer(&mut self, member: &str, unit: &str, sender: &str, serial: u32) {
        let jobs = matches!(member, "StartTransientUnit" | "StopUnit");
        if member == "StartTransientUnit" && unit.contains("again") && self.failed.is_none() {
            self.failed = Some(unit.to_owned());
            let name = Value::text("org.freedesktop.systemd1.UnitExists");
            let text = Value::text("Unit was already loaded or has a fragment file.");
            return self.send(3, &[(4, name)], sender, serial, &[text]);
        }
        if member == "ResetFailedUnit" && self.failed.as_deref() != Some(unit) {
            let name = Value::text("org.freedesktop.systemd1.NoSuchUnit");
            return self.send(
                3,
                &[(4, name)],
                sender,
                serial,
                &[Value::text("Unit not loaded.")],
            );
        }
        if !jobs {
            return self.send(2, &[], sender, serial, &[]);
        }
        let job = "/org/freedesktop/systemd1/job/7";
        self.send(2, &[], sender, serial, &[Value::Path(job.to_owned())]);
        let result = if unit.contains("broken") {
            "failed"
        } else {
            "done"
        };
        let fields = [
            (1, Value::Path("/org/freedesktop/systemd1".to_owned())),
            (2, Value::text("org.freedesktop.systemd1.Manager")),
            (3, Value::text("JobRemoved")),
        ];
        let body = [
            Value::U32(7),
            Value::Path(job.to_owned()),
            Value::text(unit),
            Value::text(result),
        ];
        self.send(4, &fields, "", 0, &body);
    }

    fn send(&mut self, kind: u8, fields: &[(u8, Value)], to: &str, reply_to: u32, body: &[Value]) {
        let mut fields = fields.to_vec();
        if !to.is_empty() {
            fields.push((6, Value::text(to)));
            fields.push((5, Value::U32(reply_to)));
        }
        let mut bytes = Vec::new();
        body.iter().for_each(|value| put(&mut bytes, value));
        if !body.is_empty() {
            fields.push((
                8,
                Value::Signature(body.iter().map(Value::signature).collect()),
            ));
        }
        let field =
            |(code, value)| Value::Tuple(vec![Value::Byte(code), Value::Variant(Box::new(value))]);
        self.serial += 1;
        let mut out = vec![b'l', kind, 0, 1];
        out.extend((bytes.len() as u32).to_le_bytes());
        out.extend(self.serial.to_le_bytes());
        put(
            &mut out,
            &Value::Array("(yv)".to_owned(), fields.into_iter().map(field).collect()),
        );
        out.resize(out.len().next_multiple_of(8), 0);
        out.extend(bytes);
        self.stream.write_all(&out).unwrap();
    }
}

/// The text that follows `mark` and its length.
fn text_behind(bytes: &[u8], mark: &[u8]) -> String {
    let at = bytes.windows(mark.len()).position(|w| w == mark).unwrap() + mark.len();
    let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    String::from_utf8(bytes[at + 4..at + 4 + length].to_vec()).unwrap()
}

/// Which of the known properties the message carries.
fn properties(bytes: &[u8]) -> String {
    let known = [
        "Slice",
        "Wants",
        "Delegate",
        "PIDs",
        "TasksMax",
        "MemoryMax",
        "DevicePolicy",
        "DeviceAllow",
        "TimeoutStopUSec",
    ];
    let has = |name: &&&str| {
        let text = format!("{name}\0");
        bytes.windows(text.len()).any(|w| w == text.as_bytes())
    };
    known
        .iter()
        .filter(has)
        .map(|name| format!(" {name}"))
        .collect()
}

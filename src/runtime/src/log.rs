//! The log as logrus writes it for runc, because engines read it: containerd takes the last `error` line of a JSON stream,
//! podman parses the whole file as one JSON object. So a failure leaves exactly one line at the default level, and nothing
//! else is ever written between its braces.
//!
//! Without `--log` a line goes to standard error in logrus's text shape (coloured on a terminal). With it the line goes to
//! the log and the plain message to standard error, where conmon picks it up.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::cli::{GlobalFlags, LogFormat, LogLevel};
use crate::error::{Error, Kernelize as _, Result};

/// Where lines go.
#[derive(Debug)]
enum Sink {
    Stderr,
    File(File),
    /// systemd's journal under an identifier.
    Journal(UnixDatagram, String),
    /// `/dev/log` under an identifier.
    Syslog(UnixDatagram, String),
}

/// Writes tracing's events as lines.
#[derive(Debug)]
struct Lines {
    sink: Mutex<Sink>,
    format: LogFormat,
    least: LevelFilter,
    terminal: bool,
    since: Instant,
}

/// The log of this process; says how the last word is to be spoken.
#[derive(Debug, Clone, Copy)]
pub struct Log {
    also_stderr: bool,
}

/// Opens the log the flags ask for and lets `tracing` write to it.
///
/// # Errors
/// The log file or socket could not be opened.
pub fn init(flags: &GlobalFlags) -> Result<Log> {
    let sink = flags.log.as_deref().map_or(Ok(Sink::Stderr), open)?;
    let also_stderr = !matches!(sink, Sink::Stderr);
    let least = match (flags.debug, flags.log_level) {
        (true, _) | (_, Some(LogLevel::Debug)) => LevelFilter::TRACE,
        (_, Some(LogLevel::Info)) => LevelFilter::INFO,
        (_, Some(LogLevel::Warning)) => LevelFilter::WARN,
        (_, Some(LogLevel::Error)) => LevelFilter::ERROR,
        // A warning in front of the error would cost podman the error (it parses the file whole).
        (_, None) if also_stderr => LevelFilter::ERROR,
        (_, None) => LevelFilter::WARN,
    };
    let terminal = !also_stderr && std::io::stderr().is_terminal();
    let lines = Lines {
        sink: Mutex::new(sink),
        format: flags.log_format,
        least,
        terminal,
        since: Instant::now(),
    };
    let subscriber = tracing_subscriber::registry().with(lines);
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|_| Error::Bug("the log was opened twice".to_owned()))?;
    Ok(Log { also_stderr })
}

impl Log {
    /// Writes the one line about why the program fails.
    pub fn fail(self, message: &str) {
        let message = message.trim_end();
        tracing::error!("{message}");
        if self.also_stderr {
            say(message);
        }
    }
}

/// The failure line of a program whose log could not be opened.
pub fn fail_without_log(message: &str) {
    say(line(
        LogFormat::Text,
        "error",
        message.trim_end(),
        &timestamp(SystemTime::now()),
    )
    .trim_end());
}

fn say(message: &str) {
    // Nobody is left to be told when standard error is gone.
    drop(writeln!(std::io::stderr(), "{message}"));
}

fn open(target: &str) -> Result<Sink> {
    if let Some(identifier) = target.strip_prefix("journald:") {
        let socket = datagram("/run/systemd/journal/socket", target)?;
        return Ok(Sink::Journal(socket, identifier.to_owned()));
    }
    if let Some(identifier) = target.strip_prefix("syslog:") {
        return Ok(Sink::Syslog(
            datagram("/dev/log", target)?,
            identifier.to_owned(),
        ));
    }
    let path = target.strip_prefix("file:").unwrap_or(target);
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o644)
        .open(path);
    file.map(Sink::File)
        .map_err(errno)
        .step(|| format!("log {path:?}"), "open")
}

fn datagram(socket: &str, target: &str) -> Result<UnixDatagram> {
    let connected = UnixDatagram::unbound().and_then(|s| s.connect(Path::new(socket)).map(|()| s));
    connected
        .map_err(errno)
        .step(|| format!("log {target:?}: {socket}"), "connect")
}

fn errno(error: std::io::Error) -> sys::Errno {
    error
        .raw_os_error()
        .map_or(sys::Errno::IO, sys::Errno::from_raw_os_error)
}

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= self.least
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.least)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message::default();
        event.record(&mut message);
        self.write(*event.metadata().level(), &message.0);
    }
}

impl Lines {
    fn write(&self, level: Level, message: &str) {
        let (name, priority) = match level {
            Level::ERROR => ("error", 3),
            Level::WARN => ("warning", 4),
            Level::INFO => ("info", 6),
            _ => ("debug", 7),
        };
        let line = if self.terminal && self.format == LogFormat::Text {
            terminal_line(name, self.since.elapsed().as_secs(), message)
        } else {
            line(self.format, name, message, &timestamp(SystemTime::now()))
        };
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        // A log that cannot be written must not turn a container away; the caller sees the message on stderr as well.
        drop(match &mut *sink {
            Sink::Stderr => std::io::stderr().write_all(line.as_bytes()),
            Sink::File(file) => file.write_all(line.as_bytes()),
            Sink::Journal(socket, identifier) => {
                let one_line = message.replace('\n', " ");
                let fields = format!(
                    "SYSLOG_IDENTIFIER={identifier}\nPRIORITY={priority}\nMESSAGE={one_line}\n"
                );
                socket.send(fields.as_bytes()).map(drop)
            }
            // Facility 3 is "daemon".
            Sink::Syslog(socket, identifier) => socket
                .send(format!("<{}>{identifier}: {message}", 24 + priority).as_bytes())
                .map(drop),
        });
    }
}

/// The event's message, with its other fields behind it.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let space = if self.0.is_empty() { "" } else { " " };
        if field.name() == "message" {
            let rest = std::mem::take(&mut self.0);
            self.0 = format!("{value:?}{space}{rest}");
        } else {
            self.0 = format!("{}{space}{}={value:?}", self.0, field.name());
        }
    }
}

fn line(format: LogFormat, level: &str, message: &str, time: &str) -> String {
    match format {
        LogFormat::Text => format!(
            "time={} level={level} msg={}\n",
            quoted(time),
            quoted(message)
        ),
        LogFormat::Json => {
            let message = serde_json::Value::String(message.to_owned());
            format!("{{\"level\":\"{level}\",\"msg\":{message},\"time\":\"{time}\"}}\n")
        }
    }
}

fn terminal_line(level: &str, seconds: u64, message: &str) -> String {
    let colour = match level {
        "error" => 31,
        "warning" => 33,
        "info" => 36,
        _ => 37,
    };
    let word = level.get(..4).unwrap_or(level).to_uppercase();
    format!("\x1b[{colour}m{word}\x1b[0m[{seconds:04}] {message:<44} \n")
}

/// Quotes as logrus does: bare where every character is a word's, else as Go's `%q`.
fn quoted(text: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "-._/@^+".contains(c);
    if !text.is_empty() && text.chars().all(bare) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if (c as u32) < 0x20 || c == '\x7f' => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A moment as logrus writes it: whole seconds in UTC.
fn timestamp(moment: SystemTime) -> String {
    let seconds = moment.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    sys::clock::rfc3339_nano(UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_as_logrus_writes_them() {
        let time = "2026-11-20T22:53:45Z";
        assert_eq!(
            line(LogFormat::Text, "error", "container does not exist", time),
            "time=\"2026-11-20T22:53:45Z\" level=error msg=\"container does not exist\"\n"
        );
        assert_eq!(
            line(LogFormat::Text, "error", "oops", time),
            "time=\"2026-11-20T22:53:45Z\" level=error msg=oops\n"
        );
        assert_eq!(
            line(
                LogFormat::Text,
                "error",
                "runc: \"create\" a\nb\u{1}é",
                time
            ),
            "time=\"2026-11-20T22:53:45Z\" level=error msg=\"runc: \\\"create\\\" a\\nb\\x01é\"\n"
        );
        let json = line(LogFormat::Json, "error", "a \"b\"\n\u{1}", time);
        assert_eq!(
            json,
            "{\"level\":\"error\",\"msg\":\"a \\\"b\\\"\\n\\u0001\",\"time\":\"2026-11-20T22:53:45Z\"}\n"
        );
        assert_eq!(
            terminal_line("error", 0, "x"),
            format!("\x1b[31mERRO\x1b[0m[0000] {:<44} \n", "x")
        );
    }

    #[test]
    fn a_failure_is_one_json_object_in_the_whole_file() {
        let path = std::env::temp_dir().join(format!("keel-log-{}", std::process::id()));
        let lines = Lines {
            sink: Mutex::new(open(&format!("file:{}", path.display())).unwrap()),
            format: LogFormat::Json,
            least: LevelFilter::ERROR,
            terminal: false,
            since: Instant::now(),
        };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            tracing::warn!("unknown capability");
            tracing::debug!(step = 1, "mount");
            tracing::error!(errno = 2, "runc create failed: no such file or directory");
        });
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            object["msg"],
            "runc create failed: no such file or directory errno=2"
        );
        assert_eq!(object["level"], "error");
    }
}

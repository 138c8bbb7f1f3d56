//! Logs: which drivers and options there are, and reading a json-file log back, rotated files first.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gantry_api::container::host_config::LogConfig;
use gantry_api::frame::{self, Stream};
use gantry_monitor::protocol::LogSetup;
use serde::Deserialize;

use super::Container;
use super::record::{Places, Record};
use crate::clock;
use crate::error::{Error, Result};
use crate::pipe::Writer;

/// How often a followed log is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Checks driver and options.
///
/// # Errors
/// Invalid, docker's text.
pub fn check(config: &LogConfig) -> Result<()> {
    let options = config.config.clone().unwrap_or_default();
    let known: &[&str] = match config.driver.as_str() {
        "json-file" => &[
            "max-file",
            "max-size",
            "compress",
            "labels",
            "labels-regex",
            "env",
            "env-regex",
            "tag",
            "mode",
            "max-buffer-size",
        ],
        "none" => &["mode", "max-buffer-size"],
        other => {
            return Err(Error::invalid(format!(
                "logger: no log driver named '{other}' is registered; expected json-file or none"
            )));
        }
    };
    if let Some(unknown) = options.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(Error::invalid(format!(
            "unknown log opt '{unknown}' for {} log driver",
            config.driver
        )));
    }
    rotation(&options)?;
    if options
        .get("compress")
        .is_some_and(|value| gantry_api::query::boolean(value))
    {
        return Err(Error::invalid(
            "log opt 'compress': compressed rotation is not available, expected false",
        ));
    }
    for key in ["labels-regex", "env-regex"] {
        if options.contains_key(key) {
            return Err(Error::invalid(format!(
                "log opt '{key}': patterns are not available, expected labels or env"
            )));
        }
    }
    Ok(())
}

fn rotation(options: &std::collections::BTreeMap<String, String>) -> Result<(u64, u32)> {
    let size = match options.get("max-size").map(String::as_str) {
        None | Some("-1") => 0,
        Some(text) => {
            bytes(text).ok_or_else(|| Error::invalid(format!("invalid size: '{text}'")))?
        }
    };
    let files = match options.get("max-file") {
        None => 1,
        Some(text) => text.parse().map_err(|_| {
            Error::invalid(format!("strconv.Atoi: parsing \"{text}\": invalid syntax"))
        })?,
    };
    if files < 1 {
        return Err(Error::invalid("max-file cannot be less than 1"));
    }
    Ok((size, files))
}

/// `10m`, `1.5g`, `512kb`, bytes.
fn bytes(text: &str) -> Option<u64> {
    let lower = text.to_lowercase();
    let digits = lower
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(lower.len());
    let number: f64 = lower[..digits].parse().ok()?;
    let factor = match lower[digits..]
        .trim()
        .trim_end_matches('b')
        .trim_end_matches('i')
    {
        "" => 1.0,
        "k" => 1024.0,
        "m" => 1_048_576.0,
        "g" => 1_073_741_824.0,
        "t" => 1_099_511_627_776.0,
        _ => return None,
    };
    let total = number * factor;
    // Sizes of files fit f64 exactly enough: docker computes them the same way.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (total.is_finite() && total >= 0.0).then_some(total as u64)
}

/// The log a monitor keeps for this container, if any.
///
/// # Errors
/// As [`check`].
pub fn setup(record: &Record, places: &Places) -> Result<Option<LogSetup>> {
    let config = &record.host.log_config;
    if config.driver == "none" {
        return Ok(None);
    }
    let options = config.config.clone().unwrap_or_default();
    let (max_size, max_file) = rotation(&options)?;
    let mut attributes = serde_json::Map::new();
    let labels = record.config.labels.clone().unwrap_or_default();
    for key in options
        .get("labels")
        .map(String::as_str)
        .unwrap_or_default()
        .split(',')
    {
        if let Some(value) = labels.get(key) {
            attributes.insert(key.into(), value.clone().into());
        }
    }
    for key in options
        .get("env")
        .map(String::as_str)
        .unwrap_or_default()
        .split(',')
        .filter(|key| !key.is_empty())
    {
        let found = record
            .config
            .env
            .iter()
            .flatten()
            .filter_map(|entry| entry.split_once('='))
            .find(|(name, _)| *name == key);
        if let Some((_, value)) = found {
            attributes.insert(key.into(), value.into());
        }
    }
    if let Some(tag) = options.get("tag") {
        attributes.insert("tag".into(), expand_tag(tag, record).into());
    }
    Ok(Some(LogSetup {
        path: places.log(&record.id),
        max_size,
        max_file,
        attributes,
    }))
}

/// The fields docker's tag templates use.
fn expand_tag(tag: &str, record: &Record) -> String {
    let image = record.image.trim_start_matches("sha256:");
    [
        ("{{.ID}}", &record.id[..12]),
        ("{{.FullID}}", &record.id),
        ("{{.Name}}", record.short_name()),
        ("{{.ImageID}}", image.get(..12).unwrap_or(image)),
        ("{{.ImageFullID}}", &record.image),
        ("{{.ImageName}}", &record.config.image),
        ("{{.DaemonName}}", "docker"),
    ]
    .iter()
    .fold(tag.to_owned(), |text, (field, value)| {
        text.replace(field, value)
    })
}

/// What of a log is wanted, and how.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools)]
pub struct Wanted {
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// Go on with what comes.
    pub follow: bool,
    /// Nanoseconds since 1970.
    pub since: Option<i64>,
    /// Nanoseconds since 1970.
    pub until: Option<i64>,
    /// Only the last so many lines.
    pub tail: Option<usize>,
    /// With times.
    pub timestamps: bool,
    /// With attributes.
    pub details: bool,
}

#[derive(Deserialize)]
struct Entry {
    log: String,
    stream: String,
    #[serde(default)]
    attrs: std::collections::BTreeMap<String, String>,
    time: String,
}

/// Writes a container's log to `out`, framed unless it has a terminal. Blocking.
///
/// # Errors
/// Unsupported if its driver keeps none; the disk's.
pub fn read(container: &Arc<Container>, wanted: &Wanted, out: &mut Writer) -> Result<()> {
    let record = container.view();
    let raw = record.config.tty;
    let path = container.places.log(&record.id);
    let mut writer = Lines {
        wanted,
        raw,
        out,
        past_until: false,
    };
    let mut tail = wanted.tail.map(|count| (count, VecDeque::new()));
    for old in rotated(&path) {
        let mut file =
            BufReader::new(File::open(&old).map_err(|e| Error::kernel(old.display(), e))?);
        while let Some(line) = next_line(&mut file, &mut String::new())? {
            writer.take(line, &mut tail)?;
        }
    }
    let Some(mut current) = open_current(&path)? else {
        return Ok(());
    };
    let mut part = String::new();
    while let Some(line) = next_line(&mut current.0, &mut part)? {
        writer.take(line, &mut tail)?;
    }
    if let Some((_, lines)) = tail.take() {
        for line in lines {
            writer.write(&line)?;
        }
    }
    if wanted.follow {
        follow(container, &path, current, &mut writer, part)?;
    }
    Ok(())
}

type Current = (BufReader<File>, u64);

fn open_current(path: &Path) -> Result<Option<Current>> {
    match File::open(path) {
        Ok(file) => {
            let inode = file
                .metadata()
                .map_err(|e| Error::kernel(path.display(), e))?
                .ino();
            Ok(Some((BufReader::new(file), inode)))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::kernel(path.display(), error)),
    }
}

fn follow(
    container: &Arc<Container>,
    path: &Path,
    mut current: Current,
    writer: &mut Lines<'_>,
    mut part: String,
) -> Result<()> {
    loop {
        // Asked before reading: what was written before the end is read after it.
        let over = !container.view().state.lives();
        let mut none: Option<(usize, VecDeque<Entry>)> = None;
        while let Some(line) = next_line(&mut current.0, &mut part)? {
            writer.take(line, &mut none)?;
        }
        if over || writer.past_until || writer.out.is_closed() {
            return Ok(());
        }
        if let Ok(metadata) = std::fs::metadata(path)
            && metadata.ino() != current.1
            && let Some(fresh) = open_current(path)?
        {
            current = fresh;
            part.clear();
            continue;
        }
        std::thread::sleep(LOOK);
    }
}

/// Rotated files, oldest first.
fn rotated(path: &Path) -> Vec<PathBuf> {
    let numbered = |number: u32| PathBuf::from(format!("{}.{number}", path.display()));
    let mut all: Vec<PathBuf> = (1..)
        .map(numbered)
        .take_while(|file| file.exists())
        .collect();
    all.reverse();
    all
}

/// The next whole line; `part` keeps what a writer has not finished.
fn next_line(file: &mut BufReader<File>, part: &mut String) -> Result<Option<Entry>> {
    loop {
        let count = file.read_line(part).map_err(|e| Error::kernel("log", e))?;
        if count == 0 || !part.ends_with('\n') {
            return Ok(None);
        }
        // A line a power cut broke is passed over.
        let entry = serde_json::from_str(part);
        part.clear();
        if let Ok(entry) = entry {
            return Ok(Some(entry));
        }
    }
}

struct Lines<'a> {
    wanted: &'a Wanted,
    raw: bool,
    out: &'a mut Writer,
    past_until: bool,
}

impl Lines<'_> {
    fn take(&mut self, entry: Entry, tail: &mut Option<(usize, VecDeque<Entry>)>) -> Result<()> {
        let wanted = if entry.stream == "stderr" {
            self.wanted.stderr
        } else {
            self.wanted.stdout
        };
        let at = clock::nanos_of(&entry.time).unwrap_or(0);
        if self.wanted.until.is_some_and(|until| at > until) {
            self.past_until = true;
            return Ok(());
        }
        if !wanted || self.wanted.since.is_some_and(|since| at < since) {
            return Ok(());
        }
        match tail {
            Some((count, lines)) => {
                lines.push_back(entry);
                if lines.len() > *count {
                    lines.pop_front();
                }
                Ok(())
            }
            None => self.write(&entry),
        }
    }

    fn write(&mut self, entry: &Entry) -> Result<()> {
        let mut text = String::new();
        if self.wanted.timestamps {
            text.push_str(&nine_digits(&entry.time));
            text.push(' ');
        }
        if self.wanted.details {
            let pairs: Vec<String> = entry
                .attrs
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            text.push_str(&pairs.join(","));
            text.push(' ');
        }
        text.push_str(&entry.log);
        let mut bytes = Vec::with_capacity(text.len() + frame::HEADER);
        if self.raw {
            bytes.extend_from_slice(text.as_bytes());
        } else {
            let stream = if entry.stream == "stderr" {
                Stream::Stderr
            } else {
                Stream::Stdout
            };
            frame::encode(stream, text.as_bytes(), &mut bytes);
        }
        self.out
            .write_all(&bytes)
            .map_err(|e| Error::kernel("client", e))
    }
}

/// A stored time with all nine digits of its fraction.
fn nine_digits(time: &str) -> String {
    let bare = time.trim_end_matches('Z');
    let (seconds, fraction) = bare.split_once('.').unwrap_or((bare, ""));
    format!("{seconds}.{fraction:0<9}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes_and_pads_times() {
        assert_eq!(bytes("10m"), Some(10 << 20));
        assert_eq!(bytes("1.5kb"), Some(1536));
        assert_eq!(bytes("x"), None);
        assert_eq!(
            nine_digits("2026-11-20T20:47:12.02Z"),
            "2026-11-20T20:47:12.020000000Z"
        );
        assert_eq!(
            nine_digits("2026-11-20T20:47:12Z"),
            "2026-11-20T20:47:12.000000000Z"
        );
    }
}

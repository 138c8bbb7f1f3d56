//! HEALTHCHECK.

use super::CommandLine;
use crate::argument;
use crate::duration;
use crate::error::Fault;
use crate::flag::{Flags, Kind};

/// A health check; durations in nanoseconds, 0 where not given (the engine's default holds).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// The check; `None` for `HEALTHCHECK NONE`, which takes away the base image's.
    pub command: Option<CommandLine>,
    /// `--interval`.
    pub interval: i64,
    /// `--timeout`.
    pub timeout: i64,
    /// `--start-period`.
    pub start_period: i64,
    /// `--start-interval`.
    pub start_interval: i64,
    /// `--retries`.
    pub retries: i32,
}

const FLAGS: &[(&str, Kind)] = &[
    ("interval", Kind::Text),
    ("timeout", Kind::Text),
    ("start-period", Kind::Text),
    ("start-interval", Kind::Text),
    ("retries", Kind::Text),
];

impl Health {
    pub(super) fn read(flags: &[String], rest: &str) -> Result<Self, Fault> {
        let (kind, tail) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let command = match kind.to_ascii_uppercase().as_str() {
            "" => return Err("HEALTHCHECK requires at least one argument".into()),
            "NONE" if !tail.trim().is_empty() => {
                return Err("HEALTHCHECK NONE takes no arguments".into());
            }
            "NONE" if !flags.is_empty() => return Err("HEALTHCHECK NONE takes no flags".into()),
            "NONE" => None,
            "CMD" => Some(command(tail.trim())?),
            other => {
                let message = format!("Unknown type {other:?} in HEALTHCHECK (try CMD)");
                return Err(Fault::near(message, other, &["CMD", "NONE"]));
            }
        };
        let flags = Flags::read(flags, FLAGS)?;
        Ok(Self {
            command,
            interval: interval(&flags, "interval")?,
            timeout: interval(&flags, "timeout")?,
            start_period: interval(&flags, "start-period")?,
            start_interval: interval(&flags, "start-interval")?,
            retries: retries(&flags)?,
        })
    }
}

fn command(text: &str) -> Result<CommandLine, Fault> {
    let line = match argument::json(text)? {
        Some(words) => CommandLine {
            words,
            shell: false,
        },
        None if text.is_empty() => CommandLine {
            words: Vec::new(),
            shell: true,
        },
        None => CommandLine {
            words: vec![text.to_owned()],
            shell: true,
        },
    };
    if line.words.is_empty() {
        return Err("Missing command after HEALTHCHECK CMD".into());
    }
    Ok(line)
}

fn interval(flags: &Flags, name: &str) -> Result<i64, Fault> {
    let text = flags.text(name).unwrap_or_default();
    if text.is_empty() {
        return Ok(0);
    }
    let nanoseconds = duration::parse(&text)?;
    if nanoseconds != 0 && nanoseconds < 1_000_000 {
        return Err(format!("Interval {name:?} cannot be less than 1ms").into());
    }
    Ok(nanoseconds)
}

fn retries(flags: &Flags) -> Result<i32, Fault> {
    let text = flags.text("retries").unwrap_or_default();
    if text.is_empty() {
        return Ok(0);
    }
    match text.parse::<i32>() {
        Ok(number) if number >= 0 => Ok(number),
        Ok(number) => Err(format!("--retries cannot be negative ({number})").into()),
        Err(_) => Err(format!("--retries: {text:?} is not a whole number").into()),
    }
}

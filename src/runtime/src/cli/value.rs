//! Words of the command line that are not plain strings: Go integers, durations, sizes, signals, users.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use nix::sys::signal::Signal;

/// Why a flag was refused; the caller adds the flag's name where Go does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlagError {
    /// No flag of that name.
    Undefined,
    /// The value does not parse: Go's `invalid value "x" for flag -name: parse error`.
    Parse,
    /// The value is refused with a sentence of its own.
    Plain(String),
}

impl fmt::Display for FlagError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Undefined => f.write_str("flag provided but not defined"),
            Self::Parse => f.write_str("parse error"),
            Self::Plain(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for FlagError {}

/// A boolean as Go's `strconv.ParseBool` reads it.
#[must_use]
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// A signed integer as Go's `strconv.ParseInt(s, 0, 64)` reads it: decimal, or with prefix 0x, 0o, 0b or 0.
///
/// # Errors
/// [`FlagError::Parse`] for anything else.
pub fn integer(text: &str) -> Result<i64, FlagError> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits) = if let Some(rest) = lower.strip_prefix("0x") {
        (16, rest)
    } else if let Some(rest) = lower.strip_prefix("0b") {
        (2, rest)
    } else if let Some(rest) = lower.strip_prefix("0o") {
        (8, rest)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, &lower[1..])
    } else {
        (10, lower.as_str())
    };
    if digits.starts_with(['+', '-']) {
        return Err(FlagError::Parse);
    }
    let magnitude = i128::from_str_radix(digits, base).map_err(|_| FlagError::Parse)?;
    i64::try_from(if negative { -magnitude } else { magnitude }).map_err(|_| FlagError::Parse)
}

/// [`integer`], limited to a count.
///
/// # Errors
/// [`FlagError::Parse`] where negative or no number.
pub fn count(text: &str) -> Result<u32, FlagError> {
    u32::try_from(integer(text)?).map_err(|_| FlagError::Parse)
}

/// A span of time as Go's `time.ParseDuration` reads it (`1m30s`, `500ms`); zero and negative spans are refused.
///
/// # Errors
/// [`FlagError::Parse`] where it is no positive duration.
pub fn duration(text: &str) -> Result<Duration, FlagError> {
    let mut rest = text;
    let mut nanos = 0f64;
    if rest.is_empty() {
        return Err(FlagError::Parse);
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or(FlagError::Parse)?;
        let number = f64::from_str(&rest[..digits]).map_err(|_| FlagError::Parse)?;
        rest = &rest[digits..];
        let unit = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let scale = match &rest[..unit] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return Err(FlagError::Parse),
        };
        nanos += number * scale;
        rest = &rest[unit..];
    }
    let span = Duration::try_from_secs_f64(nanos / 1e9).map_err(|_| FlagError::Parse)?;
    if span.is_zero() {
        Err(FlagError::Parse)
    } else {
        Ok(span)
    }
}

/// A size in bytes as docker's go-units reads it: a number, a fraction with `k m g t p` (and `b`, `ib`), or `-1`.
///
/// # Errors
/// [`FlagError::Plain`] where it is no size.
pub fn size(text: &str) -> Result<i64, FlagError> {
    let refuse = || {
        FlagError::Plain(format!(
            "invalid size: '{text}' (accepted: bytes, a number with k, m or g, or -1)"
        ))
    };
    if text == "-1" {
        return Ok(-1);
    }
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let unit = text[split..].trim_start().to_ascii_lowercase();
    let stem = unit
        .strip_suffix("ib")
        .or_else(|| unit.strip_suffix('b'))
        .unwrap_or(&unit);
    let power = match stem {
        "" if unit != "ib" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(refuse()),
    };
    let scale = 1i64 << (10 * power);
    if let Ok(whole) = text[..split].parse::<i64>() {
        return whole.checked_mul(scale).ok_or_else(refuse);
    }
    let number = f64::from_str(&text[..split]).map_err(|_| refuse())?;
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "fractions of a size are cut as go-units cuts them"
    )]
    let bytes = (number * scale as f64) as i64;
    if number.is_finite() && bytes < i64::MAX {
        Ok(bytes)
    } else {
        Err(refuse())
    }
}

/// A signal's number from a number or a name, with or without `SIG`, in any case, `RTMIN+n` and `RTMAX-n` included.
///
/// # Errors
/// [`FlagError::Plain`] with runc's words where there is no such signal.
pub fn signal(text: &str) -> Result<i32, FlagError> {
    let refuse = || FlagError::Plain(format!("unknown signal {text:?}"));
    if let Ok(number) = text.parse::<i32>() {
        return if (0..=64).contains(&number) {
            Ok(number)
        } else {
            Err(refuse())
        };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |tail: &str| {
        if tail.is_empty() {
            Some(0)
        } else {
            tail[1..].parse::<i32>().ok()
        }
    };
    if let Some(tail) = name
        .strip_prefix("RTMIN")
        .filter(|t| t.is_empty() || t.starts_with('+'))
    {
        return offset(tail)
            .filter(|n| (0..=30).contains(n))
            .map(|n| 34 + n)
            .ok_or_else(refuse);
    }
    if let Some(tail) = name
        .strip_prefix("RTMAX")
        .filter(|t| t.is_empty() || t.starts_with('-'))
    {
        return offset(tail)
            .filter(|n| (0..=30).contains(n))
            .map(|n| 64 - n)
            .ok_or_else(refuse);
    }
    let name = match name {
        "CLD" => "CHLD",
        "POLL" => "IO",
        other => other,
    };
    Signal::from_str(&format!("SIG{name}"))
        .map(|s| s as i32)
        .map_err(|_| refuse())
}

/// The user of `exec --user`: numbers only. A name, a sign, blanks or trailing text are refused whole, because a number
/// read in part runs the process as somebody else (CVE-2026-30892).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserSpec {
    /// The user id.
    pub uid: u32,
    /// The group id, where `:GID` was given.
    pub gid: Option<u32>,
}

impl FromStr for UserSpec {
    type Err = FlagError;

    fn from_str(text: &str) -> Result<Self, FlagError> {
        let (uid, gid) = match text.split_once(':') {
            Some((uid, gid)) => (uid, Some(id(text, gid)?)),
            None => (text, None),
        };
        Ok(Self {
            uid: id(text, uid)?,
            gid,
        })
    }
}

fn id(whole: &str, text: &str) -> Result<u32, FlagError> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    // 4294967295 is (uid_t)-1, which setuid(2) family calls read as "leave as it is".
    match text.parse::<u32>() {
        Ok(id) if digits && id != u32::MAX => Ok(id),
        _ => Err(FlagError::Plain(format!(
            "user {whole:?}: {text:?} is not an id (accepted: UID or UID:GID, numbers below 4294967295)"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_as_go_reads_them() {
        for (text, value) in [
            ("5", 5),
            ("-5", -5),
            ("0x1F", 31),
            ("010", 8),
            ("0b11", 3),
            ("0o7", 7),
            ("0", 0),
            ("+3", 3),
        ] {
            assert_eq!(integer(text), Ok(value), "{text}");
        }
        for text in [
            "",
            "x",
            "1x",
            "--1",
            "0x",
            "0x-1",
            "9223372036854775808",
            " 1",
        ] {
            assert_eq!(integer(text), Err(FlagError::Parse), "{text:?}");
        }
        assert_eq!(count("-1"), Err(FlagError::Parse));
    }

    #[test]
    fn durations_as_go_reads_them() {
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("100ms"), Ok(Duration::from_millis(100)));
        for text in ["", "5", "s", "5x", "0s", "-5s", "1s5"] {
            assert_eq!(duration(text), Err(FlagError::Parse), "{text:?}");
        }
    }

    #[test]
    fn sizes_as_docker_reads_them() {
        for (text, value) in [
            ("0", 0),
            ("1024", 1024),
            ("1k", 1024),
            ("1KB", 1024),
            ("2m", 2 << 20),
            ("2MiB", 2 << 20),
            ("1.5g", 3 << 29),
            ("-1", -1),
            ("1 m", 1 << 20),
        ] {
            assert_eq!(size(text), Ok(value), "{text}");
        }
        for text in ["", "m", "-2", "1x", "1ib", "9999999999999p", "1.2.3"] {
            assert!(size(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn signals_by_number_and_name() {
        for (text, value) in [
            ("9", 9),
            ("KILL", 9),
            ("SIGKILL", 9),
            ("sigterm", 15),
            ("Hup", 1),
            ("RTMIN+1", 35),
            ("sigrtmax-1", 63),
            ("0", 0),
        ] {
            assert_eq!(signal(text), Ok(value), "{text}");
        }
        for text in ["", "65", "-1", "NOPE", "SIG", "RTMIN+99", "RTMINx"] {
            assert!(signal(text).is_err(), "{text:?}");
        }
        assert_eq!(
            signal("FOO").unwrap_err().to_string(),
            "unknown signal \"FOO\""
        );
    }

    #[test]
    fn users_are_whole_numbers() {
        assert_eq!(
            "1000".parse(),
            Ok(UserSpec {
                uid: 1000,
                gid: None
            })
        );
        assert_eq!(
            "0:5".parse(),
            Ok(UserSpec {
                uid: 0,
                gid: Some(5)
            })
        );
        for text in [
            "",
            "1000abc",
            ":",
            "1:",
            ":1",
            "-1",
            "+1",
            " 1",
            "4294967295",
            "4294967296",
            "root",
            "1:2:3",
            "1000:4294967295",
        ] {
            assert!(text.parse::<UserSpec>().is_err(), "{text:?}");
        }
    }
}

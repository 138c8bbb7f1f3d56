//! Times as docker prints and reads them.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

use crate::failure::{Failure, Outcome};

/// Seconds since 1970, now.
#[must_use]
pub fn now() -> i64 {
    Timestamp::now().as_second()
}

/// `2 hours ago` of seconds since 1970.
#[must_use]
pub fn ago(seconds: i64) -> String {
    format!("{} ago", super::duration::human(now() - seconds))
}

/// Seconds since 1970 as Go prints a time: `2026-11-20 22:53:57 +0000 UTC`.
#[must_use]
pub fn go(seconds: i64) -> String {
    zoned(seconds)
        .strftime("%Y-%m-%d %H:%M:%S %z %Z")
        .to_string()
}

/// Seconds since 1970 in RFC 3339, local time.
#[must_use]
pub fn rfc3339(seconds: i64) -> String {
    zone(&zoned(seconds).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
}

/// Nanoseconds since 1970 in RFC 3339 with nine digits, local time.
#[must_use]
pub fn rfc3339_nano(nanoseconds: i64) -> String {
    let time = Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or_default();
    zone(
        &time
            .to_zoned(TimeZone::system())
            .strftime("%Y-%m-%dT%H:%M:%S.%9f%:z")
            .to_string(),
    )
}

fn zone(text: &str) -> String {
    text.strip_suffix("+00:00")
        .map_or_else(|| text.to_owned(), |text| format!("{text}Z"))
}

fn zoned(seconds: i64) -> Zoned {
    Timestamp::from_second(seconds)
        .unwrap_or_default()
        .to_zoned(TimeZone::system())
}

/// Seconds since 1970 of an RFC 3339 time; `None` for anything else and for Go's zero time.
#[must_use]
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let time: Timestamp = text.parse().ok()?;
    (time.as_second() > 0).then(|| time.as_second())
}

/// What `--since` and `--until` send: a Unix time stays, a Go duration counts back from now, a local date or RFC 3339 time
/// becomes a Unix time with nanoseconds.
///
/// # Errors
/// For text that is none of these.
pub fn since(text: &str) -> Outcome<String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    // Go reads "0" as a duration; docker means the beginning of time by it.
    if text != "0"
        && let Ok(nanoseconds) = super::duration::parse(text)
    {
        let time = Timestamp::now()
            .checked_sub(SignedDuration::from_nanos(nanoseconds))
            .map_err(|error| Failure::new(error.to_string()))?;
        return Ok(time.as_second().to_string());
    }
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if digits(text)
        || text
            .split_once('.')
            .is_some_and(|(a, b)| digits(a) && digits(b))
    {
        return Ok(text.to_owned());
    }
    let time = text
        .parse::<Timestamp>()
        .ok()
        .or_else(|| local(text))
        .ok_or_else(|| {
            let quoted = crate::grammar::checks::quoted(text);
            Failure::new(format!(
                "failed to parse value as time or duration: {quoted}"
            ))
        })?;
    Ok(format!(
        "{}.{:09}",
        time.as_second(),
        time.subsec_nanosecond()
    ))
}

fn local(text: &str) -> Option<Timestamp> {
    let text = if text.contains('T') && !text.contains(':') {
        format!("{text}:00")
    } else {
        text.to_owned()
    };
    let date: jiff::civil::DateTime = text.trim_end_matches('Z').parse().ok()?;
    date.to_zoned(TimeZone::system())
        .ok()
        .map(|time| time.timestamp())
}

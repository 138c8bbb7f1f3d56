//! Time as docker's clients write and read it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What docker writes for "never".
pub const NEVER: &str = "0001-01-01T00:00:00Z";

/// Now, RFC 3339 with nanoseconds, trailing zeros cut.
#[must_use]
pub fn now() -> String {
    gantry_monitor::rfc3339_nano(SystemTime::now())
}

/// Nanoseconds since 1970.
#[must_use]
pub fn unix_nanos() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// A `since` or `until` parameter as nanoseconds since 1970: seconds with an optional fraction, an RFC 3339 time, or a
/// Go duration before now.
#[must_use]
pub fn parse(text: &str) -> Option<i64> {
    if let Some(seconds) = fraction(text) {
        return Some(seconds);
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return i64::try_from(time.as_nanosecond()).ok();
    }
    let back = duration(text)?;
    i64::try_from(back.as_nanos())
        .ok()
        .map(|back| unix_nanos() - back)
}

fn fraction(text: &str) -> Option<i64> {
    let (seconds, rest) = text.split_once('.').unwrap_or((text, "0"));
    let seconds: i64 = seconds.parse().ok()?;
    if rest.is_empty() || !rest.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let nanos: i64 = format!("{rest:0<9}").get(..9)?.parse().ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// A Go duration: `1h30m`, `1.5s`, `300ms`.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..]
            .find(|c: char| c.is_ascii_digit())
            .map_or(rest.len(), |at| at + digits);
        total += number
            * match &rest[digits..unit_end] {
                "ns" => 1e-9,
                "us" | "µs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    (!text.is_empty())
        .then(|| Duration::try_from_secs_f64(total).ok())
        .flatten()
}

/// An RFC 3339 time as nanoseconds since 1970; docker's "never" and anything unreadable is None.
#[must_use]
pub fn nanos_of(text: &str) -> Option<i64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}

/// How long ago something was, in docker's words ("2 hours").
#[must_use]
pub fn human(passed: Duration) -> String {
    let seconds = passed.as_secs();
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match seconds {
        0 => "Less than a second".into(),
        1 => "1 second".into(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".into(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".into(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_clients_send() {
        assert_eq!(parse("1700000000.5"), Some(1_700_000_000_500_000_000));
        assert_eq!(
            parse("2023-11-14T22:13:20Z"),
            Some(1_700_000_000_000_000_000)
        );
        assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(duration("5x"), None);
    }

    #[test]
    fn says_how_long_ago() {
        assert_eq!(human(Duration::from_secs(59)), "59 seconds");
        assert_eq!(human(Duration::from_secs(3600)), "About an hour");
        assert_eq!(human(Duration::from_secs(7200)), "2 hours");
        assert_eq!(human(Duration::from_secs(86400 * 3)), "3 days");
    }
}

//! Go's durations: `1h2m3.5s`, units `ns us µs ms s m h`, in nanoseconds.

use crate::error::Fault;

const UNITS: &[(&str, i128)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reads a duration, in nanoseconds.
///
/// # Errors
/// No number, no or an unknown unit, or a value past 2⁶³−1 ns; worded as Go words it.
pub fn parse(text: &str) -> Result<i64, Fault> {
    let invalid = || Fault::from(format!("time: invalid duration {text:?}"));
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (value, scale, after) = number(rest).ok_or_else(invalid)?;
        let end = after
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {text:?}").into());
        }
        let Some((_, size)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("time: unknown unit {unit:?} in duration {text:?}").into());
        };
        total = value
            .checked_mul(*size)
            .and_then(|product| total.checked_add(product / scale))
            .ok_or_else(invalid)?;
        rest = next;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| invalid())
}

/// Digits with at most one point: the digits as one number, the power of ten to divide by, the rest.
fn number(text: &str) -> Option<(i128, i128, &str)> {
    let end = text
        .find(|c: char| c != '.' && !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || whole.len() > 19 {
        return None;
    }
    // Past 15 places a fraction of an hour is below a nanosecond.
    let fraction = &fraction[..fraction.len().min(15)];
    let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    let value = format!("0{whole}{fraction}").parse().ok()?;
    Some((value, scale, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_go_reads_them() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("5s", 5_000_000_000),
            ("1h2m3.5s", 3_723_500_000_000),
            (".5ms", 500_000),
            ("-1.5m", -90_000_000_000),
            ("1us1µs", 2_000),
        ] {
            assert_eq!(parse(text), Ok(nanoseconds), "{text}");
        }
        for (text, message) in [
            ("5", "time: missing unit in duration \"5\""),
            ("5d", "time: unknown unit \"d\" in duration \"5d\""),
            ("", "time: invalid duration \"\""),
            ("s", "time: invalid duration \"s\""),
            ("9999999999h", "time: invalid duration \"9999999999h\""),
        ] {
            assert_eq!(parse(text).unwrap_err().message, message);
        }
    }
}

//! Durations: Go's notation (`1m30s`), and docker's words (`About a minute`).

/// Reads Go's notation into nanoseconds.
///
/// # Errors
/// Go's words for text that is no duration.
pub fn parse(text: &str) -> Result<i64, String> {
    let quoted = crate::grammar::checks::quoted(text);
    let refuse = || format!("time: invalid duration {quoted}");
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(refuse());
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest
            .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| refuse())?;
        rest = &rest[digits..];
        let letters = rest
            .find(|letter: char| letter.is_ascii_digit() || letter == '.')
            .unwrap_or(rest.len());
        let unit = &rest[..letters];
        rest = &rest[letters..];
        total += number
            * match unit {
                "ns" => 1.0,
                "us" | "µs" | "μs" => 1e3,
                "ms" => 1e6,
                "s" => 1e9,
                "m" => 6e10,
                "h" => 3.6e12,
                "" => return Err(format!("time: missing unit in duration {quoted}")),
                unit => {
                    let unit = crate::grammar::checks::quoted(unit);
                    return Err(format!("time: unknown unit {unit} in duration {quoted}"));
                }
            };
    }
    #[allow(clippy::cast_possible_truncation, reason = "292 years saturate")]
    let nanoseconds = (sign * total).round() as i64;
    Ok(nanoseconds)
}

/// Docker's words for so many seconds.
#[must_use]
pub fn human(seconds: i64) -> String {
    let minutes = seconds / 60;
    // Go rounds the hours, not the rest.
    let hours = (seconds + 1800) / 3600;
    match seconds {
        ..1 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".to_owned(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours <= 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::{human, parse};

    #[test]
    fn durations_are_read_as_go_reads_them() {
        assert_eq!(parse("1m30s"), Ok(90_000_000_000));
        assert_eq!(parse("1.5h"), Ok(5_400_000_000_000));
        assert_eq!(parse("x"), Err(r#"time: invalid duration "x""#.to_owned()));
        assert_eq!(
            parse("5"),
            Err(r#"time: missing unit in duration "5""#.to_owned())
        );
    }

    #[test]
    fn durations_print_as_docker_prints_them() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (120, "2 minutes"),
            (3600, "About an hour"),
            (7200, "2 hours"),
            (172_800, "2 days"),
            (1_209_600, "2 weeks"),
            (5_184_000, "2 months"),
            (63_072_000, "2 years"),
        ] {
            assert_eq!(human(seconds), text);
        }
    }
}

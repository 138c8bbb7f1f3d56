//! The texts of an image's history, in BuildKit's wording; tools show them, none reads them.

use gantry_dockerfile::argument::Pair;

/// What marks entries that this builder wrote; docker's own mark, which image viewers look for.
pub const COMMENT: &str = "buildkit.dockerfile.v0";

/// `["a" "b"]`: a list of strings as Go's `%q` prints it.
#[must_use]
pub fn quoted_list(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("[{}]", quoted.join(" "))
}

/// `[a b]`: a list as Go's `%v` prints it.
#[must_use]
pub fn plain_list(words: &[String]) -> String {
    format!("[{}]", words.join(" "))
}

/// `ENV a=b c=d`.
#[must_use]
pub fn pairs(name: &str, pairs: &[Pair]) -> String {
    let texts = pairs
        .iter()
        .map(|pair| format!(" {}={}", pair.name, pair.value));
    std::iter::once(name.to_owned()).chain(texts).collect()
}

/// `RUN |1 A=x /bin/sh -c …  # buildkit`: the arguments a command sees stand in front of it.
#[must_use]
pub fn run(arguments: &[(String, String)], words: &[String]) -> String {
    let mut parts = vec!["RUN".to_owned()];
    if !arguments.is_empty() {
        parts.push(format!("|{}", arguments.len()));
        parts.extend(
            arguments
                .iter()
                .map(|(name, value)| format!("{name}={value}")),
        );
    }
    parts.extend(words.iter().cloned());
    parts.push("# buildkit".to_owned());
    parts.join(" ")
}

/// A Go duration: `1h2m3.5s`, `0s`.
#[must_use]
pub fn duration(nanoseconds: i64) -> String {
    let (sign, left) = if nanoseconds < 0 {
        ("-", nanoseconds.unsigned_abs())
    } else {
        ("", nanoseconds.unsigned_abs())
    };
    let fraction = |value: u64, unit: u64| {
        let digits = format!("{:0width$}", value % unit, width = unit.ilog10() as usize);
        let digits = digits.trim_end_matches('0');
        if digits.is_empty() {
            (value / unit).to_string()
        } else {
            format!("{}.{digits}", value / unit)
        }
    };
    let text = match left {
        0 => "0s".to_owned(),
        1..1_000 => format!("{left}ns"),
        1_000..1_000_000 => format!("{}µs", fraction(left, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", fraction(left, 1_000_000)),
        _ => {
            let (minutes, rest) = (left / 60_000_000_000, left % 60_000_000_000);
            let seconds = fraction(rest, 1_000_000_000);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    };
    format!("{sign}{text}")
}

/// A string as Go's `%q` prints it.
fn quoted(word: &str) -> String {
    let mut out = String::from("\"");
    for c in word.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gos_texts() {
        let words = ["a\"b".to_owned(), "c\n".to_owned()];
        assert_eq!(quoted_list(&words), "[\"a\\\"b\" \"c\\n\"]");
        assert_eq!(plain_list(&["x".into(), "y".into()]), "[x y]");
        for (nanoseconds, text) in [
            (0, "0s"),
            (1_500, "1.5µs"),
            (5_000_000_000, "5s"),
            (90_500_000_000, "1m30.5s"),
            (3_600_000_000_000, "1h0m0s"),
        ] {
            assert_eq!(duration(nanoseconds), text);
        }
        let arguments = [("A".to_owned(), "1".to_owned())];
        assert_eq!(
            run(&arguments, &["sh".into(), "-c".into(), "x".into()]),
            "RUN |1 A=1 sh -c x # buildkit"
        );
    }
}

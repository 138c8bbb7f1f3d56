//! Sizes as docker prints and reads them.

/// A number with at most `digits` significant digits, no trailing zeros: Go's `%.4g` for the range sizes have.
fn general(value: f64, digits: usize) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let whole = format!("{:.*e}", digits - 1, value);
    let exponent: i32 = whole
        .split_once('e')
        .and_then(|(_, digits)| digits.parse().ok())
        .unwrap_or(0);
    let precision = i32::try_from(digits).unwrap_or(4) - 1 - exponent;
    if precision < 0 {
        let (mantissa, _) = whole.split_once('e').unwrap_or((&whole, "0"));
        let mantissa = if mantissa.contains('.') {
            mantissa.trim_end_matches('0').trim_end_matches('.')
        } else {
            mantissa
        };
        return format!("{mantissa}e+{exponent:02}");
    }
    let text = format!("{value:.*}", usize::try_from(precision).unwrap_or(0));
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

fn scaled(size: f64, base: f64, units: &[&str], digits: usize) -> String {
    let mut size = size;
    let mut unit = 0;
    while size >= base && unit < units.len() - 1 {
        size /= base;
        unit += 1;
    }
    format!("{}{}", general(size, digits), units[unit])
}

const DECIMAL: [&str; 9] = ["B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
const BINARY: [&str; 9] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];

/// Bytes in powers of 1000 with so many digits: `1.98MB`.
#[must_use]
pub fn human_with(size: f64, digits: usize) -> String {
    scaled(size, 1000.0, &DECIMAL, digits)
}

/// Bytes in powers of 1000: `1.983MB`.
#[must_use]
pub fn human(size: f64) -> String {
    human_with(size, 4)
}

/// Bytes in powers of 1024: `23.54GiB`.
#[must_use]
pub fn binary(size: f64) -> String {
    scaled(size, 1024.0, &BINARY, 4)
}

/// Reads a size in bytes: `64m`, `1.5GiB`, `100`; units are powers of 1024.
///
/// # Errors
/// Docker's words for text that is no size.
pub fn parse_bytes(text: &str) -> Result<i64, String> {
    let refuse = || format!("invalid size: '{text}'");
    let at = text
        .rfind(|letter: char| letter.is_ascii_digit() || letter == '.')
        .ok_or_else(refuse)?;
    let (number, unit) = text.split_at(at + 1);
    let number = number.strip_suffix(' ').unwrap_or(number);
    let value: f64 = number.parse().map_err(|_| refuse())?;
    if value < 0.0 {
        return Err(refuse());
    }
    let unit = unit.trim_start_matches(' ').to_lowercase();
    let mut letters = unit.chars();
    let power = match letters.next() {
        None => 0,
        Some('b') => {
            return if unit == "b" {
                Ok(whole(value))
            } else {
                Err(format!("invalid suffix: '{unit}'"))
            };
        }
        Some(letter) => {
            let power = "kmgtp"
                .find(letter)
                .ok_or_else(|| format!("invalid suffix: '{unit}'"))?
                + 1;
            if !matches!(letters.as_str(), "" | "b" | "ib") {
                return Err(format!("invalid suffix: '{unit}'"));
            }
            power
        }
    };
    let power = i32::try_from(power).unwrap_or(0);
    Ok(whole(value * 1024f64.powi(power)))
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "a size beyond i64 saturates, as intended"
)]
fn whole(value: f64) -> i64 {
    value as i64
}

/// Reads a number of CPUs into billionths: `1.5` is 1500000000.
///
/// # Errors
/// Docker's words for text that is no such number.
pub fn parse_cpus(text: &str) -> Result<i64, String> {
    let refuse = || format!("failed to parse {text} as a rational number");
    let (top, bottom) = text
        .split_once('/')
        .map_or((text, None), |(top, bottom)| (top, Some(bottom)));
    let top: f64 = top.parse().map_err(|_| refuse())?;
    let bottom: f64 = bottom.map_or(Ok(1.0), str::parse).map_err(|_| refuse())?;
    let nano = top / bottom * 1e9;
    if (nano - nano.round()).abs() > 1e-6 {
        return Err("value is too precise".to_owned());
    }
    Ok(whole(nano.round()))
}

#[cfg(test)]
mod tests {
    use super::{binary, human, human_with, parse_bytes, parse_cpus};

    #[test]
    fn sizes_print_as_go_units_prints_them() {
        for (size, text) in [
            (0.0, "0B"),
            (999.0, "999B"),
            (1000.0, "1kB"),
            (1_982_557.0, "1.983MB"),
            (1_000_000.0, "1MB"),
            (2_746_000_000.0, "2.746GB"),
            (999_999.0, "1000kB"),
        ] {
            assert_eq!(human(size), text);
        }
        assert_eq!(human_with(1_982_557.0, 3), "1.98MB");
        assert_eq!(binary(25_276_510_208.0), "23.54GiB");
        assert_eq!(binary(647_168.0), "632KiB");
    }

    #[test]
    fn sizes_are_read_with_units_of_1024() {
        assert_eq!(parse_bytes("64m"), Ok(67_108_864));
        assert_eq!(parse_bytes("1.5GiB"), Ok(1_610_612_736));
        assert_eq!(parse_bytes("100"), Ok(100));
        assert_eq!(parse_bytes("abc"), Err("invalid size: 'abc'".to_owned()));
        assert_eq!(parse_bytes("1x"), Err("invalid suffix: 'x'".to_owned()));
        assert_eq!(parse_cpus(".5"), Ok(500_000_000));
        assert_eq!(
            parse_cpus("x"),
            Err("failed to parse x as a rational number".to_owned())
        );
    }
}

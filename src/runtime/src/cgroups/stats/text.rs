//! The shapes of text in which cgroup files give numbers.

use std::collections::BTreeMap;
use std::path::Path;

use sys::Errno;

use super::{Percent, Pressure, PressureLine};
use crate::cgroups::{dir, failed};
use crate::error::Result;

/// Reads the files of one directory; a file that is not there reads as empty.
pub struct Reader<'a> {
    dir: &'a Path,
}

impl<'a> Reader<'a> {
    /// For the files of `dir`.
    pub fn new(dir: &'a Path) -> Self {
        Self { dir }
    }

    /// The whole text.
    pub fn text(&self, file: &str) -> Result<String> {
        match dir::read(self.dir, file) {
            Ok(text) => Ok(text),
            // ENOTSUPP (524): pressure is compiled in but switched off.
            Err(Errno::NOENT | Errno::NODEV | Errno::OPNOTSUPP) => Ok(String::new()),
            Err(errno) if errno.raw_os_error() == 524 => Ok(String::new()),
            Err(errno) => Err(failed(
                format!("read {file}"),
                "read",
                &self.dir.join(file),
                errno,
            )),
        }
    }

    /// One number; `max` and -1 are the largest, no file is zero.
    pub fn number(&self, file: &str) -> Result<u64> {
        Ok(number(&self.text(file)?).unwrap_or_default())
    }

    /// Lines of a name and a number.
    pub fn table(&self, file: &str) -> Result<BTreeMap<String, u64>> {
        let text = self.text(file)?;
        let line = |l: &str| {
            let (name, value) = l.split_once(' ')?;
            Some((name.to_owned(), number(value)?))
        };
        Ok(text.lines().filter_map(line).collect())
    }

    /// A pressure file; `None` where there is none.
    pub fn pressure(&self, file: &str) -> Result<Option<Pressure>> {
        let text = self.text(file)?;
        let line = |kind: &str| {
            text.lines()
                .find_map(|l| l.strip_prefix(kind))
                .map(pressure_line)
        };
        Ok(line("some ").map(|some| Pressure {
            some,
            full: line("full ").unwrap_or_default(),
        }))
    }
}

/// A number as cgroup files write it.
pub fn number(text: &str) -> Option<u64> {
    match text.trim() {
        "max" | "-1" => Some(u64::MAX),
        digits => digits.parse().ok(),
    }
}

/// `MAJOR:MINOR`.
pub fn device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The members of a list such as `0-2,7`.
pub fn list(text: &str) -> Vec<u16> {
    let mask = crate::config::process::number_list(text).unwrap_or_default();
    let bits = mask.iter().enumerate().flat_map(|(word, bits)| {
        let set = (0..64).filter(move |bit| bits >> bit & 1 == 1);
        set.map(move |bit| word * 64 + bit)
    });
    bits.filter_map(|n| u16::try_from(n).ok()).collect()
}

fn pressure_line(text: &str) -> PressureLine {
    let mut line = PressureLine::default();
    for (key, value) in text.split(' ').filter_map(|f| f.split_once('=')) {
        let percent = || Percent(value.parse().unwrap_or_default());
        match key {
            "avg10" => line.avg10 = percent(),
            "avg60" => line.avg60 = percent(),
            "avg300" => line.avg300 = percent(),
            "total" => line.total = value.parse().unwrap_or_default(),
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_lists() {
        assert_eq!(
            (number("max"), number("-1"), number("7"), number("x")),
            (Some(u64::MAX), Some(u64::MAX), Some(7), None)
        );
        assert_eq!(list("0-2,65"), [0, 1, 2, 65]);
        assert!(list("").is_empty());
        assert_eq!(device("8:16"), Some((8, 16)));
    }

    #[test]
    fn pressure() {
        let line = pressure_line("avg10=0.00 avg60=1.50 avg300=100.00 total=42");
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(text, r#"{"avg10":0,"avg60":1.5,"avg300":100,"total":42}"#);
    }
}

//! The known deviations of one runtime: `expected/NAME.txt`, a line each: case name, then the reason.
//! `?` before the name: the runtime fails the case only at times (a race in the runtime), so that passing is no surprise.
//! `[LANE]` after it, as in `cgroups/path/made [v2] reason`: only under that cgroup version (`v1`, `v2`), only as `root` or only
//! `rootless`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// Case names and why the runtime is known to fail them.
#[derive(Debug, Default)]
pub struct Expectation {
    known: BTreeMap<String, Deviation>,
}

/// One known deviation.
#[derive(Debug)]
pub struct Deviation {
    /// Why the runtime fails the case.
    pub reason: String,
    /// Whether it passes at times.
    pub at_times: bool,
    /// Where alone it fails; empty for everywhere.
    lane: String,
}

impl Expectation {
    /// Reads a file; empty lines and lines that begin with `#` say nothing. A name without a reason is refused.
    pub fn read(path: &Path) -> io::Result<Self> {
        Self::parse(&fs::read_to_string(path)?).map_err(|line| io::Error::other(format!("{}: {line}", path.display())))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut known = BTreeMap::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (at_times, line) = line.strip_prefix('?').map_or((false, line), |rest| (true, rest));
            let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            let (lane, reason) = rest.trim().strip_prefix('[').and_then(|r| r.split_once(']')).unwrap_or(("", rest));
            let (lane, reason) = (lane.to_owned(), reason.trim().to_owned());
            if reason.is_empty() {
                return Err(format!("line {}: {line}: a reason must follow the case's name", at + 1));
            }
            if known.insert(name.to_owned(), Deviation { reason, at_times, lane }).is_some() {
                return Err(format!("line {}: {name}: listed before", at + 1));
            }
        }
        Ok(Self { known })
    }

    /// The runtime's known deviation in the case, where the run is in one of `lanes`.
    pub fn deviation(&self, case: &str, lanes: &[&str]) -> Option<&Deviation> {
        self.known.get(case).filter(|d| d.lane.is_empty() || lanes.contains(&d.lane.as_str()))
    }

    /// The listed names that are no case at all.
    pub fn strangers<'a>(&'a self, known: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = &'a str> {
        self.known.keys().map(String::as_str).filter(move |name| !known(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading() {
        let text = "# why\n\nhooks/a  does not\n?hooks/b [v2] races\n";
        let read = Expectation::parse(text).expect("is well formed");
        assert_eq!(read.deviation("hooks/a", &[]).map(|d| d.reason.as_str()), Some("does not"));
        assert!(read.deviation("hooks/b", &["v1"]).is_none());
        assert!(read.deviation("hooks/b", &["v2"]).is_some_and(|d| d.at_times && d.reason == "races"));
        assert_eq!(read.strangers(|_| false).count(), 2);
        assert!(Expectation::parse("hooks/a\n").is_err());
        assert!(Expectation::parse("a b\na c\n").is_err());
    }
}

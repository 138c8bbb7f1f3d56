//! What a probe saw: its lines as `action → result`, and how its process ended.

use crate::verdict::{Verdict, fail};
use serde_json::Value;

/// The results of one probe, in the order of its actions.
#[derive(Debug)]
pub struct Report {
    lines: Vec<(String, Value)>,
    /// The exit status; 128 + signal for a killed process; none where it could not be learned.
    pub code: Option<i32>,
}

impl Report {
    /// Reads the probe's JSON lines; others (a shell's output, a hook's) are left out.
    pub fn parse(text: &str, code: Option<i32>) -> Self {
        let lines = text.lines().filter_map(|line| {
            let mut line: Value = serde_json::from_str(line.trim()).ok()?;
            let at = line.get("at")?.as_str()?.to_owned();
            Some((at, line["is"].take()))
        });
        Self { lines: lines.collect(), code }
    }

    /// The result of `action` as the probe gave it.
    pub fn raw(&self, action: &str) -> Verdict<&Value> {
        match self.lines.iter().find(|(at, _)| at == action) {
            Some((_, value)) => Ok(value),
            None => fail(format!("the probe did not come to {action}; it ended with status {:?}", self.code)),
        }
    }

    /// Whether the probe came to `action`.
    pub fn has(&self, action: &str) -> bool {
        self.lines.iter().any(|(at, _)| at == action)
    }

    /// The value of an action that succeeded.
    pub fn ok(&self, action: &str) -> Verdict<&Value> {
        let value = self.raw(action)?;
        match (value.get("ok"), value.get("errno")) {
            (Some(inner), _) => Ok(inner),
            (None, Some(errno)) => fail(format!("inside, {action} failed with errno {errno}")),
            (None, None) => Ok(value),
        }
    }

    /// The text of an action that succeeded, without the white space around it.
    pub fn text(&self, action: &str) -> Verdict<&str> {
        Ok(self.ok(action)?.as_str().unwrap_or_default().trim())
    }

    /// The errno of an action; 0 where it succeeded.
    pub fn errno(&self, action: &str) -> Verdict<i64> {
        Ok(self.raw(action)?["errno"].as_i64().unwrap_or(0))
    }

    /// The field of /proc/self/status as seen inside; needs the action `status`.
    pub fn status(&self, field: &str) -> Verdict<&str> {
        Ok(self.ok("status")?[field].as_str().unwrap_or_default())
    }

    /// The topmost mount at `point`; needs the action `mounts`.
    pub fn mount(&self, point: &str) -> Verdict<&Value> {
        let all = self.ok("mounts")?.as_array();
        match all.into_iter().flatten().rev().find(|m| m["at"] == point) {
            Some(mount) => Ok(mount),
            None => fail(format!("inside, nothing is mounted at {point}")),
        }
    }
}

/// Whether the JSON list holds the string.
pub fn holds(list: &Value, word: &str) -> bool {
    list.as_array().into_iter().flatten().any(|v| v == word)
}

//! From typed resources to the list of writes, pure. The order is the one in which the kernel takes them best; a
//! write that the kernel refuses only because another has to come first (EINVAL) is retried by the applier.

mod legacy;
mod scale;
mod unified;

use std::borrow::Cow;

pub use legacy::plan as v1;
pub use scale::{io_weight, weight_of_shares};
pub use unified::{plan as v2, swap_alone};

/// One value for one control file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The controller that owns the file.
    pub controller: Cow<'static, str>,
    /// The file's name in the cgroup's directory.
    pub file: Cow<'static, str>,
    /// What to write, one command.
    pub value: String,
    /// What the absence of the file means.
    pub absent: Absent,
}

/// What to do where a kernel or a cgroup lacks a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absent {
    /// The request cannot be met: an error.
    Refuse,
    /// The value is what the kernel does without the file, or a refinement of another write.
    Skip,
    /// Another file takes the request, with its own scale.
    Use {
        /// Its name.
        file: &'static str,
        /// The value for it.
        value: String,
    },
}

/// A list of writes for one controller after the other.
#[derive(Debug, Default)]
struct Plan {
    controller: &'static str,
    writes: Vec<Write>,
}

impl Plan {
    fn controller(&mut self, name: &'static str) {
        self.controller = name;
    }

    fn add(&mut self, file: impl Into<Cow<'static, str>>, value: impl ToString) {
        self.push(file, value, Absent::Refuse);
    }

    fn push(&mut self, file: impl Into<Cow<'static, str>>, value: impl ToString, absent: Absent) {
        self.writes.push(Write {
            controller: self.controller.into(),
            file: file.into(),
            value: value.to_string(),
            absent,
        });
    }

    fn add_some(&mut self, file: &'static str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.add(file, value);
        }
    }
}

/// A limit as v2 and v1's pids take it: negative is `max`.
fn or_max(limit: i64) -> String {
    if limit < 0 {
        "max".to_owned()
    } else {
        limit.to_string()
    }
}

/// A limit of tasks: a container has one at least, and systemd knows no limit below; so does runc with both managers.
fn tasks(limit: i64) -> String {
    if limit == 0 {
        "1".to_owned()
    } else {
        or_max(limit)
    }
}

//! Landlock by annotation, a wish no other runtime fulfils: the program gives up rights to files that not even its root
//! user gets back. `keel.landlock` holds a JSON object:
//!
//! ```json
//! {"handled": ["write", "make"], "rules": [{"path": "/tmp", "allow": ["write", "make"]}]}
//! ```
//!
//! Rights are `execute`, `read`, `list`, `write` (with truncation), `make` (make, remove, move and link names) and `ioctl`;
//! `handled` are those taken away everywhere, rules give them back for a path in the container and what lies beneath it.
//! Rights that the kernel does not know yet are an error, never left out in silence.

use std::ffi::CString;
use std::os::fd::AsFd as _;

use serde::Deserialize;
use sys::landlock::access;
use sys::{file, landlock};

use crate::error::{Error, Kernelize as _, Result};

/// The annotation's name.
pub const ANNOTATION: &str = "keel.landlock";

/// What is taken away, and where it is given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    handled: u64,
    rules: Vec<(CString, u64)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    handled: Vec<String>,
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    path: String,
    allow: Vec<String>,
}

/// Reads the annotation.
///
/// # Errors
/// [`Error::InvalidConfig`] with the path of what is wrong.
pub fn plan(annotation: &str) -> Result<Order> {
    let at = format!("annotations.{ANNOTATION}");
    let document: Document =
        serde_json::from_str(annotation).map_err(|e| Error::config(&at, e.to_string()))?;
    let handled = rights(&document.handled, &format!("{at}.handled"))?;
    if handled == 0 {
        return Err(Error::config(
            format!("{at}.handled"),
            "empty (accepted: at least one right)",
        ));
    }
    let rule = |(index, rule): (usize, Rule)| {
        let at = format!("{at}.rules[{index}]");
        let allowed = rights(&rule.allow, &format!("{at}.allow"))?;
        if allowed & !handled != 0 {
            return Err(Error::config(
                format!("{at}.allow"),
                "gives back what is not taken (accepted: rights in handled)",
            ));
        }
        let path = CString::new(rule.path)
            .ok()
            .filter(|path| path.as_bytes().starts_with(b"/"));
        let path = path.ok_or_else(|| {
            Error::config(
                format!("{at}.path"),
                "accepted: an absolute path in the container",
            )
        })?;
        Ok((path, allowed))
    };
    let rules = document
        .rules
        .into_iter()
        .enumerate()
        .map(rule)
        .collect::<Result<_>>()?;
    Ok(Order { handled, rules })
}

fn rights(names: &[String], at: &str) -> Result<u64> {
    let mut all = 0;
    for name in names {
        all |= match name.as_str() {
            "execute" => access::EXECUTE,
            "read" => access::READ_FILE,
            "list" => access::READ_DIR,
            "write" => access::WRITE_FILE | access::TRUNCATE,
            "make" => access::MAKE_AND_REMOVE | access::REFER,
            "ioctl" => access::IOCTL_DEV,
            _ => {
                let reason = format!(
                    "unknown right {name:?} (accepted: execute, read, list, write, make, ioctl)"
                );
                return Err(Error::config(at, reason));
            }
        };
    }
    Ok(all)
}

impl Order {
    /// Takes the rights away, in the child and in its root, before capabilities are dropped or after `no_new_privs`.
    ///
    /// # Errors
    /// A path that is not there, or a kernel without Landlock or without one of the rights.
    pub fn apply(&self) -> Result<()> {
        let step = || "landlock".to_owned();
        let set = landlock::ruleset(self.handled).step(step, "landlock_create_ruleset")?;
        for (path, allowed) in &self.rules {
            let step = || format!("landlock {path:?}");
            let place = file::place(file::here(), path).step(step, "open")?;
            let is_directory =
                file::facts(place.as_fd()).step(step, "fstat")?.kind == file::Kind::Directory;
            // The kernel refuses a directory's rights on a file.
            let of_files = access::EXECUTE
                | access::WRITE_FILE
                | access::READ_FILE
                | access::TRUNCATE
                | access::IOCTL_DEV;
            let allowed = if is_directory {
                *allowed
            } else {
                allowed & of_files
            };
            if allowed != 0 {
                landlock::allow(set.as_fd(), place.as_fd(), allowed)
                    .step(step, "landlock_add_rule")?;
            }
        }
        landlock::restrict(set.as_fd()).step(step, "landlock_restrict_self")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_where() {
        for (text, message) in [
            ("{}", "annotations.keel.landlock: missing field `handled`"),
            (
                r#"{"handled":[]}"#,
                "annotations.keel.landlock.handled: empty",
            ),
            (
                r#"{"handled":["fly"]}"#,
                "annotations.keel.landlock.handled: unknown right \"fly\"",
            ),
            (
                r#"{"handled":["read"],"rules":[{"path":"/","allow":["write"]}]}"#,
                "annotations.keel.landlock.rules[0].allow: gives back",
            ),
            (
                r#"{"handled":["read"],"rules":[{"path":"x","allow":["read"]}]}"#,
                "annotations.keel.landlock.rules[0].path: accepted: an absolute path",
            ),
        ] {
            let said = plan(text).unwrap_err().to_string();
            assert!(said.starts_with(message), "{text}: {said}");
        }
    }

    #[test]
    fn rights_are_taken_and_given_back() {
        if let Err(errno) = landlock::version() {
            eprintln!("skipped: landlock: {}", sys::describe(errno));
            return;
        }
        let base = std::env::temp_dir().join(format!("keel-landlock-{}", std::process::id()));
        std::fs::create_dir_all(base.join("open")).unwrap();
        let rule = format!(
            r#"{{"handled":["make"],"rules":[{{"path":"{}","allow":["make"]}}]}}"#,
            base.join("open").display()
        );
        let order = plan(&rule).unwrap();
        let inside = base.clone();
        let made = std::thread::spawn(move || {
            sys::process::set_no_new_privileges().unwrap();
            order.apply().unwrap();
            (
                std::fs::create_dir(inside.join("open/a")).is_ok(),
                std::fs::create_dir(inside.join("b")).is_ok(),
            )
        });
        let made = made.join().unwrap();
        std::fs::remove_dir_all(&base).unwrap();
        assert_eq!(made, (true, false));
    }
}

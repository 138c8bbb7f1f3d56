//! cgroup v1's device list (Documentation/admin-guide/cgroup-v1/devices.rst): a default and the exceptions from it.
//!
//! A running container is never left without its devices on the way to a new list: only what differs is written.

use std::collections::BTreeMap;
use std::fmt;

use super::{Access, DeviceClass, DeviceRule};
use crate::cgroups::{Cgroup, dir, failed};
use crate::error::{Error, Result};

/// What an exception is about: class, major and minor number.
pub type Place = (DeviceClass, Option<u32>, Option<u32>);

/// A device list: whether everything else is allowed, and what is not as everything else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    allow: bool,
    exceptions: BTreeMap<Place, Access>,
}

/// One write: to `devices.allow` or to `devices.deny`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which of the files.
    pub allow: bool,
    /// The line.
    pub line: String,
}

/// Puts `rules` into force with the fewest writes.
pub fn set(cgroup: &Cgroup, rules: &[DeviceRule]) -> Result<()> {
    let target = List::of(rules)?;
    let Some(dir) = cgroup.dir("devices") else {
        // Rootless, or no such hierarchy: nothing can be made or opened there beyond what the user may anyway.
        if cgroup.record.rootless || target.is_everything() {
            return Ok(());
        }
        return Err(Error::Denied(crate::compat::not_joined("devices")));
    };
    let fail = |file: &str, errno| failed("set device list", "write", &dir.join(file), errno);
    let current = if cgroup.fresh {
        // Its parent's list, whatever that is: begun anew without looking.
        List {
            allow: true,
            exceptions: BTreeMap::new(),
        }
    } else {
        List::parse(&dir::read(dir, "devices.list").map_err(|e| fail("devices.list", e))?)
    };
    let changes = current.changes(&target);
    for run in changes.chunk_by(|a, b| a.allow == b.allow) {
        let file = if run[0].allow {
            "devices.allow"
        } else {
            "devices.deny"
        };
        let mut open = match dir::open(&dir.join(file)) {
            Err(_) if cgroup.record.rootless => return Ok(()),
            other => other.map_err(|e| fail(file, e))?,
        };
        for change in run {
            match dir::write_open(&mut open, &change.line) {
                Err(_) if cgroup.record.rootless => return Ok(()),
                other => other
                    .map_err(|e| failed(format!("{file} {:?}", change.line), "write", dir, e))?,
            }
        }
    }
    Ok(())
}

impl List {
    /// The list that `rules` amount to, on top of "nothing is allowed".
    pub fn of(rules: &[DeviceRule]) -> Result<Self> {
        let mut list = Self::default();
        for rule in rules {
            list.add(rule)?;
        }
        Ok(list)
    }

    fn add(&mut self, rule: &DeviceRule) -> Result<()> {
        let place = (rule.class, rule.major, rule.minor);
        if self.allow == rule.allow {
            // Back to the default: no exception may overlap any more.
            for (other, access) in &mut self.exceptions {
                if covers(&place, other) {
                    *access = *access & !rule.access;
                } else if covers(other, &place) && !(*access & rule.access).is_empty() {
                    return Err(Error::Unsupported {
                        feature: format!("device rule {}", Rule(place, rule.access)),
                        missing: "cgroup v1 cannot make a hole in a rule with wildcards; list the devices one by one".to_owned(),
                    });
                }
            }
            self.exceptions.retain(|_, access| !access.is_empty());
            return Ok(());
        }
        let access = self.exceptions.entry(place).or_default();
        *access = *access | rule.access;
        self.settle();
        Ok(())
    }

    /// Exceptions for everything are the opposite default.
    fn settle(&mut self) {
        let everything = |class| self.exceptions.get(&(class, None, None)) == Some(&Access::ALL);
        if everything(DeviceClass::Char) && everything(DeviceClass::Block) {
            self.allow = !self.allow;
            self.exceptions.clear();
        }
    }

    /// Whether what no exception names is allowed.
    pub fn allows_by_default(&self) -> bool {
        self.allow
    }

    /// What is not as everything else.
    pub fn exceptions(&self) -> impl Iterator<Item = (Place, Access)> {
        self.exceptions
            .iter()
            .map(|(place, access)| (*place, *access))
    }

    fn is_everything(&self) -> bool {
        self.allow && self.exceptions.is_empty()
    }

    /// The text of `devices.list`. A list that denies by exception is shown as `a *:* rwm`, its exceptions hidden.
    pub fn parse(text: &str) -> Self {
        let mut list = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let class = match words.next() {
                Some("c") => DeviceClass::Char,
                Some("b") => DeviceClass::Block,
                Some("a") => {
                    list = Self {
                        allow: true,
                        exceptions: BTreeMap::new(),
                    };
                    continue;
                }
                _ => continue,
            };
            let number = |text: Option<&str>| text.and_then(|t| t.parse().ok());
            let (major, minor) = words.next().and_then(|w| w.split_once(':')).unzip();
            let access = words.next().and_then(Access::parse).unwrap_or_default();
            list.exceptions
                .insert((class, number(major), number(minor)), access);
        }
        list
    }

    /// The writes that make `self` into `target`. What is new comes first, so that nothing that both have is ever
    /// missing; only a change of the default needs one write that drops all exceptions.
    pub fn changes(&self, target: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        let none = BTreeMap::new();
        // The kernel does not tell what a list with allow as default denies: such a list is always begun anew.
        let reset = self.allow || target.allow;
        let old = if reset { &none } else { &self.exceptions };
        if reset {
            changes.push(Change {
                allow: target.allow,
                line: "a".to_owned(),
            });
        }
        let line = |place: &Place, access: Access| Rule(*place, access).to_string();
        for (place, access) in &target.exceptions {
            let gained = *access & !old.get(place).copied().unwrap_or_default();
            if !gained.is_empty() {
                changes.push(Change {
                    allow: !target.allow,
                    line: line(place, gained),
                });
            }
        }
        for (place, access) in old {
            let lost = *access & !target.exceptions.get(place).copied().unwrap_or_default();
            if !lost.is_empty() {
                changes.push(Change {
                    allow: target.allow,
                    line: line(place, lost),
                });
            }
        }
        changes
    }
}

/// Whether every device at `inner` is at `outer`.
fn covers(outer: &Place, inner: &Place) -> bool {
    let within = |outer: Option<u32>, inner: Option<u32>| outer.is_none() || outer == inner;
    outer.0 == inner.0 && within(outer.1, inner.1) && within(outer.2, inner.2)
}

/// A line of the list.
struct Rule(Place, Access);

impl fmt::Display for Rule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((class, major, minor), access) = (self.0, self.1);
        let class = match class {
            DeviceClass::Block => 'b',
            DeviceClass::Char => 'c',
        };
        let number = |n: Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
        write!(out, "{class} {}:{} {access}", number(major), number(minor))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(
        allow: bool,
        class: DeviceClass,
        numbers: (Option<u32>, Option<u32>),
        access: u8,
    ) -> DeviceRule {
        let letters = [(1, 'm'), (2, 'r'), (4, 'w')];
        let letters: String = letters
            .iter()
            .filter(|l| access & l.0 != 0)
            .map(|l| l.1)
            .collect();
        DeviceRule {
            allow,
            class,
            major: numbers.0,
            minor: numbers.1,
            access: Access::parse(&letters).unwrap(),
        }
    }

    fn lines(changes: &[Change]) -> Vec<String> {
        let sign = |c: &Change| format!("{}{}", if c.allow { '+' } else { '-' }, c.line);
        changes.iter().map(sign).collect()
    }

    #[test]
    fn the_default_list_from_everything() {
        let null = (Some(1), Some(3));
        let rules = [
            rule(false, DeviceClass::Char, (None, None), 7),
            rule(false, DeviceClass::Block, (None, None), 7),
            rule(true, DeviceClass::Char, null, 7),
            rule(true, DeviceClass::Char, (None, None), 1),
        ];
        let changes = List::parse("a *:* rwm").changes(&List::of(&rules).unwrap());
        assert_eq!(lines(&changes), ["-a", "+c *:* m", "+c 1:3 rwm"]);
    }

    #[test]
    fn only_what_differs_is_written() {
        let old = List::parse("c 1:3 rwm\nb *:* m\nc 136:* rw");
        let new = List::parse("c 1:3 r\nc 1:5 rwm\nc 136:* rw");
        assert_eq!(
            lines(&old.changes(&new)),
            ["+c 1:5 rwm", "-b *:* m", "-c 1:3 wm"]
        );
        assert!(old.changes(&old).is_empty());
    }

    #[test]
    fn everything_is_one_write() {
        let all = [DeviceClass::Char, DeviceClass::Block].map(|c| rule(true, c, (None, None), 7));
        let list = List::of(&all).unwrap();
        assert!(list.is_everything());
        assert_eq!(lines(&List::parse("c 1:3 rwm").changes(&list)), ["+a"]);
    }

    #[test]
    fn a_hole_in_a_wildcard_is_refused() {
        let rules = [
            rule(true, DeviceClass::Char, (Some(1), None), 6),
            rule(false, DeviceClass::Char, (Some(1), Some(3)), 2),
        ];
        assert!(List::of(&rules).is_err());
    }

    proptest! {
        /// The writes, done in order on the old list, give the new one.
        #[test]
        fn changes_arrive(old in lists(), new in lists()) {
            let mut now = old.clone();
            for change in old.changes(&new) {
                if change.line == "a" {
                    now = List { allow: change.allow, exceptions: BTreeMap::new() };
                    continue;
                }
                let part = List::parse(&change.line);
                for (place, access) in part.exceptions {
                    let entry = now.exceptions.entry(place).or_default();
                    *entry = if change.allow == now.allow { *entry & !access } else { *entry | access };
                }
                now.exceptions.retain(|_, access| !access.is_empty());
            }
            prop_assert_eq!(now, new);
        }
    }

    fn lists() -> impl Strategy<Value = List> {
        let place = (
            any::<bool>(),
            proptest::option::of(0u32..3),
            proptest::option::of(0u32..3),
        );
        let entry = (place, 1u8..8);
        (any::<bool>(), proptest::collection::vec(entry, 0..6)).prop_map(|(allow, entries)| {
            let mut list = List {
                allow,
                exceptions: BTreeMap::new(),
            };
            for ((char, major, minor), access) in entries {
                let class = if char {
                    DeviceClass::Char
                } else {
                    DeviceClass::Block
                };
                let made = rule(true, class, (major, minor), access);
                list.exceptions.insert((class, major, minor), made.access);
            }
            list
        })
    }
}

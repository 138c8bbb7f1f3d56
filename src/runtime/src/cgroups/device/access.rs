//! The letters of a device rule.

use std::fmt;
use std::ops::{BitAnd, BitOr, Not};

/// A set of ways to use a device; the bits are those of `bpf_cgroup_dev_ctx` (linux/bpf.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access(u8);

impl Access {
    /// mknod(2).
    pub const MAKE: Self = Self(1);
    /// Open for reading.
    pub const READ: Self = Self(2);
    /// Open for writing.
    pub const WRITE: Self = Self(4);
    /// All three.
    pub const ALL: Self = Self(7);
    /// None.
    pub const NONE: Self = Self(0);

    /// The set that `letters` (of r, w and m) names; `None` where none of them is there. Other letters say nothing, as
    /// in runc, on whose leniency configs in the field rely.
    pub fn parse(letters: &str) -> Option<Self> {
        let set = letters
            .chars()
            .fold(Self::NONE, |set, letter| match letter {
                'r' => set | Self::READ,
                'w' => set | Self::WRITE,
                'm' => set | Self::MAKE,
                _ => set,
            });
        (!set.is_empty()).then_some(set)
    }

    /// Whether the set has no member.
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// The set as the kernel's number.
    pub fn bits(self) -> u8 {
        self.0
    }
}

impl BitOr for Access {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Access {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for Access {
    type Output = Self;
    fn not(self) -> Self {
        Self(!self.0 & Self::ALL.0)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (set, letter) in [(Self::READ, "r"), (Self::WRITE, "w"), (Self::MAKE, "m")] {
            if !(*self & set).is_empty() {
                out.write_str(letter)?;
            }
        }
        Ok(())
    }
}

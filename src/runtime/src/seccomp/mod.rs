//! Seccomp: `linux.seccomp` → [`Profile`] → [`compile`] → [`Filter`], which init loads by [`sys::seccomp::load`].
//!
//! The compiler is keel's own: libseccomp takes nine milliseconds for docker's default profile where this takes a quarter of
//! one, and drops system calls newer than itself without a word. libseccomp stays as the oracle in the tests and knows names
//! that the tables here lack. Verdicts are libseccomp's: a rule without conditions outweighs all others of its call, the
//! first of two such rules counts, and a rule that does what happens anyway is no rule. What runc adds to libseccomp is here
//! too: a call newer than the newest one the profile names gets ENOSYS, so that a libc newer than the profile falls back
//! instead of giving up on EPERM.

mod abi;
mod notify;
mod profile;
mod program;

use std::collections::BTreeMap;

use abi::{AUDIT_X86, AUDIT_X86_64, Architecture, Numbers, X32_BIT, multiplexed};
pub use notify::notify;
use profile::{Condition, Operator, Rule};
pub use profile::{Listener, Profile, Verdict};
use program::{Code, Outcome, choose, give, load, tree};
use sys::seccomp::{self as kernel, Instruction};

use crate::error::{Error, Result};

/// The kernel's limit, `BPF_MAXINSNS`.
const MOST_INSTRUCTIONS: usize = 4096;

/// A compiled filter, ready for the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Classic BPF over `struct seccomp_data`.
    pub program: Vec<Instruction>,
    /// Flags for seccomp(2).
    pub flags: u32,
    /// Whether the flags are keel's choice, so that a kernel that lacks one is asked again without.
    pub flags_are_optional: bool,
    /// Who gets the notification descriptor, where a rule notifies.
    pub listener: Option<Listener>,
}

impl Filter {
    /// A filter that somebody else compiled, its instructions in base64 (crun's `run.oci.seccomp_bpf_data`).
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for what is no list of instructions.
    pub fn from_base64(text: &str) -> Result<Self> {
        let refuse = || {
            Error::config(
                format!("annotations.{}", crate::annotations::SECCOMP_BPF_DATA),
                "accepted: base64 of BPF instructions, eight bytes each",
            )
        };
        let bytes = base64(text).ok_or_else(refuse)?;
        if bytes.is_empty() || bytes.len() % 8 != 0 || bytes.len() / 8 > MOST_INSTRUCTIONS {
            return Err(refuse());
        }
        let read = |b: &[u8]| Instruction {
            code: u16::from_ne_bytes([b[0], b[1]]),
            jt: b[2],
            jf: b[3],
            k: u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
        };
        Ok(Self {
            program: bytes.chunks_exact(8).map(read).collect(),
            flags: 0,
            flags_are_optional: false,
            listener: None,
        })
    }

    /// Loads the filter for the calling thread; for init, allocates nothing. The descriptor comes back where there is a
    /// listener.
    ///
    /// # Errors
    /// What seccomp(2) returns.
    pub fn load(&self) -> sys::Result<Option<std::os::fd::OwnedFd>> {
        match kernel::load(&self.program, self.flags) {
            Err(sys::Errno::INVAL) if self.flags_are_optional => {
                kernel::load(&self.program, self.flags & kernel::NEW_LISTENER)
            }
            other => other,
        }
    }
}

/// The architectures a profile may name, sorted.
#[must_use]
pub fn architectures() -> Vec<String> {
    Architecture::names()
}

/// The bytes of base64 (RFC 4648) with or without padding.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0u32);
    for letter in text.trim().trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held & 0xff) as u8);
        }
    }
    Some(bytes)
}

/// What [`compile`] does beyond the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Refuse names that no table knows (crun's `run.oci.seccomp_fail_unknown_syscall`) instead of leaving them out.
    pub fail_unknown: bool,
}

/// Compiles a profile; pure.
///
/// # Errors
/// [`Error::InvalidConfig`] for a profile too large for the kernel, or for an unknown name where those are to be refused.
pub fn compile(profile: &Profile, options: Options) -> Result<Filter> {
    let program = assemble(profile, options, true)?;
    if program.len() > MOST_INSTRUCTIONS {
        let reason = format!(
            "compiles to {} instructions (accepted: {MOST_INSTRUCTIONS})",
            program.len()
        );
        return Err(Error::config("linux.seccomp.syscalls", reason));
    }
    let flags = profile.flags.unwrap_or(kernel::SPEC_ALLOW);
    Ok(Filter {
        program,
        flags: with_listener(flags, profile.listener.is_some()),
        flags_are_optional: profile.flags.is_none(),
        listener: profile.listener.clone(),
    })
}

/// The kernel takes WAIT_KILLABLE_RECV only with a listener, and TSYNC beside one only with TSYNC_ESRCH.
fn with_listener(flags: u32, listener: bool) -> u32 {
    if !listener {
        return flags & !kernel::WAIT_KILLABLE_RECV;
    }
    let sync = if flags & kernel::TSYNC == 0 {
        0
    } else {
        kernel::TSYNC_ESRCH
    };
    flags | sync | kernel::NEW_LISTENER
}

/// One calling convention's part of the profile.
struct Convention {
    numbers: BTreeMap<u32, Outcome>,
    /// The newest number the profile names here.
    newest: u32,
}

fn assemble(profile: &Profile, options: Options, unknown_is_enosys: bool) -> Result<Code> {
    let named = resolve(profile, options)?;
    let has = |architecture| profile.architectures.contains(&architecture);
    let part = |architecture, first: u32, end: u32| {
        let convention = convention(profile, &named, architecture);
        // A default that lets calls through says enough about new ones.
        let enosys = unknown_is_enosys && !profile.default.lets_through() && convention.newest > 0;
        let beyond = if enosys {
            (convention.newest + 1, Verdict::ENOSYS)
        } else {
            (end, profile.default)
        };
        tree(
            first,
            &convention.numbers,
            profile.default,
            beyond,
            architecture.is_narrow(),
        )
    };
    let native = part(Architecture::X86_64, 0, X32_BIT);
    let x32 = if has(Architecture::X32) {
        part(Architecture::X32, X32_BIT, u32::MAX)
    } else {
        vec![give(Verdict::KILL_THREAD)]
    };
    // A tracer that skips a call leaves -1 as its number, which is no x32 call.
    let x32 = choose(
        program::JUMP_EQUAL,
        u32::MAX,
        vec![give(profile.default)],
        x32,
    );
    let mut wide = vec![load(program::NUMBER)];
    wide.extend(choose(program::JUMP_GREATER_OR_EQUAL, X32_BIT, x32, native));
    let bad = vec![give(Verdict::KILL_THREAD)];
    let other = if has(Architecture::X86) {
        let mut narrow = vec![load(program::NUMBER)];
        narrow.extend(part(Architecture::X86, 0, u32::MAX));
        choose(program::JUMP_EQUAL, AUDIT_X86, narrow, bad)
    } else {
        bad
    };
    let mut code = vec![load(program::ARCHITECTURE)];
    code.extend(choose(program::JUMP_EQUAL, AUDIT_X86_64, wide, other));
    Ok(code)
}

type Named<'a> = Vec<(&'a Rule, &'a str, Numbers)>;

/// Every name of every rule with its numbers, unknown names left out.
fn resolve(profile: &Profile, options: Options) -> Result<Named<'_>> {
    let mut named = Named::new();
    for (at, rule) in profile.rules.iter().enumerate() {
        for name in &rule.names {
            let numbers = Numbers::of(name);
            let is_known = numbers != Numbers::default() || multiplexed(name).is_some();
            if options.fail_unknown && !is_known {
                let path = format!("linux.seccomp.syscalls[{at}].names");
                return Err(Error::config(path, format!("unknown system call {name:?}")));
            }
            if is_known {
                named.push((rule, name, numbers));
            }
        }
    }
    Ok(named)
}

fn convention(profile: &Profile, named: &Named<'_>, architecture: Architecture) -> Convention {
    let mut convention = Convention {
        numbers: BTreeMap::new(),
        newest: 0,
    };
    for &(rule, name, numbers) in named {
        if let Some(number) = numbers.on(architecture) {
            convention.newest = convention.newest.max(number);
            add(&mut convention.numbers, number, profile.default, rule, None);
        }
        if architecture == Architecture::X86
            && let Some((number, selector)) = multiplexed(name)
        {
            let selects = Condition {
                index: 0,
                operator: Operator::Equal,
                value: selector,
                value_two: 0,
            };
            add(
                &mut convention.numbers,
                number,
                profile.default,
                rule,
                Some(selects),
            );
        }
    }
    convention
}

/// Adds a rule for one number. `selects` stands for the first argument of a multiplexed call; the rule's own condition on
/// that argument cannot be tested there.
fn add(
    numbers: &mut BTreeMap<u32, Outcome>,
    number: u32,
    default: Verdict,
    rule: &Rule,
    selects: Option<Condition>,
) {
    if rule.verdict == default {
        return;
    }
    let settled = |outcome: &Outcome| outcome.rules.is_empty();
    let outcome = numbers.get_mut(&number);
    if outcome.as_deref().is_some_and(settled) {
        return;
    }
    if rule.conditions.is_empty() && selects.is_none() {
        numbers.insert(number, Outcome::always(rule.verdict));
        return;
    }
    let mut conditions = rule.conditions.clone();
    if let Some(selects) = selects {
        conditions.retain(|condition| condition.index != selects.index);
        conditions.insert(0, selects);
    }
    let entries = alternatives(conditions)
        .into_iter()
        .map(|conditions| (conditions, rule.verdict));
    match outcome {
        Some(outcome) => outcome.rules.extend(entries),
        None => {
            numbers.insert(
                number,
                Outcome {
                    rules: entries.collect(),
                    otherwise: default,
                },
            );
        }
    }
}

/// A rule that names one argument twice means either of its conditions (runc's reading, kept from the days when rules had
/// one condition each); all others mean all of them.
fn alternatives(conditions: Vec<Condition>) -> Vec<Vec<Condition>> {
    let twice = conditions.iter().enumerate().any(|(at, one)| {
        conditions[..at]
            .iter()
            .any(|other| other.index == one.index)
    });
    if twice {
        conditions.into_iter().map(|one| vec![one]).collect()
    } else {
        vec![conditions]
    }
}

#[cfg(test)]
mod tests;

//! The device filter of cgroup v2: an eBPF program (linux/bpf.h `bpf_cgroup_dev_ctx`, Linux 4.15).
//!
//! The rules are walked from the last to the first. Register 3 holds the accesses that no rule has decided yet; an
//! allowing rule takes its own out, a denying rule that names one of them ends it.

use std::os::fd::AsFd;

use sys::Errno;
use sys::bpf::{self, Instruction};

use super::{Access, DeviceClass, DeviceRule};
use crate::cgroups::{Cgroup, failed, v2};
use crate::error::Result;

/// `BPF_DEVCG_DEV_BLOCK` and `BPF_DEVCG_DEV_CHAR`.
const BLOCK: i32 = 1;
const CHAR: i32 = 2;

/// Operations: class, source and size or kind put together as linux/bpf.h has them.
mod code {
    pub const LOAD_WORD: u8 = 0x61;
    pub const SHIFT_RIGHT: u8 = 0x74;
    pub const AND: u8 = 0x54;
    pub const MOVE: u8 = 0xb4;
    pub const MOVE_REGISTER: u8 = 0xbc;
    pub const JUMP_IF_NOT: u8 = 0x56;
    pub const JUMP_IF_EQUAL: u8 = 0x16;
    pub const EXIT: u8 = 0x95;
}

const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const CLASS: u8 = 2;
const OPEN: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

/// Puts `rules` into force on the cgroup in place of what filtered it, never leaving it without either. Rootless, where
/// the kernel does not take programs, the file permissions of the devices stand alone.
pub fn set(cgroup: &Cgroup, rules: &[DeviceRule]) -> Result<()> {
    let Some(dir) = cgroup.unified_only() else {
        return Ok(());
    };
    let fail = |call: &str, errno| failed("set device filter", call, dir, errno);
    let program = compile(rules);
    let filter = match bpf::load_device_filter(&program, "keel_devices") {
        Err(Errno::PERM) if cgroup.record.rootless => return Ok(()),
        other => other.map_err(|e| fail("bpf", e))?,
    };
    let target = v2::open(dir)?;
    let (target, filter) = (target.as_fd(), filter.as_fd());
    let old = if cgroup.fresh {
        Vec::new()
    } else {
        bpf::device_filters(target).map_err(|e| fail("bpf", e))?
    };
    if let [one] = old.as_slice() {
        match bpf::attach_device_filter(target, filter, Some(one.as_fd())) {
            Ok(()) => return Ok(()),
            // Linux before 5.6 knows no replacement; or the old one was attached without "multi".
            Err(Errno::INVAL | Errno::PERM) => {}
            Err(errno) => return Err(fail("bpf", errno)),
        }
    }
    match bpf::attach_device_filter(target, filter, None) {
        Err(Errno::PERM) if cgroup.record.rootless => return Ok(()),
        other => other.map_err(|e| fail("bpf", e))?,
    }
    for filter in &old {
        bpf::detach_device_filter(target, filter.as_fd()).map_err(|e| fail("bpf", e))?;
    }
    Ok(())
}

/// The program for `rules`; what no rule names is denied.
pub fn compile(rules: &[DeviceRule]) -> Vec<Instruction> {
    let mut program = vec![
        load(CLASS, 0),
        copy(OPEN, CLASS),
        constant(code::SHIFT_RIGHT, OPEN, 16),
        constant(code::AND, CLASS, 0xffff),
        load(MAJOR, 4),
        load(MINOR, 8),
    ];
    for rule in effective(rules) {
        let decided = i32::from(rule.access.bits());
        let verdict = if rule.allow {
            let rest = i32::from((!rule.access).bits());
            vec![
                constant(code::AND, OPEN, rest),
                jump(code::JUMP_IF_NOT, OPEN, 0, 2),
            ]
        } else {
            vec![
                copy(SCRATCH, OPEN),
                constant(code::AND, SCRATCH, decided),
                jump(code::JUMP_IF_EQUAL, SCRATCH, 0, 2),
            ]
        };
        let class = match rule.class {
            DeviceClass::Block => BLOCK,
            DeviceClass::Char => CHAR,
        };
        let mut checks = vec![(CLASS, class)];
        checks.extend(rule.major.map(|n| (MAJOR, n.cast_signed())));
        checks.extend(rule.minor.map(|n| (MINOR, n.cast_signed())));
        let mut distance = checks.len() + verdict.len() + 2;
        for (register, wanted) in checks {
            distance -= 1;
            program.push(jump(code::JUMP_IF_NOT, register, wanted, distance as i16));
        }
        program.extend(verdict);
        program.extend(leave(rule.allow));
    }
    program.extend(leave(false));
    program
}

/// The rules from the last to the first, without those that a later one hides wholly.
fn effective(rules: &[DeviceRule]) -> Vec<DeviceRule> {
    let mut kept: Vec<DeviceRule> = Vec::new();
    for rule in rules.iter().rev() {
        let hides = |later: &DeviceRule| {
            let within = |outer: Option<u32>, inner| outer.is_none() || outer == inner;
            later.class == rule.class
                && within(later.major, rule.major)
                && within(later.minor, rule.minor)
                && (rule.access & !later.access) == Access::NONE
        };
        if !kept.iter().any(hides) {
            kept.push(*rule);
        }
    }
    // What comes last in the walk and denies says no more than the end of the program.
    while kept.last().is_some_and(|rule| !rule.allow) {
        kept.pop();
    }
    kept
}

fn instruction(code: u8, target: u8, source: u8, offset: i16, value: i32) -> Instruction {
    let registers = if cfg!(target_endian = "big") {
        target << 4 | source
    } else {
        source << 4 | target
    };
    Instruction {
        code,
        registers,
        offset,
        value,
    }
}

fn load(target: u8, offset: i16) -> Instruction {
    instruction(code::LOAD_WORD, target, CONTEXT, offset, 0)
}

fn copy(target: u8, source: u8) -> Instruction {
    instruction(code::MOVE_REGISTER, target, source, 0, 0)
}

fn constant(code: u8, target: u8, value: i32) -> Instruction {
    instruction(code, target, 0, 0, value)
}

fn jump(code: u8, register: u8, value: i32, distance: i16) -> Instruction {
    instruction(code, register, 0, distance, value)
}

fn leave(allow: bool) -> [Instruction; 2] {
    [
        constant(code::MOVE, RESULT, i32::from(allow)),
        instruction(code::EXIT, 0, 0, 0, 0),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the kernel would answer: runs the few instructions that [`compile`] uses.
    fn run(program: &[Instruction], context: [u32; 3]) -> bool {
        let mut registers = [0_u32; 11];
        let mut at = 0;
        loop {
            let Instruction {
                code,
                registers: r,
                offset,
                value,
            } = program[at];
            let (target, source) = (usize::from(r & 15), usize::from(r >> 4));
            let value = value.cast_unsigned();
            let mut taken = false;
            match code {
                code::LOAD_WORD => registers[target] = context[offset as usize / 4],
                code::SHIFT_RIGHT => registers[target] >>= value,
                code::AND => registers[target] &= value,
                code::MOVE => registers[target] = value,
                code::MOVE_REGISTER => registers[target] = registers[source],
                code::JUMP_IF_NOT => taken = registers[target] != value,
                code::JUMP_IF_EQUAL => taken = registers[target] == value,
                code::EXIT => return registers[0] == 1,
                other => panic!("operation {other:#x}"),
            }
            at += 1 + if taken { offset as usize } else { 0 };
        }
    }

    /// The meaning of rules in order, said plainly: each access is decided by the last rule that names it.
    fn allowed(
        rules: &[DeviceRule],
        class: DeviceClass,
        major: u32,
        minor: u32,
        access: u8,
    ) -> bool {
        [1, 2, 4]
            .into_iter()
            .filter(|bit| access & bit != 0)
            .all(|bit| {
                let names = |r: &&DeviceRule| {
                    r.class == class
                        && r.major.is_none_or(|m| m == major)
                        && r.minor.is_none_or(|m| m == minor)
                        && r.access.bits() & bit != 0
                };
                rules.iter().rfind(names).is_some_and(|r| r.allow)
            })
    }

    prop_compose! {
        fn a_rule()(allow: bool, char: bool, major in proptest::option::of(0u32..3), minor in proptest::option::of(0u32..3), access in 1u8..8) -> DeviceRule {
            let letters: String = "mrw".chars().enumerate().filter(|(i, _)| access >> i & 1 == 1).map(|(_, c)| c).collect();
            DeviceRule {
                allow,
                class: if char { DeviceClass::Char } else { DeviceClass::Block },
                major,
                minor,
                access: Access::parse(&letters).unwrap(),
            }
        }
    }

    proptest! {
        #[test]
        fn the_program_means_the_rules(rules in proptest::collection::vec(a_rule(), 0..12), major in 0u32..3, minor in 0u32..3, access in 1u8..8) {
            let program = compile(&rules);
            for (class, number) in [(DeviceClass::Block, 1), (DeviceClass::Char, 2)] {
                let answer = run(&program, [u32::from(access) << 16 | number, major, minor]);
                prop_assert_eq!(answer, allowed(&rules, class, major, minor, access));
            }
        }
    }

    #[test]
    fn the_default_filter_is_short() {
        let rules = crate::config::resources::Resources::for_create(None)
            .unwrap()
            .devices;
        let program = compile(&rules);
        assert!(program.len() <= 96, "{} instructions", program.len());
    }
}

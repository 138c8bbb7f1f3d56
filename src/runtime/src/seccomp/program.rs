//! Classic BPF: the conditions of one system call as straight code, and the verdicts of all numbers as a balanced tree.
//!
//! Neighbouring numbers with the same verdict are one range, so a profile of four hundred names becomes some hundred ranges
//! and a verdict takes about seven comparisons. Tree shape matters beyond that: the kernel runs the filter once for every
//! number when it is loaded.

use std::collections::BTreeMap;

use sys::seccomp::Instruction;

use super::profile::{Condition, Operator, Verdict};

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
pub(super) const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
pub(super) const JUMP_GREATER_OR_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;

/// Offsets in `struct seccomp_data`.
pub(super) const NUMBER: u32 = 0;
pub(super) const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// What happens to a system call: the rules in order, then `otherwise`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub rules: Vec<(Vec<Condition>, Verdict)>,
    pub otherwise: Verdict,
}

impl Outcome {
    pub fn always(verdict: Verdict) -> Self {
        Self {
            rules: Vec::new(),
            otherwise: verdict,
        }
    }
}

pub(super) type Code = Vec<Instruction>;

pub(super) const fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> Instruction {
    Instruction { code, jt, jf, k }
}

pub(super) fn give(verdict: Verdict) -> Instruction {
    instruction(RETURN, 0, 0, verdict.0)
}

pub(super) fn load(offset: u32) -> Instruction {
    instruction(LOAD, 0, 0, offset)
}

/// `code k` deciding between two blocks: `no` follows, `yes` behind it. Blocks can be longer than a conditional jump's 255.
pub(super) fn choose(code: u16, k: u32, yes: Code, no: Code) -> Code {
    let mut out = Code::with_capacity(yes.len() + no.len() + 2);
    match u8::try_from(no.len()) {
        Ok(skip) => out.push(instruction(code, skip, 0, k)),
        Err(_) => {
            out.push(instruction(code, 0, 1, k));
            out.push(instruction(
                JUMP,
                0,
                0,
                u32::try_from(no.len()).unwrap_or(u32::MAX),
            ));
        }
    }
    out.extend(no);
    out.extend(yes);
    out
}

/// The tree over all numbers from `first` on: `numbers` have their outcome, all others `otherwise` up to `beyond.0`, and from
/// there on `beyond.1`. The number stands in the accumulator.
pub(super) fn tree(
    first: u32,
    numbers: &BTreeMap<u32, Outcome>,
    otherwise: Verdict,
    beyond: (u32, Verdict),
    narrow: bool,
) -> Code {
    let otherwise = Outcome::always(otherwise);
    let beyond_outcome = Outcome::always(beyond.1);
    let mut ranges: Vec<(u32, &Outcome)> = Vec::with_capacity(numbers.len() + 2);
    let mut begin = |start: u32, outcome| match ranges.last_mut() {
        Some((_, last)) if *last == outcome => {}
        Some(last) if last.0 == start => *last = (start, outcome),
        _ => ranges.push((start, outcome)),
    };
    begin(first, &otherwise);
    let mut next = first;
    for (&number, outcome) in numbers.range(first..beyond.0) {
        if number > next {
            begin(next, &otherwise);
        }
        begin(number, outcome);
        next = number + 1;
    }
    if next < beyond.0 {
        begin(next, &otherwise);
    }
    begin(beyond.0, &beyond_outcome);
    split(&ranges, narrow)
}

fn split(ranges: &[(u32, &Outcome)], narrow: bool) -> Code {
    match ranges {
        [] => Code::new(),
        [(_, only)] => outcome(only, narrow),
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            choose(
                JUMP_GREATER_OR_EQUAL,
                high[0].0,
                split(high, narrow),
                split(low, narrow),
            )
        }
    }
}

fn outcome(outcome: &Outcome, narrow: bool) -> Code {
    let mut code = Code::new();
    for (conditions, verdict) in &outcome.rules {
        code.extend(rule(conditions, *verdict, narrow));
    }
    code.push(give(outcome.otherwise));
    code
}

/// Where a comparison leads within one condition.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Next,
    /// Behind this condition: it holds.
    Holds,
    /// Behind this rule: it does not hold.
    Fails,
}

enum Step {
    Load(u32),
    Mask(u32),
    Test(u16, u32, To, To),
}

fn rule(conditions: &[Condition], verdict: Verdict, narrow: bool) -> Code {
    let blocks: Vec<Vec<Step>> = conditions.iter().map(|c| steps(c, narrow)).collect();
    let total: usize = blocks.iter().map(Vec::len).sum();
    let mut code = Code::with_capacity(total + 1);
    let mut end = 0;
    for block in blocks {
        end += block.len();
        for step in block {
            let here = code.len() + 1;
            let skip = |to: To| match to {
                To::Next => 0,
                To::Holds => near(end - here),
                // Behind the verdict that closes the rule.
                To::Fails => near(total + 1 - here),
            };
            code.push(match step {
                Step::Load(offset) => load(offset),
                Step::Mask(mask) => instruction(AND, 0, 0, mask),
                Step::Test(test, k, yes, no) => instruction(test, skip(yes), skip(no), k),
            });
        }
    }
    code.push(give(verdict));
    code
}

/// A distance within one rule. Seven conditions of at most six steps fit; a rule has at most six arguments, and one that
/// names an argument twice was taken apart before.
fn near(distance: usize) -> u8 {
    u8::try_from(distance).unwrap_or(u8::MAX)
}

/// The comparison as loads and jumps; `narrow` compares the low half only.
fn steps(condition: &Condition, narrow: bool) -> Vec<Step> {
    let low = ARGUMENTS + 8 * u32::from(condition.index);
    let (value_high, value_low) = halves(condition.value);
    let (two_high, two_low) = halves(condition.value_two);
    let mut steps = Vec::with_capacity(6);
    if !narrow {
        steps.push(Step::Load(low + 4));
        match condition.operator {
            Operator::Equal => steps.push(Step::Test(JUMP_EQUAL, value_high, To::Next, To::Fails)),
            Operator::NotEqual => {
                steps.push(Step::Test(JUMP_EQUAL, value_high, To::Next, To::Holds))
            }
            Operator::Greater | Operator::GreaterOrEqual => {
                steps.push(Step::Test(JUMP_GREATER, value_high, To::Holds, To::Next));
                steps.push(Step::Test(JUMP_EQUAL, value_high, To::Next, To::Fails));
            }
            Operator::Less | Operator::LessOrEqual => {
                steps.push(Step::Test(JUMP_GREATER, value_high, To::Fails, To::Next));
                steps.push(Step::Test(JUMP_EQUAL, value_high, To::Next, To::Holds));
            }
            Operator::MaskedEqual => {
                steps.push(Step::Mask(value_high));
                steps.push(Step::Test(
                    JUMP_EQUAL,
                    two_high & value_high,
                    To::Next,
                    To::Fails,
                ));
            }
        }
    }
    steps.push(Step::Load(low));
    let (test, k, yes, no) = match condition.operator {
        Operator::Equal => (JUMP_EQUAL, value_low, To::Next, To::Fails),
        Operator::NotEqual => (JUMP_EQUAL, value_low, To::Fails, To::Next),
        Operator::Greater => (JUMP_GREATER, value_low, To::Next, To::Fails),
        Operator::GreaterOrEqual => (JUMP_GREATER_OR_EQUAL, value_low, To::Next, To::Fails),
        Operator::Less => (JUMP_GREATER_OR_EQUAL, value_low, To::Fails, To::Next),
        Operator::LessOrEqual => (JUMP_GREATER, value_low, To::Fails, To::Next),
        Operator::MaskedEqual => {
            steps.push(Step::Mask(value_low));
            (JUMP_EQUAL, two_low & value_low, To::Next, To::Fails)
        }
    };
    steps.push(Step::Test(test, k, yes, no));
    steps
}

fn halves(value: u64) -> (u32, u32) {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the two halves are what is wanted"
    )]
    ((value >> 32) as u32, value as u32)
}

//! An interpreter of classic BPF as far as seccomp allows it, written from linux/filter.h and seccomp(2).

use sys::seccomp::Instruction;

/// What the kernel tells a filter: `struct seccomp_data`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub number: u32,
    pub architecture: u32,
    pub arguments: [u64; 6],
}

impl Call {
    pub fn wide(number: u32, arguments: [u64; 6]) -> Self {
        Self {
            number,
            architecture: super::AUDIT_X86_64,
            arguments,
        }
    }

    pub fn narrow(number: u32, arguments: [u64; 6]) -> Self {
        Self {
            number,
            architecture: super::AUDIT_X86,
            arguments,
        }
    }

    fn word(&self, offset: u32) -> u32 {
        let half = |value: u64, high: bool| {
            if high {
                (value >> 32) as u32
            } else {
                value as u32
            }
        };
        match offset {
            0 => self.number,
            4 => self.architecture,
            8 | 12 => 0,
            _ => half(self.arguments[(offset as usize - 16) / 8], offset % 8 == 4),
        }
    }
}

/// The verdict of `program` on `call`.
pub(super) fn run(program: &[Instruction], call: &Call) -> u32 {
    let (mut a, mut x, mut at) = (0u32, 0u32, 0usize);
    let mut memory = [0u32; 16];
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        at += 1;
        let operand = if code & 0x08 == 0 { k } else { x };
        let mut branch = |holds: bool| at += usize::from(if holds { jt } else { jf });
        match code {
            0x20 => a = call.word(k),
            0x00 => a = k,
            0x01 => x = k,
            0x60 => a = memory[k as usize],
            0x61 => x = memory[k as usize],
            0x02 => memory[k as usize] = a,
            0x03 => memory[k as usize] = x,
            0x07 => x = a,
            0x87 => a = x,
            0x54 | 0x5c => a &= operand,
            0x44 | 0x4c => a |= operand,
            0x05 => at += k as usize,
            0x15 | 0x1d => branch(a == operand),
            0x25 | 0x2d => branch(a > operand),
            0x35 | 0x3d => branch(a >= operand),
            0x45 | 0x4d => branch(a & operand != 0),
            0x06 => return k,
            0x16 => return a,
            other => panic!("instruction {other:#x} at {at}"),
        }
    }
}

//! `--chmod`: octal, or symbolic as `chmod(1)` reads it.

use gantry_dockerfile::error::Fault;

use crate::step::Mode;

/// The mode a file gets whose mode was `old` (permission bits with setuid, setgid and sticky).
///
/// # Errors
/// A symbolic mode that is none.
pub fn apply(mode: &Mode, old: u32, directory: bool) -> Result<u32, Fault> {
    match mode {
        Mode::Bits(bits) => Ok(*bits),
        Mode::Symbolic(text) => text.split(',').try_fold(old, |mode, clause| {
            self::clause(clause, mode, directory).ok_or_else(|| invalid(text))
        }),
    }
}

fn invalid(text: &str) -> Fault {
    format!("invalid chmod parameter: '{text}', expected octal digits or clauses like u=rwX,go=rX")
        .into()
}

/// `[ugoa…][+-=][rwxXstugo…]`, the operators repeated at will.
fn clause(text: &str, mut mode: u32, directory: bool) -> Option<u32> {
    let end = text.find(['+', '-', '='])?;
    let (who, mut rest) = text.split_at(end);
    if !who.chars().all(|c| "ugoa".contains(c)) {
        return None;
    }
    let everyone = who.is_empty() || who.contains('a');
    let has = |c: char| everyone || who.contains(c);
    while !rest.is_empty() {
        let operator = rest.chars().next()?;
        let after = &rest[1..];
        let length = after.find(['+', '-', '=']).unwrap_or(after.len());
        let (letters, next) = after.split_at(length);
        let (bits, mask) = selected(letters, mode, directory, &has)?;
        mode = match operator {
            '+' => mode | bits,
            '-' => mode & !bits,
            '=' => (mode & !mask) | bits,
            _ => return None,
        };
        rest = next;
    }
    Some(mode)
}

/// The bits the letters stand for, and all bits the clause is about.
fn selected(
    letters: &str,
    mode: u32,
    directory: bool,
    has: &impl Fn(char) -> bool,
) -> Option<(u32, u32)> {
    let (mut bits, mut special) = (0, 0);
    for letter in letters.chars() {
        bits |= match letter {
            'r' => 4,
            'w' => 2,
            'x' => 1,
            'X' => u32::from(directory || mode & 0o111 != 0),
            'u' => mode >> 6 & 7,
            'g' => mode >> 3 & 7,
            'o' => mode & 7,
            's' => {
                special |= if has('u') { 0o4000 } else { 0 } | if has('g') { 0o2000 } else { 0 };
                0
            }
            't' => {
                special |= 0o1000;
                0
            }
            _ => return None,
        };
    }
    let spread = |bits: u32| {
        [('u', 6), ('g', 3), ('o', 0)]
            .iter()
            .filter(|(c, _)| has(*c))
            .map(|(_, shift)| bits << shift)
            .sum::<u32>()
    };
    let all_special = if has('u') { 0o4000 } else { 0 }
        | if has('g') { 0o2000 } else { 0 }
        | if has('o') { 0o1000 } else { 0 };
    Some((spread(bits) | special, spread(7) | all_special))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_as_chmod_reads_them() {
        for (text, old, directory, expected) in [
            ("u+x", 0o644, false, 0o744),
            ("a-w", 0o666, false, 0o444),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("+x", 0o644, false, 0o755),
            ("g=u", 0o640, false, 0o660),
            ("u+s,+t", 0o755, false, 0o5755),
            ("go=", 0o755, false, 0o700),
            ("u+r-w", 0o200, false, 0o400),
        ] {
            assert_eq!(
                apply(&Mode::Symbolic(text.into()), old, directory),
                Ok(expected),
                "{text}"
            );
        }
        assert_eq!(apply(&Mode::Bits(0o4755), 0, false), Ok(0o4755));
        for wrong in ["x", "z+r", "u+q", "u", ""] {
            assert!(
                apply(&Mode::Symbolic(wrong.into()), 0, false).is_err(),
                "{wrong}"
            );
        }
    }
}

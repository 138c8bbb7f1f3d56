//! Go's `filepath.Match` with `**`: the patterns of COPY, ADD, `--exclude` and `.dockerignore`.
//!
//! `*` and `?` never cross `/`; `**` between separators stands for any number of whole components; `[a-z]` and `[^a-z]`
//! are character classes; a backslash escapes. Matching is linear in pattern × path, whatever the stars.

use crate::error::Fault;

/// One element of a compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Literal(char),
    /// Any character but `/`.
    One,
    /// Any run without `/`.
    Star,
    /// Any run at all.
    AnyDepth,
    /// Nothing, where a component begins.
    Boundary,
    /// A character of (or, negated, out of) the ranges, never `/`.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    tokens: Vec<Token>,
    literal: bool,
}

impl Glob {
    /// Compiles a pattern; `/` separates.
    ///
    /// # Errors
    /// A class that is not closed or empty, or a backslash at the end: Go's "syntax error in pattern".
    pub fn new(pattern: &str) -> Result<Self, Fault> {
        let bad = || Fault::from(format!("syntax error in pattern {pattern:?}"));
        let chars: Vec<char> = pattern.chars().collect();
        let mut tokens = Vec::new();
        let mut at = 0;
        while let Some(&c) = chars.get(at) {
            at += 1;
            match c {
                '*' if chars.get(at) == Some(&'*') => {
                    while chars.get(at) == Some(&'*') {
                        at += 1;
                    }
                    // `**/` also stands for no component at all, so the separator goes with it.
                    let leading = tokens.is_empty() || tokens.last() == Some(&Token::Literal('/'));
                    if leading && chars.get(at) == Some(&'/') {
                        at += 1;
                        tokens.push(Token::AnyDepth);
                        tokens.push(Token::Boundary);
                    } else {
                        tokens.push(Token::AnyDepth);
                    }
                }
                '*' => tokens.push(Token::Star),
                '?' => tokens.push(Token::One),
                '[' => tokens.push(class(&chars, &mut at).ok_or_else(bad)?),
                '\\' => {
                    tokens.push(Token::Literal(*chars.get(at).ok_or_else(bad)?));
                    at += 1;
                }
                _ => tokens.push(Token::Literal(c)),
            }
        }
        let literal = tokens
            .iter()
            .all(|token| matches!(token, Token::Literal(_)));
        Ok(Self { tokens, literal })
    }

    /// Whether the pattern has no wildcard and so names one path.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        self.literal
    }

    /// Whether the whole of `path` matches.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let mut reached = vec![false; self.tokens.len() + 1];
        reached[0] = true;
        self.advance_empty(&mut reached, true);
        for c in path.chars() {
            let mut next = vec![false; reached.len()];
            for (at, token) in self
                .tokens
                .iter()
                .enumerate()
                .filter(|(at, _)| reached[*at])
            {
                match token {
                    Token::Literal(l) if *l == c => next[at + 1] = true,
                    Token::One if c != '/' => next[at + 1] = true,
                    Token::Star if c != '/' => next[at] = true,
                    Token::AnyDepth => next[at] = true,
                    Token::Class { negated, ranges } if c != '/' => {
                        let inside = ranges.iter().any(|(low, high)| (*low..=*high).contains(&c));
                        next[at + 1] |= inside != *negated;
                    }
                    _ => {}
                }
            }
            self.advance_empty(&mut next, c == '/');
            reached = next;
        }
        reached[self.tokens.len()]
    }

    /// Steps over what matches nothing; the mark behind `**/` only where a component begins.
    fn advance_empty(&self, reached: &mut [bool], component_begins: bool) {
        for at in 0..self.tokens.len() {
            let empty = match self.tokens[at] {
                Token::Star | Token::AnyDepth => true,
                Token::Boundary => component_begins,
                _ => false,
            };
            if reached[at] && empty {
                reached[at + 1] = true;
            }
        }
    }
}

/// A class whose `[` is already read.
fn class(chars: &[char], at: &mut usize) -> Option<Token> {
    let negated = chars.get(*at) == Some(&'^');
    *at += usize::from(negated);
    let mut ranges = Vec::new();
    loop {
        let low = match chars.get(*at)? {
            ']' if !ranges.is_empty() => {
                *at += 1;
                return Some(Token::Class { negated, ranges });
            }
            ']' | '-' => return None,
            _ => member(chars, at)?,
        };
        let high = if chars.get(*at) == Some(&'-') {
            *at += 1;
            member(chars, at).filter(|high| *high != ']')?
        } else {
            low
        };
        ranges.push((low, high));
    }
}

fn member(chars: &[char], at: &mut usize) -> Option<char> {
    if chars.get(*at) == Some(&'\\') {
        *at += 1;
    }
    let c = *chars.get(*at)?;
    *at += 1;
    Some(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_as_go_matches_them() {
        for (pattern, path, expected) in [
            ("*.go", "a.go", true),
            ("*.go", "d/a.go", false),
            ("d/*", "d/a", true),
            ("d/*", "d/a/b", false),
            ("**/a", "a", true),
            ("**/a", "x/y/a", true),
            ("**/a", "xa", false),
            ("**/a", "x/ya", false),
            ("a/**", "a/b/c", true),
            ("a/**/c", "a/c", true),
            ("a/**/c", "a/b/b/c", true),
            ("a/**/c", "a/bc", false),
            ("**", "x/y", true),
            ("?b", "ab", true),
            ("?", "/", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("[^a]", "/", false),
            ("\\*", "*", true),
            ("\\*", "x", false),
            ("a[\\]]", "a]", true),
        ] {
            assert_eq!(
                Glob::new(pattern).unwrap().matches(path),
                expected,
                "{pattern} {path}"
            );
        }
        for wrong in ["[", "[]a]", "[a-]", "a\\", "[-a]"] {
            assert!(Glob::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn many_stars_stay_fast() {
        let glob = Glob::new(&"*a".repeat(80)).unwrap();
        assert!(!glob.matches(&"a".repeat(79)));
    }
}

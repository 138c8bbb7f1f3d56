//! Shell patterns of `${v#p}`, `${v%p}` and `${v/p/r}`: `*`, `?` and backslash escapes, no brackets.

use crate::error::Fault;

/// One element of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Literal(char),
    One,
    Many,
}

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Vec<Token>);

impl Pattern {
    /// Compiles a pattern. A backslash escapes `*`, `?` and itself; before `/` and `}` it is dropped.
    ///
    /// # Errors
    /// A backslash before anything else.
    pub fn new(text: &str) -> Result<Self, Fault> {
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' => Token::Many,
                '?' => Token::One,
                '\\' => match chars.next() {
                    Some(next @ ('*' | '?' | '\\' | '/' | '}')) => Token::Literal(next),
                    Some(next) => return Err(invalid(text, &format!("\\{next}"))),
                    None => return Err(invalid(text, "\\")),
                },
                _ => Token::Literal(c),
            });
        }
        Ok(Self(tokens))
    }

    /// Where a match that begins at the first character of `text` ends, in characters: the shortest or the longest.
    #[must_use]
    pub fn prefix(&self, text: &[char], longest: bool) -> Option<usize> {
        // One pass over the text with the set of pattern positions reached: linear in text × pattern, whatever the stars.
        let mut reached = vec![false; self.0.len() + 1];
        reached[0] = true;
        self.skip_stars(&mut reached);
        let mut found = reached[self.0.len()].then_some(0);
        for (index, c) in text.iter().enumerate() {
            if found.is_some() && !longest {
                return found;
            }
            let mut next = vec![false; reached.len()];
            for (position, token) in self.0.iter().enumerate() {
                if !reached[position] {
                    continue;
                }
                match token {
                    Token::Literal(l) if l != c => {}
                    Token::Literal(_) | Token::One => next[position + 1] = true,
                    Token::Many => next[position] = true,
                }
            }
            self.skip_stars(&mut next);
            reached = next;
            if reached[self.0.len()] {
                found = Some(index + 1);
            }
        }
        found
    }

    /// Where a match that ends at the last character of `text` begins, in characters.
    #[must_use]
    pub fn suffix(&self, text: &[char], longest: bool) -> Option<usize> {
        let reversed = Self(self.0.iter().rev().copied().collect());
        let text: Vec<char> = text.iter().rev().copied().collect();
        let length = reversed.prefix(&text, longest)?;
        Some(text.len() - length)
    }

    /// `text` with the first (or every) longest match replaced.
    #[must_use]
    pub fn replace(&self, text: &str, with: &str, all: bool) -> String {
        let text: Vec<char> = text.chars().collect();
        let mut out = String::new();
        let mut at = 0;
        while at <= text.len() {
            match self.prefix(&text[at..], true) {
                Some(length) => {
                    out.push_str(with);
                    let empty = length == 0;
                    at += length;
                    if !all || at >= text.len() {
                        break;
                    }
                    if empty {
                        out.push(text[at]);
                        at += 1;
                    }
                }
                None if at < text.len() => {
                    out.push(text[at]);
                    at += 1;
                }
                None => break,
            }
        }
        out.extend(text.iter().skip(at));
        out
    }

    fn skip_stars(&self, reached: &mut [bool]) {
        for (position, token) in self.0.iter().enumerate() {
            if reached[position] && *token == Token::Many {
                reached[position + 1] = true;
            }
        }
    }
}

fn invalid(pattern: &str, escape: &str) -> Fault {
    format!("invalid pattern ({pattern}) in substitution: invalid escape '{escape}'").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chars(text: &str) -> Vec<char> {
        text.chars().collect()
    }

    #[test]
    fn prefixes_and_suffixes_short_and_long() {
        let text = chars("foo.tar.gz");
        let cut = |p: &str, longest| Pattern::new(p).unwrap().prefix(&text, longest);
        assert_eq!((cut("*.", false), cut("*.", true)), (Some(4), Some(8)));
        let tail = |p: &str, longest| Pattern::new(p).unwrap().suffix(&text, longest);
        assert_eq!((tail(".*", false), tail(".*", true)), (Some(7), Some(3)));
        assert_eq!(cut("bar", true), None);
        assert_eq!(cut("\\*", true), None);
    }

    #[test]
    fn replacement_first_and_all() {
        let replace = |p: &str, all| Pattern::new(p).unwrap().replace("a-b-c", "+", all);
        assert_eq!(replace("-", false), "a+b-c");
        assert_eq!(replace("-", true), "a+b+c");
        assert_eq!(replace("-*", true), "a+");
        assert_eq!(replace("x", true), "a-b-c");
    }

    #[test]
    fn many_stars_stay_linear() {
        let pattern = Pattern::new(&"*a".repeat(60)).unwrap();
        assert_eq!(pattern.prefix(&chars(&"a".repeat(59)), true), None);
    }
}

//! `$name` and `${…}`: the value that stands for them.

use super::{MAX_DEPTH, Run, Variables};
use crate::error::Fault;
use crate::pattern::Pattern;

impl<V: Variables + ?Sized> Run<'_, V> {
    /// The value that stands for the `$…` at the current place.
    pub(super) fn dollar(&mut self) -> Result<String, Fault> {
        self.at += 1;
        if self.peek() != Some('{') {
            let name = self.name();
            if name.is_empty() {
                return Ok("$".to_owned());
            }
            return Ok(match self.lookup(&name) {
                None if self.rules.keep_unset => format!("${name}"),
                value => value.unwrap_or_default(),
            });
        }
        self.at += 1;
        match self.peek() {
            None => return Err(missing("}")),
            Some('{' | '}' | ':') => return Err("syntax error: bad substitution".into()),
            Some(_) => {}
        }
        let name = self.name();
        self.substitution(&name)
    }

    fn substitution(&mut self, name: &str) -> Result<String, Fault> {
        match self.next() {
            Some('}') => Ok(match self.lookup(name) {
                None if self.rules.keep_unset => format!("${{{name}}}"),
                value => value.unwrap_or_default(),
            }),
            Some(':') => match self.next() {
                Some(c @ ('-' | '+' | '?')) => self.conditional(name, c, true),
                Some(c) => Err(unsupported(&format!(":{c}"))),
                None => Err(missing("}")),
            },
            Some(c @ ('-' | '+' | '?')) => self.conditional(name, c, false),
            Some(c @ ('#' | '%')) => self.trim(name, c),
            Some('/') => self.replace(name),
            Some(c) => Err(unsupported(&c.to_string())),
            None => Err(missing("}")),
        }
    }

    /// `-`, `+` and `?`; with `:` an empty value counts as unset.
    fn conditional(&mut self, name: &str, operator: char, colon: bool) -> Result<String, Fault> {
        let word = self.operand('}', false)?;
        let value = self.lookup(name);
        if value.is_none() && self.rules.keep_unset {
            let colon = if colon { ":" } else { "" };
            return Ok(format!("${{{name}{colon}{operator}{word}}}"));
        }
        let set = value.filter(|value| !(colon && value.is_empty()));
        match (operator, set) {
            ('-', set) => Ok(set.unwrap_or(word)),
            ('+', Some(_)) => Ok(word),
            ('+', None) => Ok(String::new()),
            (_, Some(value)) => Ok(value),
            (_, None) if !word.is_empty() => Err(format!("{name}: {word}").into()),
            (_, None) => {
                let empty = if colon && self.used.contains(name) {
                    "empty"
                } else {
                    "unset"
                };
                Err(format!("{name}: is not allowed to be {empty}").into())
            }
        }
    }

    /// `#` and `%`, doubled for the longest match.
    fn trim(&mut self, name: &str, side: char) -> Result<String, Fault> {
        let word = self.operand('}', true)?;
        let Some(value) = self.lookup(name) else {
            let kept = format!("${{{name}{side}{word}}}");
            return Ok(if self.rules.keep_unset {
                kept
            } else {
                String::new()
            });
        };
        let (longest, pattern) = match word.strip_prefix(side) {
            Some(rest) => (true, rest),
            None => (false, word.as_str()),
        };
        let pattern = Pattern::new(pattern)?;
        let chars: Vec<char> = value.chars().collect();
        let kept = if side == '#' {
            pattern.prefix(&chars, longest).map(|end| &chars[end..])
        } else {
            pattern.suffix(&chars, longest).map(|start| &chars[..start])
        };
        Ok(kept.map_or(value, |kept| kept.iter().collect()))
    }

    /// `/pattern/replacement`, with `//` for all matches.
    fn replace(&mut self, name: &str) -> Result<String, Fault> {
        let all = self.peek() == Some('/');
        self.at += usize::from(all);
        let pattern = self.operand('/', true)?;
        let with = self.operand('}', true)?;
        let Some(value) = self.lookup(name) else {
            let kept = format!("${{{name}/{pattern}/{with}}}");
            return Ok(if self.rules.keep_unset {
                kept
            } else {
                String::new()
            });
        };
        Ok(Pattern::new(&pattern)?.replace(&value, &with, all))
    }

    /// The expanded text up to `stop`, apart from what is being built.
    fn operand(&mut self, stop: char, keep_escapes: bool) -> Result<String, Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("substitutions nest deeper than {MAX_DEPTH}").into());
        }
        let outer = std::mem::take(&mut self.out);
        let result = self.until(Some(stop), keep_escapes);
        let inner = std::mem::replace(&mut self.out, outer);
        self.depth -= 1;
        let at_end = self.peek().is_none();
        match result {
            Err(_) if at_end && stop == '/' => Err("syntax error: missing '/' in ${}".into()),
            Err(_) if at_end && self.depth < MAX_DEPTH => Err(missing("}")),
            Err(fault) => Err(fault),
            Ok(()) => Ok(inner.text),
        }
    }

    /// A name of letters, digits and `_`; digits alone or one special parameter end at once.
    fn name(&mut self) -> String {
        let rest = &self.chars[self.at..];
        let length = match rest.first() {
            Some(c) if c.is_ascii_digit() => rest.iter().take_while(|c| c.is_ascii_digit()).count(),
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => 1,
            _ => {
                let part = |c: &&char| c.is_alphanumeric() || **c == '_';
                rest.iter().take_while(part).count()
            }
        };
        let name = rest[..length].iter().collect();
        self.at += length;
        name
    }

    fn lookup(&mut self, name: &str) -> Option<String> {
        let value = self.variables.value(name);
        let known = if value.is_some() {
            &mut self.used
        } else {
            &mut self.unset
        };
        known.insert(name.to_owned());
        value
    }
}

fn missing(what: &str) -> Fault {
    format!("syntax error: missing '{what}'").into()
}

fn unsupported(modifier: &str) -> Fault {
    format!("unsupported modifier ({modifier}) in substitution").into()
}

//! Quotes, escapes and `$variables` of one argument, as POSIX `sh` reads them and no further.
//!
//! Understood: `$v ${v} ${v:-w} ${v-w} ${v:+w} ${v+w} ${v:?e} ${v?e} ${v#p} ${v##p} ${v%p} ${v%%p} ${v/p/r} ${v//p/r}`,
//! single quotes (nothing special inside), double quotes (`$`, escaped `"`, `$` and the escape character), and the escape
//! character before anything. Not understood, and refused: every other `${…}` form.

mod substitution;

use std::collections::BTreeSet;

use crate::error::Fault;

/// How deep `${a:-${b:-…}}` may nest; deeper is refused instead of overflowing the stack.
const MAX_DEPTH: usize = 64;

/// Where values of variables come from.
pub trait Variables {
    /// The value of `name`, `None` where it is not set.
    fn value(&self, name: &str) -> Option<String>;
}

/// No variable is set.
#[derive(Debug, Clone, Copy)]
pub struct NoVariables;

impl Variables for NoVariables {
    fn value(&self, _: &str) -> Option<String> {
        None
    }
}

impl<S: AsRef<str>> Variables for [(S, S)] {
    /// The last pair of that name wins.
    fn value(&self, name: &str) -> Option<String> {
        let found = self.iter().rev().find(|(key, _)| key.as_ref() == name);
        found.map(|(_, value)| value.as_ref().to_owned())
    }
}

/// The rules of one expansion.
#[derive(Debug, Clone, Copy)]
pub struct Lexer {
    escape: char,
    keep_quotes: bool,
    keep_escapes: bool,
    keep_unset: bool,
    ignore_quotes: bool,
}

/// What an expansion gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expansion {
    /// The text.
    pub text: String,
    /// Names that were asked for and set.
    pub used: BTreeSet<String>,
    /// Names that were asked for and not set.
    pub unset: BTreeSet<String>,
}

impl Lexer {
    /// The ordinary rules with `escape` (`\` or a backtick) as the escape character.
    #[must_use]
    pub fn new(escape: char) -> Self {
        Self {
            escape,
            keep_quotes: false,
            keep_escapes: false,
            keep_unset: false,
            ignore_quotes: false,
        }
    }

    /// Leaves quotes in the result (what they protect stays protected).
    #[must_use]
    pub fn keep_quotes(mut self) -> Self {
        self.keep_quotes = true;
        self
    }

    /// Leaves escape characters in the result.
    #[must_use]
    pub fn keep_escapes(mut self) -> Self {
        self.keep_escapes = true;
        self
    }

    /// Leaves references to unset variables as they are written.
    #[must_use]
    pub fn keep_unset(mut self) -> Self {
        self.keep_unset = true;
        self
    }

    /// Takes quotes for ordinary characters, as in the content of a here-document.
    #[must_use]
    pub fn ignore_quotes(mut self) -> Self {
        self.ignore_quotes = true;
        self
    }

    /// Expands `text` to one string.
    ///
    /// # Errors
    /// An open quote or brace, a substitution not understood, or `${v:?message}` of an unset variable.
    pub fn expand(
        &self,
        text: &str,
        variables: &(impl Variables + ?Sized),
    ) -> Result<Expansion, Fault> {
        let mut run = Run::new(*self, text, variables);
        run.until(None, self.keep_escapes)
            .map_err(|fault| wrap(text, fault))?;
        Ok(Expansion {
            text: run.out.text,
            used: run.used,
            unset: run.unset,
        })
    }

    /// Expands `text` and splits the result at blanks that are not quoted; blanks out of a variable split too.
    ///
    /// # Errors
    /// As [`Lexer::expand`].
    pub fn words(
        &self,
        text: &str,
        variables: &(impl Variables + ?Sized),
    ) -> Result<Vec<String>, Fault> {
        let mut run = Run::new(*self, text, variables);
        run.until(None, self.keep_escapes)
            .map_err(|fault| wrap(text, fault))?;
        Ok(run.out.finish())
    }
}

fn wrap(text: &str, fault: Fault) -> Fault {
    format!("failed to process {text:?}: {}", fault.message).into()
}

/// Text under construction, as one string and as words.
#[derive(Debug, Default)]
struct Output {
    text: String,
    words: Vec<String>,
    word: String,
}

impl Output {
    /// A character that is never a separator.
    fn quoted(&mut self, c: char) {
        self.text.push(c);
        self.word.push(c);
    }

    /// A character that separates words where it is blank.
    fn bare(&mut self, c: char) {
        self.text.push(c);
        if !c.is_whitespace() {
            self.word.push(c);
        } else if !self.word.is_empty() {
            self.words.push(std::mem::take(&mut self.word));
        }
    }

    fn finish(mut self) -> Vec<String> {
        if !self.word.is_empty() {
            self.words.push(self.word);
        }
        self.words
    }
}

/// One expansion under way.
struct Run<'a, V: Variables + ?Sized> {
    rules: Lexer,
    chars: Vec<char>,
    at: usize,
    depth: usize,
    variables: &'a V,
    out: Output,
    used: BTreeSet<String>,
    unset: BTreeSet<String>,
}

impl<'a, V: Variables + ?Sized> Run<'a, V> {
    fn new(rules: Lexer, text: &str, variables: &'a V) -> Self {
        Self {
            rules,
            chars: text.chars().collect(),
            at: 0,
            depth: 0,
            variables,
            out: Output::default(),
            used: BTreeSet::new(),
            unset: BTreeSet::new(),
        }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek();
        self.at += usize::from(c.is_some());
        c
    }

    /// Expands into `out` up to `stop`, which is consumed, or to the end where `stop` is `None`.
    fn until(&mut self, stop: Option<char>, keep_escapes: bool) -> Result<(), Fault> {
        while let Some(c) = self.peek() {
            if Some(c) == stop {
                self.at += 1;
                return Ok(());
            }
            match c {
                '\'' if !self.rules.ignore_quotes => self.single_quotes()?,
                '"' if !self.rules.ignore_quotes => self.double_quotes(keep_escapes)?,
                '$' => {
                    let value = self.dollar()?;
                    value.chars().for_each(|c| self.out.bare(c));
                }
                '<' => self.less_than(),
                _ if c == self.rules.escape => self.escaped(keep_escapes),
                _ => {
                    self.at += 1;
                    self.out.bare(c);
                }
            }
        }
        match stop {
            None => Ok(()),
            Some(stop) => {
                Err(format!("unexpected end of statement while looking for matching {stop}").into())
            }
        }
    }

    /// Outside quotes the escape character protects any character; the last of a word is dropped.
    fn escaped(&mut self, keep: bool) {
        self.at += 1;
        if keep {
            self.out.quoted(self.rules.escape);
        }
        if let Some(c) = self.next() {
            self.out.quoted(c);
        }
    }

    /// `<<` and the blanks behind it belong to one word, so that `<< EOF` is one head of a here-document.
    fn less_than(&mut self) {
        self.at += 1;
        self.out.quoted('<');
        if self.peek() != Some('<') {
            return;
        }
        self.at += 1;
        self.out.quoted('<');
        while let Some(c @ (' ' | '\t' | '\r')) = self.peek() {
            self.at += 1;
            self.out.quoted(c);
        }
    }

    fn single_quotes(&mut self) -> Result<(), Fault> {
        self.quote_mark();
        loop {
            match self.next() {
                None => return Err(open_quote("single")),
                Some('\'') => break,
                Some(c) => self.out.quoted(c),
            }
        }
        self.closing_mark('\'');
        Ok(())
    }

    fn double_quotes(&mut self, keep_escapes: bool) -> Result<(), Fault> {
        self.quote_mark();
        loop {
            match self.peek() {
                None => return Err(open_quote("double")),
                Some('"') => {
                    self.at += 1;
                    break;
                }
                Some('$') => {
                    let value = self.dollar()?;
                    value.chars().for_each(|c| self.out.quoted(c));
                }
                Some(c) => {
                    self.at += 1;
                    if c == self.rules.escape {
                        self.escaped_in_double(keep_escapes);
                    } else {
                        self.out.quoted(c);
                    }
                }
            }
        }
        self.closing_mark('"');
        Ok(())
    }

    /// In double quotes only `"`, `$` and the escape character itself can be escaped; before others it stays.
    fn escaped_in_double(&mut self, keep: bool) {
        let escape = self.rules.escape;
        if keep {
            self.out.quoted(escape);
        }
        match self.peek() {
            None => {}
            Some(c) if c == '"' || c == '$' || c == escape => {
                self.at += 1;
                self.out.quoted(c);
            }
            Some(_) => self.out.quoted(escape),
        }
    }

    fn quote_mark(&mut self) {
        let mark = self.next();
        if let (true, Some(mark)) = (self.rules.keep_quotes, mark) {
            self.out.quoted(mark);
        }
    }

    fn closing_mark(&mut self, mark: char) {
        if self.rules.keep_quotes {
            self.out.quoted(mark);
        }
    }
}

fn open_quote(kind: &str) -> Fault {
    format!("unexpected end of statement while looking for matching {kind}-quote").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: &[(&str, &str)] = &[
        ("a", "one two"),
        ("e", ""),
        ("p", "/x/y.tar.gz"),
        ("n1", "z"),
    ];

    fn expand(text: &str) -> String {
        match Lexer::new('\\').expand(text, SET) {
            Ok(expansion) => expansion.text,
            Err(fault) => format!("! {}", fault.message),
        }
    }

    #[test]
    fn every_form_of_substitution() {
        for (text, expected) in [
            ("$a", "one two"),
            ("${a}b", "one twob"),
            ("$n1x", ""),
            ("$1x", "x"),
            ("\\$a", "$a"),
            ("'$a'", "$a"),
            ("\"$a\"", "one two"),
            ("\"\\$a\\x\\\"\"", "$a\\x\""),
            ("$", "$"),
            ("a$", "a$"),
            ("${e:-w}|${e-w}|${u:-w}|${u-w}", "w||w|w"),
            ("${e:+w}|${e+w}|${u+w}|${a:+w}", "|w||w"),
            ("${u:-${a}}", "one two"),
            (
                "${p#*/}|${p##*/}|${p%.*}|${p%%.*}",
                "x/y.tar.gz|y.tar.gz|/x/y.tar|/x/y",
            ),
            ("${p/\\//_}|${p//\\//_}", "_x/y.tar.gz|_x_y.tar.gz"),
            ("${a:?no}", "one two"),
            ("x\\", "x"),
        ] {
            assert_eq!(expand(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (text, expected) in [
            ("${u:?gone}", "failed to process \"${u:?gone}\": u: gone"),
            (
                "${u?}",
                "failed to process \"${u?}\": u: is not allowed to be unset",
            ),
            (
                "${e:?}",
                "failed to process \"${e:?}\": e: is not allowed to be empty",
            ),
            (
                "${}",
                "failed to process \"${}\": syntax error: bad substitution",
            ),
            (
                "${a",
                "failed to process \"${a\": syntax error: missing '}'",
            ),
            (
                "${a:x}",
                "failed to process \"${a:x}\": unsupported modifier (:x) in substitution",
            ),
            (
                "${a,,}",
                "failed to process \"${a,,}\": unsupported modifier (,) in substitution",
            ),
        ] {
            assert_eq!(expand(text), format!("! {expected}"), "{text}");
        }
        assert!(expand("'a").contains("single-quote"));
        assert!(
            expand(&format!("{}{}", "${u:-".repeat(100), "}".repeat(100))).contains("nest deeper")
        );
    }

    #[test]
    fn words_split_at_bare_blanks_only() {
        let words = |text: &str| Lexer::new('\\').words(text, SET).unwrap();
        assert_eq!(
            words("x $a \"$a\" 'q r' s\\ t"),
            ["x", "one", "two", "one two", "q r", "s t"]
        );
    }

    #[test]
    fn kept_forms() {
        let lexer = Lexer::new('\\').keep_unset().keep_quotes().keep_escapes();
        let text = "'x' \"$u\" \\y ${u} ${u:-w}";
        assert_eq!(lexer.expand(text, SET).unwrap().text, text);
        let plain = Lexer::new('\\').ignore_quotes();
        assert_eq!(plain.expand("it's $a", SET).unwrap().text, "it's one two");
    }
}

//! `.dockerignore`: patterns anchored at the root of the context, the last match decides, `!` takes back in.
//!
//! Not git's rules: `foo` names only the entry at the root (and what is below it), `**/foo` one at any depth.

use crate::error::{Error, Result};
use crate::glob::Glob;

/// The rules of one file.
#[derive(Debug, Clone, Default)]
pub struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    exclude: bool,
    pattern: String,
    glob: Glob,
}

impl Ignore {
    /// Reads the file's text. `#` begins a comment line; blanks around a pattern and a leading `/` mean nothing.
    ///
    /// # Errors
    /// A pattern that is none, with its line.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rules = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.starts_with('#') || line.trim().is_empty() {
                continue;
            }
            let line = line.trim();
            let (exclude, pattern) = match line.strip_prefix('!') {
                Some(rest) => (false, rest.trim()),
                None => (true, line),
            };
            let pattern = clean(pattern);
            let number = index + 1;
            if pattern.is_empty() {
                let message = "illegal exclusion pattern: \"!\"";
                if exclude {
                    continue;
                }
                return Err(Error {
                    line: 0,
                    message: format!("line {number}: {message}"),
                    suggestion: None,
                });
            }
            let glob = Glob::new(&pattern)
                .map_err(|fault| Error::new(0, format!("line {number}: {}", fault.message)))?;
            rules.push(Rule {
                exclude,
                pattern,
                glob,
            });
        }
        Ok(Self { rules })
    }

    /// Rules out of patterns given one by one, as `COPY --exclude` has them.
    ///
    /// # Errors
    /// A pattern that is none.
    pub fn of(patterns: &[String]) -> Result<Self> {
        Self::parse(&patterns.join("\n"))
    }

    /// Whether no rule is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether `path` (relative to the context, `/` separated, cleaned) is left out of it.
    ///
    /// A rule that matches a directory holds for all below it.
    #[must_use]
    pub fn excludes(&self, path: &str) -> bool {
        let mut excluded = false;
        for rule in &self.rules {
            if rule.exclude != excluded && rule.covers(path) {
                excluded = rule.exclude;
            }
        }
        excluded
    }

    /// Whether an excluded directory must still be entered, because a later `!` rule may take in something below it.
    #[must_use]
    pub fn may_include_below(&self, directory: &str) -> bool {
        let depth = directory.split('/').count();
        self.rules.iter().filter(|rule| !rule.exclude).any(|rule| {
            if rule.pattern.contains("**") {
                return true;
            }
            let head: Vec<&str> = rule.pattern.split('/').take(depth).collect();
            head.len() == depth
                && Glob::new(&head.join("/")).is_ok_and(|glob| glob.matches(directory))
        })
    }
}

impl Rule {
    /// Whether the rule matches the path or a directory above it.
    fn covers(&self, path: &str) -> bool {
        let ends = path
            .match_indices('/')
            .map(|(at, _)| at)
            .chain([path.len()]);
        ends.into_iter().any(|end| self.glob.matches(&path[..end]))
    }
}

/// A path without `.`, empty components and leading `/`, with `..` applied as far as there is something to leave.
#[must_use]
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if matches!(parts.last(), Some(last) if *last != "..") => {
                parts.pop();
            }
            ".." if path.starts_with('/') => {}
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded(rules: &str, paths: &[&str]) -> Vec<bool> {
        let ignore = Ignore::parse(rules).unwrap();
        paths.iter().map(|path| ignore.excludes(path)).collect()
    }

    #[test]
    fn anchored_and_last_match_decides() {
        assert_eq!(
            excluded("foo", &["foo", "foo/x", "a/foo"]),
            [true, true, false]
        );
        assert_eq!(excluded("**/foo", &["foo", "a/b/foo/x"]), [true, true]);
        assert_eq!(
            excluded("*\n!keep\n", &["x", "keep", "keep/y"]),
            [true, false, false]
        );
        assert_eq!(excluded("!keep\n*", &["keep"]), [true]);
        assert_eq!(excluded("# c\n\n /a/ \n", &["a", "b"]), [true, false]);
        assert_eq!(excluded("a/../b", &["b", "a"]), [true, false]);
        assert_eq!(
            excluded(
                "*.md\n!README*.md\nREADME-secret.md",
                &["x.md", "README.md", "README-secret.md"]
            ),
            [true, false, true]
        );
    }

    #[test]
    fn descends_only_where_something_may_come_back() {
        let ignore = Ignore::parse("node\n!node/keep/*.js\n").unwrap();
        assert!(ignore.excludes("node/x") && !ignore.excludes("node/keep/a.js"));
        assert!(ignore.may_include_below("node") && ignore.may_include_below("node/keep"));
        assert!(!ignore.may_include_below("node/other"));
        assert!(Ignore::parse("!").is_err());
        assert!(
            Ignore::parse("a[")
                .unwrap_err()
                .message
                .starts_with("line 1: ")
        );
    }
}

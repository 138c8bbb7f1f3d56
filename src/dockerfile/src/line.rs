//! Text to logical lines: continuations joined, comments dropped, here-documents attached.

use crate::directive::{Directives, Reader};
use crate::error::{Error, Result};
use crate::heredoc::{self, Heredoc};

/// One instruction as written, over however many lines of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// First line in the file, counted from 1.
    pub start: usize,
    /// Last line, the end of its here-documents included.
    pub end: usize,
    /// The text with continuations joined, no line end.
    pub text: String,
    /// Comments that stand directly above it, `#` and blanks removed.
    pub comments: Vec<String>,
    /// Its here-documents, in order.
    pub heredocs: Vec<Heredoc>,
}

/// A file as logical lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lines {
    /// What the leading comments ask for.
    pub directives: Directives,
    /// The instructions.
    pub lines: Vec<Line>,
    /// Lines (counted from 1) where a continuation is followed by an empty line, which docker warns of.
    pub empty_continuations: Vec<usize>,
}

/// Splits a Dockerfile's text.
///
/// # Errors
/// A bad directive, a here-document without its end, or a file without instructions.
pub fn split(text: &str) -> Result<Lines> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Splitter {
        source: text.split_inclusive('\n').collect(),
        at: 0,
        directives: Reader::default(),
        comments: Vec::new(),
        empty_continuations: Vec::new(),
    };
    let mut lines = Vec::new();
    while let Some(line) = reader.next_line()? {
        lines.push(line);
    }
    if lines.is_empty() {
        return Err(Error::new(0, "file with no instructions"));
    }
    Ok(Lines {
        directives: reader.directives.directives().clone(),
        lines,
        empty_continuations: reader.empty_continuations,
    })
}

struct Splitter<'a> {
    source: Vec<&'a str>,
    at: usize,
    directives: Reader,
    comments: Vec<String>,
    empty_continuations: Vec<usize>,
}

impl<'a> Splitter<'a> {
    /// The next physical line with its line end; `at` then is its number.
    fn take(&mut self) -> Option<&'a str> {
        let line = self.source.get(self.at).copied();
        self.at += usize::from(line.is_some());
        line
    }

    fn next_line(&mut self) -> Result<Option<Line>> {
        while let Some(raw) = self.take() {
            let line = trim_end(raw).trim_start();
            let shebang = self.at == 1 && line.starts_with("#!");
            let number = self.at;
            let directive = !shebang
                && self
                    .directives
                    .take(line)
                    .map_err(|fault| fault.at(number))?;
            if let Some(comment) = line.strip_prefix('#') {
                self.comment(comment.trim(), directive);
                continue;
            }
            let (first, continued) = self.continuation(line);
            if first.is_empty() && !continued {
                continue;
            }
            return self.instruction(first, continued).map(Some);
        }
        Ok(None)
    }

    fn comment(&mut self, text: &str, directive: bool) {
        if text.is_empty() {
            self.comments.clear();
        } else if !directive {
            self.comments.push(text.to_owned());
        }
    }

    /// A line without its continuation character, and whether it had one.
    fn continuation(&self, line: &'a str) -> (&'a str, bool) {
        let escape = self.directives.directives().escape;
        let trimmed = line.trim_end_matches([' ', '\t']);
        match trimmed.strip_suffix(escape) {
            // An escaped escape character is text, and continues nothing.
            Some(rest) if !rest.ends_with(escape) => (rest, true),
            _ => (line, false),
        }
    }

    fn instruction(&mut self, first: &str, mut continued: bool) -> Result<Line> {
        let start = self.at;
        let mut text = first.to_owned();
        let mut empty = false;
        while continued {
            let Some(raw) = self.take() else { break };
            let line = trim_end(raw);
            if line.trim_start().starts_with('#') {
                continue;
            }
            if line.trim().is_empty() {
                empty = true;
                continue;
            }
            let (part, more) = self.continuation(line);
            text.push_str(part);
            continued = more;
        }
        if empty {
            self.empty_continuations.push(self.at);
        }
        let heredocs = self.heredocs(&text, start)?;
        Ok(Line {
            start,
            end: self.at,
            text,
            comments: std::mem::take(&mut self.comments),
            heredocs,
        })
    }

    fn heredocs(&mut self, text: &str, start: usize) -> Result<Vec<Heredoc>> {
        if !text.contains("<<") || !may_hold_heredoc(text) {
            return Ok(Vec::new());
        }
        let mut found = heredoc::heads(text).map_err(|fault| fault.at(start))?;
        for document in &mut found {
            loop {
                let Some(raw) = self.take() else {
                    let message =
                        format!("unterminated heredoc, expected a line {:?}", document.name);
                    return Err(Error::new(start, message));
                };
                if document.ends_at(trim_end(raw)) {
                    break;
                }
                document.content.push_str(raw);
            }
        }
        Ok(found)
    }
}

/// RUN, COPY and ADD take here-documents, directly or behind ONBUILD; the JSON form of RUN takes none.
fn may_hold_heredoc(text: &str) -> bool {
    let mut rest = text.trim_start();
    loop {
        let word_end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(word_end);
        match word.to_ascii_uppercase().as_str() {
            "ONBUILD" => rest = tail.trim_start(),
            "RUN" | "COPY" | "ADD" => return !crate::argument::is_json(tail),
            _ => return false,
        }
    }
}

fn trim_end(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<String> {
        split(source)
            .unwrap()
            .lines
            .into_iter()
            .map(|line| line.text)
            .collect()
    }

    #[test]
    fn continuations_comments_and_blank_lines() {
        let source = "\u{feff}# c\nFROM a\n\nRUN x \\\n  # inside\n  y\\\n\n z\n";
        let lines = split(source).unwrap();
        assert_eq!(texts(source), ["FROM a", "RUN x   y z"]);
        assert_eq!((lines.lines[1].start, lines.lines[1].end), (4, 8));
        assert_eq!(lines.empty_continuations, [8]);
        assert_eq!(lines.lines[0].comments, ["c"]);
    }

    #[test]
    fn the_escape_directive_changes_the_continuation() {
        assert_eq!(
            texts("# escape=`\nRUN a `\nb\nRUN c\\\n"),
            ["RUN a b", "RUN c\\"]
        );
        assert_eq!(texts("RUN a \\\\\nRUN b"), ["RUN a \\\\", "RUN b"]);
    }

    #[test]
    fn heredocs_take_their_lines() {
        let lines = split("RUN <<A cat <<-B\na\nA\n\tb\n\tB\nCOPY x y\n").unwrap();
        let contents: Vec<_> = lines.lines[0].heredocs.iter().map(Heredoc::text).collect();
        assert_eq!(contents, ["a\n", "b\n"]);
        assert_eq!((lines.lines[0].end, lines.lines[1].start), (5, 6));
        assert!(
            split("RUN <<A\nx\n")
                .unwrap_err()
                .message
                .starts_with("unterminated heredoc")
        );
        assert_eq!(
            texts("RUN [\"a\", \"<<b\"]\nENV a <<b"),
            ["RUN [\"a\", \"<<b\"]", "ENV a <<b"]
        );
    }

    #[test]
    fn a_file_without_instructions_is_refused() {
        assert_eq!(
            split("# only\n\n").unwrap_err().message,
            "file with no instructions"
        );
        assert!(split("").is_err());
    }
}

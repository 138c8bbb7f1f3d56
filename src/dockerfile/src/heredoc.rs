//! Here-documents: `<<WORD` on RUN, COPY and ADD, with the lines up to `WORD` as their content.

use crate::error::Fault;
use crate::word::{Lexer, NoVariables};

/// One here-document of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    /// The word that ends it, quotes removed; for COPY and ADD also the name of the file.
    pub name: String,
    /// The file descriptor before `<<`, 0 where none is written.
    pub descriptor: u32,
    /// False where the word was quoted: then nothing in the content is expanded.
    pub expand: bool,
    /// `<<-`: tabs at the beginning of lines are dropped.
    pub chomp: bool,
    /// The lines between, as written, each with its line end.
    pub content: String,
}

impl Heredoc {
    /// The content as the container sees it: without leading tabs where `<<-` was written.
    #[must_use]
    pub fn text(&self) -> String {
        if !self.chomp {
            return self.content.clone();
        }
        self.content
            .split_inclusive('\n')
            .map(|line| line.trim_start_matches('\t'))
            .collect()
    }

    /// Whether `line`, without its line end, closes this document.
    #[must_use]
    pub fn ends_at(&self, line: &str) -> bool {
        let line = if self.chomp {
            line.trim_start_matches('\t')
        } else {
            line
        };
        line == self.name
    }
}

/// Reads one word as the head of a here-document (`<<EOF`, `3<<-'EOF'`); `None` where it is none.
///
/// # Errors
/// A quote in the word that is not closed.
pub fn head(word: &str) -> Result<Option<Heredoc>, Fault> {
    let digits = word.len() - word.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let Some(rest) = word[digits..].strip_prefix("<<") else {
        return Ok(None);
    };
    let (chomp, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let rest = rest.trim_start();
    if rest.is_empty() || rest.contains('<') {
        return Ok(None);
    }
    let mut lexer = Lexer::new('\\').keep_unset();
    let plain = lexer.words(rest, &NoVariables)?;
    let [name] = plain.as_slice() else {
        return Ok(None);
    };
    lexer = lexer.keep_quotes();
    let raw = lexer.words(rest, &NoVariables)?;
    let quotes = |text: &str| text.matches(['\'', '"']).count();
    let expand = raw.first().is_some_and(|raw| quotes(raw) == quotes(name));
    Ok(Some(Heredoc {
        name: name.clone(),
        descriptor: word[..digits].parse().unwrap_or(0),
        expand,
        chomp,
        content: String::new(),
    }))
}

/// The heads of all here-documents of a line, in order; quoted text is no head.
///
/// # Errors
/// A quote in a head that is not closed.
pub fn heads(line: &str) -> Result<Vec<Heredoc>, Fault> {
    let lexer = Lexer::new('\\').keep_unset().keep_quotes().keep_escapes();
    // A line whose quotes do not close is the shell's to refuse: it opens no document here.
    let words = lexer.words(line, &NoVariables).unwrap_or_default();
    let mut found = Vec::new();
    for word in words {
        found.extend(head(&word)?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_told_from_other_words() {
        let found = head("<<EOF").unwrap().unwrap();
        assert_eq!(
            (found.name.as_str(), found.expand, found.chomp),
            ("EOF", true, false)
        );
        let found = head("3<<-'E F'").unwrap().unwrap();
        assert_eq!(
            (found.name.as_str(), found.expand, found.chomp),
            ("E F", false, true)
        );
        assert_eq!(found.descriptor, 3);
        for none in ["<<", "<<<x", "a<<b", "<", "2>&1"] {
            assert_eq!(head(none).unwrap(), None, "{none}");
        }
    }

    #[test]
    fn a_line_holds_many_and_quotes_hide_them() {
        let names = |line: &str| -> Vec<String> {
            heads(line).unwrap().into_iter().map(|h| h.name).collect()
        };
        assert_eq!(names("COPY <<a <<\"b\" /x/"), ["a", "b"]);
        assert_eq!(names("RUN echo '<<a' \"<<b\""), Vec::<String>::new());
        assert_eq!(names("RUN cat << EOF"), ["EOF"]);
    }
}

//! COPY and ADD.

use crate::argument;
use crate::error::Fault;
use crate::flag::{Flags, Kind};
use crate::heredoc::{self, Heredoc};

/// A file written in the Dockerfile itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineFile {
    /// Its name: the word of the here-document.
    pub name: String,
    /// Its content.
    pub content: String,
    /// Whether variables in it are replaced.
    pub expand: bool,
}

/// COPY or ADD.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copy {
    /// Paths, patterns, URLs or git references, as written.
    pub sources: Vec<String>,
    /// Files written in place.
    pub files: Vec<InlineFile>,
    /// Where to.
    pub destination: String,
    /// `--from`: stage, image or named context (COPY only).
    pub from: Option<String>,
    /// `--chown=user[:group]`.
    pub chown: Option<String>,
    /// `--chmod`, octal or symbolic.
    pub chmod: Option<String>,
    /// `--link`: a layer that does not depend on what is below.
    pub link: bool,
    /// `--parents`: keep the directories of the sources (COPY only).
    pub parents: bool,
    /// `--exclude` patterns.
    pub exclude: Vec<String>,
    /// `--checksum` of an URL or a git reference (ADD only).
    pub checksum: Option<String>,
    /// `--keep-git-dir` (ADD only).
    pub keep_git_dir: Option<bool>,
    /// `--unpack` (ADD only): `None` means archives of the context are unpacked, downloads are not.
    pub unpack: Option<bool>,
}

const COPY_FLAGS: &[(&str, Kind)] = &[
    ("from", Kind::Text),
    ("chown", Kind::Text),
    ("chmod", Kind::Text),
    ("link", Kind::Bool),
    ("parents", Kind::Bool),
    ("exclude", Kind::List),
];

const ADD_FLAGS: &[(&str, Kind)] = &[
    ("chown", Kind::Text),
    ("chmod", Kind::Text),
    ("link", Kind::Bool),
    ("keep-git-dir", Kind::Bool),
    ("checksum", Kind::Text),
    ("unpack", Kind::Bool),
    ("exclude", Kind::List),
];

impl Copy {
    /// Reads COPY or (`add`) ADD.
    pub(super) fn read(
        add: bool,
        flags: &[String],
        rest: &str,
        heredocs: &[Heredoc],
    ) -> Result<Self, Fault> {
        let name = if add { "ADD" } else { "COPY" };
        let flags = Flags::read(flags, if add { ADD_FLAGS } else { COPY_FLAGS })?;
        let mut words = match argument::json(rest)? {
            Some(words) => words,
            None => words_with_heredocs(rest),
        };
        if words.len() < 2 {
            return Err(format!(
                "{name} requires at least two arguments, but only one was provided. Destination could not be determined"
            )
            .into());
        }
        let destination = words.pop().unwrap_or_default();
        if heredoc::head(&destination)?.is_some() {
            return Err(format!("{name} cannot accept a heredoc as a destination").into());
        }
        let mut copy = Self::with_flags(&flags, destination);
        let mut documents = heredocs.iter();
        for word in words {
            match heredoc::head(&word)?.and_then(|_| documents.next()) {
                Some(document) => copy.files.push(InlineFile {
                    name: document.name.clone(),
                    content: document.text(),
                    expand: document.expand,
                }),
                None => copy.sources.push(word),
            }
        }
        Ok(copy)
    }

    fn with_flags(flags: &Flags, destination: String) -> Self {
        Self {
            destination,
            from: flags.text("from").filter(|from| !from.is_empty()),
            chown: flags.text("chown").filter(|owner| !owner.is_empty()),
            chmod: flags.text("chmod").filter(|mode| !mode.is_empty()),
            link: flags.switch("link").unwrap_or(false),
            parents: flags.switch("parents").unwrap_or(false),
            exclude: flags.list("exclude"),
            checksum: flags.text("checksum").filter(|sum| !sum.is_empty()),
            keep_git_dir: flags.switch("keep-git-dir"),
            unpack: flags.switch("unpack"),
            ..Self::default()
        }
    }
}

/// Blank-separated words; the blanks in `<< EOF` belong to the head.
fn words_with_heredocs(rest: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in rest.split_whitespace() {
        match words
            .last_mut()
            .filter(|last| matches!(last.as_str(), "<<" | "<<-"))
        {
            Some(head) => head.push_str(word),
            None => words.push(word.to_owned()),
        }
    }
    words
}

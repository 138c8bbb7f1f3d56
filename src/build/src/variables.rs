//! What `$name` means in each part of a Dockerfile.
//!
//! Before the first FROM only build arguments and platforms exist. Inside a stage a variable is what ENV or ARG last gave
//! it there; ARG takes the value of `--build-arg`, else its default, else the global ARG of that name.

use std::collections::{BTreeMap, BTreeSet};

use gantry_dockerfile::error::Fault;
use gantry_dockerfile::word::{Lexer, Variables};
use gantry_dockerfile::{Dockerfile, Result as LanguageResult};

use crate::platform::Platform;

/// Accepted by `--build-arg` without a declaration, handed to RUN, kept out of history and keys.
pub const PROXIES: &[&str] = &[
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// Arguments that steer the builder; declared or not, they do not become variables of RUN.
pub const SPECIAL: &[&str] = &[
    "BUILDKIT_CACHE_MOUNT_NS",
    "BUILDKIT_CONTEXT_KEEP_GIT_DIR",
    "BUILDKIT_INLINE_CACHE",
    "BUILDKIT_MULTI_PLATFORM",
    "BUILDKIT_SANDBOX_HOSTNAME",
    "BUILDKIT_SYNTAX",
];

/// Variables in order of their first setting; the last value of a name counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table(Vec<(String, String)>);

impl Table {
    /// Sets or replaces.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Every pair, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// `NAME=value` texts, as an image's Env holds them; a text without `=` is a name with an empty value.
    #[must_use]
    pub fn of_env(env: &[String]) -> Self {
        let mut table = Self::default();
        for text in env {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            table.set(name, value);
        }
        table
    }
}

impl Variables for Table {
    fn value(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }
}

/// What is given to a build from outside, and what the file's head makes of it.
#[derive(Debug, Clone, Default)]
pub struct Globals {
    /// `--build-arg`, `None` values (no variable of that name at the caller) already dropped.
    pub build_args: BTreeMap<String, String>,
    /// Platforms and ARG before the first FROM.
    pub table: Table,
}

impl Globals {
    /// Reads the ARGs before the first FROM.
    ///
    /// # Errors
    /// A default that cannot be expanded.
    pub fn new(
        file: &Dockerfile,
        build_args: BTreeMap<String, String>,
        build: &Platform,
        target: &Platform,
        target_stage: &str,
    ) -> LanguageResult<Self> {
        let mut table = Table::default();
        let platforms = build
            .variables("BUILD")
            .into_iter()
            .chain(target.variables("TARGET"));
        for (name, value) in platforms {
            let given = build_args.get(&name);
            table.set(&name, given.unwrap_or(&value));
        }
        table.set(
            "TARGETSTAGE",
            if target_stage.is_empty() {
                "default"
            } else {
                target_stage
            },
        );
        let lexer = Lexer::new(file.directives.escape);
        for (line, argument) in &file.global {
            let default = argument.default.as_deref();
            let default = default.map(|text| lexer.expand(text, &table)).transpose();
            let default = default
                .map_err(|fault| fault.at(*line))?
                .map(|expansion| expansion.text);
            if let Some(value) = build_args.get(&argument.name).cloned().or(default) {
                table.set(&argument.name, &value);
            }
        }
        Ok(Self { build_args, table })
    }

    /// A text of FROM with its variables replaced.
    ///
    /// # Errors
    /// A text that cannot be expanded.
    pub fn expand(&self, text: &str, escape: char) -> Result<String, Fault> {
        Ok(Lexer::new(escape).expand(text, &self.table)?.text)
    }

    /// The proxies given, by name.
    #[must_use]
    pub fn proxies(&self) -> Vec<(String, String)> {
        let given = self
            .build_args
            .iter()
            .filter(|(name, _)| PROXIES.contains(&name.as_str()));
        given
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect()
    }

    /// Build arguments that no ARG of the file declares and nothing else knows: docker warns of them.
    #[must_use]
    pub fn unused(&self, file: &Dockerfile) -> Vec<String> {
        let mut declared: BTreeSet<&str> =
            file.global.iter().map(|(_, a)| a.name.as_str()).collect();
        for instruction in file.stages.iter().flat_map(|stage| &stage.instructions) {
            if let gantry_dockerfile::instruction::Kind::Arg(arguments) = &instruction.kind {
                declared.extend(arguments.iter().map(|argument| argument.name.as_str()));
            }
        }
        let known = |name: &str| {
            declared.contains(name)
                || PROXIES.contains(&name)
                || SPECIAL.contains(&name)
                || name == "SOURCE_DATE_EPOCH"
                || self.table.get(name).is_some()
        };
        self.build_args
            .keys()
            .filter(|name| !known(name))
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globals(text: &str, args: &[(&str, &str)]) -> (Dockerfile, Globals) {
        let file = gantry_dockerfile::parse(text).unwrap();
        let args = args
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        let platform = Platform::parse("linux/amd64").unwrap();
        let globals = Globals::new(&file, args, &platform, &platform, "").unwrap();
        (file, globals)
    }

    #[test]
    fn defaults_build_arguments_and_platforms() {
        let (file, globals) = globals(
            "ARG A=1 B=${A}x C\nARG D=$TARGETARCH\nFROM a\n",
            &[("A", "2"), ("C", "c"), ("Z", "z")],
        );
        let value = |name: &str| globals.table.get(name).unwrap_or("-").to_owned();
        assert_eq!(
            ["A", "B", "C", "D", "TARGETPLATFORM"].map(value),
            ["2", "2x", "c", "amd64", "linux/amd64"]
        );
        assert_eq!(globals.unused(&file), ["Z"]);
        assert_eq!(globals.expand("img:$B", '\\').unwrap(), "img:2x");
    }
}

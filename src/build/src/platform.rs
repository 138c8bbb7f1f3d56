//! Platforms: `linux/amd64`, `linux/arm/v7`, and the variables a build sees of them.

use std::fmt;

use crate::error::{Error, Result};

/// An operating system, an architecture in Go's words, and its variant where it has one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, `arm`, …
    pub architecture: String,
    /// `v7` of `arm`; empty where none is meant.
    pub variant: String,
}

impl Platform {
    /// The machine's own.
    #[must_use]
    pub fn host() -> Self {
        Self {
            os: "linux".to_owned(),
            architecture: gantry_store::config::host_architecture().to_owned(),
            variant: String::new(),
        }
    }

    /// Reads `OS[/ARCH[/VARIANT]]` or an architecture alone; the usual other names are understood
    /// (`x86_64`, `aarch64`, `armhf`, …), and a variant that means nothing is dropped (`arm64/v8`).
    ///
    /// # Errors
    /// An empty part, a character no platform has, or more than three parts.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || Error::Platform(text.to_owned());
        let parts: Vec<String> = text.split('/').map(str::to_lowercase).collect();
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if parts
            .iter()
            .any(|part| part.is_empty() || !part.chars().all(allowed))
        {
            return Err(wrong());
        }
        let (os, architecture, variant) = match parts.as_slice() {
            [one] if is_os(one) => (one.as_str(), Self::host().architecture, ""),
            [one] => ("linux", one.clone(), ""),
            [os, architecture] => (os.as_str(), architecture.clone(), ""),
            [os, architecture, variant] => (os.as_str(), architecture.clone(), variant.as_str()),
            _ => return Err(wrong()),
        };
        let (architecture, variant) = normalise(&architecture, variant);
        Ok(Self {
            os: if os == "macos" {
                "darwin".to_owned()
            } else {
                os.to_owned()
            },
            architecture: architecture.to_owned(),
            variant: variant.to_owned(),
        })
    }

    /// The variables a Dockerfile sees: `{prefix}PLATFORM`, `OS`, `ARCH` and `VARIANT`.
    #[must_use]
    pub fn variables(&self, prefix: &str) -> Vec<(String, String)> {
        [
            ("PLATFORM", self.to_string()),
            ("OS", self.os.clone()),
            ("ARCH", self.architecture.clone()),
            ("VARIANT", self.variant.clone()),
        ]
        .into_iter()
        .map(|(name, value)| (format!("{prefix}{name}"), value))
        .collect()
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match self.variant.as_str() {
            "" => Ok(()),
            variant => write!(f, "/{variant}"),
        }
    }
}

fn is_os(word: &str) -> bool {
    matches!(
        word,
        "linux"
            | "windows"
            | "darwin"
            | "macos"
            | "freebsd"
            | "netbsd"
            | "openbsd"
            | "solaris"
            | "wasi"
    )
}

fn normalise<'a>(architecture: &'a str, variant: &'a str) -> (&'a str, &'a str) {
    match (architecture, variant) {
        ("i386" | "386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "" | "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", _) => ("amd64", variant),
        ("aarch64" | "arm64", "" | "8" | "v8") => ("arm64", ""),
        ("aarch64" | "arm64", _) => ("arm64", variant),
        ("armhf", _) => ("arm", "v7"),
        ("armel", _) => ("arm", "v6"),
        ("arm", "" | "7") => ("arm", "v7"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "6") => ("arm", "v6"),
        ("arm", "8") => ("arm", "v8"),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised() {
        for (text, expected) in [
            ("linux/amd64", "linux/amd64"),
            ("linux/x86_64", "linux/amd64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("armel", "linux/arm/v6"),
            ("LINUX/AMD64/v2", "linux/amd64/v2"),
        ] {
            assert_eq!(Platform::parse(text).unwrap().to_string(), expected);
        }
        for wrong in ["", "linux/", "a/b/c/d", "lin ux/amd64"] {
            assert!(Platform::parse(wrong).is_err(), "{wrong}");
        }
    }
}

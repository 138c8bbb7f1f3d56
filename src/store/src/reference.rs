//! Image references as docker reads, completes and prints them: `[domain/]path[:tag][@digest]`, `docker.io` and
//! `library/` implied, `latest` when neither tag nor digest is given. Error texts are docker's.

use std::fmt;

use crate::digest::{Digest, is_hex64};
use crate::error::{Error, Result};

const DEFAULT_DOMAIN: &str = "docker.io";
const LEGACY_DOMAIN: &str = "index.docker.io";
const NAME_MAX: usize = 255;

/// A completed reference: domain and path always, a tag or a digest or both or none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// What a user may write where docker takes a reference or an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnyReference {
    /// 64 hex digits or `sha256:` and 64 hex digits.
    Id(Digest),
    /// A name.
    Named(Reference),
}

fn invalid(text: impl Into<String>) -> Error {
    Error::Invalid(text.into())
}

impl Reference {
    /// Reads and completes a reference; adds no tag (see [`Reference::with_default_tag`]).
    ///
    /// # Errors
    /// docker's texts: `invalid reference format`, `invalid reference format: repository name (X) must be lowercase`,
    /// `invalid repository name (X), cannot specify 64-byte hexadecimal strings`, ….
    pub fn parse(text: &str) -> Result<Reference> {
        if is_hex64(text) {
            return Err(invalid(format!(
                "invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
            )));
        }
        let (domain, rest) = split_domain(text);
        let remote = rest.split(':').next().unwrap_or_default();
        if remote.chars().any(char::is_uppercase) {
            return Err(invalid(format!(
                "invalid reference format: repository name ({remote}) must be lowercase"
            )));
        }
        let bad = || invalid("invalid reference format");
        let (named, digest) = match rest.split_once('@') {
            Some((named, digest)) => (named, Some(Digest::parse(digest).map_err(|_| bad())?)),
            None => (rest.as_str(), None),
        };
        let (path, tag) = match named.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (named, None),
        };
        if !valid_domain(&domain)
            || !path.split('/').all(valid_component)
            || !tag.is_none_or(valid_tag)
        {
            return Err(bad());
        }
        if domain.len() + 1 + path.len() > NAME_MAX {
            return Err(invalid(format!(
                "repository name must not be more than {NAME_MAX} characters"
            )));
        }
        Ok(Reference {
            domain,
            path: path.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }

    /// The registry's host, with its port if it has one: `docker.io`, `localhost:5000`.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository's path on its registry: `library/busybox`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Domain and path: `docker.io/library/busybox`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The tag, if one was given.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was given. It wins over the tag.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// The name as docker prints it: `busybox`, `user/app`, `localhost:5000/app`.
    #[must_use]
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.name();
        }
        match self.path.strip_prefix("library/") {
            Some(short) if !short.contains('/') => short.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// The whole reference as docker prints it: `busybox:latest`.
    #[must_use]
    pub fn familiar(&self) -> String {
        self.suffixed(self.familiar_name())
    }

    fn suffixed(&self, mut text: String) -> String {
        if let Some(tag) = &self.tag {
            text = format!("{text}:{tag}");
        }
        if let Some(digest) = &self.digest {
            text = format!("{text}@{digest}");
        }
        text
    }

    /// With `latest` where neither tag nor digest is given.
    #[must_use]
    pub fn with_default_tag(mut self) -> Reference {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some("latest".to_owned());
        }
        self
    }

    /// The same repository with this tag and no digest.
    ///
    /// # Errors
    /// `invalid tag format`.
    pub fn with_tag(&self, tag: &str) -> Result<Reference> {
        if !valid_tag(tag) {
            return Err(invalid("invalid tag format"));
        }
        Ok(Reference {
            tag: Some(tag.to_owned()),
            digest: None,
            ..self.clone()
        })
    }

    /// The same repository with this digest and no tag.
    #[must_use]
    pub fn with_digest(&self, digest: &Digest) -> Reference {
        Reference {
            tag: None,
            digest: Some(digest.clone()),
            ..self.clone()
        }
    }

    /// The repository alone.
    #[must_use]
    pub fn repository(&self) -> Reference {
        Reference {
            tag: None,
            digest: None,
            ..self.clone()
        }
    }

    /// What the store's table is keyed by: tag and digest never both, the digest winning; `latest` by default.
    #[must_use]
    pub fn key(&self) -> Reference {
        match &self.digest {
            Some(digest) => self.with_digest(digest),
            None => self.clone().with_default_tag(),
        }
    }
}

impl fmt::Display for Reference {
    /// The full form: `docker.io/library/busybox:latest`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.suffixed(self.name()))
    }
}

impl AnyReference {
    /// Reads an id or a reference, in docker's order.
    ///
    /// # Errors
    /// As [`Reference::parse`].
    pub fn parse(text: &str) -> Result<AnyReference> {
        if is_hex64(text) {
            return Digest::from_hex(text).map(AnyReference::Id);
        }
        if let Ok(digest) = Digest::parse(text) {
            return Ok(AnyReference::Id(digest));
        }
        Reference::parse(text).map(AnyReference::Named)
    }
}

fn split_domain(text: &str) -> (String, String) {
    let host = text.split_once('/').filter(|(first, _)| {
        first.contains(['.', ':']) || *first == "localhost" || first.chars().any(char::is_uppercase)
    });
    let (mut domain, mut rest) = match host {
        Some((domain, rest)) => (domain.to_owned(), rest.to_owned()),
        None => (DEFAULT_DOMAIN.to_owned(), text.to_owned()),
    };
    if domain == LEGACY_DOMAIN {
        DEFAULT_DOMAIN.clone_into(&mut domain);
    }
    if domain == DEFAULT_DOMAIN && !rest.contains('/') {
        rest = format!("library/{rest}");
    }
    (domain, rest)
}

fn valid_domain(domain: &str) -> bool {
    let (host, port) = match domain.strip_prefix('[') {
        Some(v6) => match v6.split_once(']') {
            Some((host, rest)) => {
                let ok =
                    !host.is_empty() && host.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
                return ok && (rest.is_empty() || rest.strip_prefix(':').is_some_and(valid_port));
            }
            None => return false,
        },
        None => match domain.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (domain, None),
        },
    };
    let label = |label: &str| {
        let bytes = label.as_bytes();
        !bytes.is_empty()
            && bytes
                .iter()
                .all(|b| b.is_ascii_alphanumeric() || *b == b'-')
            && bytes[0] != b'-'
            && bytes[bytes.len() - 1] != b'-'
    };
    host.split('.').all(label) && port.is_none_or(valid_port)
}

fn valid_port(port: &str) -> bool {
    !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())
}

/// Lower-case letters and digits joined by one of `.`, `_`, `__` or any number of `-`.
fn valid_component(component: &str) -> bool {
    let alnum = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let mut i = 0;
    loop {
        let word = bytes[i..].iter().take_while(|b| alnum(b)).count();
        if word == 0 {
            return false;
        }
        i += word;
        if i == bytes.len() {
            return true;
        }
        let joint = bytes[i..].iter().take_while(|b| !alnum(b)).count();
        let text = &bytes[i..i + joint];
        if !matches!(text, b"." | b"_" | b"__") && !text.iter().all(|b| *b == b'-') {
            return false;
        }
        i += joint;
    }
}

fn valid_tag(tag: &str) -> bool {
    let bytes = tag.as_bytes();
    let word = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    (1..=128).contains(&bytes.len())
        && word(&bytes[0])
        && bytes.iter().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(text: &str) -> String {
        Reference::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn completes_and_shortens() {
        for (text, full, familiar) in [
            ("busybox", "docker.io/library/busybox", "busybox"),
            ("busybox:1", "docker.io/library/busybox:1", "busybox:1"),
            ("user/app", "docker.io/user/app", "user/app"),
            ("index.docker.io/x", "docker.io/library/x", "x"),
            ("localhost/x", "localhost/x", "localhost/x"),
            (
                "localhost:5000/a/b:t",
                "localhost:5000/a/b:t",
                "localhost:5000/a/b:t",
            ),
            ("[::1]:5000/a", "[::1]:5000/a", "[::1]:5000/a"),
            ("a__b/c---d", "docker.io/a__b/c---d", "a__b/c---d"),
        ] {
            let reference = Reference::parse(text).unwrap();
            assert_eq!(reference.to_string(), full);
            assert_eq!(reference.familiar(), familiar);
        }
    }

    #[test]
    fn refuses_in_dockers_words() {
        assert_eq!(error(""), "invalid reference format");
        assert_eq!(error(":x"), "invalid reference format");
        assert_eq!(error("a b"), "invalid reference format");
        assert_eq!(error("a___b"), "invalid reference format");
        assert_eq!(error("a:"), "invalid reference format");
        assert_eq!(error("a@sha256:00"), "invalid reference format");
        assert_eq!(
            error("Foo"),
            "invalid reference format: repository name (library/Foo) must be lowercase"
        );
        assert_eq!(
            error("x.io/Foo:1"),
            "invalid reference format: repository name (Foo) must be lowercase"
        );
        let id = "a".repeat(64);
        assert_eq!(
            error(&id),
            format!("invalid repository name ({id}), cannot specify 64-byte hexadecimal strings")
        );
    }

    proptest! {
        #[test]
        fn printing_and_reading_are_inverse(text in "[a-z]{1,5}(/[a-z0-9]{1,4}){0,2}(:[A-Za-z0-9_][a-z.-]{0,5})?") {
            let reference = Reference::parse(&text).unwrap();
            prop_assert_eq!(&Reference::parse(&reference.familiar()).unwrap(), &reference);
            prop_assert_eq!(&Reference::parse(&reference.to_string()).unwrap(), &reference);
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            if let Ok(reference) = Reference::parse(&text) {
                prop_assert!(reference.path().chars().all(|c| !c.is_uppercase()));
            }
        }
    }
}

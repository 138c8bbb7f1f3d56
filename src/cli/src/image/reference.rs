//! Names of images: `[registry/]repository[:tag][@digest]`, after the distribution project's grammar.

use crate::failure::{Failure, Outcome};

/// A name taken apart, its defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// `docker.io`, `localhost:5000`, ….
    pub domain: String,
    /// `library/debian`, ….
    pub path: String,
    /// Empty when there is a digest only.
    pub tag: String,
    /// `sha256:…`, or empty.
    pub digest: String,
}

fn invalid(why: &str) -> Failure {
    Failure::new(if why.is_empty() {
        "invalid reference format".to_owned()
    } else {
        format!("invalid reference format: {why}")
    })
}

fn is_component(text: &str) -> bool {
    let bytes = text.as_bytes();
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    !bytes.is_empty()
        && word(bytes[0])
        && word(bytes[bytes.len() - 1])
        && bytes
            .iter()
            .all(|&byte| word(byte) || b"._-".contains(&byte))
        && !["..", "___", "._", "_.", "-.", ".-", "-_", "_-"]
            .iter()
            .any(|pair| text.contains(pair))
}

fn is_tag(text: &str) -> bool {
    let bytes = text.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= 128
        && (bytes[0].is_ascii_alphanumeric() || bytes[0] == b'_')
        && bytes
            .iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

impl Name {
    /// Reads a name as people type it.
    ///
    /// # Errors
    /// In docker's words.
    pub fn parse(text: &str) -> Outcome<Self> {
        if text.len() == 64
            && text
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Err(Failure::new(format!(
                "invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
            )));
        }
        let (rest, digest) = text.split_once('@').unwrap_or((text, ""));
        if text.contains('@') {
            let good = digest.split_once(':').is_some_and(|(algorithm, digits)| {
                !algorithm.is_empty()
                    && digits.len() >= 32
                    && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
            });
            if !good {
                return Err(invalid(""));
            }
        }
        let (domain, rest) = match rest.split_once('/') {
            Some((first, rest))
                if first == "localhost"
                    || first.contains(['.', ':'])
                    || first.chars().any(char::is_uppercase) =>
            {
                (first.to_owned(), rest.to_owned())
            }
            Some(_) => ("docker.io".to_owned(), rest.to_owned()),
            None => ("docker.io".to_owned(), format!("library/{rest}")),
        };
        let domain = if domain == "index.docker.io" {
            "docker.io".to_owned()
        } else {
            domain
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) => (path, tag),
            None => (rest.as_str(), ""),
        };
        if path.chars().any(char::is_uppercase) {
            return Err(invalid(&format!(
                "repository name ({path}) must be lowercase"
            )));
        }
        if !path.split('/').all(is_component) || (rest.contains(':') && !is_tag(tag)) {
            return Err(invalid(""));
        }
        Ok(Self {
            domain,
            path: path.to_owned(),
            tag: tag.to_owned(),
            digest: digest.to_owned(),
        })
    }

    /// `docker.io/library/debian`.
    #[must_use]
    pub fn repository(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// `debian`, as people write it.
    #[must_use]
    pub fn familiar_repository(&self) -> String {
        match (self.domain.as_str(), self.path.strip_prefix("library/")) {
            ("docker.io", Some(short)) => short.to_owned(),
            ("docker.io", None) => self.path.clone(),
            _ => self.repository(),
        }
    }

    /// What comes after the repository: the digest, else the tag, else `latest`.
    #[must_use]
    pub fn tag_or_digest(&self) -> &str {
        match (self.digest.as_str(), self.tag.as_str()) {
            ("", "") => "latest",
            ("", tag) => tag,
            (digest, _) => digest,
        }
    }

    /// The whole name with its default tag.
    fn with(&self, repository: &str) -> String {
        match (self.tag.as_str(), self.digest.as_str()) {
            ("", "") => format!("{repository}:latest"),
            (tag, "") => format!("{repository}:{tag}"),
            ("", digest) => format!("{repository}@{digest}"),
            (tag, digest) => format!("{repository}:{tag}@{digest}"),
        }
    }

    /// `debian:latest`.
    #[must_use]
    pub fn familiar(&self) -> String {
        self.with(&self.familiar_repository())
    }

    /// `docker.io/library/debian:latest`.
    #[must_use]
    pub fn full(&self) -> String {
        self.with(&self.repository())
    }
}

/// `debian` becomes `debian:latest`.
///
/// # Errors
/// For what is no name.
pub fn familiar(text: &str) -> Outcome<String> {
    Name::parse(text).map(|name| name.familiar())
}

/// The repository and the tag of a new name, `latest` when none is given.
///
/// # Errors
/// For what is no name, or a name with a digest.
pub fn split(text: &str) -> Outcome<(String, String)> {
    let name = Name::parse(text)?;
    if !name.digest.is_empty() {
        return Err(Failure::new(
            "refusing to create a tag with a digest reference",
        ));
    }
    let tag = if name.tag.is_empty() {
        "latest".to_owned()
    } else {
        name.tag.clone()
    };
    Ok((name.familiar_repository(), tag))
}

#[cfg(test)]
mod tests {
    use super::{Name, familiar};

    #[test]
    fn defaults_are_filled_in() {
        for (text, full) in [
            ("debian", "docker.io/library/debian:latest"),
            ("a/b:1", "docker.io/a/b:1"),
            ("localhost:5000/x", "localhost:5000/x:latest"),
            ("localhost/x:y", "localhost/x:y"),
        ] {
            assert_eq!(
                Name::parse(text).map(|name| name.full()).ok().as_deref(),
                Some(full)
            );
        }
        assert_eq!(
            familiar("docker.io/library/debian:12").ok().as_deref(),
            Some("debian:12")
        );
        let refused = Name::parse("UPPER").expect_err("upper case");
        assert_eq!(
            refused.text,
            "invalid reference format: repository name (library/UPPER) must be lowercase"
        );
        assert!(
            Name::parse("a:b:c").is_err()
                && Name::parse("").is_err()
                && Name::parse("a@sha256:x").is_err()
        );
    }
}

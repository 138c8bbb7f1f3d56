//! Digests: `sha256:` and 64 hex digits, the name of every piece of content. image-spec "descriptor.md", Digests.

use std::fmt;
use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::error::{Error, Result};

/// A sha256 digest. Other algorithms are refused: no registry or engine of the field writes them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(Box<str>);

impl Digest {
    /// Reads `sha256:HEX`, 64 lower-case digits.
    ///
    /// # Errors
    /// `invalid digest …` when it is anything else.
    pub fn parse(text: &str) -> Result<Digest> {
        match text.strip_prefix("sha256:") {
            Some(hex) if is_hex64(hex) => Ok(Digest(hex.into())),
            _ => Err(Error::Invalid(format!(
                "invalid digest {text:?}: expected sha256: and 64 lower-case hex digits"
            ))),
        }
    }

    /// Makes one of 64 hex digits without the algorithm.
    ///
    /// # Errors
    /// As [`Digest::parse`].
    pub fn from_hex(hex: &str) -> Result<Digest> {
        Digest::parse(&format!("sha256:{hex}"))
    }

    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Digest {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The 64 hex digits.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0
    }

    /// The first 12 hex digits, as docker shortens ids.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..12]
    }

    /// The chain id of a layer with this diffID on top of `parent` (image-spec "config.md", Layer ChainID).
    #[must_use]
    pub fn chain(parent: Option<&Digest>, diff: &Digest) -> Digest {
        match parent {
            None => diff.clone(),
            Some(parent) => Digest::of(format!("{parent} {diff}").as_bytes()),
        }
    }
}

/// True for 64 lower-case hex digits.
#[must_use]
pub fn is_hex64(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Digest {
    type Error = Error;
    fn try_from(text: String) -> Result<Digest> {
        Digest::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

/// Running sha256.
#[derive(Clone, Default)]
pub struct Hasher(sha2::Sha256);

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

impl Hasher {
    /// Of nothing yet.
    #[must_use]
    pub fn new() -> Hasher {
        Hasher::default()
    }

    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes taken.
    #[must_use]
    pub fn finish(self) -> Digest {
        let mut hex = String::with_capacity(64);
        for byte in self.0.finalize() {
            for nibble in [byte >> 4, byte & 15] {
                hex.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
            }
        }
        Digest(hex.into())
    }
}

/// Passes bytes on and keeps their digest and count. Reads when its inner value reads, writes when it writes.
#[derive(Debug)]
pub struct Tally<T> {
    inner: T,
    hasher: Hasher,
    count: u64,
}

impl<T> Tally<T> {
    /// Begins at zero.
    pub fn new(inner: T) -> Tally<T> {
        Tally {
            inner,
            hasher: Hasher::new(),
            count: 0,
        }
    }

    /// Bytes passed so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The inner value, for what is neither read nor written through here.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// The inner value, the digest and the count.
    pub fn finish(self) -> (T, Digest, u64) {
        (self.inner, self.hasher.finish(), self.count)
    }
}

impl<R: Read> Read for Tally<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.hasher.update(&buf[..n]);
        self.count += n as u64;
        Ok(n)
    }
}

impl<W: Write> Write for Tally<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buf)?;
        self.hasher.update(&buf[..n]);
        self.count += n as u64;
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert_eq!(
            Digest::of(b"").to_string(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert!(Digest::parse("sha256:E3").is_err());
        assert!(Digest::parse("sha512:00").is_err());
    }

    #[test]
    fn chain_of_one_is_the_diff() {
        let a = Digest::of(b"a");
        assert_eq!(Digest::chain(None, &a), a);
        let b = Digest::of(b"b");
        assert_eq!(
            Digest::chain(Some(&a), &b),
            Digest::of(format!("{a} {b}").as_bytes())
        );
    }
}

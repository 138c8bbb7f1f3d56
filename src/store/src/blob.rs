//! Content by digest.

use std::fs;
use std::path::PathBuf;

use crate::digest::Digest;
use crate::durable;
use crate::error::{At, Error, Result};
use crate::store::{Lease, Store};

impl Store {
    pub(crate) fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.path("blobs/sha256").join(digest.hex())
    }

    /// Keeps bytes (an image configuration, a manifest) by their digest.
    ///
    /// # Errors
    /// The disk's.
    pub fn put_blob(&self, lease: &Lease, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        lease.hold(&mut self.state(), &digest);
        let path = self.blob_path(&digest);
        if !path.exists() {
            durable::write_file(&path, bytes)?;
        }
        Ok(digest)
    }

    /// The bytes of that digest, checked.
    ///
    /// # Errors
    /// Not there; not what the digest says.
    pub fn blob(&self, digest: &Digest) -> Result<Vec<u8>> {
        let path = self.blob_path(digest);
        let bytes = fs::read(&path).at("read", &path)?;
        if Digest::of(&bytes) != *digest {
            return Err(Error::Corrupt(format!(
                "content {digest} is damaged on disk"
            )));
        }
        Ok(bytes)
    }
}

//! A layer compressed for a registry. gzip with nothing in it that varies: the same layer gives the same bytes, so that a
//! registry that has them is not sent them again.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom};

use flate2::{Compression, GzBuilder};

use crate::digest::{Digest, Tally};
use crate::durable;
use crate::error::{At, Result};
use crate::store::Store;

/// A layer's compressed archive in an unnamed file.
#[derive(Debug)]
pub struct Packed {
    file: File,
    /// Digest of the compressed bytes.
    pub digest: Digest,
    /// How many they are.
    pub size: u64,
}

impl Store {
    /// Compresses a layer. Its content is checked against its diffID on the way.
    ///
    /// # Errors
    /// Not there; damaged; the disk's.
    pub fn pack_layer(&self, chain_id: &Digest) -> Result<Packed> {
        let path = self.path("tmp").join(durable::unique("pack"));
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .at("create", &path)?;
        // Unnamed from here on: gone with the process.
        std::fs::remove_file(&path).at("remove", &path)?;
        let to = Tally::new(BufWriter::new(file));
        let mut gzip = GzBuilder::new().mtime(0).write(to, Compression::new(6));
        self.write_layer(chain_id, &mut gzip)?;
        let (buffered, digest, size) = gzip.finish()?.finish();
        let mut file = buffered
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0)).at("seek in", &path)?;
        Ok(Packed { file, digest, size })
    }
}

impl Packed {
    /// Back to the first byte, for another attempt.
    ///
    /// # Errors
    /// The disk's.
    pub fn rewind(&mut self) -> Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        Ok(())
    }
}

impl Read for Packed {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.file.read(buf)
    }
}

//! Content on its way in: a file per digest that grows as bytes come, survives a kill and is taken up again where it
//! ended. Nothing of it is trusted: what was there is hashed again, and only a whole file of the right digest is used.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};

use crate::digest::{Digest, Hasher};
use crate::durable;
use crate::error::{At, Error, Result};
use crate::store::Store;

/// Digests being written by this process: a second pull of the same content waits for the first.
#[derive(Debug, Default)]
pub(crate) struct Busy {
    digests: Mutex<HashSet<Digest>>,
    freed: Condvar,
}

/// One piece of content on its way in.
#[derive(Debug)]
pub struct Ingest {
    store: Store,
    path: PathBuf,
    file: File,
    digest: Digest,
    size: u64,
    done: u64,
    hasher: Hasher,
}

impl Store {
    /// Opens the content of that digest and size, taking up what an earlier attempt left. Waits while another thread
    /// writes the same.
    ///
    /// # Errors
    /// The disk's.
    pub fn ingest(&self, digest: &Digest, size: u64) -> Result<Ingest> {
        let busy = &self.0.busy;
        let mut taken = busy.digests.lock().unwrap_or_else(PoisonError::into_inner);
        while !taken.insert(digest.clone()) {
            taken = busy
                .freed
                .wait(taken)
                .unwrap_or_else(PoisonError::into_inner);
        }
        drop(taken);
        self.open_ingest(digest, size)
            .inspect_err(|_| self.free(digest))
    }

    fn open_ingest(&self, digest: &Digest, size: u64) -> Result<Ingest> {
        let path = self.path("ingest").join(digest.hex());
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let file = file.at("open", &path)?;
        let mut ingest = Ingest {
            store: self.clone(),
            path,
            file,
            digest: digest.clone(),
            size,
            done: 0,
            hasher: Hasher::new(),
        };
        ingest.take_up().inspect_err(|_| self.free(digest))?;
        Ok(ingest)
    }

    fn free(&self, digest: &Digest) {
        self.0
            .busy
            .digests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(digest);
        self.0.busy.freed.notify_all();
    }
}

impl Ingest {
    fn take_up(&mut self) -> Result<()> {
        let mut buf = vec![0; 128 * 1024];
        loop {
            let n = self.file.read(&mut buf).at("read", &self.path)?;
            if n == 0 {
                break;
            }
            self.hasher.update(&buf[..n]);
            self.done += n as u64;
        }
        if self.done > self.size || (self.is_whole() && self.hasher.clone().finish() != self.digest)
        {
            self.restart()?;
        }
        Ok(())
    }

    /// Bytes that are there.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.done
    }

    /// True when all bytes are there. Their digest is checked by [`Ingest::finish`].
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.done == self.size
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// More than were announced; the disk's.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.done + bytes.len() as u64 > self.size {
            return Err(Error::Invalid(format!(
                "content {} is larger than the {} bytes announced",
                self.digest, self.size
            )));
        }
        self.file.write_all(bytes).at("write", &self.path)?;
        self.hasher.update(bytes);
        self.done += bytes.len() as u64;
        Ok(())
    }

    /// Begins anew: the sender does not resume, or what came was wrong.
    ///
    /// # Errors
    /// The disk's.
    pub fn restart(&mut self) -> Result<()> {
        self.file.set_len(0).at("truncate", &self.path)?;
        self.file
            .seek(SeekFrom::Start(0))
            .at("seek in", &self.path)?;
        self.done = 0;
        self.hasher = Hasher::new();
        Ok(())
    }

    /// Checks size and digest and gives the content to read; others may take the same content up from then on. A wrong
    /// digest empties it: the next attempt begins anew.
    ///
    /// # Errors
    /// Cut short; the digest's mismatch.
    pub fn finish(mut self) -> Result<Arrived> {
        if !self.is_whole() {
            return Err(Error::Invalid(format!(
                "content {} ended after {} of {} bytes",
                self.digest, self.done, self.size
            )));
        }
        let got = self.hasher.clone().finish();
        if got != self.digest {
            self.restart()?;
            return Err(Error::Invalid(format!(
                "filesystem layer verification failed for digest {}: got {got}",
                self.digest
            )));
        }
        let mut file = self.file.try_clone().at("duplicate", &self.path)?;
        file.seek(SeekFrom::Start(0)).at("seek in", &self.path)?;
        Ok(Arrived {
            file,
            path: self.path.clone(),
        })
    }
}

/// Content that is whole and checked. It stays in the store's `ingest`, to be taken up again after a kill, until it is
/// discarded.
#[derive(Debug)]
pub struct Arrived {
    file: File,
    path: PathBuf,
}

impl Arrived {
    /// It is used: away with it.
    ///
    /// # Errors
    /// The disk's.
    pub fn discard(self) -> Result<()> {
        durable::remove_file(&self.path)
    }
}

impl Read for Arrived {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.file.read(buf)
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        self.store.free(&self.digest);
    }
}

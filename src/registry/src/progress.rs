//! What a pull or push tells while it works: docker's status words, by layer.

use std::sync::atomic::{AtomicBool, Ordering};

use gantry_store::Digest;

use crate::error::{Error, Result};

/// One line of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A status of the whole: `Digest: sha256:…`.
    Status(String),
    /// A status of one layer or, at the beginning, of a tag.
    Of {
        /// The layer's short digest, or the tag.
        id: String,
        /// `Downloading`.
        status: String,
        /// Bytes done and bytes in all, where that makes sense.
        bytes: Option<(u64, u64)>,
    },
    /// What a push made.
    Pushed {
        /// The tag.
        tag: String,
        /// The manifest's digest.
        digest: Digest,
        /// The manifest's size.
        size: u64,
    },
}

/// Where progress goes, and whether to go on.
#[derive(Clone, Copy)]
pub struct Observer<'a> {
    sink: &'a (dyn Fn(Progress) + Sync),
    cancel: &'a AtomicBool,
}

impl std::fmt::Debug for Observer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observer")
            .field("cancel", self.cancel)
            .finish_non_exhaustive()
    }
}

impl<'a> Observer<'a> {
    /// Tells `sink`, from any thread; stops when `cancel` becomes true.
    pub fn new(sink: &'a (dyn Fn(Progress) + Sync), cancel: &'a AtomicBool) -> Observer<'a> {
        Observer { sink, cancel }
    }

    pub(crate) fn status(&self, text: impl Into<String>) {
        (self.sink)(Progress::Status(text.into()));
    }

    pub(crate) fn of(&self, id: &str, status: &str) {
        (self.sink)(Progress::Of {
            id: id.to_owned(),
            status: status.to_owned(),
            bytes: None,
        });
    }

    pub(crate) fn bytes(&self, id: &str, status: &str, done: u64, all: u64) {
        (self.sink)(Progress::Of {
            id: id.to_owned(),
            status: status.to_owned(),
            bytes: Some((done, all)),
        });
    }

    pub(crate) fn tell(&self, progress: Progress) {
        (self.sink)(progress);
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.cancel.load(Ordering::Relaxed) {
            Err(Error::Canceled)
        } else {
            Ok(())
        }
    }
}

/// Tells of bytes passing, every per cent but no more often than docker does: not below 512 KiB steps for large ones.
pub(crate) struct Meter<'a, T> {
    inner: T,
    observer: Observer<'a>,
    id: String,
    status: &'static str,
    done: u64,
    all: u64,
    told: u64,
}

impl<'a, T> Meter<'a, T> {
    pub(crate) fn new(
        inner: T,
        observer: Observer<'a>,
        id: &str,
        status: &'static str,
        done: u64,
        all: u64,
    ) -> Meter<'a, T> {
        Meter {
            inner,
            observer,
            id: id.to_owned(),
            status,
            done,
            all,
            told: done,
        }
    }

    fn pass(&mut self, n: usize) {
        self.done += n as u64;
        let step = (self.all / 100).min(512 * 1024);
        if self.done - self.told > step || (n == 0 && self.told != self.done) {
            self.told = self.done;
            self.observer
                .bytes(&self.id, self.status, self.done, self.all);
        }
    }
}

impl<T: std::io::Read> std::io::Read for Meter<'_, T> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.observer.check().map_err(std::io::Error::other)?;
        let n = self.inner.read(buf)?;
        self.pass(n);
        Ok(n)
    }
}

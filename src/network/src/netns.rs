//! Network namespaces: made, kept by a bind mount on a file, entered by one short-lived thread.
//!
//! A thread that entered another namespace is never reused: it ends, so no other code can run in the wrong one.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::thread;

use nix::mount::{MntFlags, MsFlags};
use nix::sched::{CloneFlags, setns, unshare};

use crate::error::{Error, Result};

/// A network namespace held open.
#[derive(Debug)]
pub struct Namespace {
    file: File,
}

impl Namespace {
    /// Makes a namespace and pins it at `path`, which must not exist.
    ///
    /// # Errors
    /// A kernel call failed; then nothing is left at `path`.
    pub fn create(path: &Path) -> Result<Self> {
        let step = format!("network namespace {}", path.display());
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)
            .map_err(|e| Error::kernel(&step, "open", e))?;
        let made = thread::scope(|scope| {
            let work = scope.spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET)
                    .map_err(|e| Error::kernel(&step, "unshare(CLONE_NEWNET)", e))?;
                nix::mount::mount(
                    Some("/proc/thread-self/ns/net"),
                    path,
                    None::<&str>,
                    MsFlags::MS_BIND,
                    None::<&str>,
                )
                .map_err(|e| Error::kernel(&step, "mount(MS_BIND)", e))
            });
            work.join().unwrap_or_else(|_| {
                Err(Error::Server(format!("{step}: the thread making it died")))
            })
        });
        let opened = made.and_then(|()| Self::open(path));
        if opened.is_err() {
            Self::remove(path)?;
        }
        opened
    }

    /// Opens the namespace at `path`: a pinned one, or `/proc/<pid>/ns/net`.
    ///
    /// # Errors
    /// There is none.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| {
            Error::kernel(format!("network namespace {}", path.display()), "open", e)
        })?;
        Ok(Self { file })
    }

    /// Unpins the namespace at `path`; it goes with its last process. Nothing there is fine.
    ///
    /// # Errors
    /// A kernel call failed.
    pub fn remove(path: &Path) -> Result<()> {
        let step = format!("network namespace {}", path.display());
        match nix::mount::umount2(path, MntFlags::MNT_DETACH) {
            Ok(()) | Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOENT) => {}
            Err(e) => return Err(Error::kernel(step, "umount2(MNT_DETACH)", e)),
        }
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::kernel(step, "unlink", e)),
            _ => Ok(()),
        }
    }

    /// The open file, for passing the namespace to the kernel.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Runs `work` inside the namespace and waits for it. Sockets it opens stay in the namespace.
    ///
    /// # Errors
    /// The namespace could not be entered, or `work` failed.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(self.file.as_fd(), CloneFlags::CLONE_NEWNET)
                    .map_err(|e| Error::kernel("network namespace", "setns(CLONE_NEWNET)", e))?;
                work()
            });
            inside.join().unwrap_or_else(|_| {
                Err(Error::Server(
                    "the thread inside a network namespace died".into(),
                ))
            })
        })
    }
}

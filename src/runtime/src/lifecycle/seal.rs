//! The runtime's own binary must not be writable from inside a container (CVE-2019-5736).
//!
//! A container whose program is `/proc/self/exe` runs init's file; whoever may then write to that file owns the host. So
//! before the first clone this process runs itself again from a read-only copy of the mount its file lies on, which
//! nobody can make writable, or from a sealed copy in memory. Where nothing can write to the file anyway, nothing is done.

use std::ffi::CString;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use sys::mount::{self, Change, attribute};
use sys::{Errno, file, process};

use crate::error::{Error, Kernelize, Result};

/// Goes on only in a program that a container cannot write to; else replaces this program by such a one.
///
/// # Errors
/// The kernel's, where neither way is open.
pub fn ensure() -> Result<()> {
    let step = || "own program".to_owned();
    let own = file::place(file::here(), c"/proc/self/exe").step(step, "open")?;
    if mount::is_readonly(own.as_fd()).step(step, "fstatfs")? {
        return Ok(());
    }
    let readable = file::open_read(file::here(), c"/proc/self/exe").step(step, "open")?;
    if file::is_sealed(readable.as_fd()) {
        return Ok(());
    }
    let text = |bytes: Vec<u8>| {
        CString::new(bytes).map_err(|_| Error::Bug("an argument contains a NUL".to_owned()))
    };
    let args = std::env::args_os()
        .map(|arg| text(arg.into_vec()))
        .collect::<Result<Vec<_>>>()?;
    let env = std::env::vars_os()
        .map(|(name, value)| text([name.as_bytes(), b"=", value.as_bytes()].concat()));
    let env = env.collect::<Result<Vec<_>>>()?;
    let readonly = Change {
        set: attribute::RDONLY,
        ..Change::default()
    };
    let cloned = mount::clone_tree(own.as_fd(), c"", false)
        .and_then(|clone| mount::change(clone.as_fd(), readonly, false).map(|()| clone));
    if let Ok(clone) = cloned {
        let errno = process::execute_file(clone.as_fd(), &args, &env);
        tracing::debug!(
            "own program from a read-only mount: {}",
            sys::describe(errno)
        );
    }
    let copy = file::memory_file(c"keel").step(step, "memfd_create")?;
    let (mut reader, mut writer) = (std::fs::File::from(readable), std::fs::File::from(copy));
    std::io::copy(&mut reader, &mut writer).map_err(|error| {
        Error::kernel(
            step(),
            "write",
            "memfd",
            Errno::from_io_error(&error).unwrap_or(Errno::IO),
        )
    })?;
    file::seal(writer.as_fd()).step(step, "fcntl F_ADD_SEALS")?;
    Err(process::execute_file(writer.as_fd(), &args, &env)).step(step, "execveat")
}

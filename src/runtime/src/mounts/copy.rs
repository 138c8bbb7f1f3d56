//! `tmpcopyup`: what a directory contains, copied into the fresh tmpfs that will cover it.
//!
//! Owners, modes, times of nothing, links as links and extended attributes; devices and sockets are made anew. All by
//! descriptor, no link followed.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};

use sys::Errno;
use sys::file::{self, Kind};

use crate::error::{Error, Kernelize, Result};

/// How deep a tree may be; deeper ones would exhaust descriptors.
const DEPTH: usize = 128;

/// Copies the content of `from` into `to`, with owner and mode of `from` itself.
///
/// # Errors
/// The kernel's; [`Error::Unsupported`] for trees deeper than 128 directories.
pub fn directory(from: BorrowedFd<'_>, to: BorrowedFd<'_>, step: &str) -> Result<()> {
    descend(from, to, step, DEPTH)
}

fn descend(from: BorrowedFd<'_>, to: BorrowedFd<'_>, step: &str, depth: usize) -> Result<()> {
    if depth == 0 {
        return Err(Error::Unsupported {
            feature: format!("{step}: tmpcopyup"),
            missing: "the tree is deeper than 128 directories".to_owned(),
        });
    }
    let failed =
        |call: &'static str| move |errno: Errno| Error::kernel(step, call, "tmpcopyup", errno);
    let readable = file::open_directory(from, c".").map_err(failed("openat"))?;
    let writable = file::open_directory(to, c".").map_err(failed("openat"))?;
    let facts = file::facts(readable.as_fd()).map_err(failed("fstat"))?;
    for name in file::names(readable.as_fd()).map_err(failed("getdents64"))? {
        entry(readable.as_fd(), writable.as_fd(), &name, step, depth)?;
    }
    file::copy_attributes(readable.as_fd(), writable.as_fd()).map_err(failed("fsetxattr"))?;
    file::set_owner(writable.as_fd(), facts.uid, facts.gid).map_err(failed("fchown"))?;
    file::set_mode(writable.as_fd(), facts.mode).map_err(failed("fchmod"))
}

fn entry(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &CString,
    step: &str,
    depth: usize,
) -> Result<()> {
    let failed =
        |call: &'static str| move |errno: Errno| Error::kernel(step, call, "tmpcopyup", errno);
    let facts = file::facts_at(from, name).map_err(failed("fstatat"))?;
    match facts.kind {
        Kind::Directory => {
            file::make_directory(to, name, 0o700).map_err(failed("mkdirat"))?;
            let source = file::place_strictly(from, name).map_err(failed("openat2"))?;
            let target = file::place_strictly(to, name).map_err(failed("openat2"))?;
            return descend(source.as_fd(), target.as_fd(), step, depth - 1);
        }
        Kind::Regular => {
            let source = file::open_read(from, name).map_err(failed("openat"))?;
            let target = file::make_file(to, name, 0o600).map_err(failed("openat"))?;
            let (mut reader, mut writer) =
                (std::fs::File::from(source), std::fs::File::from(target));
            std::io::copy(&mut reader, &mut writer).map_err(|error| {
                failed("read")(Errno::from_io_error(&error).unwrap_or(Errno::IO))
            })?;
            file::copy_attributes(reader.as_fd(), writer.as_fd()).map_err(failed("fsetxattr"))?;
        }
        Kind::Symlink => {
            let target = file::read_link(from, name).map_err(failed("readlinkat"))?;
            let target = super::place::c_path(
                <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(&target),
            )?;
            file::make_symlink(&target, to, name).map_err(failed("symlinkat"))?;
            return file::set_owner_at(to, name, facts.uid, facts.gid)
                .step(|| step.to_owned(), "fchownat");
        }
        Kind::CharacterDevice | Kind::BlockDevice | Kind::Fifo => {
            file::make_node(to, name, facts.kind, facts.mode, facts.device)
                .map_err(failed("mknodat"))?;
        }
        // A socket means nothing without the process that listens on it.
        Kind::Other => return Ok(()),
    }
    file::set_owner_at(to, name, facts.uid, facts.gid).map_err(failed("fchownat"))?;
    file::set_mode_at(to, name, facts.mode).map_err(failed("fchmodat"))
}

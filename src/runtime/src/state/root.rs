//! The state root: one directory for all containers, on a tmpfs, so that a reboot leaves none.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use sys::{Errno, file};

use super::{Record, Slot};
use crate::compat;
use crate::error::{Error, Kernelize, Result};

/// An opened state root.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
}

/// The root where none is named: `/run/<program>`, or below `$XDG_RUNTIME_DIR` for users without the machine's root.
#[must_use]
pub fn default_path(program: &str) -> PathBuf {
    let rootless = sys::credentials::effective_user() != 0
        || (std::env::var_os("USER").is_some_and(|user| user != "root") && in_user_namespace());
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|path| rootless && !path.is_empty()) {
        Some(directory) => Path::new(&directory).join(program),
        None => Path::new("/run").join(program),
    }
}

fn in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().ne(["0", "0", "4294967295"])
}

impl Root {
    /// Opens the root at `path`, made with its parents where missing.
    ///
    /// # Errors
    /// The kernel's.
    pub fn make(path: &Path) -> Result<Self> {
        let step = || format!("state root {:?}", path.display());
        let c_path = crate::mounts::place::c_path(path)?;
        match file::open_directory(file::here(), &c_path) {
            Ok(directory) => return Ok(Self { directory }),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(Error::kernel(step(), "open", "", errno)),
        }
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).map_err(|error| {
            Error::kernel(
                step(),
                "mkdir",
                "",
                Errno::from_io_error(&error).unwrap_or(Errno::IO),
            )
        })?;
        match file::make_directory(file::here(), &c_path, 0o700) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(Error::kernel(step(), "mkdir", "", errno)),
        }
        let directory = file::open_directory(file::here(), &c_path).step(step, "open")?;
        // Cleaners of temporary files leave what is sticky alone (XDG Base Directory Specification).
        file::set_mode(directory.as_fd(), 0o1700).step(step, "fchmod")?;
        Ok(Self { directory })
    }

    /// Opens the root at `path`; `None` where there is none.
    ///
    /// # Errors
    /// The kernel's.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        match file::open_directory(file::here(), &crate::mounts::place::c_path(path)?) {
            Ok(directory) => Ok(Some(Self { directory })),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(errno) => Err(Error::kernel(
                format!("state root {:?}", path.display()),
                "open",
                "",
                errno,
            )),
        }
    }

    /// Claims the name `id`: its directory is new, and locked.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] where the name is taken; the kernel's.
    pub fn claim(&self, id: &str) -> Result<Slot> {
        let name = name_of(id)?;
        let step = || format!("state of {id:?}");
        match file::make_directory(self.directory.as_fd(), &name, 0o711) {
            Err(Errno::EXIST) => return Err(Error::AlreadyExists(compat::ID_EXISTS.to_owned())),
            result => result.step(step, "mkdirat")?,
        }
        let slot = self.slot(id, &name)?;
        slot.lock()?;
        Ok(slot)
    }

    /// The container `id`.
    ///
    /// # Errors
    /// [`Error::NotFound`] where there is none; the kernel's.
    pub fn find(&self, id: &str) -> Result<Slot> {
        self.slot(id, &name_of(id)?)
    }

    fn slot(&self, id: &str, name: &CString) -> Result<Slot> {
        match file::open_directory(self.directory.as_fd(), name) {
            Err(Errno::NOENT | Errno::NOTDIR) => {
                Err(Error::NotFound(compat::CONTAINER_DOES_NOT_EXIST.to_owned()))
            }
            result => Ok(Slot::new(
                id,
                result.step(|| format!("state of {id:?}"), "openat")?,
            )),
        }
    }

    /// Removes the empty directory of `id`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn forget(&self, id: &str) -> Result<()> {
        match file::remove_directory(self.directory.as_fd(), &name_of(id)?) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(Error::kernel(
                format!("state of {id:?}"),
                "rmdir",
                "",
                errno,
            )),
        }
    }

    /// All containers with their records, by name. Foreign files, and containers that vanish meanwhile, are left out.
    ///
    /// # Errors
    /// The kernel's, where the directory cannot be listed.
    pub fn list(&self) -> Result<Vec<(Slot, Record)>> {
        let names =
            file::names(self.directory.as_fd()).step(|| "state root".to_owned(), "getdents64")?;
        let read = |name: CString| {
            let id = name.to_str().ok()?;
            let slot = self.slot(id, &name).ok()?;
            let record = slot.record().ok()?;
            Some((slot, record))
        };
        Ok(names.into_iter().filter_map(read).collect())
    }
}

/// The containers whose names match the regular expression `pattern`, as crun's `--regex` selects them.
///
/// # Errors
/// [`Error::Usage`] for what is no regular expression; the kernel's.
pub fn matching(root: &Root, pattern: &str) -> Result<Vec<(Slot, Record)>> {
    let pattern = regex::Regex::new(pattern).map_err(|error| {
        Error::Usage(format!(
            "--regex {pattern:?}: {}",
            error.to_string().replace('\n', " ")
        ))
    })?;
    let mut found = root.list()?;
    found.retain(|(slot, _)| pattern.is_match(&slot.id));
    Ok(found)
}

fn name_of(id: &str) -> Result<CString> {
    check_id(id)?;
    CString::new(id).map_err(|_| Error::Usage(compat::INVALID_ID.to_owned()))
}

/// Refuses names that could be mistaken for paths or flags: `[A-Za-z0-9_+.-]+`, but not `.` and `..`.
///
/// # Errors
/// [`Error::Usage`].
pub fn check_id(id: &str) -> Result<()> {
    if id.is_empty() {
        return Err(Error::Usage(compat::EMPTY_ID.to_owned()));
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_+.-".contains(&byte);
    if !id.bytes().all(fits) || matches!(id, "." | "..") {
        return Err(Error::Usage(compat::INVALID_ID.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_be_paths() {
        for good in ["a", "A-b_c.d+e", "...", "-x", "0"] {
            assert_eq!(check_id(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "ä", "a\0"] {
            assert!(check_id(bad).is_err(), "{bad}");
        }
    }
}

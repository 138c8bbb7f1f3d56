//! Directories of a tree somebody else may have filled: listed and made by path, never outside of the root.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Gid, Mode, Uid};
use rustix::io::Errno;

use crate::beneath::{self, Links};
use crate::error::{At, Error, Result};

/// The names in a directory, in byte order; names that are no UTF-8 are left out.
///
/// # Errors
/// Not found, or no directory; the kernel's.
pub fn names(root: &Path, path: &str) -> Result<Vec<String>> {
    let root = File::open(root).map(OwnedFd::from).at("open", root)?;
    let dir = beneath::open_dir(&root, path.as_bytes(), Links::InRoot).at("open", path)?;
    let names = crate::walk::names(&dir).at("read directory", path)?;
    Ok(names
        .into_iter()
        .filter_map(|name| String::from_utf8(name).ok())
        .collect())
}

/// Makes a directory with all above it; those that are there stay as they are, new ones get mode and owner. True where
/// the last one is new.
///
/// # Errors
/// Something on the way is no directory; the kernel's.
pub fn create_all(root: &Path, path: &str, mode: u32, owner: (u32, u32)) -> Result<bool> {
    let root = File::open(root).map(OwnedFd::from).at("open", root)?;
    let parts = beneath::components(path.as_bytes())?;
    let mut dir = beneath::open_dir(&root, b".", Links::InRoot).at("open", path)?;
    let mut made = false;
    for depth in 1..=parts.len() {
        let here = beneath::join(&parts[..depth]);
        made = false;
        dir = match beneath::open_dir(&root, &here, Links::InRoot) {
            Err(Errno::NOENT) => {
                made = true;
                create(&dir, parts[depth - 1], mode, owner).at("create directory", path)?
            }
            Err(Errno::NOTDIR) => {
                let shown = String::from_utf8_lossy(&here).into_owned();
                return Err(Error::Invalid(format!("/{shown} is not a directory")));
            }
            other => other.at("open directory", path)?,
        };
    }
    Ok(made)
}

/// A dangling symlink of that name is in the way: mkdirat refuses it, so nothing is made where it points.
fn create(
    parent: &OwnedFd,
    name: &[u8],
    mode: u32,
    (uid, gid): (u32, u32),
) -> rustix::io::Result<OwnedFd> {
    rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700))?;
    let dir = beneath::open_dir(parent, name, Links::Refused)?;
    rustix::fs::fchown(
        dir.as_fd(),
        Some(Uid::from_raw(uid)),
        Some(Gid::from_raw(gid)),
    )?;
    rustix::fs::fchmod(&dir, Mode::from_raw_mode(mode))?;
    Ok(dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn directories_are_made_within_the_root_alone() {
        let base = std::env::temp_dir().join(format!("gantry-directory-{}", std::process::id()));
        let root = base.join("root");
        std::fs::create_dir_all(root.join("usr/lib")).unwrap();
        symlink("usr/lib", root.join("lib")).unwrap();
        symlink("../../out", root.join("escape")).unwrap();
        let own = rustix::process::geteuid().as_raw();
        let group = rustix::process::getegid().as_raw();
        let make = |path: &str| create_all(&root, path, 0o751, (own, group));
        assert!(make("/lib/a/b").unwrap());
        assert!(!make("lib/a").unwrap());
        let mode = std::fs::metadata(root.join("usr/lib/a/b"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o751);
        assert!(make("/escape/x").is_err());
        assert!(!base.join("out").exists());
        std::fs::write(root.join("file"), "").unwrap();
        assert_eq!(
            make("/file/x").unwrap_err().to_string(),
            "/file is not a directory"
        );
        assert_eq!(names(&root, "/lib").unwrap(), ["a"]);
        std::fs::remove_dir_all(&base).unwrap();
    }
}

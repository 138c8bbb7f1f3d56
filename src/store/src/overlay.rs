//! How overlayfs spells "gone" and "hides all below": a character device 0:0 and the xattr `trusted.overlay.opaque`
//! (kernel Documentation/filesystems/overlayfs.rst). Layers are kept in this form on disk and as AUFS's `.wh.` names in
//! archives (image-spec "layer.md", Whiteouts).

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Mode, Stat, XattrFlags};
use rustix::io::Errno;

/// Prefix of a whiteout's name in an archive.
pub(crate) const WHITEOUT: &[u8] = b".wh.";
/// Prefix of AUFS's own files, which are skipped.
pub(crate) const AUFS_OWN: &[u8] = b".wh..wh.";
/// Name that hides everything below its directory.
pub(crate) const OPAQUE: &[u8] = b".wh..wh..opq";
const OPAQUE_XATTR: &str = "trusted.overlay.opaque";

/// True for overlayfs's whiteout.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Makes a whiteout; the name must be free.
pub(crate) fn make_whiteout(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<()> {
    rustix::fs::mknodat(dir, name, FileType::CharacterDevice, Mode::empty(), 0)
}

/// True for a directory that hides what lies below it.
pub(crate) fn is_opaque(dir: impl AsFd) -> rustix::io::Result<bool> {
    let mut value = [0u8; 2];
    match rustix::fs::fgetxattr(dir, OPAQUE_XATTR, &mut value[..]) {
        Ok(n) => Ok(n == 1 && value[0] == b'y'),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Makes a directory hide what lies below it.
pub(crate) fn set_opaque(dir: impl AsFd) -> rustix::io::Result<()> {
    rustix::fs::fsetxattr(dir, OPAQUE_XATTR, b"y", XattrFlags::empty())
}

/// Stat of a name in a directory, not following; `None` where there is nothing.
pub(crate) fn stat_in(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<Option<Stat>> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(e) => Err(e),
    }
}

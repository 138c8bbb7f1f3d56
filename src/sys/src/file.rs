//! Files by descriptor: `openat2(2)` beneath a root (Linux 5.6), creation without following links, whole-file reads and
//! writes.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};

use crate::{Errno, Result};

/// What kind of thing a descriptor stands for, and what else `fstat(2)` says of it that callers decide by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The file's type.
    pub kind: Kind,
    /// Permission bits and set-id bits (07777).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// For device nodes: the device they stand for, major and minor.
    pub device: (u32, u32),
    /// The filesystem it lies on and its number there; together its identity.
    pub identity: (u64, u64),
    /// Length in bytes.
    pub size: u64,
}

/// File types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    Regular,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharacterDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A socket, or what has no type of its own.
    Other,
}

fn facts_of(stat: &rustix::fs::Stat) -> Facts {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Kind::Directory,
        FileType::RegularFile => Kind::Regular,
        FileType::Symlink => Kind::Symlink,
        FileType::CharacterDevice => Kind::CharacterDevice,
        FileType::BlockDevice => Kind::BlockDevice,
        FileType::Fifo => Kind::Fifo,
        FileType::Socket | FileType::Unknown => Kind::Other,
    };
    Facts {
        kind,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        device: (
            rustix::fs::major(stat.st_rdev),
            rustix::fs::minor(stat.st_rdev),
        ),
        identity: (stat.st_dev, stat.st_ino),
        size: u64::try_from(stat.st_size).unwrap_or(0),
    }
}

/// The directory that relative paths start from.
#[must_use]
pub fn here() -> BorrowedFd<'static> {
    rustix::fs::CWD
}

/// What a descriptor stands for.
pub fn facts(file: BorrowedFd<'_>) -> Result<Facts> {
    rustix::fs::fstat(file).map(|stat| facts_of(&stat))
}

/// What `path` beneath `directory` stands for; a final symbolic link is not followed.
pub fn facts_at(directory: BorrowedFd<'_>, path: &CStr) -> Result<Facts> {
    rustix::fs::statat(directory, path, AtFlags::SYMLINK_NOFOLLOW).map(|stat| facts_of(&stat))
}

/// Opens `path` as a mere place (`O_PATH`), which works without the right to read.
pub fn place(directory: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    rustix::fs::openat(
        directory,
        path,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// Opens `path` as a place, taking `root` for `/`: neither `..` nor a symbolic link leaves it, and links of `/proc` that
/// jump elsewhere are refused with `ELOOP`.
pub fn place_within(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    open_within(root, path, OFlags::PATH)
}

/// As [`place_within`], but a symbolic link as the last component is itself the result.
pub fn place_within_nofollow(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    open_within(root, path, OFlags::PATH | OFlags::NOFOLLOW)
}

/// Opens the entry `name` of `directory` as a place; no symbolic link, nothing outside of `directory`.
pub fn place_strictly(directory: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(
        directory,
        name,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        resolve,
    )
}

/// Opens `path` as a place, taking `root` for `/`; any symbolic link on the way is refused with `ELOOP`.
pub fn place_without_links(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(
        root,
        path,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        resolve,
    )
}

/// What the symbolic link `name` says; `EINVAL` for other files.
pub fn read_link(directory: BorrowedFd<'_>, name: &CStr) -> Result<Vec<u8>> {
    rustix::fs::readlinkat(directory, name, Vec::new()).map(std::ffi::CString::into_bytes)
}

/// Opens `path` for reading, taking `root` for `/`; does not wait for the other end of a fifo.
pub fn read_within(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    open_within(
        root,
        path,
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY,
    )
}

fn open_within(root: BorrowedFd<'_>, path: &CStr, flags: OFlags) -> Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    // EAGAIN means that something was renamed meanwhile; an attacker could keep that up, hence the bound.
    for _ in 0..64 {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            result => return result,
        }
    }
    Err(Errno::AGAIN)
}

/// Opens `path` for reading; links of `/proc` that jump elsewhere are refused with `ELOOP`. Does not wait for the other
/// end of a fifo.
pub fn read_here(path: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::openat2(
        rustix::fs::CWD,
        path,
        flags,
        Mode::empty(),
        ResolveFlags::NO_MAGICLINKS,
    )
}

/// Opens `path` for writing on one filesystem only: no symbolic link, no mount point and no `..` on the way (openat2).
pub fn write_strictly_beneath(directory: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    rustix::fs::openat2(
        directory,
        path,
        OFlags::WRONLY | OFlags::CLOEXEC,
        Mode::empty(),
        resolve,
    )
}

/// Opens the entry `name` of `directory` for reading.
pub fn open_read(directory: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    rustix::fs::openat(
        directory,
        path,
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY,
        Mode::empty(),
    )
}

/// Opens `path` for reading without waiting, neither now nor in reads: for fifos.
pub fn open_read_at_once(directory: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    rustix::fs::openat(directory, path, flags, Mode::empty())
}

/// Opens `path` for reading and writing; never as controlling terminal.
pub fn open_both(directory: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    rustix::fs::openat(
        directory,
        path,
        OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY,
        Mode::empty(),
    )
}

/// Opens the directory `path` for listing and as a starting point.
pub fn open_directory(directory: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd> {
    rustix::fs::openat(
        directory,
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// Makes the directory `name` in `directory`.
pub fn make_directory(directory: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<()> {
    rustix::fs::mkdirat(directory, name, Mode::from_raw_mode(mode))
}

/// Opens the regular file `name` for writing, emptied, made when absent; a symbolic link is refused.
pub fn open_write(directory: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<OwnedFd> {
    let flags =
        OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(mode))
}

/// Makes the empty regular file `name` in `directory`; `EEXIST` when anything of that name is there.
pub fn make_file(directory: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(mode))
}

/// Opens `name` for appending, made when absent.
pub fn open_append(directory: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::APPEND | OFlags::WRONLY | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(mode))
}

/// Makes the symbolic link `name` in `directory`.
pub fn make_symlink(target: &CStr, directory: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    rustix::fs::symlinkat(target, directory, name)
}

/// Makes a device node or fifo called `name`; `device` is major and minor.
pub fn make_node(
    directory: BorrowedFd<'_>,
    name: &CStr,
    kind: Kind,
    mode: u32,
    device: (u32, u32),
) -> Result<()> {
    let kind = match kind {
        Kind::CharacterDevice => FileType::CharacterDevice,
        Kind::BlockDevice => FileType::BlockDevice,
        Kind::Fifo => FileType::Fifo,
        _ => return Err(Errno::INVAL),
    };
    let device = rustix::fs::makedev(device.0, device.1);
    rustix::fs::mknodat(directory, name, kind, Mode::from_raw_mode(mode), device)
}

/// Removes the entry `name`, which is not a directory.
pub fn remove(directory: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    rustix::fs::unlinkat(directory, name, AtFlags::empty())
}

/// Removes the empty directory `name`.
pub fn remove_directory(directory: BorrowedFd<'_>, name: &CStr) -> Result<()> {
    rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR)
}

/// Gives `old` the name `new`, in place of what had it.
pub fn rename(directory: BorrowedFd<'_>, old: &CStr, new: &CStr) -> Result<()> {
    rustix::fs::renameat(directory, old, directory, new)
}

/// Changes owner and group of the entry `name` itself, not of what a link points to.
pub fn set_owner_at(directory: BorrowedFd<'_>, name: &CStr, uid: u32, gid: u32) -> Result<()> {
    let (uid, gid) = (
        rustix::fs::Uid::from_raw(uid),
        rustix::fs::Gid::from_raw(gid),
    );
    rustix::fs::chownat(
        directory,
        name,
        Some(uid),
        Some(gid),
        AtFlags::SYMLINK_NOFOLLOW,
    )
}

/// Changes owner and group of an open file.
pub fn set_owner(file: BorrowedFd<'_>, uid: u32, gid: u32) -> Result<()> {
    rustix::fs::fchown(
        file,
        Some(rustix::fs::Uid::from_raw(uid)),
        Some(rustix::fs::Gid::from_raw(gid)),
    )
}

/// Changes the permission bits of the entry `name`, which must not be a symbolic link.
pub fn set_mode_at(directory: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<()> {
    rustix::fs::chmodat(directory, name, Mode::from_raw_mode(mode), AtFlags::empty())
}

/// Changes the permission bits of an open file.
pub fn set_mode(file: BorrowedFd<'_>, mode: u32) -> Result<()> {
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode))
}

/// Writes all of `data`.
pub fn write_all(file: BorrowedFd<'_>, mut data: &[u8]) -> Result<()> {
    while !data.is_empty() {
        match rustix::io::write(file, data) {
            Ok(0) => return Err(Errno::IO),
            Ok(written) => data = &data[written..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Reads what is there, at most 32 KiB; nothing at the end.
pub fn read_some(file: BorrowedFd<'_>) -> Result<Vec<u8>> {
    let mut data = vec![0; 32 * 1024];
    loop {
        match rustix::io::read(file, &mut data) {
            Ok(length) => {
                data.truncate(length);
                return Ok(data);
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Reads one byte; `None` at the end.
pub fn read_byte(file: BorrowedFd<'_>) -> Result<Option<u8>> {
    let mut byte = [0];
    loop {
        match rustix::io::read(file, &mut byte) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(byte[0])),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Reads to the end, at most `limit` bytes; `EFBIG` when there is more. For files of `/proc`, which have no length.
pub fn read_all(file: BorrowedFd<'_>, limit: usize) -> Result<Vec<u8>> {
    read_rest(file, Vec::with_capacity(4096), limit, None)
}

/// Reads a regular file, at most `limit` bytes; `EFBIG` when there is more.
pub fn read_file(file: BorrowedFd<'_>, limit: usize) -> Result<Vec<u8>> {
    let size = usize::try_from(facts(file)?.size).unwrap_or(usize::MAX);
    if size > limit {
        return Err(Errno::FBIG);
    }
    read_rest(file, Vec::with_capacity(size + 1), limit, Some(size))
}

/// A regular file of which all of its length was read needs no further read to know its end.
fn read_rest(
    file: BorrowedFd<'_>,
    mut data: Vec<u8>,
    limit: usize,
    size: Option<usize>,
) -> Result<Vec<u8>> {
    let mut length = 0;
    loop {
        if length > limit {
            return Err(Errno::FBIG);
        }
        data.resize(data.capacity().max(length + 4096), 0);
        match rustix::io::read(file, &mut data[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        if size == Some(length) {
            break;
        }
    }
    data.truncate(length);
    Ok(data)
}

/// The magic number of the filesystem that `file` lies on (`PROC_SUPER_MAGIC` …).
pub fn filesystem(file: impl AsFd) -> Result<u64> {
    Ok(rustix::fs::fstatfs(file)?.f_type.unsigned_abs())
}

/// Whether this process may execute `path`, by its effective identity.
pub fn may_execute(path: &CStr) -> Result<()> {
    rustix::fs::accessat(
        rustix::fs::CWD,
        path,
        rustix::fs::Access::EXEC_OK,
        AtFlags::EACCESS,
    )
}

/// Makes `directory` the working directory.
pub fn enter(directory: BorrowedFd<'_>) -> Result<()> {
    rustix::process::fchdir(directory)
}

/// Makes `path` the working directory.
pub fn enter_path(path: &CStr) -> Result<()> {
    rustix::process::chdir(path)
}

/// Makes `path` the root directory of this process.
pub fn enter_root(path: &CStr) -> Result<()> {
    rustix::process::chroot(path)
}

/// The path of the working directory as the kernel knows it; `(unreachable)…` when it lies outside the root.
pub fn working_directory() -> Result<Vec<u8>> {
    rustix::process::getcwd(Vec::new()).map(std::ffi::CString::into_bytes)
}

/// Makes descriptor `number` a copy of `file` that survives `execve`. For 0, 1 and 2, which nobody owns.
pub fn become_standard(file: BorrowedFd<'_>, number: u32) -> Result<()> {
    match number {
        0 => rustix::stdio::dup2_stdin(file),
        1 => rustix::stdio::dup2_stdout(file),
        2 => rustix::stdio::dup2_stderr(file),
        _ => Err(Errno::INVAL),
    }
}

/// A copy of the descriptor `number` of this process, close-on-exec; `EBADF` when it is not open.
pub fn duplicate(number: i32) -> Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: F_DUPFD_CLOEXEC takes numbers and makes a new descriptor, or fails.
    let result = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    let copy = crate::check(libc::c_long::from(result))?;
    let copy = i32::try_from(copy).map_err(|_| Errno::OVERFLOW)?;
    // SAFETY: the kernel has just made it, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

/// Lets descriptor `number` survive `execve`, or not. `EBADF` when it is not open.
pub fn set_close_on_exec(number: i32, close: bool) -> Result<()> {
    let flags = if close { libc::FD_CLOEXEC } else { 0 };
    // SAFETY: changes one mark of a descriptor; ownership stays where it is.
    let result = unsafe { libc::fcntl(number, libc::F_SETFD, flags) };
    crate::check(libc::c_long::from(result)).map(drop)
}

/// Takes the lock of an open file or directory if nobody has it; `EAGAIN` where somebody does.
pub fn try_lock(file: BorrowedFd<'_>) -> Result<()> {
    rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
}

/// Takes the lock of an open file or directory, waiting for its holder; it ends with the descriptor.
pub fn lock(file: BorrowedFd<'_>) -> Result<()> {
    rustix::fs::flock(file, rustix::fs::FlockOperation::LockExclusive)
}

/// An anonymous file in memory that becomes unchangeable once [`seal`] is called; executable.
pub fn memory_file(name: &CStr) -> Result<OwnedFd> {
    use rustix::fs::MemfdFlags;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // MFD_EXEC is Linux 6.3; older kernels refuse the bit and make it executable anyway.
    match rustix::fs::memfd_create(name, flags | MemfdFlags::from_bits_retain(0x10)) {
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags),
        result => result,
    }
}

/// Makes an anonymous file unchangeable for ever.
pub fn seal(file: BorrowedFd<'_>) -> Result<()> {
    use rustix::fs::SealFlags;
    rustix::fs::fcntl_add_seals(
        file,
        SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
    )
}

/// Whether an open file is sealed against writes.
#[must_use]
pub fn is_sealed(file: BorrowedFd<'_>) -> bool {
    rustix::fs::fcntl_get_seals(file)
        .is_ok_and(|seals| seals.contains(rustix::fs::SealFlags::WRITE))
}

/// The names in an open directory, without `.` and `..`, sorted.
pub fn names(directory: BorrowedFd<'_>) -> Result<Vec<std::ffi::CString>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Copies the extended attributes of one open file to another; those that the target refuses (`ENOTSUP`) are left out.
pub fn copy_attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
    let mut list = vec![0_u8; 64 * 1024];
    let length = match rustix::fs::flistxattr(from, &mut list[..]) {
        Err(Errno::NOTSUP) => return Ok(()),
        result => result?,
    };
    let mut value = vec![0_u8; 64 * 1024];
    for name in list[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let size = rustix::fs::fgetxattr(from, name, &mut value[..])?;
        match rustix::fs::fsetxattr(to, name, &value[..size], rustix::fs::XattrFlags::empty()) {
            Ok(()) | Err(Errno::NOTSUP) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

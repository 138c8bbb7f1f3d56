//! Processes: `clone3(2)` with a pidfd, waiting, `prctl(2)`, resource limits and `execve(2)`.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions};

use crate::{Errno, Result, check};

const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// How a child is made; the flags are `CLONE_*` bits of `clone3(2)`.
#[derive(Debug, Default)]
pub struct Clone<'fd> {
    /// `CLONE_NEW*` bits and `CLONE_PARENT`.
    pub flags: u64,
    /// The cgroup (v2 directory) that the child is born in: `CLONE_INTO_CGROUP`, Linux 5.7.
    pub cgroup: Option<BorrowedFd<'fd>>,
}

/// A child as its maker holds it.
#[derive(Debug)]
pub struct Child {
    /// Its number in the maker's pid namespace.
    pub pid: i32,
    /// A descriptor of it that cannot come to mean another process.
    pub pidfd: OwnedFd,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It left with this status.
    Status(i32),
    /// This signal killed it.
    Signal(i32),
}

impl Exit {
    /// The status as shells write it: the code, or 128 and the signal's number.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Status(status) => status,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

/// Makes a child that runs `body` and leaves with the status that it returns (101 after a panic).
///
/// The caller must have one thread; otherwise locks of the others would stay taken in the child, and the call is refused
/// with `EBUSY`. `EINVAL` and `ENOSYS` come from kernels older than what `how` asks for.
pub fn clone(how: &Clone<'_>, body: impl FnOnce() -> i32) -> Result<Child> {
    if rustix::fs::stat(c"/proc/self/task").is_ok_and(|tasks| tasks.st_nlink > 3) {
        return Err(Errno::BUSY);
    }
    let mut pidfd: RawFd = -1;
    // SAFETY: clone_args is plain numbers, for which zero is a value.
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = how.flags | libc::CLONE_PIDFD as u64;
    arguments.pidfd = &raw mut pidfd as u64;
    if how.flags & libc::CLONE_PARENT as u64 == 0 {
        arguments.exit_signal = libc::SIGCHLD as u64;
    }
    if let Some(cgroup) = how.cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: no CLONE_VM and no stack are given, so this is fork: the child owns a copy of all memory. One thread was
    // checked above, so no lock is held by somebody who does not exist in the child.
    let pid = check(unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw mut arguments,
            size_of::<libc::clone_args>(),
        )
    })?;
    if pid == 0 {
        let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(101);
        // SAFETY: _exit ends the process without running the maker's cleanups.
        unsafe { libc::_exit(status) }
    }
    // SAFETY: the kernel has just put a fresh descriptor there, which nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    let pid = i32::try_from(pid).map_err(|_| Errno::OVERFLOW)?;
    Ok(Child { pid, pidfd })
}

/// Opens a descriptor of the process `pid`; `ESRCH` when there is none, not even a zombie.
pub fn open(pid: i32) -> Result<OwnedFd> {
    rustix::process::pidfd_open(Pid::from_raw(pid).ok_or(Errno::SRCH)?, PidfdFlags::empty())
}

/// Sends the signal number `signal` (0 only asks whether it could) to the process of a pidfd.
pub fn signal(pidfd: BorrowedFd<'_>, signal: i32) -> Result<()> {
    // SAFETY: plain numbers and a null siginfo.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    check(result).map(drop)
}

/// The number, in the caller's pid namespace, of the process of a pidfd; `ESRCH` when it is reaped.
pub fn number(pidfd: BorrowedFd<'_>) -> Result<i32> {
    let path = CString::new(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd()))
        .map_err(|_| Errno::INVAL)?;
    let file = crate::file::open_read(crate::file::here(), &path)?;
    let text = crate::file::read_all(std::os::fd::AsFd::as_fd(&file), 4096)?;
    let text = String::from_utf8_lossy(&text);
    let number = text
        .lines()
        .find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    number.filter(|number| *number > 0).ok_or(Errno::SRCH)
}

/// A copy of the descriptor `number` of another process (Linux 5.6, needs the right to trace it).
pub fn take_descriptor(pidfd: BorrowedFd<'_>, number: RawFd) -> Result<OwnedFd> {
    rustix::process::pidfd_getfd(pidfd, number, rustix::process::PidfdGetfdFlags::empty())
}

/// Waits for the child of a pidfd to end and reaps it.
pub fn wait(pidfd: BorrowedFd<'_>) -> Result<Exit> {
    loop {
        match rustix::process::waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED) {
            Ok(Some(status)) => return Ok(exit_of(&status)),
            Ok(None) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Reaps a child that has ended, without waiting, unless it is `pid`, which its owner waits for. `None` when there is
/// nothing to reap.
pub fn reap_but(pid: i32) -> Option<i32> {
    // SAFETY: siginfo_t is plain data for which zero is a value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the structure outlives the call.
    let result = unsafe { libc::waitid(libc::P_ALL, 0, &raw mut info, flags) };
    check(libc::c_long::from(result)).ok()?;
    // SAFETY: waitid has filled the fields of a child's end, or left zeros.
    let ended = unsafe { info.si_pid() };
    if ended == 0 || ended == pid {
        return None;
    }
    rustix::process::waitpid(Pid::from_raw(ended), rustix::process::WaitOptions::NOHANG).ok()??;
    Some(ended)
}

fn exit_of(status: &rustix::process::WaitIdStatus) -> Exit {
    status
        .exit_status()
        .map(Exit::Status)
        .or_else(|| status.terminating_signal().map(Exit::Signal))
        .unwrap_or(Exit::Status(255))
}

/// Waits until the process of a pidfd has ended, at most `milliseconds` (negative: for ever). Works for strangers too.
pub fn ended(pidfd: BorrowedFd<'_>, milliseconds: i32) -> Result<bool> {
    let mut poll = libc::pollfd {
        fd: pidfd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one pollfd on the stack that outlives the call.
    let ready = check(libc::c_long::from(unsafe {
        libc::poll(&raw mut poll, 1, milliseconds)
    }))?;
    Ok(ready > 0)
}

fn prctl(option: libc::c_int, argument: libc::c_ulong) -> Result<()> {
    let zero: libc::c_ulong = 0;
    // SAFETY: the options used in this file take numbers, no pointers.
    let result = unsafe { libc::prctl(option, argument, zero, zero, zero) };
    check(libc::c_long::from(result)).map(drop)
}

/// Forbids (or allows) strangers of the same user to trace this process and to read its `/proc` entries.
pub fn set_dumpable(dumpable: bool) -> Result<()> {
    prctl(libc::PR_SET_DUMPABLE, dumpable.into())
}

/// The signal that this process gets when its parent's thread ends; 0 for none. Forgotten at a change of identity.
pub fn set_parent_death_signal(signal: i32) -> Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, signal.unsigned_abs().into())
}

/// Makes this process the adoptive parent of orphans among its descendants.
pub fn set_subreaper() -> Result<()> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, 1)
}

/// Forbids this process for ever to gain privileges by executing.
pub fn set_no_new_privileges() -> Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1)
}

/// The number of this process in its own pid namespace.
#[must_use]
pub fn id() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

/// The parent's number, 0 when it lives outside this pid namespace.
#[must_use]
pub fn parent() -> i32 {
    rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get())
}

/// Starts a new session without a terminal.
pub fn new_session() -> Result<()> {
    rustix::process::setsid().map(drop)
}

/// Sets the soft and hard limit of the resource number `resource` (`RLIMIT_*`) for `pid`, 0 for this process.
fn set_limit(pid: i32, resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = libc::rlimit64 {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: the structure outlives the call; the old value is not asked for.
    let result = unsafe {
        libc::syscall(
            libc::SYS_prlimit64,
            pid,
            resource,
            &raw const limit,
            std::ptr::null_mut::<libc::rlimit64>(),
        )
    };
    check(result).map(drop)
}

/// Sets a resource limit of a process whose user and group are `ids`. The kernel asks for equal real ids or CAP_SYS_RESOURCE
/// (prlimit(2)), which a root in a container or a virtual machine may lack: then this process takes those real ids for the
/// time of the call. Its effective ids stay.
pub fn set_limit_of(pid: i32, ids: (u32, u32), resource: u32, soft: u64, hard: u64) -> Result<()> {
    match set_limit(pid, resource, soft, hard) {
        Err(Errno::PERM) => {}
        other => return other,
    }
    let (euid, egid) = (rustix::process::geteuid(), rustix::process::getegid());
    let (uid, gid) = (rustix::process::getuid(), rustix::process::getgid());
    let wanted = (
        rustix::process::Uid::from_raw(ids.0),
        rustix::process::Gid::from_raw(ids.1),
    );
    rustix::thread::set_thread_res_gid(wanted.1, egid, egid)?;
    let set = rustix::thread::set_thread_res_uid(wanted.0, euid, euid)
        .and_then(|()| set_limit(pid, resource, soft, hard));
    rustix::thread::set_thread_res_uid(uid, euid, euid)?;
    rustix::thread::set_thread_res_gid(gid, egid, egid)?;
    set
}

/// Sets the mask for new files' modes.
pub fn set_umask(mask: u32) {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask));
}

/// Marks every descriptor from `first` on close-on-exec (Linux 5.11).
pub fn close_on_exec_from(first: u32) -> Result<()> {
    // SAFETY: close-on-exec marks do not invalidate a descriptor that somebody owns.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    check(result).map(drop)
}

/// Replaces this program by the one at `path`. Returns only when it failed.
#[must_use]
pub fn execute(path: &CStr, arguments: &[CString], environment: &[CString]) -> Errno {
    execute_at(rustix::fs::CWD, path, arguments, environment, 0)
}

/// Replaces this program by the file that `program` stands for. Returns only when it failed.
#[must_use]
pub fn execute_file(
    program: BorrowedFd<'_>,
    arguments: &[CString],
    environment: &[CString],
) -> Errno {
    execute_at(program, c"", arguments, environment, libc::AT_EMPTY_PATH)
}

fn execute_at(
    directory: BorrowedFd<'_>,
    path: &CStr,
    arguments: &[CString],
    environment: &[CString],
    flags: libc::c_int,
) -> Errno {
    let pointers = |list: &[CString]| -> Vec<*const libc::c_char> {
        list.iter()
            .map(|text| text.as_ptr())
            .chain([std::ptr::null()])
            .collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // Rust's start ignores SIGPIPE and an ignored signal stays so across execve: `yes | head` would never end.
    if let Err(errno) = crate::signal::reset(libc::SIGPIPE) {
        return errno;
    }
    // SAFETY: both lists end with null and all strings outlive the call, which returns only on failure.
    let result = unsafe {
        libc::syscall(
            libc::SYS_execveat,
            directory.as_raw_fd(),
            path.as_ptr(),
            arguments.as_ptr(),
            environment.as_ptr(),
            flags,
        )
    };
    check(result).err().unwrap_or(Errno::IO)
}

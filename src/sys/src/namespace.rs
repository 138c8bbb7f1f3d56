//! Namespaces: joining (`setns(2)`), making (`unshare(2)`) and the names that belong to the uts namespace.

use std::os::fd::{AsRawFd, BorrowedFd};

use crate::{Result, check};

/// The `CLONE_NEW*` bit of each kind of namespace.
pub mod kind {
    /// Cgroup root directory, Linux 4.6.
    pub const CGROUP: u64 = libc::CLONE_NEWCGROUP as u64;
    /// System V IPC and POSIX message queues.
    pub const IPC: u64 = libc::CLONE_NEWIPC as u64;
    /// Mount table.
    pub const MOUNT: u64 = libc::CLONE_NEWNS as u64;
    /// Network devices, addresses, ports.
    pub const NETWORK: u64 = libc::CLONE_NEWNET as u64;
    /// Process numbers.
    pub const PID: u64 = libc::CLONE_NEWPID as u64;
    /// Offsets of the monotonic and boot clocks, Linux 5.6.
    pub const TIME: u64 = 0x80;
    /// User and group numbers, capabilities.
    pub const USER: u64 = libc::CLONE_NEWUSER as u64;
    /// Host and domain name.
    pub const UTS: u64 = libc::CLONE_NEWUTS as u64;
}

/// Joins the namespace of `kind` that `namespace` stands for (an nsfs file or, with several bits, a pidfd; Linux 5.8).
pub fn join(namespace: BorrowedFd<'_>, kind: u64) -> Result<()> {
    // SAFETY: plain numbers; the caller is single-threaded, which the kernel checks where it matters.
    let result = unsafe { libc::syscall(libc::SYS_setns, namespace.as_raw_fd(), kind) };
    check(result).map(drop)
}

/// Leaves the namespaces of `kinds` for new ones (pid and time: only children enter the new one).
pub fn leave(kinds: u64) -> Result<()> {
    // SAFETY: namespace bits only; CLONE_FILES and CLONE_FS are not among them, so no descriptor table changes.
    let result = unsafe { libc::syscall(libc::SYS_unshare, kinds) };
    check(result).map(drop)
}

/// The kind of namespace that an nsfs file stands for, as a `CLONE_NEW*` bit; `ENOTTY` for other files (Linux 4.11).
pub fn kind_of(namespace: BorrowedFd<'_>) -> Result<u64> {
    const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
    // SAFETY: the request takes no argument.
    let result = unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_NSTYPE) };
    let bits = check(libc::c_long::from(result))?;
    Ok(bits.unsigned_abs())
}

/// Sets the host name of this uts namespace; at most 64 bytes.
pub fn set_hostname(name: &[u8]) -> Result<()> {
    rustix::system::sethostname(name)
}

/// Sets the NIS domain name of this uts namespace; at most 64 bytes.
pub fn set_domainname(name: &[u8]) -> Result<()> {
    rustix::system::setdomainname(name)
}

/// Brings the device `lo` of this network namespace up, which gives it its addresses.
pub fn loopback_up() -> Result<()> {
    let socket = crate::socket::datagram_inet()?;
    // SAFETY: ifreq is plain data for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, letter) in request.ifr_name.iter_mut().zip(b"lo") {
        *slot = libc::c_char::from_ne_bytes([*letter]);
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one ifreq, which outlives the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    check(libc::c_long::from(result)).map(drop)
}

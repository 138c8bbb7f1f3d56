//! Kernel calls with owned file descriptors; the only crate with unsafe code.
//!
//! One file per kernel facility. Functions take and give owned or borrowed descriptors, return the bare [`Errno`] and
//! know nothing of containers: what a failure means is said by the caller.

pub mod bpf;
pub mod clock;
pub mod credentials;
pub mod event;
pub mod file;
pub mod keyring;
pub mod landlock;
pub mod mount;
pub mod namespace;
pub mod netlink;
pub mod process;
pub mod procfs;
pub mod scheduling;
pub mod seccomp;
pub mod signal;
pub mod socket;
pub mod terminal;

/// The kernel's error number, as a call returned it.
pub use rustix::io::Errno;

/// What every call here returns.
pub type Result<T> = std::result::Result<T, Errno>;

/// The kernel's sentence for `errno` as Go programs print it: `strerror` with a small first letter, no number.
#[must_use]
pub fn describe(errno: Errno) -> String {
    let text = std::io::Error::from_raw_os_error(errno.raw_os_error()).to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_lowercase().chain(letters).collect())
        .unwrap_or_default()
}

/// The result of a libc call that answers -1 and sets `errno`.
fn check(result: libc::c_long) -> Result<libc::c_long> {
    if result < 0 {
        let code = std::io::Error::last_os_error().raw_os_error();
        return Err(Errno::from_raw_os_error(code.unwrap_or(libc::EIO)));
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_lower_case_and_bare() {
        assert_eq!(describe(Errno::NOENT), "no such file or directory");
        assert_eq!(describe(Errno::SRCH), "no such process");
        assert_eq!(describe(Errno::PERM), "operation not permitted");
    }
}

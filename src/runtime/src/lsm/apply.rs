//! Labels → `/proc/thread-self/attr`, through a procfs that is known to be one.

use std::os::fd::{AsFd as _, BorrowedFd};

use sys::{Errno, file, procfs};

use super::Order;
use crate::error::{Error, Kernelize as _, Result};

impl Order {
    /// Takes the label on, in the child, for its next exec. `proc` is a procfs of its pid namespace from
    /// [`sys::procfs::private`], `thread` the caller's id there.
    ///
    /// # Errors
    /// The kernel's; podman recognises it by `/proc/…/attr/exec`.
    pub fn apply(&self, proc: BorrowedFd<'_>, thread: i32) -> Result<()> {
        match self {
            // The first entry is AppArmor's own (Linux 5.8); the second belongs to whichever module came first.
            Self::AppArmor(profile) => {
                let text = format!("exec {profile}");
                match write(proc, thread, "apparmor/exec", &text) {
                    Err(error) if error.errno() == Some(Errno::NOENT) => {
                        write(proc, thread, "exec", &text)
                    }
                    result => result,
                }
                .map_err(|error| error.within(&format!("apparmor profile {profile:?}")))
            }
            Self::Selinux(label) => write(proc, thread, "exec", label)
                .map_err(|error| error.within(&format!("selinux label {label:?}"))),
        }
    }
}

fn write(proc: BorrowedFd<'_>, thread: i32, entry: &str, text: &str) -> Result<()> {
    let path = format!("{thread}/task/{thread}/attr/{entry}");
    let step = || format!("/proc/{path}");
    let c_path = std::ffi::CString::new(path.clone())
        .map_err(|_| Error::Bug("NUL in a number".to_owned()))?;
    let file = procfs::entry(proc, &c_path).step(step, "openat2")?;
    file::write_all(file.as_fd(), text.as_bytes()).step(step, "write")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_reached_on_a_real_procfs_only() {
        let thread = sys::process::id();
        let proc = file::place(file::here(), c"/proc").unwrap();
        // Without the module the kernel refuses the write or has no such entry; the place must be right all the same.
        let error = Order::Selinux("no:such:label".to_owned())
            .apply(proc.as_fd(), thread)
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&format!("/proc/{thread}/task/{thread}/attr/exec")),
            "{error}"
        );
        let elsewhere = file::place(file::here(), c"/tmp").unwrap();
        let directory = std::path::PathBuf::from(format!("/tmp/{thread}/task/{thread}/attr"));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("exec"), "").unwrap();
        let error = Order::Selinux("label".to_owned())
            .apply(elsewhere.as_fd(), thread)
            .unwrap_err();
        std::fs::remove_dir_all(format!("/tmp/{thread}")).unwrap();
        assert_eq!(error.errno(), Some(Errno::PERM));
    }
}

//! Core scheduling by annotation: `keel.core_scheduling: "new"` gives the container a cookie of its own, so that no foreign
//! task ever runs on the other hyperthread of its cores (Linux 5.14 with CONFIG_SCHED_CORE; containerd's shim asks the same of
//! itself, runc cannot).

use crate::error::{Error, Kernelize as _, Result};

/// The annotation's name.
pub const ANNOTATION: &str = "keel.core_scheduling";

/// Reads the annotation: whether a cookie is wanted.
///
/// # Errors
/// [`Error::InvalidConfig`] for any other word than `new` and `none`.
pub fn plan(annotation: &str) -> Result<bool> {
    match annotation {
        "new" => Ok(true),
        "none" | "" => Ok(false),
        other => Err(Error::config(
            format!("annotations.{ANNOTATION}"),
            format!("{other:?} (accepted: new, none)"),
        )),
    }
}

/// Gives the calling thread, the container's init, a cookie that all it starts inherits.
///
/// # Errors
/// `ENODEV` on a machine without hyperthreads or where the kernel lacks core scheduling: protection that was asked for and
/// cannot be had is an error.
pub fn apply() -> Result<()> {
    sys::scheduling::new_core_cookie().step(|| "core scheduling".to_owned(), "prctl PR_SCHED_CORE")
}

#[cfg(test)]
mod tests {
    #[test]
    fn words() {
        assert_eq!(
            (super::plan("new"), super::plan("none")),
            (Ok(true), Ok(false))
        );
        let said = super::plan("yes").unwrap_err().to_string();
        assert_eq!(
            said,
            "annotations.keel.core_scheduling: \"yes\" (accepted: new, none)"
        );
    }
}

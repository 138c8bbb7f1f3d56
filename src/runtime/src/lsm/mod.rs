//! Linux security modules: the AppArmor profile and the SELinux label that the container's program gets at its exec.

mod apply;

use std::path::Path;

use crate::error::{Error, Result};

/// Which modules this machine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Modules {
    /// AppArmor is there and switched on.
    pub apparmor: bool,
    /// SELinux is there and has a policy.
    pub selinux: bool,
}

impl Modules {
    /// Looks at sysfs and selinuxfs.
    #[must_use]
    pub fn probe() -> Self {
        let enabled = std::fs::read("/sys/module/apparmor/parameters/enabled");
        Self {
            apparmor: enabled.is_ok_and(|text| text.starts_with(b"Y")),
            selinux: Path::new("/sys/fs/selinux/enforce").exists(),
        }
    }
}

/// One label to be taken on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// The AppArmor profile from the next exec on.
    AppArmor(String),
    /// The SELinux label from the next exec on.
    Selinux(String),
}

/// The orders for a process. `unconfined` is what a process is without AppArmor, so it asks for nothing there.
///
/// # Errors
/// [`Error::InvalidConfig`] where a label is given and the module is off: the process would run without the confinement
/// that was asked for. `at` is the path of the process in its file.
pub fn plan(
    apparmor: Option<&str>,
    selinux: Option<&str>,
    modules: Modules,
    at: &str,
) -> Result<Vec<Order>> {
    let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let mut orders = Vec::new();
    if let Some(profile) = given(apparmor) {
        if modules.apparmor {
            orders.push(Order::AppArmor(profile));
        } else if profile != "unconfined" {
            let reason = format!(
                "{profile:?} is given, but AppArmor is not enabled on the host (accepted: none, or unconfined)"
            );
            return Err(Error::config(format!("{at}.apparmorProfile"), reason));
        }
    }
    if let Some(label) = given(selinux) {
        if !modules.selinux {
            let reason = format!(
                "{label:?} is given, but SELinux is not enabled on the host (accepted: none)"
            );
            return Err(Error::config(format!("{at}.selinuxLabel"), reason));
        }
        orders.push(Order::Selinux(label));
    }
    Ok(orders)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: Modules = Modules {
        apparmor: true,
        selinux: true,
    };

    #[test]
    fn a_label_without_its_module_is_refused() {
        let off = Modules::default();
        assert_eq!(plan(None, Some(""), off, "process"), Ok(vec![]));
        assert_eq!(plan(Some("unconfined"), None, off, "process"), Ok(vec![]));
        let said = plan(Some("p"), None, off, "process")
            .unwrap_err()
            .to_string();
        assert!(
            said.starts_with(
                "process.apparmorProfile: \"p\" is given, but AppArmor is not enabled"
            ),
            "{said}"
        );
        let said = plan(None, Some("l"), off, "process")
            .unwrap_err()
            .to_string();
        assert!(
            said.starts_with("process.selinuxLabel: \"l\" is given"),
            "{said}"
        );
    }

    #[test]
    fn both_labels_are_taken_on() {
        let orders = plan(Some("p"), Some("l"), ON, "process").unwrap();
        assert_eq!(
            orders,
            [
                Order::AppArmor("p".to_owned()),
                Order::Selinux("l".to_owned())
            ]
        );
    }
}

//! What confines the program besides namespaces and capabilities: labels, Landlock, core scheduling, seccomp.

use crate::config::{Config, Process};
use crate::error::Result;
use crate::host::Host;
use crate::lsm::Order as Label;
use crate::seccomp::{self, Filter, Profile};
use crate::{annotations, coresched, landlock, lsm};

/// All of it, ready for the child.
#[derive(Debug, Clone, Default)]
pub struct Confinement {
    /// Labels of security modules.
    pub labels: Vec<Label>,
    /// Rights to files that are given up.
    pub landlock: Option<landlock::Order>,
    /// A core-scheduling cookie of its own.
    pub cookie: bool,
    /// The compiled seccomp filter.
    pub filter: Option<Filter>,
}

impl Confinement {
    /// What `config` and `process` ask for.
    ///
    /// # Errors
    /// [`crate::error::Error::InvalidConfig`] for what cannot be compiled, or not be had on `host`.
    pub fn new(config: &Config, process: &Process, host: &Host) -> Result<Self> {
        let annotation = |name: &str| config.annotations.get(name).map(String::as_str);
        let modules = host.modules(process.apparmor.is_some() || process.selinux.is_some());
        let environment = std::env::var("RUN_OCI_SECCOMP_RECEIVER").ok();
        let receiver = annotation(annotations::SECCOMP_RECEIVER).or(environment.as_deref());
        let options = seccomp::Options {
            fail_unknown: annotation(annotations::SECCOMP_FAIL_UNKNOWN)
                .is_some_and(|value| value != "0"),
        };
        let profile = config
            .seccomp
            .as_ref()
            .map(|raw| Profile::parse(raw.get(), receiver))
            .transpose()?;
        let mut filter = profile
            .map(|profile| seccomp::compile(&profile, options))
            .transpose()?;
        if let Some(data) = annotation(annotations::SECCOMP_BPF_DATA) {
            filter = Some(Filter::from_base64(data)?);
        }
        Ok(Self {
            labels: lsm::plan(
                process.apparmor.as_deref(),
                process.selinux.as_deref(),
                modules,
                "process",
            )?,
            landlock: annotation(landlock::ANNOTATION)
                .map(landlock::plan)
                .transpose()?,
            cookie: annotation(coresched::ANNOTATION)
                .map(coresched::plan)
                .transpose()?
                .unwrap_or(false),
            filter,
        })
    }

    /// Who is told of system calls that notify.
    #[must_use]
    pub fn listener(&self) -> Option<seccomp::Listener> {
        self.filter
            .as_ref()
            .and_then(|filter| filter.listener.clone())
    }
}

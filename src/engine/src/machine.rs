//! What the engine finds out about the machine once.

use std::fs;
use std::path::Path;

use crate::container::names;
use crate::error::{Error, Result};

/// The machine.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools)]
pub struct Machine {
    /// This engine's own id, kept below the data root.
    pub engine_id: String,
    /// Host name.
    pub name: String,
    /// Kernel release.
    pub kernel: String,
    /// `PRETTY_NAME` of os-release.
    pub system: String,
    /// `VERSION_ID` of os-release.
    pub system_version: String,
    /// CPUs.
    pub cpus: i64,
    /// Bytes of memory.
    pub memory: i64,
    /// Whether only cgroup v2 is there.
    pub unified: bool,
    /// cgroup controllers.
    pub controllers: Vec<String>,
    /// Whether AppArmor is on.
    pub apparmor: bool,
}

impl Machine {
    /// Looks at /proc, /sys and /etc.
    ///
    /// # Errors
    /// The engine's id cannot be kept.
    pub fn probe(data_root: &Path) -> Result<Self> {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let release = read("/etc/os-release");
        let field = |name: &str| {
            let line = release
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.unwrap_or_default().trim_matches('"').to_owned()
        };
        let memory = read("/proc/meminfo");
        let total = memory.lines().find_map(|line| {
            line.strip_prefix("MemTotal:")?
                .trim()
                .strip_suffix(" kB")?
                .parse::<i64>()
                .ok()
        });
        let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        let controllers = if unified {
            read("/sys/fs/cgroup/cgroup.controllers")
                .split_whitespace()
                .map(str::to_owned)
                .collect()
        } else {
            let known = read("/proc/cgroups");
            known
                .lines()
                .filter(|line| !line.starts_with('#'))
                .filter_map(|line| line.split_whitespace().next())
                .map(str::to_owned)
                .collect()
        };
        Ok(Self {
            engine_id: engine_id(data_root)?,
            name: read("/proc/sys/kernel/hostname").trim().to_owned(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            system: field("PRETTY_NAME"),
            system_version: field("VERSION_ID"),
            cpus: std::thread::available_parallelism()
                .map_or(1, |count| i64::try_from(count.get()).unwrap_or(1)),
            memory: total.unwrap_or(0) * 1024,
            unified,
            controllers,
            apparmor: read("/sys/module/apparmor/parameters/enabled").trim() == "Y",
        })
    }

    /// Whether the kernel has a cgroup controller.
    #[must_use]
    pub fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|name| name == controller)
    }
}

/// A UUID made once, docker's `engine-id`.
fn engine_id(data_root: &Path) -> Result<String> {
    let path = data_root.join("engine-id");
    if let Ok(id) = fs::read_to_string(&path)
        && !id.trim().is_empty()
    {
        return Ok(id.trim().to_owned());
    }
    let mut bytes: [u8; 16] = names::random()?;
    // RFC 9562, version 4.
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let id = format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    );
    fs::write(&path, &id).map_err(|e| Error::kernel(path.display(), e))?;
    Ok(id)
}

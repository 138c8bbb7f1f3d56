//! The place a whole run works in: a tmpfs in a mount namespace of its own, the probe and busybox within it,
//! and a name for the cgroups. Nothing of it outlives the process, however that ends.

use crate::host::{Host, Layout, remove_group};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One run of the suite against one runtime.
pub struct Session {
    /// The runtime under judgement.
    pub runtime: PathBuf,
    /// Whether everything is done as an unprivileged user.
    pub rootless: bool,
    /// The directory everything lives in.
    pub work: PathBuf,
    /// The machine's facts.
    pub host: Host,
    /// The name of the cgroup below which all containers are put.
    pub group: String,
    /// Whether a busybox was found for the root file systems.
    pub busybox: bool,
}

impl Session {
    /// Prepares the place. As root the calling process moves into a private mount namespace, so this comes before
    /// any thread is started.
    pub fn open(runtime: &Path, rootless: bool) -> io::Result<Self> {
        let host = Host::probe()?;
        let runtime = fs::canonicalize(runtime).map_err(|error| io::Error::other(format!("--runtime {}: {error}", runtime.display())))?;
        let name = format!("oci-conformance-{}", std::process::id());
        let work = std::env::temp_dir().join(&name);
        fs::create_dir(&work)?;
        if !rootless {
            unshare(CloneFlags::CLONE_NEWNS)?;
            let none = None::<&str>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
            mount(Some("oci-conformance"), &work, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))?;
        }
        let probe = work.join("probe");
        fs::copy("/proc/self/exe", &probe)?;
        if !is_static(&probe)? {
            fs::remove_dir_all(&work)?;
            return Err(io::Error::other("this binary needs a dynamic linker and so cannot run inside a container; build it with hack/build"));
        }
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].iter().any(|from| fs::copy(from, work.join("busybox")).is_ok());
        nix::sys::prctl::set_child_subreaper(true)?;
        Ok(Self { runtime, rootless, work, host, group: name, busybox })
    }
}

impl Session {
    /// The words by which an expectation may narrow a line to this kind of run.
    pub fn lanes(&self) -> Vec<&'static str> {
        let version = match self.host.cgroups {
            Layout::V1(_) => "v1",
            Layout::V2(..) => "v2",
            Layout::Absent => "none",
        };
        vec![version, if self.rootless { "rootless" } else { "root" }]
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for left in remove_group(&self.host, &self.group) {
            eprintln!("oci-conformance: cgroup {} is still in use", left.display());
        }
        if !self.rootless
            && let Err(error) = umount2(&self.work, MntFlags::MNT_DETACH)
        {
            eprintln!("oci-conformance: {}: {error}", self.work.display());
        }
        if let Err(error) = fs::remove_dir_all(&self.work) {
            eprintln!("oci-conformance: {}: {error}", self.work.display());
        }
    }
}

/// Whether the ELF file names no interpreter (no PT_INTERP among its program headers).
fn is_static(path: &Path) -> io::Result<bool> {
    let bytes = fs::read(path)?;
    let number = |at: usize, size: usize| bytes.get(at..at + size).map_or(0, |b| b.iter().rev().fold(0_usize, |n, byte| n << 8 | usize::from(*byte)));
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    Ok((0..count).all(|i| number(table + i * size, 4) != 3))
}

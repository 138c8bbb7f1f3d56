//! The cases, a file per chapter of the specification.

mod cgroups;
mod devices;
mod document;
mod features;
mod hooks;
mod idmap;
mod kernel;
mod lifecycle;
mod limits;
mod mount_options;
mod mounts;
mod namespaces;
mod notify;
mod process;
mod propagation;
mod seccomp;
mod state;
mod terminal;
mod unified;

use crate::case::Case;

/// Every case, in the order of the specification's chapters.
pub fn all() -> Vec<Case> {
    let chapters: &[fn() -> Vec<Case>] = &[
        lifecycle::cases,
        state::cases,
        document::cases,
        hooks::cases,
        mounts::cases,
        mount_options::cases,
        propagation::cases,
        idmap::cases,
        process::cases,
        terminal::cases,
        limits::cases,
        namespaces::cases,
        devices::cases,
        cgroups::cases,
        unified::cases,
        kernel::cases,
        seccomp::cases,
        notify::cases,
        features::cases,
    ];
    chapters.iter().flat_map(|chapter| chapter()).collect()
}

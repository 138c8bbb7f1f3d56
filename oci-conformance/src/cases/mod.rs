//! The cases, a file per chapter of the specification.

mod cgroups;
mod devices;
mod hooks;
mod idmap;
mod lifecycle;
mod limits;
mod mount_options;
mod mounts;
mod namespaces;
mod process;
mod propagation;
mod state;
mod terminal;
mod unified;

use crate::case::Case;

/// Every case, in the order of the specification's chapters.
pub fn all() -> Vec<Case> {
    let chapters: &[fn() -> Vec<Case>] = &[
        lifecycle::cases,
        state::cases,
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
    ];
    chapters.iter().flat_map(|chapter| chapter()).collect()
}

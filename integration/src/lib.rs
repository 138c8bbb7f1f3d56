//! Where the black-box tests find what they test: every binary by path, nothing of `src/` linked.

pub mod engine;

use std::path::{Path, PathBuf};

/// The binary `name` under test: `$KEEL_BIN`-style variable of that name, else what `hack/build` left in `target/bin`.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let variable = format!("{}_BIN", name.to_uppercase().replace('-', "_"));
    if let Some(path) = std::env::var_os(variable) {
        return PathBuf::from(path);
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"),
        PathBuf::from,
    );
    target.join("bin").join(name)
}

/// Says on standard error that a test did not run and why; the caller returns at once.
pub fn skip(test: &str, missing: &str) {
    eprintln!("skipped: {test}: {missing}");
}

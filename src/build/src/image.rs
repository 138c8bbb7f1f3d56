//! The image a finished stage is.

use std::collections::BTreeMap;

use gantry_store::config::{ImageConfig, now};
use gantry_store::{Digest, Image, Lease, Result, Store};

use crate::platform::Platform;
use crate::solve::Built;

/// Records the image of a build. The same layers and configuration give the same image: its time is that of its newest
/// step, or `epoch` (`SOURCE_DATE_EPOCH`, seconds since 1970) for every step where that is given.
///
/// # Errors
/// The store's.
pub fn record(
    store: &Store,
    lease: &Lease,
    built: &Built<'_>,
    labels: &BTreeMap<String, String>,
    platform: &Platform,
    epoch: Option<i64>,
) -> Result<Image> {
    let mut image = built.state.image.clone();
    image.rootfs.diff_ids = store.diff_ids(built.chain.as_ref())?;
    if image.os.is_empty() {
        image.os.clone_from(&platform.os);
        image.architecture.clone_from(&platform.architecture);
        image.variant.clone_from(&platform.variant);
    }
    if !labels.is_empty() {
        let config = image.config.get_or_insert_default();
        config.labels.get_or_insert_default().extend(labels.clone());
    }
    set_times(&mut image, epoch);
    let parent: Option<&Digest> = None;
    store.create_image(lease, &image.to_bytes(), parent)
}

/// An entry without a time is as old as the one before it.
fn set_times(image: &mut ImageConfig, epoch: Option<i64>) {
    let fixed = epoch
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map(|time| time.to_string());
    let mut latest = None;
    for entry in &mut image.history {
        match (&fixed, &entry.created) {
            (Some(_), _) if entry.comment == crate::history::COMMENT => {
                entry.created.clone_from(&fixed)
            }
            (_, None) => entry.created.clone_from(&latest),
            _ => {}
        }
        if entry.created > latest {
            latest.clone_from(&entry.created);
        }
    }
    image.created = fixed
        .or(latest)
        .or_else(|| image.created.take())
        .or_else(|| Some(now()));
}

//! `docker import`: one layer from a tree's archive, with a configuration made here.

use std::io::Read;

use crate::config::{self, HistoryEntry, ImageConfig, RootFs, RunConfig};
use crate::error::Result;
use crate::image::Image;
use crate::store::Store;

/// What an imported image says of itself.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// The comment; docker writes `Imported from SOURCE`.
    pub message: String,
    /// What `--change` made.
    pub config: RunConfig,
    /// CPU architecture in Go's words; empty = this machine's.
    pub architecture: String,
    /// Its variant.
    pub variant: String,
    /// Engine version to record.
    pub version: String,
}

impl Store {
    /// Makes an image of an archive, plain, gzip or zstd. It has no name yet: see [`Store::tag`].
    ///
    /// # Errors
    /// A damaged or escaping archive; the disk's.
    pub fn import(&self, from: impl Read, options: &ImportOptions) -> Result<Image> {
        let lease = self.lease();
        let layer = self.unpack(&lease, None, from, None)?;
        let created = Some(config::now());
        let architecture = match options.architecture.as_str() {
            "" => config::host_architecture(),
            given => given,
        };
        let image = ImageConfig {
            architecture: architecture.to_owned(),
            variant: options.variant.clone(),
            comment: options.message.clone(),
            config: Some(options.config.clone()),
            created: created.clone(),
            docker_version: options.version.clone(),
            history: vec![HistoryEntry {
                created,
                comment: options.message.clone(),
                ..HistoryEntry::default()
            }],
            os: "linux".to_owned(),
            rootfs: RootFs {
                diff_ids: vec![layer.diff_id],
                ..RootFs::default()
            },
            ..ImageConfig::default()
        };
        self.create_image(&lease, &image.to_bytes(), None)
    }
}

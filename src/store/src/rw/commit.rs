//! A container's layer as an archive, as an image's layer, and its whole tree as `docker export` writes it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::RwLayer;
use super::changes::ChangeKind;
use crate::beneath::{self, Links};
use crate::config::{HistoryEntry, ImageConfig, RunConfig};
use crate::digest::Digest;
use crate::error::{At, Error, Result};
use crate::image::Image;
use crate::layer::Layer;
use crate::overlay;
use crate::store::{Driver, Lease};
use crate::tar::{Entry, Kind};
use crate::tree::{Form, TreeWriter};

/// What a committed image says of itself.
#[derive(Clone, Debug, Default)]
pub struct CommitOptions {
    /// Who.
    pub author: String,
    /// Why.
    pub comment: String,
    /// What containers of it run with.
    pub config: RunConfig,
    /// The container's own configuration, as JSON; classic docker keeps it.
    pub container_config: Option<serde_json::Value>,
    /// The step shown in history: docker writes the container's command.
    pub created_by: String,
    /// Engine version to record.
    pub version: String,
}

impl RwLayer {
    /// Writes what the container changed as a layer's archive. The same changes give the same bytes.
    ///
    /// # Errors
    /// The disk's, the stream's.
    pub fn write_diff(&self, to: impl Write) -> Result<()> {
        let directories = self.directories()?;
        if self.store.driver() == Driver::Copy {
            return self.write_copied_diff(&directories.merged, to);
        }
        let mut writer = TreeWriter::new(to, Form::Upper);
        let upper = &directories.upper;
        let root = File::open(upper).at("open", upper)?;
        if self.root_differs(upper)? {
            writer.directory(root.as_fd(), b"./".to_vec())?;
        }
        writer.contents(root.as_fd(), b"")?;
        writer.finish()?;
        Ok(())
    }

    fn root_differs(&self, top: &Path) -> Result<bool> {
        let meta = std::fs::metadata(top).at("stat", top)?;
        let now = (meta.mode() & 0o7777, meta.uid(), meta.gid());
        let below = self.lower()?.find(&[])?.map(|found| found.stat);
        Ok(now
            != below.map_or((0o755, 0, 0), |stat| {
                (stat.st_mode & 0o7777, stat.st_uid, stat.st_gid)
            }))
    }

    fn write_copied_diff(&self, merged: &Path, to: impl Write) -> Result<()> {
        let mut writer = TreeWriter::new(to, Form::Plain);
        let root = File::open(merged).at("open", merged)?;
        let mut whole = BTreeSet::new();
        for change in self.changes()? {
            let path = &change.path[1..];
            let parts: Vec<&[u8]> = path.split(|b| *b == b'/').collect();
            let Some((name, above)) = parts.split_last() else {
                continue;
            };
            if (1..parts.len()).any(|depth| whole.contains(&beneath::join(&parts[..depth]))) {
                continue;
            }
            let dir = beneath::open_dir(&root, &beneath::join(above), Links::Refused)
                .at("open", String::from_utf8_lossy(path).as_ref());
            if change.kind == ChangeKind::Deleted {
                let prefix = path.len() - name.len();
                let mark = [&path[..prefix], overlay::WHITEOUT, name].concat();
                let mut mark = Entry::new(Kind::File, mark);
                mark.mode = 0o600;
                writer.mark(&mark)?;
                continue;
            }
            let dir = dir?;
            let fd = beneath::open_dir(&dir, name, Links::Refused);
            match fd {
                Ok(fd) if change.kind == ChangeKind::Modified => {
                    writer.directory(fd.as_fd(), path.to_vec())?;
                }
                _ => {
                    whole.insert(path.to_vec());
                    writer.object(dir.as_fd(), name, path.to_vec())?;
                }
            }
        }
        writer.finish()?;
        Ok(())
    }

    /// Makes a layer of what the container changed; what it does afterwards is not in it.
    ///
    /// # Errors
    /// The disk's.
    pub fn commit_layer(&self, lease: &Lease) -> Result<Layer> {
        let parent = self.record()?.chain;
        let (from, to) = std::io::pipe()?;
        std::thread::scope(|scope| {
            let diff = scope
                .spawn(move || self.write_diff(std::io::BufWriter::with_capacity(1 << 16, to)));
            let layer = self.store.unpack(lease, parent.as_ref(), from, None);
            // The reader's end is closed by now: a failed unpacking ends the writer, whose error then says less.
            let written = diff
                .join()
                .map_err(|_| Error::Corrupt("reading the layer panicked".to_owned()));
            let layer = layer?;
            written??;
            Ok(layer)
        })
    }

    /// Makes an image of the container: `docker commit`. It has no name yet.
    ///
    /// # Errors
    /// The disk's; the image the container was made of is gone.
    pub fn commit(&self, options: &CommitOptions) -> Result<Image> {
        let lease = self.store.lease();
        let layer = self.commit_layer(&lease)?;
        let parent = self.record()?.image;
        let mut image = match &parent {
            Some(parent) => (*self.store.image(parent)?.config).clone(),
            None => ImageConfig {
                architecture: crate::config::host_architecture().to_owned(),
                os: "linux".to_owned(),
                ..ImageConfig::default()
            },
        };
        let empty = layer.is_empty();
        // From the layers themselves: a build's stage has them without an image.
        let top = if empty {
            layer.parent
        } else {
            Some(layer.chain_id)
        };
        image.rootfs.diff_ids = self.store.diff_ids(top.as_ref())?;
        let created = Some(crate::config::now());
        image.history.push(HistoryEntry {
            created: created.clone(),
            created_by: options.created_by.clone(),
            author: options.author.clone(),
            comment: options.comment.clone(),
            empty_layer: empty,
        });
        image.created = created;
        image.author.clone_from(&options.author);
        image.comment.clone_from(&options.comment);
        image.config = Some(options.config.clone());
        image.container.clone_from(&self.id);
        image.container_config.clone_from(&options.container_config);
        image.docker_version.clone_from(&options.version);
        self.store
            .create_image(&lease, &image.to_bytes(), parent.as_ref())
    }

    /// Writes the container's whole tree, without metadata: `docker export`.
    ///
    /// # Errors
    /// The disk's, the stream's.
    pub fn export(&self, to: impl Write) -> Result<()> {
        self.with_merged(|merged| {
            let root = File::open(merged).at("open", merged)?;
            let mut writer = TreeWriter::new(to, Form::Plain);
            writer.contents(root.as_fd(), b"")?;
            writer.finish()?;
            Ok(())
        })
    }

    /// The chain it stands on.
    ///
    /// # Errors
    /// The layer is gone.
    pub fn base(&self) -> Result<Option<Digest>> {
        Ok(self.record()?.chain)
    }
}

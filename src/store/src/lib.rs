//! gantry's store: images, layers and the writable layers of containers. The only owner of the data root; plain
//! synchronous functions, callable from any thread.
//!
//! ```text
//! ROOT/lock                    held (flock) by the one process that has the store open
//! ROOT/blobs/sha256/HEX        content by digest: image configurations and pulled manifests, as bytes
//! ROOT/ingest/HEX              downloads under way; what is there resumes after a kill
//! ROOT/layers/HEX.json         one layer by chainID: its diffID, parent, size and tree
//! ROOT/trees/NAME/fs           an unpacked layer in overlayfs's form; NAME is its diffID, its chainID where it is bound
//! ROOT/trees/NAME/frame.zst    all of its archive that is no file's content: with it the archive comes out again
//! ROOT/l/SHORT                 short names of trees, for overlayfs's options
//! ROOT/images/HEX.json         one image; it exists when this record does
//! ROOT/references.json         names → image ids
//! ROOT/rw/ID/                  a container's layer: upper, work, merged, record.json
//! ROOT/sources/HEX.json        where a layer was seen compressed, by diffID
//! ROOT/tmp/                    work in progress, emptied at open
//! ```
//!
//! Order of every change: content is synced, then the record that names it is renamed into place and its directory
//! synced. A crash leaves content without a record (swept by [`Store::collect`]), never a record without content.

mod beneath;
mod blob;
mod check;
mod collect;
mod copy;
mod delete;
mod durable;
mod flatten;
mod history;
mod image;
mod import;
mod ingest;
mod layer;
mod load;
mod overlay;
mod pack;
mod place;
mod references;
pub mod rw;
mod save;
mod sources;
mod split;
mod stack;
mod store;
mod tree;
mod unpack;
mod usage;
mod verify;
mod walk;

pub mod archive;
pub mod compress;
pub mod config;
pub mod digest;
pub mod directory;
pub mod error;
pub mod reference;
pub mod tar;

pub use check::Problem;
pub use collect::{Collected, Policy};
pub use delete::{DeleteOptions, Removed, Use};
pub use digest::Digest;
pub use error::{Error, Result};
pub use history::HistoryLine;
pub use image::Image;
pub use import::ImportOptions;
pub use ingest::{Arrived, Ingest};
pub use layer::Layer;
pub use load::LoadEvent;
pub use pack::Packed;
pub use reference::{AnyReference, Reference};
pub use rw::RwLayer;
pub use rw::changes::{Change, ChangeKind};
pub use rw::commit::CommitOptions;
pub use sources::Source;
pub use store::{Driver, Lease, Store};
pub use usage::Space;

//! What copied files contribute to a key: names, types, modes, sizes, data, extended attributes and link targets. Times
//! do not count, nor do owners, which COPY replaces; so touching or re-owning a file rebuilds nothing.

use std::path::Path;

use gantry_dockerfile::ignore::Ignore;
use gantry_store::digest::{Digest, Hasher};

use super::select::Source;
use super::stream::{self, Change};
use super::{Error, Result};
use crate::step::Copy;

/// The digest of everything `copy` takes out of `root`.
///
/// # Errors
/// A source that is not there; the store's.
pub fn digest(root: &Path, copy: &Copy, sources: &[Source]) -> Result<Digest> {
    let exclude = Ignore::of(&copy.exclude).map_err(|error| Error::Refused(error.message))?;
    let mut hasher = Hasher::new();
    for file in &copy.files {
        field(&mut hasher, file.name.as_bytes());
        field(&mut hasher, file.content.as_bytes());
    }
    for source in sources {
        let name = super::split(&source.named).1;
        field(&mut hasher, source.parents.as_bytes());
        field(&mut hasher, name.as_bytes());
        let change = Change {
            name: if name.is_empty() { "." } else { name },
            owner: (0, 0),
            chmod: None,
            exclude: &exclude,
        };
        stream::entries(root, source, &change, |entry, body| {
            field(&mut hasher, &entry.path);
            field(&mut hasher, &entry.link);
            let numbers = (
                entry.kind,
                entry.mode,
                entry.size,
                entry.device,
                &entry.sparse,
            );
            field(&mut hasher, format!("{numbers:?}").as_bytes());
            for (name, value) in &entry.xattrs {
                field(&mut hasher, name);
                field(&mut hasher, value);
            }
            let mut left = entry.size;
            let mut buffer = [0; 64 * 1024];
            while left > 0 {
                let count = body.read(&mut buffer)?;
                if count == 0 {
                    return Err(Error::Refused("a source shrank while it was read".into()));
                }
                hasher.update(&buffer[..count]);
                left = left.saturating_sub(count as u64);
            }
            Ok(())
        })?;
    }
    Ok(hasher.finish())
}

/// Length first, so that no two lists of fields look the same.
fn field(hasher: &mut Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_be_bytes());
    hasher.update(bytes);
}

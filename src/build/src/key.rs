//! What a step's result depends on, as one digest.
//!
//! Two steps with one key give the same files, so a cache may answer for the second. Nothing that changes without
//! changing the result is in a key: no time, no path of this machine, no proxy, no secret's value. What a copied file
//! contributes is its content digest (name, type, mode, owner, size, data, extended attributes, link target; not its
//! time), which whoever reads the context computes and hands in.

use serde::Serialize;

use gantry_dockerfile::instruction::MountKind;
use gantry_store::digest::Digest;

use crate::step::{Copy, Directory, Mode, Run};

/// The key of a stage's state: all that its files depend on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Digest);

impl Key {
    /// The key as 64 hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> &str {
        self.0.hex()
    }

    /// The state a stage begins with: the chain of the base image's layers, empty for `scratch`.
    #[must_use]
    pub fn base(diff_ids: &[Digest]) -> Self {
        of(&("base", diff_ids.iter().map(Digest::hex).collect::<Vec<_>>()))
    }

    /// After a command. `mounted` has, for each mount that brings files along, the digest of what it shows.
    #[must_use]
    pub fn run(&self, run: &Run, platform: &str, mounted: &[Option<Digest>]) -> Self {
        let mounts: Vec<_> = run
            .mounts
            .iter()
            .zip(mounted)
            .map(|((mount, _), shown)| {
                // What a cache holds is no input, and a secret's value must not be guessable from a key.
                let named = matches!(mount.kind, MountKind::Bind | MountKind::Tmpfs);
                (
                    mount.kind.name(),
                    mount.target.as_deref(),
                    named.then_some(mount.source.as_deref()),
                    (mount.read_only, mount.size, mount.env.as_deref()),
                    shown.as_ref().map(Digest::hex),
                )
            })
            .collect();
        of(&(
            "run",
            self.hex(),
            (&run.words, &run.env, &run.directory, &run.user),
            (format!("{:?}", run.network), run.insecure, platform),
            mounts,
            &run.script,
        ))
    }

    /// After files were put. `content` is the digest of every source as it arrives, in order. With `--link` the result
    /// does not depend on what is below, so neither does the key of its layer.
    #[must_use]
    pub fn copy(&self, copy: &Copy, content: &Digest) -> Self {
        let below = if copy.link { "link" } else { self.hex() };
        let layer = Self::copied(below, copy, content);
        if copy.link {
            of(&("linked", self.hex(), layer.hex()))
        } else {
            layer
        }
    }

    /// The key of the layer alone that a `--link` copy makes.
    #[must_use]
    pub fn linked_layer(copy: &Copy, content: &Digest) -> Self {
        Self::copied("link", copy, content)
    }

    fn copied(below: &str, copy: &Copy, content: &Digest) -> Self {
        let chmod = match &copy.chmod {
            None => String::new(),
            Some(Mode::Bits(bits)) => format!("{bits:o}"),
            Some(Mode::Symbolic(text)) => text.clone(),
        };
        of(&(
            "copy",
            below,
            content.hex(),
            &copy.destination,
            &copy.chown,
            chmod,
            copy.parents,
            copy.unpack,
            copy.add,
        ))
    }

    /// After a directory was made.
    #[must_use]
    pub fn directory(&self, directory: &Directory) -> Self {
        of(&("directory", self.hex(), &directory.path, &directory.user))
    }
}

/// Lists and texts are written as JSON, so that no two different inputs look the same.
fn of(parts: &impl Serialize) -> Key {
    let text = serde_json::to_vec(parts).unwrap_or_default();
    Key(Digest::of(&text))
}

//! A stack of layers as one tree, copied: what the kernel would show, for machines where it cannot stack.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::AtFlags;

use crate::beneath::{self, Links};
use crate::copy;
use crate::error::{At, Result};
use crate::place::{self, Owner};
use crate::stack::Stack;
use crate::walk;

/// Copies what the stack shows into an empty directory. Hard links within a layer stay links.
pub(crate) fn copy(stack: &Stack, to: &Path) -> Result<()> {
    let root = File::open(to).at("open", to)?;
    let mut flatten = Flatten {
        stack,
        links: HashMap::new(),
        root: root.as_fd(),
    };
    flatten.directory(&[])
}

struct Flatten<'a> {
    stack: &'a Stack,
    root: BorrowedFd<'a>,
    /// First path of each file with several names, by layer and inode.
    links: HashMap<(usize, u64), Vec<u8>>,
}

impl Flatten<'_> {
    fn directory(&mut self, parts: &[&[u8]]) -> Result<()> {
        let path = beneath::join(parts);
        let shown = String::from_utf8_lossy(&path).into_owned();
        let to = beneath::open_dir(self.root, &path, Links::Refused).at("open", &shown)?;
        for name in self.stack.names(parts)? {
            let below: Vec<&[u8]> = parts.iter().copied().chain([&name[..]]).collect();
            let Some(found) = self.stack.find(&below)? else {
                continue;
            };
            let from = beneath::open_dir(self.stack.layer(found.layer), &path, Links::Refused)
                .at("open layer directory", &shown)?;
            if found.is_dir() {
                place::create_dir(to.as_fd(), &name).at("create directory in", &shown)?;
                self.directory(&below)?;
                let entry = walk::entry_in(from.as_fd(), &name, beneath::join(&below))
                    .at("read", &shown)?;
                let fd = beneath::open_dir(&to, &name, Links::Refused).at("open", &shown)?;
                place::set_attributes(fd.as_fd(), &entry, Owner::default())?;
                place::set_times(fd.as_fd(), &entry)?;
                continue;
            }
            let key = (found.layer, found.stat.st_ino);
            if let Some(first) = self.links.get(&key) {
                rustix::fs::linkat(self.root, &first[..], &to, &name[..], AtFlags::empty())
                    .at("link in", &shown)?;
                continue;
            }
            if found.stat.st_nlink > 1 {
                self.links.insert(key, beneath::join(&below));
            }
            if walk::kind(&found.stat).is_some() {
                copy::object(from.as_fd(), &name, to.as_fd(), &name)?;
            }
        }
        Ok(())
    }
}

//! Files into a stage, by docker's rules of destinations.
//!
//! The content of a directory goes into the destination, which is made where it is not there. A file goes to the
//! destination itself, or into it where it ends in `/` or is a directory. Directories made on the way are 0755 (or
//! `--chmod`'s octal mode) and belong to `--chown`.

use std::path::Path;

use gantry_dockerfile::ignore::{Ignore, clean};
use gantry_store::archive::{self, PutOptions};
use gantry_store::directory;
use gantry_store::tar::write::Writer;
use gantry_store::tar::{Entry, Kind};

use super::select::Source;
use super::stream::{self, Change};
use super::{Error, Result, follow, is_directory, mode, split};
use crate::step::{Copy, Mode};

/// Puts the sources, found below `root`, into the tree of a stage.
///
/// # Errors
/// Several sources and a destination that is no directory; the store's.
pub fn put(
    root: &Path,
    sources: &[Source],
    stage: &Path,
    copy: &Copy,
    owner: (u32, u32),
) -> Result<()> {
    let count = sources.len() + copy.files.len();
    let verb = if copy.add { "ADD" } else { "COPY" };
    if count > 1 && !copy.destination.ends_with('/') {
        return Err(Error::Refused(format!(
            "When using {verb} with more than one source file, the destination must be a directory and end with a /"
        )));
    }
    let exclude = Ignore::of(&copy.exclude).map_err(|error| Error::Refused(error.message))?;
    let put = Put {
        root,
        stage,
        copy,
        owner,
        exclude,
    };
    for source in sources {
        put.source(source)?;
    }
    for file in &copy.files {
        put.inline(&file.name, &file.content)?;
    }
    Ok(())
}

/// Where one thing goes: a directory of the stage and a name in it; no name means the directory's own content.
struct Place {
    directory: String,
    name: String,
}

struct Put<'a> {
    root: &'a Path,
    stage: &'a Path,
    copy: &'a Copy,
    owner: (u32, u32),
    exclude: Ignore,
}

impl Put<'_> {
    fn source(&self, source: &Source) -> Result<()> {
        let place = if self.copy.parents {
            self.with_parents(source)?
        } else if source.directory {
            self.directory()?
        } else {
            self.file(split(&source.named).1)?
        };
        let change = Change {
            name: &place.name,
            owner: self.owner,
            chmod: self.copy.chmod.as_ref(),
            exclude: &self.exclude,
        };
        self.through(&place.directory, |to| {
            stream::write(self.root, source, &change, to)
        })
    }

    /// A directory's content: into the destination; where that is not there it is made as the source is.
    fn directory(&self) -> Result<Place> {
        let destination = self.copy.destination.trim_end_matches('/');
        if destination.is_empty() {
            return Ok(Place {
                directory: "/".into(),
                name: String::new(),
            });
        }
        match follow(self.stage, destination)? {
            Some((path, stat)) if is_directory(&stat) => Ok(Place {
                directory: path,
                name: String::new(),
            }),
            Some(_) => Err(Error::Refused(format!(
                "cannot copy to non-directory: {destination}"
            ))),
            None => {
                let (parent, name) = split(destination);
                self.make(parent)?;
                Ok(Place {
                    directory: format!("/{}", clean(parent)),
                    name: name.to_owned(),
                })
            }
        }
    }

    fn file(&self, name: &str) -> Result<Place> {
        let destination = self.copy.destination.as_str();
        let there = follow(self.stage, destination.trim_end_matches('/'))?;
        let is_directory = there.as_ref().is_some_and(|(_, stat)| is_directory(stat));
        if destination.ends_with('/') || is_directory {
            self.make(destination)?;
            return Ok(Place {
                directory: destination.to_owned(),
                name: name.to_owned(),
            });
        }
        // A symlink at the destination is written through, within the stage.
        let path = there.map_or_else(|| destination.to_owned(), |(path, _)| path);
        let (parent, name) = split(&path);
        self.make(parent)?;
        Ok(Place {
            directory: format!("/{}", clean(parent)),
            name: name.to_owned(),
        })
    }

    /// Below the destination the directories of the source, each as it is there.
    fn with_parents(&self, source: &Source) -> Result<Place> {
        self.make(&self.copy.destination)?;
        let mut below = String::new();
        for part in source.parents.split('/').filter(|part| !part.is_empty()) {
            below = clean(&format!("{below}/{part}"));
            let original = format!("/{}", clean(&format!("{}/{below}", source.pivot)));
            let stat = archive::stat(self.root, &original)?;
            let path = format!("{}/{below}", self.copy.destination);
            directory::create_all(
                self.stage,
                &path,
                self.directory_mode(stat.mode & 0o777)?,
                self.owner,
            )?;
        }
        Ok(Place {
            directory: format!("/{}", clean(&format!("{}/{below}", self.copy.destination))),
            name: split(&source.named).1.to_owned(),
        })
    }

    fn inline(&self, name: &str, content: &str) -> Result<()> {
        let place = self.file(name)?;
        let mut entry = Entry::new(Kind::File, place.name.as_bytes());
        (entry.uid, entry.gid) = self.owner;
        entry.size = content.len() as u64;
        entry.mode = match &self.copy.chmod {
            None => 0o644,
            Some(chmod) => {
                mode::apply(chmod, 0o644, false).map_err(|fault| Error::Refused(fault.message))?
            }
        };
        self.through(&place.directory, |to| {
            let mut writer = Writer::new(to);
            writer.append_bytes(&entry, content.as_bytes())?;
            writer.finish()?;
            Ok(())
        })
    }

    fn make(&self, path: &str) -> Result<()> {
        directory::create_all(self.stage, path, self.directory_mode(0o755)?, self.owner)?;
        Ok(())
    }

    fn directory_mode(&self, plain: u32) -> Result<u32> {
        match &self.copy.chmod {
            Some(Mode::Bits(bits)) => Ok(*bits),
            _ => Ok(plain),
        }
    }

    /// Runs `write` into a pipe whose other end is unpacked in a directory of the stage.
    fn through(
        &self,
        directory: &str,
        write: impl FnOnce(std::io::PipeWriter) -> Result<()> + Send,
    ) -> Result<()> {
        let (reader, writer) = std::io::pipe()?;
        std::thread::scope(|scope| {
            let writing = scope.spawn(move || write(writer));
            let unpacked = archive::put(self.stage, directory, reader, PutOptions::default());
            let written = writing
                .join()
                .unwrap_or_else(|_| Err(Error::Refused("reading a source panicked".into())));
            match (unpacked, written) {
                // A broken pipe on one side is the echo of the other's failure.
                (Err(error), Err(Error::Pipe(_)) | Ok(())) => Err(error.into()),
                (_, Err(error)) => Err(error),
                (Ok(()), Ok(())) => Ok(()),
            }
        })
    }
}

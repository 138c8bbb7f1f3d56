//! One source as an archive on its way: excluded entries dropped, the rest renamed, their owner and mode changed.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::Path;

use gantry_dockerfile::ignore::Ignore;
use gantry_store::archive;
use gantry_store::tar::read::Reader;
use gantry_store::tar::write::Writer;
use gantry_store::tar::{Entry, Kind};

use super::select::Source;
use super::{Error, Result, mode};
use crate::step::Mode;

/// What becomes of the entries of a source.
#[derive(Debug)]
pub struct Change<'a> {
    /// The name the source gets: entries below it are renamed along. Empty leaves the source itself out and puts what is
    /// in it at the top.
    pub name: &'a str,
    /// Owner of everything.
    pub owner: (u32, u32),
    /// `--chmod`.
    pub chmod: Option<&'a Mode>,
    /// `--exclude`, by paths within the source.
    pub exclude: &'a Ignore,
}

/// Hands each entry of `source` (renamed and changed, with its body) to `each`.
pub fn entries(
    root: &Path,
    source: &Source,
    change: &Change<'_>,
    mut each: impl FnMut(&Entry, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let (reader, mut writer) = std::io::pipe()?;
    let path = if source.directory {
        format!("/{}/.", source.path)
    } else {
        format!("/{}", source.path)
    };
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let result = archive::get(root, &path, &mut writer);
            drop(writer);
            result
        });
        let result = walk(root, source, change, Reader::new(reader), &mut each);
        let read = reading.join().unwrap_or_else(|_| {
            Err(gantry_store::Error::Invalid(
                "reading the source panicked".into(),
            ))
        });
        // Where the walk stopped early the reader's end is gone, and the writer's error is only its echo.
        result?;
        Ok(read?)
    })
}

fn walk(
    root: &Path,
    source: &Source,
    change: &Change<'_>,
    mut from: Reader<impl Read>,
    each: &mut impl FnMut(&Entry, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    // A hard link whose first name is excluded becomes that file; further links lead to it.
    let mut moved: HashMap<String, String> = HashMap::new();
    while let Some(mut entry) = from.next(&mut ())? {
        let Some(inner) = inner_path(&entry.path, source) else {
            continue;
        };
        if !inner.is_empty() && change.exclude.excludes(&inner) {
            continue;
        }
        let name = renamed(&inner, change.name);
        if name.is_empty() {
            continue;
        }
        alter(&mut entry, change)?;
        entry.path = if entry.kind == Kind::Dir {
            format!("{name}/").into_bytes()
        } else {
            name.clone().into_bytes()
        };
        if entry.kind != Kind::HardLink {
            each(&entry, &mut from)?;
            continue;
        }
        let target = inner_path(&entry.link, source).unwrap_or_default();
        if !change.exclude.excludes(&target) {
            entry.link = renamed(&target, change.name).into_bytes();
            each(&entry, &mut std::io::empty())?;
        } else if let Some(first) = moved.get(&target) {
            entry.link = first.clone().into_bytes();
            each(&entry, &mut std::io::empty())?;
        } else {
            let alone = Source {
                path: format!("{}/{inner}", source.path),
                directory: false,
                ..source.clone()
            };
            let keep = Change {
                name: &name,
                exclude: &Ignore::default(),
                ..*change
            };
            entries(
                root,
                &alone,
                &keep,
                &mut *each as &mut dyn FnMut(&Entry, &mut dyn Read) -> Result<()>,
            )?;
            moved.insert(target, name);
        }
    }
    Ok(())
}

/// The path of an entry within the source: empty for the source itself, `None` for names that are no text.
fn inner_path(path: &[u8], source: &Source) -> Option<String> {
    let text = std::str::from_utf8(path).ok()?;
    let text = text.trim_end_matches('/');
    if !source.directory {
        return Some(String::new());
    }
    let inner = if text == "." { "" } else { text };
    Some(inner.strip_prefix("./").unwrap_or(inner).to_owned())
}

fn renamed(inner: &str, name: &str) -> String {
    match (inner, name) {
        ("", name) => name.to_owned(),
        (inner, "") => inner.to_owned(),
        (inner, name) => format!("{name}/{inner}"),
    }
}

fn alter(entry: &mut Entry, change: &Change<'_>) -> Result<()> {
    (entry.uid, entry.gid) = change.owner;
    if let (Some(chmod), true) = (change.chmod, entry.kind != Kind::Symlink) {
        entry.mode = mode::apply(chmod, entry.mode, entry.kind == Kind::Dir)
            .map_err(|fault| Error::Refused(fault.message))?;
    }
    Ok(())
}

/// The changed source as an archive.
pub fn write(root: &Path, source: &Source, change: &Change<'_>, to: impl Write) -> Result<()> {
    let mut writer = Writer::new(to);
    entries(root, source, change, |entry, body| {
        Ok(writer.append(entry, &mut &mut *body)?)
    })?;
    writer.finish()?;
    Ok(())
}

//! Which files of the source a pattern means.

use std::path::Path;

use gantry_dockerfile::glob::Glob;
use gantry_dockerfile::ignore::clean;
use gantry_store::directory;

use super::{Error, Result, follow, is_directory, split};

/// A file or directory that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its path from the root of the source, as named: what its name in the destination comes from.
    pub named: String,
    /// The path symlinks lead to.
    pub path: String,
    /// Whether it is a directory, whose content is meant.
    pub directory: bool,
    /// With `--parents`: the directories kept, from the root or the pivot `/./` on.
    pub parents: String,
    /// With `--parents`: where those directories begin in the source.
    pub pivot: String,
}

/// What a source of COPY means, in byte order; nothing where a wildcard matches nothing.
///
/// # Errors
/// A path without wildcard that is not there, or a pattern that is none.
pub fn select(root: &Path, source: &str, parents: bool) -> Result<Vec<Source>> {
    let (pivot, rest) = match source.split_once("/./") {
        Some((pivot, rest)) if parents => (clean(&format!("/{pivot}")), clean(&format!("/{rest}"))),
        _ => (String::new(), clean(&format!("/{source}"))),
    };
    let mut found = Vec::new();
    let wildcard = has_wildcard(&rest);
    let paths = if wildcard {
        matches(root, &pivot, &rest, parents)?
    } else {
        vec![rest]
    };
    for rest in paths {
        let named = clean(&format!("{pivot}/{rest}"));
        let Some((path, stat)) = follow(root, &named)? else {
            if wildcard {
                continue;
            }
            return Err(Error::Refused(format!(
                "file not found in build context or excluded by .dockerignore: stat {source}: file does not exist"
            )));
        };
        let kept = if parents {
            split(&rest).0.to_owned()
        } else {
            String::new()
        };
        let directory = is_directory(&stat);
        found.push(Source {
            named,
            path,
            directory,
            parents: kept,
            pivot: pivot.clone(),
        });
    }
    Ok(found)
}

fn has_wildcard(path: &str) -> bool {
    let mut escaped = false;
    path.chars().any(|c| {
        let wild = !escaped && matches!(c, '*' | '?' | '[');
        escaped = c == '\\' && !escaped;
        wild
    })
}

/// Paths below `base` that match, component by component; `**` is a component of any depth with `--parents` alone.
fn matches(root: &Path, base: &str, pattern: &str, any_depth: bool) -> Result<Vec<String>> {
    let wrong = |fault: gantry_dockerfile::error::Fault| Error::Refused(fault.message);
    if any_depth && pattern.contains("**") {
        let glob = Glob::new(pattern).map_err(wrong)?;
        let mut found = Vec::new();
        below(root, base, "", &glob, &mut found)?;
        return Ok(found);
    }
    let mut reached = vec![String::new()];
    for part in pattern.split('/') {
        let glob = Glob::new(part).map_err(wrong)?;
        let mut next = Vec::new();
        for directory in &reached {
            if glob.is_literal() {
                next.push(clean(&format!("{directory}/{part}")));
                continue;
            }
            let names = names(root, &format!("{base}/{directory}"))?;
            let fitting = names.into_iter().filter(|name| glob.matches(name));
            next.extend(fitting.map(|name| clean(&format!("{directory}/{name}"))));
        }
        reached = next;
    }
    Ok(reached)
}

/// Everything at any depth that matches; below a match nothing more is looked for, for all of it is meant.
fn below(root: &Path, base: &str, at: &str, glob: &Glob, found: &mut Vec<String>) -> Result<()> {
    for name in names(root, &format!("{base}/{at}"))? {
        let path = clean(&format!("{at}/{name}"));
        if glob.matches(&path) {
            found.push(path);
        } else {
            below(root, base, &path, glob, found)?;
        }
    }
    Ok(())
}

/// Names in a directory; none where the path is no directory or a symlink.
fn names(root: &Path, path: &str) -> Result<Vec<String>> {
    let path = format!("/{}", clean(path));
    let directory = match gantry_store::archive::stat(root, &path) {
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        stat => is_directory(&stat?),
    };
    if !directory {
        return Ok(Vec::new());
    }
    let mut names = directory::names(root, &path)?;
    names.sort();
    Ok(names)
}

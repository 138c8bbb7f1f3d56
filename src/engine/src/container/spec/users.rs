//! Who a container's process runs as: `user[:group]` looked up in the container's own files, never the host's.

use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;

use crate::error::{Error, Result};

/// The numbers, and where its home is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups, the own group first, as docker gives them.
    pub groups: Vec<u32>,
}

/// A file of a tree, resolved inside it; empty when there is none.
fn read_inside(root: &Path, path: &str) -> String {
    let (Ok(root), Ok(path)) = (File::open(root), CString::new(path)) else {
        return String::new();
    };
    let Ok(file) = sys::file::read_within(root.as_fd(), &path) else {
        return String::new();
    };
    let mut text = Vec::new();
    // A passwd file above this size is no passwd file.
    match File::from(file).take(4 << 20).read_to_end(&mut text) {
        Ok(_) => String::from_utf8_lossy(&text).into_owned(),
        Err(_) => String::new(),
    }
}

/// Looks `wanted` and the `extra` groups up below `root`.
///
/// # Errors
/// Invalid, docker's text, for a name that is not there.
pub fn find(root: &Path, wanted: &str, extra: &[String]) -> Result<User> {
    let passwd = read_inside(root, "etc/passwd");
    let group = read_inside(root, "etc/group");
    let (user, group_wanted) = wanted.split_once(':').unwrap_or((wanted, ""));
    let user = if user.is_empty() { "0" } else { user };
    let line = fields(&passwd).find(|line| line[0] == user || (line.len() > 2 && line[2] == user));
    let mut found = User::default();
    let mut name = String::new();
    match (line, user.parse::<u32>()) {
        (Some(line), _) if line.len() > 3 => {
            name = line[0].to_owned();
            found.uid = line[2].parse().unwrap_or(0);
            found.gid = line[3].parse().unwrap_or(0);
        }
        (_, Ok(number)) => found.uid = number,
        _ => {
            return Err(Error::invalid(format!(
                "unable to find user {user}: no matching entries in passwd file"
            )));
        }
    }
    if group_wanted.is_empty() {
        found.groups = fields(&group)
            .filter(|line| {
                !name.is_empty()
                    && line.len() > 3
                    && line[3].split(',').any(|member| member == name)
            })
            .filter_map(|line| line[2].parse().ok())
            .collect();
    } else {
        found.gid = group_id(&group, group_wanted)?;
    }
    found.groups.retain(|id| *id != found.gid);
    found.groups.insert(0, found.gid);
    for wanted in extra {
        let id = group_id(&group, wanted)?;
        if !found.groups.contains(&id) {
            found.groups.push(id);
        }
    }
    Ok(found)
}

fn fields(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect())
}

fn group_id(groups: &str, wanted: &str) -> Result<u32> {
    fields(groups)
        .find(|line| line[0] == wanted)
        .and_then(|line| line.get(2)?.parse().ok())
        .or_else(|| wanted.parse().ok())
        .ok_or_else(|| {
            Error::invalid(format!(
                "unable to find group {wanted}: no matching entries in group file"
            ))
        })
}

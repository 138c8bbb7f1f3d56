//! What the probe sees and may do in the file tree: reading, writing, creating, executing, mounting.

use super::outcome;
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, major, makedev, minor, mknod};
use serde_json::{Value, json};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

/// The file verbs; `None` when `verb` is none of them.
pub fn act(verb: &str, operands: &str) -> Option<Value> {
    let (path, data) = operands.split_once('=').unwrap_or((operands, ""));
    Some(match verb {
        "read" => outcome(fs::read(operands).map(|b| String::from_utf8_lossy(&b).into_owned())),
        "stat" => outcome(fs::symlink_metadata(operands).map(|m| metadata(&m))),
        "follow" => outcome(fs::metadata(operands).map(|m| metadata(&m))),
        "list" => outcome(list(operands)),
        "link" => outcome(fs::read_link(operands).map(|p| p.to_string_lossy().into_owned())),
        "write" => outcome(write(path, data)),
        "append" => outcome(append(path, data)),
        "create" => outcome(fs::OpenOptions::new().write(true).create_new(true).open(operands).map(drop).map(|()| 0)),
        "open" => outcome(fs::File::open(operands).map(drop).map(|()| 0)),
        "openw" => outcome(fs::OpenOptions::new().write(true).open(operands).map(drop).map(|()| 0)),
        "mkdir" => outcome(fs::create_dir(operands).map(|()| 0)),
        "mounts" => outcome(fs::read_to_string("/proc/self/mountinfo").map(|t| mounts(&t))),
        "exec" => outcome(Command::new(operands).arg("exit:7").status().map(|s| s.code().unwrap_or(-1))),
        "busybox" => outcome(busybox(operands)),
        "mknod" => outcome(make_node(operands)),
        "tmpfs" => outcome(mount_tmpfs(operands)),
        "bind" => outcome(mount(Some(path), data, None::<&str>, MsFlags::MS_BIND, None::<&str>).map(|()| 0).map_err(io::Error::from)),
        "chmod" => {
            outcome(fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(u32::from_str_radix(data, 8).unwrap_or(0))).map(|()| 0))
        }
        _ => return None,
    })
}

/// The facts of one inode that cases ask about.
fn metadata(m: &fs::Metadata) -> Value {
    let kind = m.file_type();
    let name = if kind.is_dir() {
        "dir"
    } else if kind.is_symlink() {
        "link"
    } else if kind.is_char_device() {
        "c"
    } else if kind.is_block_device() {
        "b"
    } else if kind.is_fifo() {
        "p"
    } else if kind.is_socket() {
        "socket"
    } else {
        "file"
    };
    json!({"kind": name, "mode": m.mode() & 0o7777, "uid": m.uid(), "gid": m.gid(), "size": m.size(),
           "major": major(m.rdev()), "minor": minor(m.rdev()), "dev": m.dev(), "ino": m.ino(), "atime": m.atime()})
}

fn list(path: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn write(path: &str, data: &str) -> io::Result<u64> {
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    Ok(file.write(data.as_bytes())? as u64)
}

fn append(path: &str, data: &str) -> io::Result<u64> {
    let mut file = fs::OpenOptions::new().append(true).create(true).mode(0o666).open(path)?;
    file.write_all(format!("{data}\n").as_bytes())?;
    Ok(data.len() as u64)
}

/// The lines of /proc/self/mountinfo, later mounts last (proc_pid_mountinfo(5)).
fn mounts(text: &str) -> Value {
    let entries = text.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let left: Vec<&str> = left.split(' ').collect();
        let right: Vec<&str> = right.split(' ').collect();
        Some(json!({"id": left[0], "parent": left[1], "root": left[3], "at": left[4],
            "options": left[5].split(',').collect::<Vec<_>>(), "tags": left[6..],
            "type": right[0], "source": right.get(1), "super": right.get(2).map(|s| s.split(',').collect::<Vec<_>>())}))
    });
    entries.collect()
}

/// Runs an applet of busybox, its words separated by spaces, and returns status and output.
fn busybox(words: &str) -> io::Result<Value> {
    let output = Command::new("/bin/busybox").args(words.split(' ')).stdin(Stdio::null()).output()?;
    Ok(json!({"code": output.status.code(), "out": String::from_utf8_lossy(&output.stdout)}))
}

/// `PATH,c,MAJOR,MINOR`: creates the node, removes it again.
fn make_node(operands: &str) -> io::Result<Value> {
    let parts: Vec<&str> = operands.split(',').collect();
    let [path, kind, major, minor] = parts[..] else {
        return Err(io::Error::from_raw_os_error(22));
    };
    let number = |text: &str| text.parse::<u64>().map_err(io::Error::other);
    let kind = if kind == "b" { SFlag::S_IFBLK } else { SFlag::S_IFCHR };
    mknod(Path::new(path), kind, Mode::from_bits_truncate(0o666), makedev(number(major)?, number(minor)?))?;
    fs::remove_file(path)?;
    Ok(json!(0))
}

fn mount_tmpfs(path: &str) -> io::Result<u64> {
    mount(Some("probe"), path, Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
    Ok(0)
}

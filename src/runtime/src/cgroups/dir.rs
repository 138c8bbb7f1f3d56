//! One cgroup directory and its files: the few calls everything here is made of.
//!
//! Files are opened without O_CREAT: on a path that is no cgroup a write fails instead of making a plain file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use sys::{Errno, Result};

/// How long a removal waits for the kernel to let go of exiting tasks.
const REMOVAL_TIME: Duration = Duration::from_secs(2);

/// The kernel's answer inside the standard library's error.
fn code(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// Makes `path` and what is missing above it. Says whether `path` itself is new.
pub fn make(path: &Path) -> Result<bool> {
    let attempt = || match fs::create_dir(path).map_err(|e| code(&e)) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(e) => Err(e),
    };
    match (attempt(), path.parent()) {
        (Err(Errno::NOENT), Some(parent)) => {
            make(parent)?;
            attempt()
        }
        (other, _) => other,
    }
}

/// Writes `value` to `file` in one write(2): the kernel takes each write as one command.
pub fn write(dir: &Path, file: &str, value: &str) -> Result<()> {
    write_open(&mut open(&dir.join(file))?, value)
}

/// Opens a control file for writing.
pub fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .write(true)
        .open(path)
        .map_err(|e| code(&e))
}

/// As [`write`], on a file that stays open for several commands.
pub fn write_open(file: &mut File, value: &str) -> Result<()> {
    loop {
        match file.write(value.as_bytes()).map_err(|e| code(&e)) {
            Err(Errno::INTR) => {}
            other => return other.map(drop),
        }
    }
}

/// Reads a control file as text, without the trailing newline.
pub fn read(dir: &Path, file: &str) -> Result<String> {
    /// The kernel fills what a read asks for as long as records fit, and no record of a control file is this long:
    /// a read that gets less has met the end, and need not be told so by another.
    const END: usize = 2048;
    read_to(dir, file, END)
}

/// Reads a file of `/proc` as text, without the trailing newline.
pub fn read_whole(dir: &Path, file: &str) -> Result<String> {
    read_to(dir, file, 1)
}

/// Reads until a read gets fewer than `least` bytes.
fn read_to(dir: &Path, file: &str, least: usize) -> Result<String> {
    let mut open = File::open(dir.join(file)).map_err(|e| code(&e))?;
    let mut text = Vec::new();
    let mut part = [0; 4096];
    loop {
        match open.read(&mut part) {
            Ok(n) => {
                text.extend_from_slice(&part[..n]);
                if n < least {
                    break;
                }
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(code(&e)),
        }
    }
    let mut text = String::from_utf8_lossy(&text).into_owned();
    text.truncate(text.trim_end().len());
    Ok(text)
}

/// As [`read`]; a file that this kernel or this cgroup does not have is `None`.
pub fn read_optional(dir: &Path, file: &str) -> Result<Option<String>> {
    match read(dir, file) {
        Ok(text) => Ok(Some(text)),
        Err(Errno::NOENT | Errno::NODEV) => Ok(None),
        Err(e) => Err(e),
    }
}

/// The cgroups right below `dir`; none where `dir` is gone.
pub fn children(dir: &Path) -> Result<Vec<PathBuf>> {
    // kernfs counts a link for each child, and two for the directory itself: most cgroups need no listing.
    match fs::metadata(dir).map_err(|e| code(&e)) {
        Ok(facts) if facts.nlink() == 2 => return Ok(Vec::new()),
        Ok(_) => {}
        Err(Errno::NOENT | Errno::NODEV) => return Ok(Vec::new()),
        Err(e) => return Err(e),
    }
    let entries = match fs::read_dir(dir).map_err(|e| code(&e)) {
        Ok(entries) => entries,
        Err(Errno::NOENT) => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| code(&e))?;
        if entry.file_type().map_err(|e| code(&e))?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// The processes in `dir` and, if `deep`, in every cgroup below it. A cgroup that is gone has none.
pub fn pids(dir: &Path, deep: bool) -> Result<Vec<i32>> {
    let mut found = Vec::new();
    match read_optional(dir, "cgroup.procs") {
        Ok(text) => found.extend(
            text.iter()
                .flat_map(|t| t.lines())
                .filter_map(|l| l.parse::<i32>().ok()),
        ),
        // A threaded cgroup has no processes of its own; its domain above lists them.
        Err(Errno::OPNOTSUPP) => {}
        Err(e) => return Err(e),
    }
    if deep {
        for child in children(dir)? {
            found.extend(pids(&child, true)?);
        }
    }
    Ok(found)
}

/// Removes `dir` and every cgroup below it. Gone already is fine; EBUSY is retried for two seconds, since exiting
/// tasks leave their cgroup only after their parent may have been told.
pub fn remove(dir: &Path) -> Result<()> {
    let deadline = Instant::now() + REMOVAL_TIME;
    let mut pause = Duration::from_millis(1);
    loop {
        match fs::remove_dir(dir).map_err(|e| code(&e)) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY) => {}
            Err(e) => return Err(e),
        }
        for child in children(dir)? {
            remove(&child)?;
        }
        if Instant::now() >= deadline {
            return Err(Errno::BUSY);
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

//! ADD from elsewhere: files by HTTP, trees by git.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use gantry_build::solve::Fetched;
use gantry_build::step::Copy;
use gantry_store::digest::Hasher;

/// Fetches what `source` names into a directory below `place`.
///
/// # Errors
/// One line: it cannot be had, or its checksum is another.
pub fn fetch(place: &Path, source: &str, copy: &Copy) -> Result<Fetched, String> {
    let root = place.join(format!(
        "fetched-{}",
        gantry_store::Digest::of(source.as_bytes()).short()
    ));
    match fs::remove_dir_all(&root) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(format!("{}: {error}", root.display()));
        }
        _ => {}
    }
    fs::create_dir_all(&root).map_err(|error| format!("{}: {error}", root.display()))?;
    if is_git(source) {
        git(root, source, copy)
    } else {
        download(root, source, copy)
    }
}

fn is_git(source: &str) -> bool {
    let http = source.starts_with("http://") || source.starts_with("https://");
    !http
        || source
            .split('#')
            .next()
            .is_some_and(|url| url.ends_with(".git"))
}

/// The file keeps the last element of the URL's path as its name, 0600, and the server's time where it tells one.
fn download(root: PathBuf, url: &str, copy: &Copy) -> Result<Fetched, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{url}: {error}");
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let name = path
        .splitn(4, '/')
        .nth(3)
        .and_then(|path| path.rsplit('/').next())
        .filter(|name| !name.is_empty());
    let name = name.unwrap_or("__unnamed__").to_owned();
    let mut response = ureq::get(url).call().map_err(|error| wrong(&error))?;
    let modified = response
        .headers()
        .get("last-modified")
        .and_then(|value| value.to_str().ok())
        .and_then(http_date);
    let file_path = root.join(&name);
    let file = File::create(&file_path).map_err(|error| wrong(&error))?;
    let mut hashed = Hashed {
        file,
        hasher: Hasher::new(),
    };
    io::copy(&mut response.body_mut().as_reader(), &mut hashed).map_err(|error| wrong(&error))?;
    let found = hashed.hasher.finish().to_string();
    if let Some(expected) = copy
        .checksum
        .as_ref()
        .filter(|expected| **expected != found)
    {
        return Err(format!(
            "digest mismatch for {url}: {found} (expected: {expected})"
        ));
    }
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    hashed
        .file
        .set_permissions(mode)
        .map_err(|error| wrong(&error))?;
    hashed
        .file
        .set_modified(modified.unwrap_or(SystemTime::UNIX_EPOCH))
        .map_err(|error| wrong(&error))?;
    Ok(Fetched { root, path: name })
}

struct Hashed {
    file: File,
    hasher: Hasher,
}

impl io::Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// `Wed, 21 Oct 2015 07:28:00 GMT` (RFC 9110, 5.6.7).
fn http_date(text: &str) -> Option<SystemTime> {
    let time = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(time.timestamp().into())
}

/// `URL#REF:DIRECTORY`, by the host's git, without its configuration.
fn git(root: PathBuf, source: &str, copy: &Copy) -> Result<Fetched, String> {
    let (url, fragment) = source.split_once('#').unwrap_or((source, ""));
    let (reference, directory) = fragment.split_once(':').unwrap_or((fragment, ""));
    if reference.starts_with('-') || url.starts_with('-') {
        return Err(format!("{source}: a git reference cannot begin with '-'"));
    }
    let reference = if reference.is_empty() {
        "HEAD"
    } else {
        reference
    };
    run_git(&root, source, &["init", "-q"])?;
    run_git(
        &root,
        source,
        &["fetch", "-q", "--depth", "1", "--", url, reference],
    )?;
    run_git(
        &root,
        source,
        &[
            "-c",
            "advice.detachedHead=false",
            "checkout",
            "-q",
            "FETCH_HEAD",
        ],
    )?;
    if let Some(expected) = &copy.checksum {
        let commit = run_git(&root, source, &["rev-parse", "HEAD"])?;
        if !commit.trim().starts_with(expected.as_str()) {
            return Err(format!(
                "{source}: checksum mismatch: {} (expected: {expected})",
                commit.trim()
            ));
        }
    }
    if copy.keep_git_dir != Some(true) {
        fs::remove_dir_all(root.join(".git")).map_err(|error| format!("{source}: {error}"))?;
    }
    Ok(Fetched {
        root,
        path: directory.to_owned(),
    })
}

fn run_git(root: &Path, source: &str, words: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .current_dir(root)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .args([
            "-c",
            "protocol.file.allow=never",
            "-c",
            "protocol.ext.allow=never",
        ])
        .args(words)
        .output()
        .map_err(|error| format!("{source}: git: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(format!(
        "{source}: {}",
        text.trim().lines().last().unwrap_or("git failed")
    ))
}

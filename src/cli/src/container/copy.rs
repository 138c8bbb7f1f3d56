//! `cp`: files between this host and a container, as tar archives, one side possibly standard input or output.

pub mod pack;
pub mod unpack;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::path_stat::PathStat;
use crate::connection::{Answer, Body, Query, query::segment};
use crate::failure::{Failure, Outcome, os_text};
use crate::format::units;
use crate::grammar::{COMMAND as BASE, Command, Count, Parsed, flag};
use crate::output;
use crate::session::{Engine, Session};
use crate::terminal;

/// `cp`.
pub const COMMAND: Command = Command {
    name: "cp",
    usage: "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n[OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    about: "Copy files between a container and this host",
    more: "With '-' as the source a tar archive is read from standard input and unpacked into a directory of the\ncontainer; with '-' as the destination a tar archive of the source is written to standard output.",
    flags: &[&[
        flag("archive", "Keep owners").short('a'),
        flag("follow-link", "Copy what a link in SRC_PATH points to").short('L'),
        flag("quiet", "Do not show progress").short('q'),
    ]],
    count: Count::Exactly(2),
    run,
    ..BASE
};

/// Splits `container:path`; a path that starts with `/` or `.` is of this host.
fn split(text: &str) -> (Option<&str>, &str) {
    if text.starts_with(['/', '.']) {
        return (None, text);
    }
    match text.split_once(':') {
        Some((container, path)) if !container.starts_with(['/', '.']) && !container.is_empty() => {
            (Some(container), path)
        }
        _ => (None, text),
    }
}

fn run(session: &Session, parsed: &Parsed) -> Outcome {
    let (from, to) = (&parsed.arguments[0], &parsed.arguments[1]);
    for (text, what) in [(from, "source"), (to, "destination")] {
        if text.is_empty() {
            return Err(Failure::new(format!("{what} can not be empty")));
        }
    }
    let engine = session.engine()?;
    match (split(from), split(to)) {
        ((Some(container), source), (None, target)) => {
            copy_out(&engine, parsed, container, source, target)
        }
        ((None, source), (Some(container), target)) => {
            copy_in(&engine, parsed, source, container, target)
        }
        ((Some(_), _), (Some(_), _)) => {
            Err(Failure::new("copying between containers is not supported"))
        }
        ((None, _), (None, _)) => Err(Failure::new("must specify at least one container source")),
    }
}

fn archive(container: &str) -> String {
    format!("/containers/{}/archive", segment(container))
}

fn stat(engine: &Engine, container: &str, path: &str) -> Outcome<PathStat> {
    let answer: Answer = engine.send(
        "HEAD",
        &archive(container),
        &Query::new().with("path", path),
        Vec::new(),
        Body::Empty,
    )?;
    if answer.status >= 400 {
        let status = answer.status;
        let text = if status == 404 {
            format!("Could not find the file {path} in container {container}")
        } else {
            format!("status {status}")
        };
        return Err(Failure {
            status: Some(status),
            ..Failure::refused(status, &text)
        });
    }
    PathStat::of(&answer)
}

/// Resolves a path in the container against its root or a directory there.
fn in_container(path: &str) -> String {
    let rooted = Path::new("/").join(path);
    let mut clean = rooted.to_string_lossy().into_owned();
    if path.ends_with("/.") && !clean.ends_with("/.") {
        clean += "/.";
    }
    clean
}

fn told(parsed: &Parsed, size: u64, what: &str) {
    if !parsed.is("quiet") && terminal::is_terminal(io::stderr()) {
        #[allow(clippy::cast_precision_loss, reason = "printed with three digits")]
        let size = units::human_with(size as f64, 3);
        output::complain(&format!("Successfully copied {size} to {what}"));
    }
}

/// Counts what passes.
struct Counted<R>(R, u64);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(into)?;
        self.1 += count as u64;
        Ok(count)
    }
}

fn copy_out(
    engine: &Engine,
    parsed: &Parsed,
    container: &str,
    source: &str,
    target: &str,
) -> Outcome {
    let mut source = in_container(source);
    if target != "-"
        && Path::new(target)
            .parent()
            .is_some_and(|folder| !folder.as_os_str().is_empty() && !folder.is_dir())
    {
        let folder = std::path::absolute(target).unwrap_or_default();
        let folder = folder.parent().map(Path::to_path_buf).unwrap_or_default();
        return Err(Failure::new(format!(
            "invalid output path: directory {} does not exist",
            crate::grammar::checks::quoted(&folder.to_string_lossy())
        )));
    }
    if parsed.is("follow-link") {
        // A path that is not there is told of by the request itself.
        if let Ok(found) = stat(engine, container, &source)
            && found.is_link()
        {
            let parent = Path::new(&source).parent().unwrap_or(Path::new("/"));
            source = parent
                .join(found.link_target)
                .to_string_lossy()
                .into_owned();
        }
    }
    let answer = engine.call(
        "GET",
        &archive(container),
        &Query::new().with("path", &source),
        Body::Empty,
    )?;
    let found = PathStat::of(&answer)?;
    if target == "-" {
        if terminal::is_terminal(io::stdout()) {
            return Err(Failure::new(
                "cowardly refusing to write a tar archive to a terminal; redirect standard output",
            ));
        }
        let mut body = answer.body;
        io::copy(&mut body, &mut io::stdout())?;
        return Ok(());
    }
    let mut body = Counted(answer.body, 0);
    let place = destination(&source, &found, target)?;
    unpack::unpack(&mut body, &found.name, &place, parsed.is("archive"))?;
    told(
        parsed,
        body.1,
        &std::path::absolute(target)?.display().to_string(),
    );
    Ok(())
}

/// Where the copied thing goes: into a directory that is there, under its own name, or at the path itself.
fn destination(source: &str, found: &PathStat, target: &str) -> Outcome<unpack::Place> {
    let path = PathBuf::from(target);
    let contents = source.ends_with("/.");
    if path.is_dir() {
        return Ok(if contents {
            unpack::Place {
                folder: path,
                name: None,
            }
        } else {
            unpack::Place {
                folder: path,
                name: Some(found.name.clone()),
            }
        });
    }
    if found.is_directory() && path.exists() {
        return Err(Failure::new("cannot copy directory"));
    }
    if !found.is_directory() && target.ends_with('/') {
        return Err(Failure::new("no such directory"));
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    Ok(unpack::Place { folder, name })
}

/// What the container's side is, its links followed.
fn target_stat(
    engine: &Engine,
    container: &str,
    target: &str,
) -> Outcome<(String, Option<PathStat>)> {
    let mut path = target.to_owned();
    for _ in 0..40 {
        match stat(engine, container, &path) {
            Ok(found) if found.is_link() => {
                let parent = Path::new(&path).parent().unwrap_or(Path::new("/"));
                path = parent
                    .join(&found.link_target)
                    .to_string_lossy()
                    .into_owned();
            }
            Ok(found) => return Ok((path, Some(found))),
            Err(error) if error.is_not_found() => return Ok((path, None)),
            Err(error) => return Err(error),
        }
    }
    Err(Failure::new(format!(
        "{target}: too many levels of symbolic links"
    )))
}

fn copy_in(
    engine: &Engine,
    parsed: &Parsed,
    source: &str,
    container: &str,
    target: &str,
) -> Outcome {
    let target = in_container(target);
    let (path, found) = target_stat(engine, container, &target)?;
    let is_folder = found.as_ref().is_some_and(PathStat::is_directory);
    let mut query = Query::new().with("noOverwriteDirNonDir", "true");
    if parsed.is("archive") {
        query = query.with("copyUIDGID", "true");
    }
    if source == "-" {
        if !is_folder {
            return Err(Failure::new(format!(
                "destination \"{container}:{target}\" must be a directory"
            )));
        }
        let query = query.with("path", &path);
        return engine
            .call(
                "PUT",
                &archive(container),
                &query,
                Body::Stream(&mut io::stdin(), "application/x-tar"),
            )?
            .bytes()
            .map(drop);
    }
    let local = PathBuf::from(source);
    let meta = if parsed.is("follow-link") {
        local.metadata()
    } else {
        local.symlink_metadata()
    };
    let meta = meta.map_err(|error| {
        let path = std::path::absolute(&local).unwrap_or(local.clone());
        Failure::new(format!("lstat {}: {}", path.display(), os_text(&error)))
    })?;
    let contents = source.ends_with("/.") || source == ".";
    let (folder, name) = place_in(
        &local,
        &meta,
        contents,
        &path,
        is_folder,
        found.is_some(),
        &target,
    )?;
    let mut archive_file = pack::to_file(&local, name.as_deref(), parsed.is("follow-link"))?;
    let size = archive_file.metadata()?.len();
    let query = query.with("path", &folder);
    upload(engine, container, &query, &mut archive_file)?;
    told(parsed, size, &format!("{container}:{target}"));
    Ok(())
}

fn upload(engine: &Engine, container: &str, query: &Query, archive_file: &mut File) -> Outcome {
    engine
        .call(
            "PUT",
            &archive(container),
            query,
            Body::Stream(archive_file, "application/x-tar"),
        )?
        .bytes()
        .map(drop)
}

/// The directory to unpack in and the name to unpack as; no name means the contents go there.
fn place_in(
    local: &Path,
    meta: &std::fs::Metadata,
    contents: bool,
    path: &str,
    is_folder: bool,
    exists: bool,
    target: &str,
) -> Outcome<(String, Option<String>)> {
    let own = || {
        let whole = std::path::absolute(local).unwrap_or_else(|_| local.to_owned());
        whole
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    if is_folder {
        return Ok((
            path.to_owned(),
            if contents && meta.is_dir() {
                None
            } else {
                Some(own())
            },
        ));
    }
    if exists && meta.is_dir() {
        return Err(Failure::new("cannot copy directory"));
    }
    if !exists && !meta.is_dir() && target.ends_with('/') {
        return Err(Failure::new("no such directory"));
    }
    let trimmed = path.trim_end_matches('/');
    let (folder, name) = trimmed.rsplit_once('/').unwrap_or(("", trimmed));
    Ok((
        if folder.is_empty() {
            "/".to_owned()
        } else {
            folder.to_owned()
        },
        Some(name.to_owned()),
    ))
}

/// Puts one file into a container, with this mode.
///
/// # Errors
/// When the engine refuses.
pub fn put_file(
    engine: &Engine,
    container: &str,
    path: &str,
    contents: &[u8],
    mode: u32,
) -> Outcome {
    let bytes = pack::one(path.trim_start_matches('/'), contents, mode)?;
    let query = Query::new().with("path", "/");
    engine
        .call(
            "PUT",
            &archive(container),
            &query,
            Body::Stream(&mut bytes.as_slice(), "application/x-tar"),
        )?
        .bytes()
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_container_is_told_from_a_path() {
        assert_eq!(split("c:/x"), (Some("c"), "/x"));
        assert_eq!(split("./c:/x"), (None, "./c:/x"));
        assert_eq!(split("/x"), (None, "/x"));
        assert_eq!(split("x"), (None, "x"));
        assert_eq!(split("-"), (None, "-"));
    }
}

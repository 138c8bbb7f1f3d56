//! Archives out of and into containers: `cp`, export, diff, commit.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use gantry_api::container::Config;
use gantry_api::container::changes::Change;
use gantry_api::container::create::IdResponse;
use gantry_store::archive::{self, Owner, PathStat, PutOptions};
use gantry_store::{ChangeKind, CommitOptions};
use http::{HeaderValue, StatusCode};

use super::Call;
use super::answer::{self, Answer};
use crate::Engine;
use crate::container::Container;
use crate::container::merge;
use crate::container::record::{Phase, Record};
use crate::error::{Error, Result};
use crate::pipe::{self, blocking};

impl Engine {
    /// Calls with a container's root: the living one with all its mounts, else the layer mounted for as long.
    ///
    /// # Errors
    /// The mount's; the call's.
    pub fn with_root<T>(
        &self,
        container: &Container,
        call: impl FnOnce(&std::path::Path) -> gantry_store::Result<T>,
    ) -> Result<T> {
        let view = container.view();
        if view.state.lives() {
            let root = PathBuf::from(format!("/proc/{}/root", view.state.pid));
            return Ok(call(&root)?);
        }
        Ok(self.store.rw(&view.id)?.with_merged(call)?)
    }
}

fn path_of(call: &Call) -> Result<String> {
    match call.query.text("path") {
        "" => Err(Error::invalid(
            "Bad parameters: the name of the archive path is required",
        )),
        path => Ok(path.to_owned()),
    }
}

fn missing(error: Error, path: &str, container: &Container) -> Error {
    if error.kind == crate::error::Kind::NotFound {
        let name = container.view().short_name().to_owned();
        return Error::not_found(format!(
            "Could not find the file {path} in container {name}"
        ));
    }
    error
}

/// `X-Docker-Container-Path-Stat`.
fn stat_header(stat: &PathStat) -> Result<HeaderValue> {
    let json = serde_json::json!({
        "name": stat.name, "size": stat.size, "mode": stat.mode, "mtime": stat.mtime, "linkTarget": stat.link_target,
    });
    let text = base64::engine::general_purpose::STANDARD.encode(json.to_string());
    HeaderValue::from_str(&text).map_err(|e| Error::internal(format!("header: {e}")))
}

async fn stat(call: &Call, container: &Arc<Container>, path: &str) -> Result<PathStat> {
    let (engine, own, wanted) = (call.engine.clone(), container.clone(), path.to_owned());
    let found = blocking(move || engine.with_root(&own, |root| archive::stat(root, &wanted))).await;
    found.map_err(|error| missing(error, path, container))
}

/// `HEAD /containers/{id}/archive`.
pub async fn head(call: &Call, id: &str) -> Answer {
    let container = call.engine.containers.find(id)?;
    let stat = stat(call, &container, &path_of(call)?).await?;
    let mut response = answer::empty(StatusCode::OK)?;
    response
        .headers_mut()
        .insert("X-Docker-Container-Path-Stat", stat_header(&stat)?);
    Ok(response)
}

/// `GET /containers/{id}/archive`.
pub async fn get(call: &Call, id: &str) -> Answer {
    let container = call.engine.containers.find(id)?;
    let path = path_of(call)?;
    let stat = stat(call, &container, &path).await?;
    let engine = call.engine.clone();
    let (writer, parts) = pipe::writer();
    tokio::task::spawn_blocking(move || {
        let to = std::io::BufWriter::with_capacity(64 * 1024, writer.clone());
        if let Err(error) = engine.with_root(&container, |root| archive::get(root, &path, to)) {
            writer.fail(&error);
        }
    });
    let mut response = answer::stream("application/x-tar", parts)?;
    response
        .headers_mut()
        .insert("X-Docker-Container-Path-Stat", stat_header(&stat)?);
    Ok(response)
}

/// `PUT /containers/{id}/archive`.
pub async fn put(call: Call, id: &str) -> Answer {
    let container = call.engine.containers.find(id)?;
    let path = path_of(&call)?;
    let no_overwrite = call.query.flag("noOverwriteDirNonDir");
    let view = container.view();
    let writes_root = view.host.readonly_rootfs
        && !view
            .mounts
            .iter()
            .any(|mount| mount.point.rw && path.starts_with(&mount.point.destination));
    if writes_root {
        return Err(Error::denied("container rootfs is marked read-only"));
    }
    let user = call
        .query
        .flag("copyUIDGID")
        .then(|| view.config.user.clone());
    let engine = call.engine.clone();
    let reader = call.reader();
    let own = container.clone();
    let wanted = path.clone();
    let done = blocking(move || {
        engine.with_root(&own, |root| {
            let owner = match user
                .as_deref()
                .map(|user| crate::container::spec::users::find(root, user, &[]))
            {
                Some(Ok(user)) => Owner(Some((user.uid, user.gid))),
                Some(Err(error)) => return Err(gantry_store::Error::Invalid(error.message)),
                None => Owner(None),
            };
            let options = PutOptions {
                no_overwrite_dir_non_dir: no_overwrite,
                owner,
                ..PutOptions::default()
            };
            archive::put(root, &wanted, reader, options)
        })
    });
    done.await
        .map_err(|error| missing(error, &path, &container))?;
    answer::empty(StatusCode::OK)
}

/// `GET /containers/{id}/export`.
pub fn export(call: &Call, id: &str) -> Answer {
    let container = call.engine.containers.find(id)?;
    let engine = call.engine.clone();
    let (writer, parts) = pipe::writer();
    engine.container_event(&container.view(), "export", &[]);
    tokio::task::spawn_blocking(move || {
        let mut to = std::io::BufWriter::with_capacity(64 * 1024, writer.clone());
        let done = engine
            .store
            .rw(&container.id)
            .and_then(|layer| layer.export(&mut to))
            .map_err(Error::from);
        let done = done.and_then(|()| to.flush().map_err(|e| Error::kernel("client", e)));
        if let Err(error) = done {
            writer.fail(&error);
        }
    });
    answer::stream("application/octet-stream", parts)
}

/// `GET /containers/{id}/changes`.
pub async fn changes(call: &Call, id: &str) -> Answer {
    let container = call.engine.containers.find(id)?;
    let engine = call.engine.clone();
    let found = blocking(move || Ok(engine.store.rw(&container.id)?.changes()?)).await?;
    let all: Vec<Change> = found
        .into_iter()
        .map(|change| Change {
            path: String::from_utf8_lossy(&change.path).into_owned(),
            kind: match change.kind {
                ChangeKind::Modified => 0,
                ChangeKind::Added => 1,
                ChangeKind::Deleted => 2,
            },
        })
        .collect();
    if all.is_empty() {
        return answer::ok(&serde_json::Value::Null);
    }
    answer::ok(&all)
}

/// What a commit is to say of itself: the client's wishes over the container's configuration.
fn commit_options(query: &super::Query, asked: Config, view: &Record) -> Result<CommitOptions> {
    let changes: Vec<String> = query
        .all("changes")
        .flat_map(|text| text.split('\n'))
        .map(str::to_owned)
        .collect();
    let mut config = asked;
    merge::merge(&mut config, &view.config);
    let run = serde_json::to_value(&config).and_then(serde_json::from_value);
    let run = run.map_err(|e| Error::internal(format!("configuration: {e}")))?;
    let words: Vec<&str> = std::iter::once(&view.path)
        .chain(&view.args)
        .map(String::as_str)
        .collect();
    Ok(CommitOptions {
        author: query.text("author").to_owned(),
        comment: query.text("comment").to_owned(),
        config: crate::container::changes::apply(&changes, run)?,
        container_config: serde_json::to_value(&view.config).ok(),
        created_by: words.join(" "),
        version: env!("CARGO_PKG_VERSION").into(),
    })
}

/// `POST /commit`.
pub async fn commit(mut call: Call) -> Answer {
    let asked: Config = call.json().await?;
    let query = call.query.clone();
    let container = call.engine.containers.find(query.text("container"))?;
    let view = container.view();
    if matches!(view.state.phase, Phase::Removing | Phase::Dead) {
        let id = &view.id;
        return Err(Error::conflict(format!(
            "You cannot commit container {id} which is being removed"
        )));
    }
    let name = match query.text("repo") {
        "" => None,
        repo => Some(super::images::reference(repo, query.text("tag"))?),
    };
    let options = commit_options(&query, asked, &view)?;
    let pause = view.state.phase == Phase::Running
        && query.get("pause").is_none_or(gantry_api::query::boolean);
    if pause {
        call.engine.pause_container(&container).await?;
    }
    let (engine, own) = (call.engine.clone(), container.clone());
    let made = blocking(move || {
        let image = engine.store.rw(&own.id)?.commit(&options)?;
        if let Some(name) = &name {
            engine.store.tag(&image.id, name)?;
        }
        Ok((
            image.id.to_string(),
            name.map(|name| name.familiar()).unwrap_or_default(),
        ))
    })
    .await;
    if pause {
        call.engine.unpause_container(&container).await?;
    }
    let (id, reference) = made?;
    let comment = query.text("comment").to_owned();
    let more = [
        ("comment", comment),
        ("imageID", id.clone()),
        ("imageRef", reference),
    ];
    call.engine
        .container_event(&container.view(), "commit", &more);
    answer::json(StatusCode::CREATED, &IdResponse { id })
}

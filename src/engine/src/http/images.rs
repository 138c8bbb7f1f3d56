//! Images, over the store.

mod exchange;
mod filter;

use std::io::Write;

use gantry_api::container::inspect::GraphDriver;
use gantry_api::image::delete::{PruneReport, Removed};
use gantry_api::image::history::Step;
use gantry_api::image::inspect::{Inspect, Metadata, RootFs};
use gantry_api::image::list::Summary;
use gantry_api::progress::Line;
use gantry_store::{DeleteOptions, Digest, Image, ImportOptions, Reference, Use};
use http::StatusCode;

use super::Call;
use super::answer::{self, Answer};
use super::router::nowhere;
use crate::Engine;
use crate::clock;
use crate::error::{Error, Result};
use crate::pipe::{self, blocking};

/// Routes below `/images`; names may hold slashes.
///
/// # Errors
/// The handler's.
pub async fn route(call: Call, verb: &str, parts: &[&str]) -> Answer {
    match (verb, parts) {
        ("GET", ["json"]) => list(call).await,
        ("POST", ["create"]) => create(call).await,
        ("POST", ["prune"]) => prune(call).await,
        ("GET", [name @ .., "json"]) => inspect(&call, &name.join("/")),
        ("GET", [name @ .., "history"]) => history(&call, &name.join("/")),
        ("POST", [name @ .., "tag"]) => tag(&call, &name.join("/")),
        ("GET", ["get"]) => {
            exchange::save(&call, call.query.all("names").map(str::to_owned).collect()).await
        }
        ("GET", [name @ .., "get"]) => exchange::save(&call, vec![name.join("/")]).await,
        ("POST", ["load"]) => exchange::load(call),
        ("GET", ["search"]) => super::registry::search(call).await,
        ("POST", [name @ .., "push"]) => super::registry::push(call, &name.join("/")).await,
        ("DELETE", name) if !name.is_empty() => delete(call, name.join("/")).await,
        _ => nowhere(),
    }
}

/// `GET /images/json`.
async fn list(call: Call) -> Answer {
    let filters = call.query.filters()?;
    let engine = call.engine.clone();
    let all = call.query.flag("all");
    let summaries = blocking(move || {
        let wanted = filter::Wanted::new(&engine, &filters, all)?;
        let images = engine.store.images();
        let kept = images.iter().filter(|image| wanted.passes(&engine, image));
        let mut kept: Vec<Summary> = kept.map(|image| summary(&engine, image, &wanted)).collect();
        kept.sort_by(|a, b| {
            b.created
                .cmp(&a.created)
                .then_with(|| a.repo_tags.cmp(&b.repo_tags))
        });
        Ok(kept)
    });
    answer::ok(&summaries.await?)
}

/// Lines of the list for `images`, with how many bytes each shares with others.
pub fn summaries(engine: &Engine, images: &[Image]) -> Result<Vec<Summary>> {
    let none = gantry_api::filters::Filters::default();
    let wanted = filter::Wanted::new(engine, &none, true)?;
    Ok(images
        .iter()
        .map(|image| summary(engine, image, &wanted))
        .collect())
}

/// Seconds since 1970.
fn created(image: &Image) -> i64 {
    image
        .config
        .created
        .as_deref()
        .and_then(clock::nanos_of)
        .unwrap_or(0)
        .div_euclid(1_000_000_000)
}

fn summary(engine: &Engine, image: &Image, wanted: &filter::Wanted<'_>) -> Summary {
    let containers = engine
        .containers
        .all()
        .iter()
        .filter(|container| container.view().image == image.id.to_string())
        .count();
    let keep = |tag: &&String| wanted.shows(tag);
    Summary {
        containers: i64::try_from(containers).unwrap_or(-1),
        created: created(image),
        id: image.id.to_string(),
        labels: image
            .config
            .config
            .as_ref()
            .and_then(|config| config.labels.clone()),
        parent_id: image
            .parent
            .as_ref()
            .map(Digest::to_string)
            .unwrap_or_default(),
        repo_digests: Some(image.digests.clone()),
        repo_tags: Some(image.tags.iter().filter(keep).cloned().collect()),
        shared_size: -1,
        size: i64::try_from(image.size).unwrap_or(i64::MAX),
        ..Summary::default()
    }
}

/// `GET /images/{name}/json`.
fn inspect(call: &Call, name: &str) -> Answer {
    let image = call.engine.store.resolve(name)?;
    let config = &image.config;
    let run = serde_json::to_value(&config.config)
        .ok()
        .and_then(|value| serde_json::from_value(value).ok());
    let graph_driver = graph_driver(call, &image);
    answer::ok(&Inspect {
        id: image.id.to_string(),
        repo_tags: Some(image.tags.clone()),
        repo_digests: Some(image.digests.clone()),
        parent: image
            .parent
            .as_ref()
            .map(Digest::to_string)
            .unwrap_or_default(),
        comment: config.comment.clone(),
        created: config.created.clone().unwrap_or_default(),
        docker_version: config.docker_version.clone(),
        author: config.author.clone(),
        architecture: config.architecture.clone(),
        variant: config.variant.clone(),
        os: config.os.clone(),
        os_version: config.os_version.clone(),
        size: i64::try_from(image.size).unwrap_or(i64::MAX),
        graph_driver,
        root_fs: RootFs {
            kind: config.rootfs.kind.clone(),
            layers: config
                .rootfs
                .diff_ids
                .iter()
                .map(Digest::to_string)
                .collect(),
        },
        metadata: Metadata {
            last_tag_time: image
                .last_tagged
                .clone()
                .unwrap_or_else(|| clock::NEVER.into()),
        },
        descriptor: None,
        config: run,
    })
}

fn graph_driver(call: &Call, image: &Image) -> GraphDriver {
    let places = call
        .engine
        .store
        .layer_dirs(image.top())
        .unwrap_or_default();
    let mut places = places
        .iter()
        .map(|path| path.to_string_lossy().into_owned());
    let mut data = gantry_api::word::Map::new();
    if let Some(upper) = places.next() {
        data.insert("UpperDir".into(), upper);
        let lower: Vec<String> = places.collect();
        if !lower.is_empty() {
            data.insert("LowerDir".into(), lower.join(":"));
        }
    }
    GraphDriver {
        data: Some(data),
        name: call.engine.store.driver().name().into(),
    }
}

/// `GET /images/{name}/history`.
fn history(call: &Call, name: &str) -> Answer {
    let image = call.engine.store.resolve(name)?;
    let steps = call
        .engine
        .store
        .history(&image.id)?
        .into_iter()
        .map(|line| Step {
            comment: line.comment,
            created: line
                .created
                .as_deref()
                .and_then(clock::nanos_of)
                .unwrap_or(0)
                .div_euclid(1_000_000_000),
            created_by: line.created_by,
            id: line.id,
            size: i64::try_from(line.size).unwrap_or(i64::MAX),
            tags: (!line.tags.is_empty()).then_some(line.tags),
        });
    answer::ok(&steps.collect::<Vec<_>>())
}

/// A name and tag (or digest) as a reference.
///
/// # Errors
/// Invalid, docker's text.
pub fn reference(name: &str, tag: &str) -> Result<Reference> {
    let text = match tag {
        "" => name.to_owned(),
        tag if tag.contains(':') => format!("{name}@{tag}"),
        tag => format!("{name}:{tag}"),
    };
    Ok(Reference::parse(&text)?.with_default_tag())
}

/// `POST /images/{name}/tag`.
fn tag(call: &Call, name: &str) -> Answer {
    let image = call.engine.store.resolve(name)?;
    let reference = reference(call.query.text("repo"), call.query.text("tag"))?;
    call.engine.store.tag(&image.id, &reference)?;
    call.engine
        .image_event("tag", &image.id.to_string(), &reference.familiar());
    answer::empty(StatusCode::CREATED)
}

impl Engine {
    /// Tells the world what happened to an image.
    pub fn image_event(&self, action: &str, id: &str, name: &str) {
        let labels = self
            .store
            .resolve(id)
            .ok()
            .and_then(|image| image.config.config.as_ref()?.labels.clone());
        let mut attributes = labels.unwrap_or_default();
        attributes.insert("name".into(), name.to_owned());
        self.events.emit("image", action, id, attributes);
    }

    /// What holds images: every container.
    #[must_use]
    pub fn image_uses(&self) -> Vec<Use> {
        let of = |container: std::sync::Arc<crate::container::Container>| {
            let record = container.view();
            let image = Digest::parse(&record.image).ok()?;
            Some(Use {
                container: record.id.clone(),
                image,
                running: record.state.lives(),
            })
        };
        self.containers.all().into_iter().filter_map(of).collect()
    }

    /// Removes an image or a name of it, with docker's events.
    ///
    /// # Errors
    /// Not found, conflict; docker's texts.
    pub fn delete_image(&self, name: &str, options: DeleteOptions) -> Result<Vec<Removed>> {
        let id = self.store.resolve(name)?.id.to_string();
        let removed = self.store.delete(name, options, &self.image_uses())?;
        let word = |step: &gantry_store::Removed| match step {
            gantry_store::Removed::Untagged(name, _) => {
                self.image_event("untag", &id, &id);
                Removed {
                    untagged: name.clone(),
                    ..Removed::default()
                }
            }
            gantry_store::Removed::Deleted(id) => {
                self.image_event("delete", &id.to_string(), &id.to_string());
                Removed {
                    deleted: id.to_string(),
                    ..Removed::default()
                }
            }
            gantry_store::Removed::Layer(chain) => Removed {
                deleted: chain.to_string(),
                ..Removed::default()
            },
        };
        Ok(removed.iter().map(word).collect())
    }
}

/// `DELETE /images/{name}`.
async fn delete(call: Call, name: String) -> Answer {
    let options = DeleteOptions {
        force: call.query.flag("force"),
        prune: !call.query.flag("noprune"),
    };
    let engine = call.engine.clone();
    answer::ok(&blocking(move || engine.delete_image(&name, options)).await?)
}

/// `POST /images/prune`.
async fn prune(call: Call) -> Answer {
    let filters = call.query.filters()?;
    let engine = call.engine.clone();
    let report = blocking(move || {
        let mut report = PruneReport::default();
        let wanted = filter::Pruned::new(&filters)?;
        let containers = engine.containers.all();
        let used: Vec<String> = containers
            .iter()
            .map(|container| container.view().image.clone())
            .collect();
        for image in engine.store.images() {
            let free = !used.contains(&image.id.to_string())
                && engine.store.children(&image.id).is_empty();
            if free && wanted.goes(&image) {
                remove_whole(&engine, &image, &mut report);
            }
        }
        let reclaimed = [("reclaimed".to_owned(), report.space_reclaimed.to_string())].into();
        engine.events.emit("image", "prune", "", reclaimed);
        Ok(report)
    });
    answer::ok(&report.await?)
}

/// Removes an image under all its names; one that turns out to be in use stays.
fn remove_whole(engine: &Engine, image: &Image, report: &mut PruneReport) {
    let names = if image.tags.is_empty() {
        vec![image.id.to_string()]
    } else {
        image.tags.clone()
    };
    // Layers that other images have too stay.
    let own = engine.store.own_size(image);
    for name in names {
        let options = DeleteOptions {
            force: false,
            prune: true,
        };
        match engine.delete_image(&name, options) {
            Ok(removed) => {
                if removed.iter().any(|step| !step.deleted.is_empty()) {
                    report.space_reclaimed += own;
                }
                report
                    .images_deleted
                    .get_or_insert_default()
                    .extend(removed);
            }
            Err(error) => tracing::warn!("prune of {name}: {error}"),
        }
    }
}

/// `POST /images/create`: import here, pulls in `registry`.
async fn create(call: Call) -> Answer {
    let source = call.query.text("fromSrc").to_owned();
    if source.is_empty() {
        return super::registry::pull(call).await;
    }
    if source != "-" {
        return Err(Error::unsupported(format!(
            "import from {source:?}: expected '-' and the archive as the request's body"
        )));
    }
    let (repository, tag) = (
        call.query.text("repo").to_owned(),
        call.query.text("tag").to_owned(),
    );
    let name = if repository.is_empty() {
        None
    } else {
        Some(reference(&repository, &tag)?)
    };
    let changes: Vec<String> = call.query.all("changes").map(str::to_owned).collect();
    let message = call.query.text("message").to_owned();
    let message = if message.is_empty() {
        "Imported from -".to_owned()
    } else {
        message
    };
    let options = ImportOptions {
        message,
        config: crate::container::changes::apply(&changes, Default::default())?,
        version: env!("CARGO_PKG_VERSION").into(),
        ..ImportOptions::default()
    };
    let engine = call.engine.clone();
    let (mut writer, parts) = pipe::writer();
    let reader = call.reader();
    tokio::task::spawn_blocking(move || {
        let line = match import(&engine, reader, &options, name.as_ref()) {
            Ok(id) => Line {
                status: id,
                ..Line::default()
            }
            .to_wire(),
            Err(error) => super::system::failure(&error),
        };
        // A client that left does not hear the id.
        writer.write_all(&line).unwrap_or_default();
    });
    answer::stream("application/json", parts)
}

fn import(
    engine: &Engine,
    reader: pipe::Reader,
    options: &ImportOptions,
    name: Option<&Reference>,
) -> Result<String> {
    let image = engine.store.import(reader, options)?;
    let id = image.id.to_string();
    if let Some(name) = name {
        engine.store.tag(&image.id, name)?;
    }
    let shown = name.map(Reference::familiar).unwrap_or_else(|| id.clone());
    engine.image_event("import", &id, &shown);
    Ok(id)
}

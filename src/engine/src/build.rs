//! Builds: a context and a Dockerfile in, an image out, told as docker's classic builder tells it.

pub mod face;
pub mod fetch;
pub mod worker;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gantry_build::cache::Cache;
use gantry_build::platform::Platform;
use gantry_build::solve::{self, Request};
use gantry_build::variables::Globals;
use gantry_dockerfile::ignore::Ignore;
use gantry_dockerfile::{Dockerfile, lint};
use gantry_store::archive::{self, PutOptions};
use gantry_store::{Image, Reference};

use crate::Engine;
use crate::error::{Error, Result};
use face::Face;
use worker::Steps;

/// What `POST /build` asks for.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// Path of the Dockerfile in the context.
    pub dockerfile: String,
    /// `-t`.
    pub tags: Vec<Reference>,
    /// `--build-arg`.
    pub build_args: BTreeMap<String, String>,
    /// `--label`.
    pub labels: BTreeMap<String, String>,
    /// `--target`.
    pub target: String,
    /// `--platform`.
    pub platform: String,
    /// `--no-cache`.
    pub no_cache: bool,
    /// `--pull`: ask the registry for every base.
    pub pull: bool,
    /// `-q`: only the image's id.
    pub quiet: bool,
    /// `--network` of every RUN that names none.
    pub network: String,
    /// `--add-host`, `name:address`.
    pub extra_hosts: Vec<String>,
    /// Limits of every RUN.
    pub limits: gantry_api::container::HostConfig,
}

/// A directory of a build, removed with it.
#[derive(Debug)]
pub struct Workplace {
    /// Where.
    pub root: PathBuf,
}

impl Drop for Workplace {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.root) {
            tracing::warn!("{}: {error}", self.root.display());
        }
    }
}

impl Engine {
    /// Opens the cache of builds.
    ///
    /// # Errors
    /// The disk's.
    pub fn open_build_cache(root: &Path, store: &gantry_store::Store) -> Result<Cache> {
        let root = root.join("build/results");
        Cache::open(&root, store).map_err(|e| Error::kernel(root.display(), e))
    }

    /// Unpacks a context, plain or compressed, into a directory of its own. Blocking.
    ///
    /// # Errors
    /// A damaged archive, or one that leads outside of its root; the disk's.
    pub fn receive_context(&self, from: impl std::io::Read) -> Result<Workplace> {
        let id = crate::container::names::id()?;
        let root = self
            .options
            .data_root
            .join("build/contexts")
            .join(&id[..16]);
        fs::create_dir_all(root.join("context")).map_err(|e| Error::kernel(root.display(), e))?;
        let place = Workplace { root };
        archive::put(
            &place.root.join("context"),
            "/",
            from,
            PutOptions::default(),
        )?;
        Ok(place)
    }

    /// Builds and names an image. Blocking; `face` is told what happens, and says when nobody listens any more.
    ///
    /// # Errors
    /// One line for the user.
    pub fn build(self: &Arc<Self>, wish: &Wish, place: &Workplace, face: &Face) -> Result<Image> {
        let context = place.root.join("context");
        let text = read_dockerfile(&context, &wish.dockerfile)?;
        let invalid = |error: &dyn std::fmt::Display| Error::invalid(error.to_string());
        let file = gantry_dockerfile::parse(&text).map_err(|e| invalid(&e))?;
        check(&file, face)?;
        exclude(&context, &wish.dockerfile)?;
        let host = Platform::host();
        let platform = match wish.platform.as_str() {
            "" => host.clone(),
            text => Platform::parse(text).map_err(|e| invalid(&e))?,
        };
        let globals = Globals::new(
            &file,
            wish.build_args.clone(),
            &host,
            &platform,
            &wish.target,
        )
        .map_err(|e| invalid(&e))?;
        let request = self.request(&file, &globals, wish, context, platform)?;
        let image = self.solve(&request, wish, place, face)?;
        let unused = globals.unused(&file);
        if !unused.is_empty() {
            let names = unused.join(" ");
            face.say(&format!(
                "[Warning] One or more build-args [{names}] were not consumed\n"
            ));
        }
        for tag in &wish.tags {
            self.store.tag(&image.id, tag)?;
            self.image_event("tag", &image.id.to_string(), &tag.familiar());
        }
        Ok(image)
    }

    fn request<'a>(
        &self,
        file: &'a Dockerfile,
        globals: &'a Globals,
        wish: &'a Wish,
        context: PathBuf,
        platform: Platform,
    ) -> Result<Request<'a>> {
        let cache_mounts = self.options.data_root.join("build/mounts");
        fs::create_dir_all(&cache_mounts).map_err(|e| Error::kernel(cache_mounts.display(), e))?;
        Ok(Request {
            file,
            globals,
            target: Some(wish.target.as_str()),
            context,
            contexts: BTreeMap::new(),
            no_cache: wish.no_cache,
            platform,
            cache_mounts,
            secrets: BTreeMap::new(),
            allow_insecure: false,
            id: crate::container::names::id()?[..12].to_owned(),
        })
    }

    fn solve(
        self: &Arc<Self>,
        request: &Request<'_>,
        wish: &Wish,
        place: &Workplace,
        face: &Face,
    ) -> Result<Image> {
        let lease = self.store.lease();
        let steps = Steps {
            engine: self,
            wish,
            face,
            place: &place.root,
        };
        let built = solve::build(
            request,
            &self.store,
            &self.build_cache,
            &steps,
            face,
            &lease,
        )
        .map_err(Error::internal)?;
        let epoch = wish
            .build_args
            .get("SOURCE_DATE_EPOCH")
            .and_then(|text| text.parse().ok());
        let (labels, platform) = (&wish.labels, &request.platform);
        Ok(gantry_build::image::record(
            &self.store,
            &lease,
            &built,
            labels,
            platform,
            epoch,
        )?)
    }
}

/// The Dockerfile's text; read within the context whatever links it holds.
fn read_dockerfile(context: &Path, path: &str) -> Result<String> {
    let missing = || Error::invalid(format!("Cannot locate specified Dockerfile: {path}"));
    let mut bytes = Vec::new();
    match archive::get(context, path, &mut bytes) {
        Err(error) if error.is_not_found() => return Err(missing()),
        other => other?,
    }
    let mut reader = gantry_store::tar::read::Reader::new(bytes.as_slice());
    let entry = reader.next(&mut ())?.ok_or_else(missing)?;
    if entry.kind != gantry_store::tar::Kind::File {
        return Err(Error::invalid(format!(
            "Dockerfile {path}: expected a regular file"
        )));
    }
    let text = reader.body_to_vec(16 << 20)?;
    if text.is_empty() {
        return Err(Error::invalid(format!(
            "the Dockerfile ({path}) cannot be empty"
        )));
    }
    String::from_utf8(text)
        .map_err(|_| Error::invalid(format!("Dockerfile {path}: expected UTF-8 text")))
}

/// What the linter finds is told; it stops the build only where the file's `# check=error=true` says so.
fn check(file: &Dockerfile, face: &Face) -> Result<()> {
    let options = lint::Check::parse(file.directives.check.as_deref().unwrap_or_default())
        .map_err(Error::invalid)?;
    let findings = lint::check(file, &options);
    for finding in &findings {
        face.say(&format!("[Warning] {finding}\n"));
    }
    if options.error && !findings.is_empty() {
        return Err(Error::invalid(format!(
            "lint violation found for rules: {}",
            findings[0].rule
        )));
    }
    Ok(())
}

/// Takes out of the context what `.dockerignore` excludes: the docker CLI has done so already, other clients have not.
fn exclude(context: &Path, dockerfile: &str) -> Result<()> {
    let own = context.join(format!("{dockerfile}.dockerignore"));
    let path = if own.is_file() {
        own
    } else {
        context.join(".dockerignore")
    };
    let is_file = fs::symlink_metadata(&path).is_ok_and(|data| data.is_file());
    if !is_file {
        return Ok(());
    }
    let text = fs::read_to_string(&path).map_err(|e| Error::kernel(path.display(), e))?;
    let ignore = Ignore::parse(&text)
        .map_err(|e| Error::invalid(format!("error parsing .dockerignore: {}", e.message)))?;
    remove_excluded(context, "", &ignore)
}

fn remove_excluded(root: &Path, at: &str, ignore: &Ignore) -> Result<()> {
    let dir = root.join(at);
    for entry in fs::read_dir(&dir).map_err(|e| Error::kernel(dir.display(), e))? {
        let entry = entry.map_err(|e| Error::kernel(dir.display(), e))?;
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            continue;
        };
        let path = if at.is_empty() {
            name
        } else {
            format!("{at}/{name}")
        };
        let kind = entry.file_type().map_err(|e| Error::kernel(&path, e))?;
        let gone = ignore.excludes(&path);
        let removed = match (gone, kind.is_dir()) {
            (true, true) if !ignore.may_include_below(&path) => fs::remove_dir_all(entry.path()),
            (true, false) => fs::remove_file(entry.path()),
            (_, true) => {
                remove_excluded(root, &path, ignore)?;
                Ok(())
            }
            (false, false) => Ok(()),
        };
        removed.map_err(|e| Error::kernel(&path, e))?;
    }
    Ok(())
}

//! Push: what the registry has is not sent, what it has in another repository is mounted, the rest goes up compressed,
//! three layers at a time. Then the configuration as it is, and a manifest that names them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use gantry_store::{Digest, Image, Reference, Source, Store};
use ureq::Body;
use ureq::http::{Method, Response};

use crate::client::{Load, Remote, header, told};
use crate::credentials::Credentials;
use crate::endpoint::Settings;
use crate::error::{Error, Result};
use crate::manifest::{DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST, Descriptor, Manifest};
use crate::progress::{Meter, Observer, Progress};

const PARALLEL: usize = 3;
const ATTEMPTS: u32 = 5;
/// Places a layer was seen in that are asked for it, as docker limits them.
const ASKED: usize = 4;

/// Pushes the image a tag names. Tells docker's sequence of statuses.
///
/// # Errors
/// In docker's words.
pub fn push(
    store: &Store,
    settings: &Settings,
    reference: &Reference,
    credentials: &Credentials,
    observer: Observer<'_>,
) -> Result<()> {
    let reference = reference.key();
    let Some(tag) = reference.tag() else {
        return Err(Error::Invalid("cannot push a digest reference".to_owned()));
    };
    observer.status(format!(
        "The push refers to repository [{}]",
        reference.name()
    ));
    let id = store.lookup(&reference).ok_or_else(|| {
        Error::NotFound(format!(
            "An image does not exist locally with the tag: {}",
            reference.familiar_name()
        ))
    })?;
    let image = store.image(&id)?;
    let remote = Remote::connect(
        settings,
        reference.domain(),
        reference.path(),
        "pull,push",
        credentials,
    )?;
    let push = Push {
        remote: &remote,
        store,
        reference: &reference,
        observer,
    };
    let layers = push.layers(&image)?;
    let config = push.config(&image)?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: DOCKER_MANIFEST.to_owned(),
        config,
        layers,
    };
    let bytes = push.manifest(&manifest, tag)?;
    let digest = Digest::of(&bytes);
    let size = bytes.len() as u64;
    store.name(&image.id, &[reference.with_digest(&digest)])?;
    observer.status(format!("{tag}: digest: {digest} size: {size}"));
    observer.tell(Progress::Pushed {
        tag: tag.to_owned(),
        digest,
        size,
    });
    Ok(())
}

struct Push<'a> {
    remote: &'a Remote,
    store: &'a Store,
    reference: &'a Reference,
    observer: Observer<'a>,
}

/// Bytes to send, more than once if need be.
enum Content<'a> {
    Bytes(&'a [u8]),
    Packed(&'a mut gantry_store::Packed),
}

impl Push<'_> {
    /// All layers, lowest first; each layer once, though the image may have it twice.
    fn layers(&self, image: &Image) -> Result<Vec<Descriptor>> {
        let diffs = &image.config.rootfs.diff_ids;
        let mut jobs = VecDeque::new();
        for (diff, chain) in diffs.iter().zip(&image.layers).rev() {
            self.observer.of(diff.short(), "Preparing");
            if !jobs.iter().any(|(known, _)| known == diff) {
                jobs.push_back((diff.clone(), chain.clone()));
            }
        }
        for (diff, _) in jobs.iter().skip(PARALLEL) {
            self.observer.of(diff.short(), "Waiting");
        }
        let workers = PARALLEL.min(jobs.len());
        let (jobs, done) = (Mutex::new(jobs), Mutex::new(Vec::new()));
        let work = || {
            loop {
                let job = jobs
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .pop_front();
                let Some((diff, chain)) = job else { return };
                let got = self.layer(&diff, &chain);
                if got.is_err() {
                    jobs.lock().unwrap_or_else(PoisonError::into_inner).clear();
                }
                done.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((diff, got));
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..workers {
                scope.spawn(work);
            }
        });
        let mut sent = Vec::new();
        for (diff, got) in done.into_inner().unwrap_or_else(PoisonError::into_inner) {
            sent.push((diff, got?));
        }
        let find = |diff: &Digest| {
            sent.iter()
                .find(|(known, _)| known == diff)
                .map(|(_, d)| d.clone())
        };
        diffs
            .iter()
            .map(|diff| find(diff).ok_or(Error::Canceled))
            .collect()
    }

    fn layer(&self, diff: &Digest, chain: &Digest) -> Result<Descriptor> {
        self.observer.check()?;
        let id = diff.short();
        if let Some(there) = self.known(diff)? {
            return Ok(there);
        }
        let mut packed = self.store.pack_layer(chain)?;
        let descriptor = Descriptor {
            media_type: DOCKER_LAYER.to_owned(),
            size: packed.size,
            digest: packed.digest.clone(),
            urls: Vec::new(),
            platform: None,
        };
        if self.has(&packed.digest)? {
            self.observer.of(id, "Layer already exists");
        } else {
            let (digest, size) = (packed.digest.clone(), packed.size);
            self.upload(&digest, size, &mut Content::Packed(&mut packed), id)?;
            self.observer.of(id, "Pushed");
        }
        self.note(diff, &descriptor)?;
        Ok(descriptor)
    }

    fn note(&self, diff: &Digest, descriptor: &Descriptor) -> Result<()> {
        let source = Source {
            digest: descriptor.digest.clone(),
            size: descriptor.size,
            media_type: descriptor.media_type.clone(),
            repository: self.reference.name(),
        };
        Ok(self.store.note_source(diff, source)?)
    }

    /// A compressed form seen before that the registry has, here or in another repository of it.
    fn known(&self, diff: &Digest) -> Result<Option<Descriptor>> {
        let here = self.reference.name();
        let mut sources = self.store.sources(diff)?;
        sources.sort_by_key(|source| source.repository != here);
        let mut asked = Vec::new();
        for source in sources.iter().take(ASKED) {
            let descriptor = Descriptor {
                media_type: source.media_type.clone(),
                size: source.size,
                digest: source.digest.clone(),
                urls: Vec::new(),
                platform: None,
            };
            if !asked.contains(&source.digest) {
                asked.push(source.digest.clone());
                if self.has(&source.digest)? {
                    self.observer.of(diff.short(), "Layer already exists");
                    self.note(diff, &descriptor)?;
                    return Ok(Some(descriptor));
                }
                if source.repository == here {
                    self.store.forget_source(diff, source)?;
                }
            }
            let Some((domain, path)) = source.repository.split_once('/') else {
                continue;
            };
            if domain == self.reference.domain()
                && source.repository != here
                && self.mount(&source.digest, path)?
            {
                self.observer.of(
                    diff.short(),
                    &format!(
                        "Mounted from {}",
                        Reference::parse(&source.repository)
                            .map_or_else(|_| path.to_owned(), |r| r.path().to_owned())
                    ),
                );
                self.note(diff, &descriptor)?;
                return Ok(Some(descriptor));
            }
        }
        Ok(None)
    }

    fn blob(&self, digest: &Digest) -> String {
        format!("/v2/{}/blobs/{digest}", self.reference.path())
    }

    fn has(&self, digest: &Digest) -> Result<bool> {
        let mut response = self
            .remote
            .send(&Method::HEAD, &self.blob(digest), &[], Load::None)?;
        match response.status().as_u16() {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(refused(&mut response)),
        }
    }

    /// Asks the registry to take a blob over from another repository.
    fn mount(&self, digest: &Digest, from: &str) -> Result<bool> {
        self.remote.also_pull(from);
        let path = format!(
            "/v2/{}/blobs/uploads/?mount={digest}&from={from}",
            self.reference.path()
        );
        let response = self
            .remote
            .send(&Method::POST, &path, &[], Load::Bytes(b""))?;
        match response.status().as_u16() {
            201 => Ok(true),
            // It began an upload instead; the registry forgets it in time if it cannot be called off.
            202 => {
                let location = location(&response, self.remote)?;
                self.remote
                    .send(&Method::DELETE, &location, &[], Load::None)?;
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    fn config(&self, image: &Image) -> Result<Descriptor> {
        let bytes = self.store.raw_config(&image.id)?;
        if !self.has(&image.id)? {
            self.upload(
                &image.id,
                bytes.len() as u64,
                &mut Content::Bytes(&bytes),
                "",
            )?;
        }
        Ok(Descriptor {
            media_type: DOCKER_CONFIG.to_owned(),
            size: bytes.len() as u64,
            digest: image.id.clone(),
            urls: Vec::new(),
            platform: None,
        })
    }

    fn upload(
        &self,
        digest: &Digest,
        size: u64,
        content: &mut Content<'_>,
        id: &str,
    ) -> Result<()> {
        let mut attempt = 1;
        loop {
            self.observer.check()?;
            let error = match self.upload_once(digest, size, content, id) {
                Err(error @ Error::Unavailable(_)) if attempt < ATTEMPTS => error,
                other => return other,
            };
            self.observer.check()?;
            tracing::info!("upload of {digest}: {error}");
            for left in (1..=1 << (attempt - 1)).rev() {
                let plural = if left == 1 { "" } else { "s" };
                self.observer
                    .of(id, &format!("Retrying in {left} second{plural}"));
                std::thread::sleep(Duration::from_secs(1));
                self.observer.check()?;
            }
            attempt += 1;
        }
    }

    /// POST, PATCH with all of it, PUT: what every registry takes.
    fn upload_once(
        &self,
        digest: &Digest,
        size: u64,
        content: &mut Content<'_>,
        id: &str,
    ) -> Result<()> {
        let begin = format!("/v2/{}/blobs/uploads/", self.reference.path());
        let mut response = self
            .remote
            .send(&Method::POST, &begin, &[], Load::Bytes(b""))?;
        if response.status() != 202 {
            return Err(refused(&mut response));
        }
        let to = location(&response, self.remote)?;
        let kind = [("Content-Type", "application/octet-stream")];
        let mut response = match content {
            Content::Bytes(bytes) => {
                self.remote
                    .send(&Method::PATCH, &to, &kind, Load::Bytes(bytes))?
            }
            Content::Packed(packed) => {
                packed.rewind()?;
                let mut body = Meter::new(&mut **packed, self.observer, id, "Pushing", 0, size);
                self.remote
                    .send(&Method::PATCH, &to, &kind, Load::Stream(&mut body, size))?
            }
        };
        if !matches!(response.status().as_u16(), 201 | 202 | 204) {
            return Err(refused(&mut response));
        }
        let to = location(&response, self.remote)?;
        let joint = if to.contains('?') { '&' } else { '?' };
        let end = format!("{to}{joint}digest={digest}");
        let mut response = self
            .remote
            .send(&Method::PUT, &end, &kind, Load::Bytes(b""))?;
        match response.status().as_u16() {
            201 | 204 => Ok(()),
            _ => Err(refused(&mut response)),
        }
    }

    fn manifest(&self, manifest: &Manifest, tag: &str) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // Three blanks, as docker indents: the same image pushed by either has the same digest.
        let format = serde_json::ser::PrettyFormatter::with_indent(b"   ");
        let mut to = serde_json::Serializer::with_formatter(&mut bytes, format);
        serde::Serialize::serialize(manifest, &mut to)
            .map_err(|e| Error::Protocol(format!("manifest cannot be written: {e}")))?;
        let path = format!("/v2/{}/manifests/{tag}", self.reference.path());
        let kind = [("Content-Type", DOCKER_MANIFEST)];
        let mut response = self
            .remote
            .send(&Method::PUT, &path, &kind, Load::Bytes(&bytes))?;
        match response.status().as_u16() {
            200..=204 => Ok(bytes),
            _ => Err(refused(&mut response)),
        }
    }
}

fn refused(response: &mut Response<Body>) -> Error {
    let (status, told) = told(response);
    told.plain(status)
}

fn location(response: &Response<Body>, remote: &Remote) -> Result<String> {
    let location = header(response, "location")
        .ok_or_else(|| Error::Protocol("registry names no location for an upload".to_owned()))?;
    Ok(if location.contains("://") {
        location.to_owned()
    } else {
        format!("{}{location}", remote.url())
    })
}

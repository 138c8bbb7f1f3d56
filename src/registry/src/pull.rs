//! Pull: manifest, platform, configuration, then layers, three at a time, unpacked in order while others still come.
//! A download that breaks goes on where it was, also after a kill; every byte is checked by digest and size.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use gantry_store::config::ImageConfig;
use gantry_store::{Arrived, Digest, Image, Ingest, Lease, Reference, Source, Store};
use ureq::http::Method;

use crate::client::{Load, Remote, header, told};
use crate::credentials::Credentials;
use crate::endpoint::Settings;
use crate::error::{Error, Result, Told};
use crate::manifest::{ACCEPT, Descriptor, Document, Manifest, Platform};
use crate::progress::{Meter, Observer};

/// Manifests larger than this are refused (distribution-spec, Pushing Manifests: 4 MiB at least are taken).
const MANIFEST_MAX: u64 = 4 << 20;
const CONFIG_MAX: u64 = 8 << 20;
const PARALLEL: usize = 3;
const ATTEMPTS: u32 = 5;

/// What a pull takes beside the reference.
#[derive(Clone, Debug, Default)]
pub struct PullOptions {
    /// Platform to pick from a list; none = this machine's.
    pub platform: Option<Platform>,
    /// Who pulls.
    pub credentials: Credentials,
}

/// A manifest as it came.
pub(crate) struct Fetched {
    pub(crate) bytes: Vec<u8>,
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
}

/// Pulls an image and names it. Tells docker's sequence of statuses.
///
/// # Errors
/// In docker's words; nothing named half an image is left.
pub fn pull(
    store: &Store,
    settings: &Settings,
    reference: &Reference,
    options: &PullOptions,
    observer: Observer<'_>,
) -> Result<Image> {
    let reference = reference.key();
    let (domain, path) = (reference.domain(), reference.path());
    let connect = |itself: bool| {
        let find = if itself {
            Remote::connect_itself
        } else {
            Remote::connect
        };
        find(settings, domain, path, "pull", &options.credentials)
    };
    let remote = connect(false)?;
    match pull_from(&remote, store, &reference, options, observer) {
        Err(error) if remote.is_mirror() && !matches!(error, Error::Canceled | Error::Store(_)) => {
            tracing::info!(
                "mirror {}: {error}; asking the registry itself",
                remote.url()
            );
            pull_from(&connect(true)?, store, &reference, options, observer)
        }
        other => other,
    }
}

fn pull_from(
    remote: &Remote,
    store: &Store,
    reference: &Reference,
    options: &PullOptions,
    observer: Observer<'_>,
) -> Result<Image> {
    let wanted = match reference.digest() {
        Some(digest) => digest.to_string(),
        None => reference.tag().unwrap_or("latest").to_owned(),
    };
    let fetched = resolve(remote, reference, &wanted)?;
    observer.of(&wanted, &format!("Pulling from {}", reference.path()));
    let top = fetched.digest.clone();
    let manifest = match Document::read(&fetched.bytes, &fetched.media_type)? {
        Document::Manifest(manifest) => manifest,
        Document::Index(list) => {
            let platform = options.platform.clone().unwrap_or_else(Platform::host);
            let digest = platform.pick(&list)?.digest.to_string();
            let fetched = get_manifest(remote, reference, &digest)?;
            match Document::read(&fetched.bytes, &fetched.media_type)? {
                Document::Manifest(manifest) => manifest,
                Document::Index(_) => {
                    return Err(Error::Unsupported(
                        "a list of manifests within a list".to_owned(),
                    ));
                }
            }
        }
    };
    let lease = store.lease();
    let image = Pull {
        remote,
        store,
        reference,
        observer,
        lease: &lease,
        given_up: AtomicBool::new(false),
    }
    .image(&manifest)?;
    let before = store.lookup(reference);
    let mut names = vec![reference.with_digest(&top)];
    if reference.digest().is_none() {
        names.push(reference.clone());
    }
    store.name(&image.id, &names)?;
    observer.status(format!("Digest: {top}"));
    let familiar = reference.familiar();
    observer.status(if before.as_ref() == Some(&image.id) {
        format!("Status: Image is up to date for {familiar}")
    } else {
        format!("Status: Downloaded newer image for {familiar}")
    });
    Ok(store.image(&image.id)?)
}

/// The manifest of a tag or digest: its digest first, as docker does, then its bytes.
pub(crate) fn resolve(remote: &Remote, reference: &Reference, wanted: &str) -> Result<Fetched> {
    if reference.digest().is_none() {
        let path = format!("/v2/{}/manifests/{wanted}", reference.path());
        let accept: Vec<(&str, &str)> = ACCEPT.iter().map(|kind| ("Accept", *kind)).collect();
        let response = remote.send(&Method::HEAD, &path, &accept, Load::None)?;
        let digest =
            header(&response, "docker-content-digest").and_then(|text| Digest::parse(text).ok());
        if let (200, Some(digest)) = (response.status().as_u16(), digest) {
            return get_manifest(remote, reference, &digest.to_string());
        }
    }
    get_manifest(remote, reference, wanted)
}

pub(crate) fn get_manifest(
    remote: &Remote,
    reference: &Reference,
    wanted: &str,
) -> Result<Fetched> {
    let path = format!("/v2/{}/manifests/{wanted}", reference.path());
    let accept: Vec<(&str, &str)> = ACCEPT.iter().map(|kind| ("Accept", *kind)).collect();
    let mut response = remote.send(&Method::GET, &path, &accept, Load::None)?;
    if response.status() != 200 {
        let (status, told) = told(&mut response);
        return Err(told.of_pull(status, reference));
    }
    let media_type = header(&response, "content-type").unwrap_or_default();
    let media_type = media_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned();
    let bytes = response
        .body_mut()
        .with_config()
        .limit(MANIFEST_MAX)
        .read_to_vec();
    let bytes = bytes.map_err(|e| Error::Unavailable(format!("manifest {wanted}: {e}")))?;
    let digest = Digest::of(&bytes);
    if Digest::parse(wanted).is_ok_and(|asked| asked != digest) {
        return Err(Error::Protocol(format!(
            "manifest verification failed for digest {wanted}"
        )));
    }
    Ok(Fetched {
        bytes,
        media_type,
        digest,
    })
}

struct Pull<'a> {
    remote: &'a Remote,
    store: &'a Store,
    reference: &'a Reference,
    observer: Observer<'a>,
    lease: &'a Lease,
    /// A layer failed: the downloads of the others are for nothing.
    given_up: AtomicBool,
}

impl Pull<'_> {
    fn image(&self, manifest: &Manifest) -> Result<Image> {
        let config = self.config(&manifest.config)?;
        let parsed: ImageConfig = serde_json::from_slice(&config)
            .map_err(|e| Error::Protocol(format!("image configuration is unreadable: {e}")))?;
        let diffs = &parsed.rootfs.diff_ids;
        if diffs.len() != manifest.layers.len() {
            return Err(Error::Protocol(format!(
                "image configuration has {} layers, its manifest {}",
                diffs.len(),
                manifest.layers.len()
            )));
        }
        if !parsed.os.is_empty() && parsed.os != "linux" {
            return Err(Error::Unsupported(format!(
                "image operating system {:?} cannot be used on this platform",
                parsed.os
            )));
        }
        self.layers(&manifest.layers, diffs)?;
        Ok(self.store.create_image(self.lease, &config, None)?)
    }

    /// The configuration; nothing is fetched where it is here.
    fn config(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        if let Ok(known) = self.store.raw_config(&descriptor.digest) {
            return Ok(known);
        }
        if descriptor.size > CONFIG_MAX {
            return Err(Error::Protocol(format!(
                "image configuration of {} bytes: at most {CONFIG_MAX}",
                descriptor.size
            )));
        }
        let mut ingest = self.store.ingest(&descriptor.digest, descriptor.size)?;
        self.download(&mut ingest, descriptor, None)?;
        let mut bytes = Vec::new();
        let mut arrived = ingest.finish()?;
        arrived
            .read_to_end(&mut bytes)
            .map_err(gantry_store::Error::Stream)?;
        arrived.discard()?;
        Ok(bytes)
    }

    fn layers(&self, layers: &[Descriptor], diffs: &[Digest]) -> Result<()> {
        let mut parent: Option<Digest> = None;
        let mut have = 0;
        for diff in diffs {
            let chain = Digest::chain(parent.as_ref(), diff);
            if self.store.hold_layer(self.lease, &chain).is_none() {
                break;
            }
            parent = Some(chain);
            have += 1;
        }
        for (at, layer) in layers.iter().enumerate() {
            let status = if at < have {
                "Already exists"
            } else {
                "Pulling fs layer"
            };
            self.observer.of(layer.digest.short(), status);
        }
        for layer in layers.iter().skip(have + PARALLEL) {
            self.observer.of(layer.digest.short(), "Waiting");
        }
        self.bring(&layers[have..], &diffs[have..], parent)
    }

    /// Downloads in parallel, unpacks in order.
    fn bring(&self, layers: &[Descriptor], diffs: &[Digest], parent: Option<Digest>) -> Result<()> {
        let (senders, arrivals): (Vec<_>, Vec<_>) = layers.iter().map(|_| mpsc::channel()).unzip();
        let jobs: VecDeque<_> = layers.iter().zip(senders).collect();
        let jobs = Mutex::new(jobs);
        let work = || {
            loop {
                let job = jobs
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .pop_front();
                let Some((layer, arrived)) = job else { return };
                // Nobody waits for it any more once another layer has failed.
                if arrived.send(self.fetch(layer)).is_err() {
                    return;
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..PARALLEL.min(layers.len()) {
                scope.spawn(work);
            }
            let done = self.unpack_all(layers, diffs, parent, arrivals);
            self.given_up.store(true, Ordering::Relaxed);
            jobs.lock().unwrap_or_else(PoisonError::into_inner).clear();
            done
        })
    }

    fn unpack_all(
        &self,
        layers: &[Descriptor],
        diffs: &[Digest],
        mut parent: Option<Digest>,
        arrivals: Vec<mpsc::Receiver<Result<Arrived>>>,
    ) -> Result<()> {
        for ((layer, diff), arrival) in layers.iter().zip(diffs).zip(arrivals) {
            let lost =
                |_| Error::Unavailable(format!("download of layer {} was given up", layer.digest));
            let mut arrived = arrival.recv().map_err(lost)??;
            let id = layer.digest.short();
            let from = Meter::new(&mut arrived, self.observer, id, "Extracting", 0, layer.size);
            let unpacked = self
                .store
                .unpack(self.lease, parent.as_ref(), from, Some(diff))?;
            arrived.discard()?;
            let (domain, path) = (self.reference.domain(), self.reference.path());
            let source = Source {
                digest: layer.digest.clone(),
                size: layer.size,
                media_type: layer.media_type.clone(),
                repository: format!("{domain}/{path}"),
            };
            self.store.note_source(diff, source)?;
            self.observer.of(id, "Pull complete");
            parent = Some(unpacked.chain_id);
        }
        Ok(())
    }

    fn fetch(&self, layer: &Descriptor) -> Result<Arrived> {
        let id = layer.digest.short();
        let mut ingest = self.store.ingest(&layer.digest, layer.size)?;
        self.download(&mut ingest, layer, Some(id))?;
        self.observer.of(id, "Verifying Checksum");
        let arrived = ingest.finish()?;
        self.observer.of(id, "Download complete");
        Ok(arrived)
    }

    /// Brings the content in, again and again from where it broke.
    fn download(&self, ingest: &mut Ingest, what: &Descriptor, id: Option<&str>) -> Result<()> {
        let mut attempt = 0;
        while !ingest.is_whole() {
            self.check()?;
            let before = ingest.offset();
            let Err(error) = self.attempt(ingest, what, id) else {
                continue;
            };
            // Progress made is patience earned: only attempts in a row without a byte count.
            attempt = if ingest.offset() > before {
                1
            } else {
                attempt + 1
            };
            if attempt >= ATTEMPTS || !matches!(error, Error::Unavailable(_)) {
                return Err(error);
            }
            tracing::info!("download of {}: {error}", what.digest);
            let seconds = 1 << (attempt - 1);
            for left in (1..=seconds).rev() {
                let plural = if left == 1 { "" } else { "s" };
                self.observer.of(
                    id.unwrap_or(what.digest.short()),
                    &format!("Retrying in {left} second{plural}"),
                );
                std::thread::sleep(Duration::from_secs(1));
                self.check()?;
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        self.observer.check()?;
        if self.given_up.load(Ordering::Relaxed) {
            Err(Error::Canceled)
        } else {
            Ok(())
        }
    }

    fn attempt(&self, ingest: &mut Ingest, what: &Descriptor, id: Option<&str>) -> Result<()> {
        let path = format!("/v2/{}/blobs/{}", self.reference.path(), what.digest);
        let range = format!("bytes={}-", ingest.offset());
        let headers = [("Accept-Encoding", "identity"), ("Range", &range[..])];
        let headers = if ingest.offset() == 0 {
            &headers[..1]
        } else {
            &headers[..]
        };
        let mut response = self.remote.send(&Method::GET, &path, headers, Load::None)?;
        match response.status().as_u16() {
            200 if ingest.offset() > 0 => ingest.restart()?,
            200 => {}
            206 if resumes_at(&response, ingest.offset()) => {}
            206 | 416 => {
                ingest.restart()?;
                return Err(Error::Unavailable(format!(
                    "registry does not resume {}",
                    what.digest
                )));
            }
            _ => {
                let (status, told): (u16, Told) = told(&mut response);
                return Err(told.plain(status));
            }
        }
        let body = response
            .into_body()
            .into_with_config()
            .limit(u64::MAX)
            .reader();
        let mut from: Box<dyn Read> = match id {
            Some(id) => {
                let (done, all) = (ingest.offset(), what.size);
                Box::new(Meter::new(
                    body,
                    self.observer,
                    id,
                    "Downloading",
                    done,
                    all,
                ))
            }
            None => Box::new(body),
        };
        let mut buf = vec![0; 64 * 1024];
        loop {
            self.check()?;
            match from.read(&mut buf) {
                Ok(0) if ingest.is_whole() => return Ok(()),
                Ok(0) => return Err(Error::Unavailable("unexpected EOF".to_owned())),
                Ok(n) => ingest.write(&buf[..n])?,
                Err(e) => {
                    self.observer.check()?;
                    return Err(Error::Unavailable(e.to_string()));
                }
            }
        }
    }
}

/// True where a partial answer begins where it was asked to.
fn resumes_at(response: &ureq::http::Response<ureq::Body>, offset: u64) -> bool {
    header(response, "content-range")
        .and_then(|range| range.strip_prefix("bytes "))
        .and_then(|range| range.split('-').next())
        .is_some_and(|start| start.parse() == Ok(offset))
}

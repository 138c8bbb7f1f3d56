//! `POST /build` as docker's clients without buildx use it, and `POST /build/prune`.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_api::container::HostConfig;
use gantry_store::Reference;

use super::Call;
use super::answer::{self, Answer};
use super::query::Query;
use crate::Engine;
use crate::build::face::Face;
use crate::build::{Wish, Workplace};
use crate::error::{Error, Result};
use crate::pipe::{self, blocking};

/// `POST /build`: the context is the body, the answer a stream of lines.
///
/// # Errors
/// Options that are none, before the stream begins; later failures are its last line.
pub async fn build(call: Call) -> Answer {
    let wish = wish(&call.query)?;
    let remote = call.query.text("remote").to_owned();
    if !remote.is_empty() {
        return Err(Error::unsupported(format!(
            "remote context {remote:?}: expected the context as the request's body, as the docker CLI sends it"
        )));
    }
    let engine = call.engine.clone();
    let reader = call.reader();
    let (writer, parts) = pipe::writer();
    let face = Face::new(writer, wish.quiet);
    tokio::task::spawn_blocking(move || {
        // The whole context is read before the first answer that could make a client stop sending.
        match engine
            .receive_context(reader)
            .and_then(|place| run(&engine, &wish, &place, &face))
        {
            Ok(()) => {}
            Err(error) => face.fail(&error.message),
        }
    });
    answer::stream("application/json", parts)
}

fn run(engine: &Arc<Engine>, wish: &Wish, place: &Workplace, face: &Face) -> Result<()> {
    let image = engine.build(wish, place, face)?;
    let names: Vec<String> = wish.tags.iter().map(Reference::familiar).collect();
    face.finish(&image.id.to_string(), &names);
    Ok(())
}

/// Reads the options; compose sends `null` for what is not given.
fn wish(query: &Query) -> Result<Wish> {
    let from = query.text("cachefrom");
    if !matches!(from, "" | "null" | "[]") {
        return Err(Error::unsupported(format!(
            "--cache-from {from}: results of steps are found in this engine's own cache alone"
        )));
    }
    for (name, why) in [
        ("squash", "--squash: layers are kept as they are made"),
        ("outputs", "--output: the result is an image in the store"),
    ] {
        if query.flag(name) {
            return Err(Error::unsupported(why));
        }
    }
    if query.text("version") == "2" {
        return Err(Error::unsupported(
            "BuildKit sessions are not spoken here: build without buildx (DOCKER_BUILDKIT=0)",
        ));
    }
    let tags = query.all("t").filter(|tag| !tag.is_empty()).map(|tag| {
        let reference = Reference::parse(tag).map_err(|error| Error::invalid(error.to_string()))?;
        Ok(reference.with_default_tag())
    });
    let dockerfile = query.text("dockerfile");
    Ok(Wish {
        dockerfile: if dockerfile.is_empty() {
            "Dockerfile"
        } else {
            dockerfile
        }
        .to_owned(),
        tags: tags.collect::<Result<_>>()?,
        build_args: map(query, "buildargs")?,
        labels: map(query, "labels")?,
        target: query.text("target").to_owned(),
        platform: query.text("platform").to_owned(),
        no_cache: query.flag("nocache"),
        pull: query.flag("pull"),
        quiet: query.flag("q"),
        network: query.text("networkmode").to_owned(),
        extra_hosts: query
            .all("extrahosts")
            .filter(|host| !host.is_empty())
            .map(str::to_owned)
            .collect(),
        limits: limits(query)?,
    })
}

/// `{"name":"value"}`; names whose value is null are left out, as docker does with arguments the caller has not set.
fn map(query: &Query, name: &str) -> Result<BTreeMap<String, String>> {
    let text = query.text(name);
    if text.is_empty() {
        return Ok(BTreeMap::new());
    }
    let read: Option<BTreeMap<String, Option<String>>> =
        serde_json::from_str(text).map_err(|error| Error::invalid(format!("{name}: {error}")))?;
    Ok(read
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect())
}

/// Memory and processor limits of every RUN, its cgroup's parent and the size of its /dev/shm.
fn limits(query: &Query) -> Result<HostConfig> {
    let mut host = HostConfig::default();
    let number = |name: &str| Ok::<_, Error>(query.number(name)?.unwrap_or(0));
    host.resources.memory = number("memory")?;
    host.resources.memory_swap = number("memswap")?;
    host.resources.cpu_shares = number("cpushares")?;
    host.resources.cpu_period = number("cpuperiod")?;
    host.resources.cpu_quota = number("cpuquota")?;
    host.resources.cpuset_cpus = query.text("cpusetcpus").to_owned();
    host.resources.cpuset_mems = query.text("cpusetmems").to_owned();
    host.shm_size = number("shmsize")?;
    host.resources.cgroup_parent = query.text("cgroupparent").to_owned();
    let ulimits = query.text("ulimits");
    if !ulimits.is_empty() && ulimits != "null" {
        host.resources.ulimits = serde_json::from_str(ulimits)
            .map_err(|error| Error::invalid(format!("ulimits: {error}")))?;
    }
    Ok(host)
}

/// `POST /build/prune`: forgets results of steps, those not used longest first.
///
/// # Errors
/// The disk's.
pub async fn prune(call: &Call) -> Answer {
    let keep = ["reserved-space", "keep-storage"]
        .iter()
        .find_map(|name| call.query.number(name).ok().flatten());
    let engine = call.engine.clone();
    let report = blocking(move || {
        let keep = keep
            .and_then(|bytes| u64::try_from(bytes).ok())
            .unwrap_or(0);
        let gone = engine
            .build_cache
            .prune(keep, |_| true)
            .map_err(|e| Error::kernel("build cache", e))?;
        let reclaimed: u64 = gone.iter().map(|(_, record)| record.size).sum();
        let keys: Vec<String> = gone.into_iter().map(|(key, _)| key).collect();
        let keys = (!keys.is_empty()).then_some(keys);
        Ok(serde_json::json!({"CachesDeleted": keys, "SpaceReclaimed": reclaimed}))
    });
    answer::ok(&report.await?)
}

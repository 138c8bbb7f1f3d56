//! `GET /containers/{id}/stats` and `GET /system/df`.

use std::time::Duration;

use gantry_api::system::df::DiskUsage;

use super::Call;
use super::answer::{self, Answer};
use crate::container::list::Wanted;
use crate::container::stats::object;
use crate::error::Error;
use crate::pipe::{self, blocking};

/// Sends one reading, or one every second.
pub async fn stats(call: &Call, id: &str) -> Answer {
    let container = call.engine.containers.find(id)?;
    let streams = call
        .query
        .get("stream")
        .is_none_or(gantry_api::query::boolean);
    let once = call.query.flag("one-shot");
    if streams && once {
        return Err(Error::invalid("cannot have stream=true and one-shot=true"));
    }
    let engine = call.engine.clone();
    if !streams {
        let view = container.view();
        if !view.state.lives() {
            return answer::ok(&object(&view, None, None));
        }
        let first = (!once).then(|| engine.sample(&view));
        if first.is_some() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let now = engine.sample(&view);
        return answer::ok(&object(&view, Some(&now), first.as_ref()));
    }
    let (writer, parts) = pipe::writer();
    tokio::spawn(async move {
        let mut before = None;
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        loop {
            ticks.tick().await;
            let view = container.view();
            let now = view.state.lives().then(|| engine.sample(&view));
            let mut line = object(&view, now.as_ref(), before.as_ref()).to_string();
            line.push('\n');
            let gone = *container.removed.borrow();
            if gone || !writer.send(line).await {
                return;
            }
            before = now;
        }
    });
    answer::stream("application/json", parts)
}

/// `GET /system/df`.
pub async fn df(call: &Call) -> Answer {
    let types: Vec<String> = call.query.all("type").map(str::to_owned).collect();
    if let Some(unknown) = types
        .iter()
        .find(|kind| !["container", "image", "volume", "build-cache"].contains(&kind.as_str()))
    {
        return Err(Error::invalid(format!("unknown object type: {unknown}")));
    }
    let wanted = move |kind: &str| types.is_empty() || types.iter().any(|name| name == kind);
    let engine = call.engine.clone();
    let usage = blocking(move || {
        let mut usage = DiskUsage::default();
        if wanted("image") {
            let images = engine.store.images();
            usage.layers_size = i64::try_from(engine.store.layers_size()).unwrap_or(i64::MAX);
            usage.images = Some(super::images::summaries(&engine, &images)?);
        }
        if wanted("container") {
            usage.containers = Some(engine.list_containers(&Wanted {
                all: true,
                size: true,
                ..Wanted::default()
            })?);
        }
        if wanted("volume") {
            usage.volumes = Some(engine.volume_usage());
        }
        if wanted("build-cache") {
            usage.build_cache = Some(Vec::new());
        }
        Ok(usage)
    });
    answer::ok(&usage.await?)
}

impl crate::Engine {
    /// Volumes with their users and sizes; a size that cannot be had is -1.
    #[must_use]
    pub fn volume_usage(&self) -> Vec<gantry_api::volume::Volume> {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let view = |volume: crate::volume::Volume| {
            let size = self.volumes.size(&volume.name);
            let usage = gantry_api::volume::UsageData {
                ref_count: count(self.volume_users(&volume.name).len()),
                size: size.map_or(-1, |size| i64::try_from(size).unwrap_or(i64::MAX)),
            };
            gantry_api::volume::Volume {
                usage_data: Some(usage),
                ..volume.view(&self.volumes)
            }
        };
        self.volumes.all().into_iter().map(view).collect()
    }
}

/// `POST /system/check`: ours, for `system check [--repair]`.
pub async fn check(call: &Call) -> Answer {
    if call.query.flag("quick") {
        return Err(Error::unsupported(
            "quick: this engine verifies everything or nothing",
        ));
    }
    let repair = call.query.flag("repair");
    let engine = call.engine.clone();
    let found = blocking(move || Ok(engine.store.check(repair)?)).await?;
    let problems: Vec<serde_json::Value> = found
        .into_iter()
        .map(|problem| {
            let why = problem
                .remedy
                .unwrap_or("nothing can be done about it here");
            let repaired = repair && problem.remedy.is_some();
            serde_json::json!({"What": problem.what, "Why": why, "Repaired": repaired})
        })
        .collect();
    answer::ok(&serde_json::json!({ "Problems": problems }))
}

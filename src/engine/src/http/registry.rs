//! Pull, push and what else is asked of registries: progress lines of the registry room as docker's stream.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gantry_api::progress::{Detail, Line, Pushed};
use gantry_api::system::auth::AuthResponse;
use gantry_registry::{Credentials, Observer, Platform, Progress, PullOptions, Settings};
use gantry_store::Reference;

use super::Call;
use super::answer::{self, Answer};
use super::images::reference;
use super::system::failure;
use crate::Engine;
use crate::error::{Error, Result};
use crate::pipe::{self, Writer, blocking};

impl From<gantry_registry::Error> for Error {
    fn from(error: gantry_registry::Error) -> Self {
        use gantry_registry::Error as Registry;
        let message = error.to_string();
        match error {
            Registry::NotFound(_) => Self::not_found(message),
            Registry::Unauthorized(_) => Self::unauthorized(message),
            Registry::Denied(_) => Self::denied(message),
            Registry::Invalid(_) => Self::invalid(message),
            Registry::Unsupported(_) => Self::unsupported(message),
            Registry::Unavailable(_) | Registry::Protocol(_) | Registry::Canceled => {
                Self::internal(message)
            }
            Registry::Store(error) => error.into(),
        }
    }
}

impl Engine {
    /// How registries are reached.
    #[must_use]
    pub fn registry_settings(&self) -> Settings {
        let options = &self.options;
        Settings {
            mirrors: [("docker.io".to_owned(), options.registry_mirrors.clone())].into(),
            insecure: options.insecure_registries.clone(),
            certs: ["/etc/gantry/certs.d", "/etc/docker/certs.d"]
                .map(Into::into)
                .into(),
            user_agent: concat!("gantry/", env!("CARGO_PKG_VERSION")).into(),
            ..Settings::default()
        }
    }
}

fn credentials(call: &Call) -> Credentials {
    call.header("x-registry-auth")
        .map(Credentials::from_header)
        .unwrap_or_default()
}

/// A line of the stream.
fn line(progress: Progress) -> Line {
    match progress {
        Progress::Status(status) => Line {
            status,
            ..Line::default()
        },
        Progress::Of { id, status, bytes } => {
            let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
            let detail = bytes.map_or_else(Detail::default, |(done, all)| Detail {
                current: number(done),
                total: number(all),
                ..Detail::default()
            });
            let bar = bytes.map(|(done, all)| bar(done, all)).unwrap_or_default();
            Line {
                id,
                status,
                detail: Some(detail),
                progress: bar,
                ..Line::default()
            }
        }
        Progress::Pushed { tag, digest, size } => {
            let pushed = Pushed {
                tag,
                digest: digest.to_string(),
                size: i64::try_from(size).unwrap_or(i64::MAX),
            };
            Line {
                detail: Some(Detail::default()),
                aux: serde_json::to_value(pushed).ok(),
                ..Line::default()
            }
        }
    }
}

/// docker's bar, for clients that print it as it comes: `[==>   ]  1.2MB/3.4MB`.
fn bar(done: u64, all: u64) -> String {
    let size = |bytes: u64| human_size(bytes);
    if all == 0 {
        return size(done);
    }
    let filled = usize::try_from(done.min(all) * 50 / all).unwrap_or(0);
    let arrow = if filled < 50 { ">" } else { "" };
    let rest = 50_usize.saturating_sub(filled + arrow.len());
    format!(
        "[{}{arrow}{}]  {}/{}",
        "=".repeat(filled),
        " ".repeat(rest),
        size(done),
        size(all)
    )
}

/// go-units' four significant digits: `1.984MB`.
fn human_size(bytes: u64) -> String {
    let mut unit = 0;
    // Four digits are shown: f64 is exact enough.
    #[allow(clippy::cast_precision_loss)]
    let mut value = bytes as f64;
    let units = ["B", "kB", "MB", "GB", "TB"];
    while value >= 1000.0 && unit < units.len() - 1 {
        value /= 1000.0;
        unit += 1;
    }
    let digits = match value {
        value if value >= 1000.0 || value.fract() == 0.0 => 0,
        value if value >= 100.0 => 1,
        value if value >= 10.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{}", units[unit])
}

/// Runs blocking work that tells its progress; the client going away cancels it. Errors before the first line are plain
/// answers, later ones the stream's last line.
async fn tell<F>(call: &Call, work: F) -> Answer
where
    F: FnOnce(&Engine, Observer<'_>) -> Result<()> + Send + 'static,
{
    let engine = call.engine.clone();
    let (writer, mut parts) = pipe::writer();
    let cancel = Arc::new(AtomicBool::new(false));
    let (left, flag) = (writer.clone(), cancel.clone());
    let watcher = tokio::spawn(async move {
        left.closed().await;
        flag.store(true, Ordering::Relaxed);
    });
    let busy = engine.idle.busy();
    let (verdict, said) = tokio::sync::oneshot::channel();
    tokio::task::spawn_blocking(move || {
        let _busy = busy;
        let spoken = AtomicBool::new(false);
        let sink = |progress: Progress| {
            spoken.store(true, Ordering::Relaxed);
            // A client that has left hears nothing; the cancel flag ends the work.
            let mut writer: Writer = writer.clone();
            writer
                .write_all(&line(progress).to_wire())
                .unwrap_or_default();
        };
        let result = work(&engine, Observer::new(&sink, &cancel));
        watcher.abort();
        match result {
            Err(error) if !spoken.load(Ordering::Relaxed) => drop(verdict.send(error)),
            Err(error) => {
                let mut writer = writer.clone();
                writer.write_all(&failure(&error)).unwrap_or_default();
            }
            Ok(()) => {}
        }
    });
    // Whatever comes first decides between an answer and a stream.
    match parts.recv().await {
        Some(first) => {
            let (sender, joined) = tokio::sync::mpsc::channel(16);
            tokio::spawn(async move {
                if sender.send(first).await.is_err() {
                    return;
                }
                while let Some(part) = parts.recv().await {
                    if sender.send(part).await.is_err() {
                        return;
                    }
                }
            });
            answer::stream("application/json", joined)
        }
        None => match said.await {
            Ok(error) => Err(error),
            Err(_) => answer::stream("application/json", parts),
        },
    }
}

/// `POST /images/create` with `fromImage`.
pub async fn pull(call: Call) -> Answer {
    let query = &call.query;
    let reference = reference(query.text("fromImage"), query.text("tag"))?;
    let platform = match query.text("platform") {
        "" => None,
        text => Some(Platform::parse(text)?),
    };
    let options = PullOptions {
        platform,
        credentials: credentials(&call),
    };
    tell(&call, move |engine, observer| {
        gantry_registry::pull(
            &engine.store,
            &engine.registry_settings(),
            &reference,
            &options,
            observer,
        )
        .map_err(|error| match error {
            // dockerd's status too: at a 401 the docker command asks its user for a name and waits.
            gantry_registry::Error::Unauthorized(text) => Error::internal(text),
            other => other.into(),
        })?;
        engine.image_event("pull", &reference.familiar(), &reference.familiar_name());
        Ok(())
    })
    .await
}

/// `POST /images/{name}/push`.
pub async fn push(call: Call, name: &str) -> Answer {
    let tag = call.query.text("tag");
    let references = if tag.is_empty() {
        all_tags(&call, name)?
    } else {
        vec![reference(name, tag)?]
    };
    let credentials = credentials(&call);
    tell(&call, move |engine, observer| {
        for reference in references {
            gantry_registry::push(
                &engine.store,
                &engine.registry_settings(),
                &reference,
                &credentials,
                observer,
            )?;
            engine.image_event("push", &reference.familiar(), &reference.familiar_name());
        }
        Ok(())
    })
    .await
}

fn all_tags(call: &Call, name: &str) -> Result<Vec<Reference>> {
    let wanted = Reference::parse(name)?;
    let all: Vec<Reference> = call
        .engine
        .store
        .references()
        .into_iter()
        .map(|(reference, _)| reference)
        .filter(|reference| reference.name() == wanted.name() && reference.tag().is_some())
        .collect();
    if all.is_empty() {
        let name = wanted.familiar_name();
        return Err(Error::not_found(format!(
            "An image does not exist locally with the tag: {name}"
        )));
    }
    Ok(all)
}

/// `POST /auth`.
pub async fn auth(mut call: Call) -> Answer {
    let given: Credentials = serde_json::from_slice(&call.bytes().await?)
        .map_err(|e| Error::invalid(format!("invalid JSON: {e}")))?;
    let engine = call.engine.clone();
    let token = blocking(move || {
        Ok(gantry_registry::login(
            &engine.registry_settings(),
            &given.complete(),
        )?)
    })
    .await?;
    answer::ok(&AuthResponse {
        identity_token: token,
        status: "Login Succeeded".into(),
    })
}

/// `GET /images/search`.
pub async fn search(call: Call) -> Answer {
    let filters = call.query.filters()?;
    filters.only(&["is-automated", "is-official", "stars"])?;
    let limit = call.query.number("limit")?.unwrap_or(25);
    let limit = u32::try_from(limit)
        .ok()
        .filter(|limit| (1..=100).contains(limit));
    let limit = limit.ok_or_else(|| {
        Error::invalid(format!(
            "limit {} is outside the range of [1, 100]",
            call.query.text("limit")
        ))
    })?;
    let (official, stars) = (
        filters.boolean("is-official")?,
        filters
            .get("stars")
            .next()
            .and_then(|text| text.parse::<i64>().ok()),
    );
    let (engine, term, credentials) = (
        call.engine.clone(),
        call.query.text("term").to_owned(),
        credentials(&call),
    );
    let hits = blocking(move || {
        Ok(gantry_registry::search(
            &engine.registry_settings(),
            &term,
            limit,
            &credentials,
        )?)
    })
    .await?;
    let kept = hits.into_iter().filter(|hit| {
        official.is_none_or(|wanted| hit.is_official == wanted)
            && stars.is_none_or(|least| hit.star_count >= least)
    });
    answer::ok(&kept.collect::<Vec<_>>())
}

/// `GET /distribution/{name}/json`.
pub async fn distribution(call: Call, name: &str) -> Answer {
    let reference = Reference::parse(name)?.with_default_tag();
    let (engine, credentials) = (call.engine.clone(), credentials(&call));
    let found = blocking(move || {
        Ok(gantry_registry::distribution(
            &engine.registry_settings(),
            &reference,
            &credentials,
        )?)
    });
    answer::ok(&found.await?)
}

/// `GET /distribution/{name}/tags`: ours, for `search --tags`.
pub async fn tags(call: Call, name: &str) -> Answer {
    let reference = Reference::parse(name)?;
    let shown = reference.familiar_name();
    let (engine, credentials) = (call.engine.clone(), credentials(&call));
    let found = blocking(move || {
        let settings = engine.registry_settings();
        Ok(gantry_registry::tags(&settings, &reference, &credentials)?)
    });
    let tags = Some(found.await?);
    answer::ok(&gantry_api::image::search::Tags { name: shown, tags })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_and_sizes_as_docker_prints_them() {
        assert_eq!(human_size(1_984_221), "1.984MB");
        assert_eq!(human_size(512), "512B");
        assert_eq!(
            bar(50, 100),
            format!("[{}>{}]      50B/100B", "=".repeat(25), " ".repeat(24))
                .replace("]      ", "]  ")
        );
        assert_eq!(bar(100, 100), format!("[{}]  100B/100B", "=".repeat(50)));
    }
}

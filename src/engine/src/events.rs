//! What happened, for everybody who asks: a ring of the last 256 events and a broadcast of new ones.

use std::collections::VecDeque;
use std::sync::Mutex;

use gantry_api::filters::Filters;
use gantry_api::system::events::{Actor, Event};
use gantry_api::word::Map;
use tokio::sync::broadcast;

use crate::clock;
use crate::error::Result;

/// How many past events are kept, docker's number.
const KEPT: usize = 256;

/// The event room.
#[derive(Debug)]
pub struct Events {
    past: Mutex<VecDeque<Event>>,
    sender: broadcast::Sender<Event>,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            past: Mutex::default(),
            sender: broadcast::channel(1024).0,
        }
    }
}

impl Events {
    /// Tells everybody that `action` happened to the object `id` of `kind`.
    pub fn emit(&self, kind: &str, action: &str, id: &str, attributes: Map) {
        let nanos = clock::unix_nanos();
        // The first four fields are docker's older form, kept below API 1.52 for containers and images.
        let old = kind == "container" || kind == "image";
        let event = Event {
            status: if old {
                action.to_owned()
            } else {
                String::new()
            },
            id: if old { id.to_owned() } else { String::new() },
            from: if kind == "container" {
                attributes.get("image").cloned().unwrap_or_default()
            } else {
                String::new()
            },
            kind: kind.to_owned(),
            action: action.to_owned(),
            actor: Actor {
                id: id.to_owned(),
                attributes,
            },
            scope: "local".to_owned(),
            time: nanos / 1_000_000_000,
            time_nano: nanos,
        };
        let mut past = lock(&self.past);
        if past.len() == KEPT {
            past.pop_front();
        }
        past.push_back(event.clone());
        // No listener is no failure; sent under the lock so that a subscriber sees each event exactly once.
        drop(self.sender.send(event));
    }

    /// The kept events, and everything from now on.
    pub fn subscribe(&self) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let past = lock(&self.past);
        (past.iter().cloned().collect(), self.sender.subscribe())
    }

    /// How many listen.
    pub fn listeners(&self) -> usize {
        self.sender.receiver_count()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The filters events know.
const KNOWN: [&str; 14] = [
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];

/// Whether `filters` are all known for events.
///
/// # Errors
/// Invalid, naming the unknown one.
pub fn check(filters: &Filters) -> Result<()> {
    Ok(filters.only(&KNOWN)?)
}

/// Whether `event` passes `filters`.
#[must_use]
pub fn passes(filters: &Filters, event: &Event) -> bool {
    let any = |name: &str, test: &dyn Fn(&str) -> bool| {
        !filters.contains(name) || filters.get(name).any(test)
    };
    let actor = |kind: &'static str| {
        move |wanted: &str| {
            let name = event
                .actor
                .attributes
                .get("name")
                .map(String::as_str)
                .unwrap_or_default();
            event.kind == kind
                && (event.actor.id.starts_with(wanted) || name == wanted.trim_start_matches('/'))
        }
    };
    let image = |wanted: &str| {
        let id = &event.actor.id;
        let from = event
            .actor
            .attributes
            .get("image")
            .or_else(|| event.actor.attributes.get("name"));
        let from = from.map(String::as_str).unwrap_or_default();
        id == wanted || from == wanted || from.split(':').next() == Some(wanted)
    };
    any("event", &|wanted| {
        // `exec_create: sh` matches `exec_create`, `health_status: healthy` both of its forms.
        event.action == wanted || event.action.split(':').next() == Some(wanted)
    }) && any("type", &|wanted| event.kind == wanted)
        && any("scope", &|wanted| event.scope == wanted)
        && any("container", &actor("container"))
        && any("network", &actor("network"))
        && any("volume", &actor("volume"))
        && any("daemon", &actor("daemon"))
        && any("image", &image)
        && (!filters.contains("label")
            || filters
                .get("label")
                .all(|wanted| has_label(&event.actor.attributes, wanted)))
}

/// Whether `labels` hold `wanted`, either a key or `key=value`.
#[must_use]
pub fn has_label(labels: &Map, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|found| found == value),
        None => labels.contains_key(wanted),
    }
}

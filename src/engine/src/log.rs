//! The engine's own log: one line a message on standard error, level first.

use std::fmt::Write as _;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, Registry};

struct Lines {
    most: Level,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= self.most && metadata.target().starts_with("gantry")
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = String::new();
        event.record(&mut Text(&mut text));
        let level = event.metadata().level().as_str().to_lowercase();
        eprintln!("{} {level}: {text}", crate::clock::now());
    }
}

struct Text<'a>(&'a mut String);

impl Visit for Text<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a String cannot fail.
        let written = if field.name() == "message" {
            write!(self.0, "{value:?}")
        } else {
            write!(self.0, " {field}={value:?}")
        };
        written.unwrap_or_default();
    }
}

/// Starts logging; with `debug` everything, else what an operator should know.
pub fn start(debug: bool) {
    let most = if debug { Level::DEBUG } else { Level::INFO };
    if tracing::subscriber::set_global_default(Registry::default().with(Lines { most })).is_err() {
        eprintln!("gantryd: logging was started before");
    }
}

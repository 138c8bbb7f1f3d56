//! The filters of the image list and of its prune.

use gantry_api::filters::Filters;
use gantry_api::word::Map;
use gantry_store::Image;

use super::created;
use crate::Engine;
use crate::clock;
use crate::error::{Error, Result};
use crate::events::has_label;

/// Which images a list shows.
#[derive(Debug)]
pub struct Wanted<'a> {
    filters: &'a Filters,
    patterns: Vec<&'a str>,
    before: Option<i64>,
    since: Option<i64>,
    dangling: Option<bool>,
    all: bool,
}

impl<'a> Wanted<'a> {
    /// Checks the filters and looks up what they name.
    ///
    /// # Errors
    /// Invalid for an unknown filter, not found for an image one names.
    pub fn new(engine: &Engine, filters: &'a Filters, all: bool) -> Result<Self> {
        filters.only(&[
            "dangling",
            "label",
            "label!",
            "before",
            "since",
            "reference",
            "until",
        ])?;
        let bound = |name: &str| -> Result<Option<i64>> {
            let named = filters.get(name).next();
            named
                .map(|wanted| Ok(created(&engine.store.resolve(wanted)?)))
                .transpose()
        };
        Ok(Self {
            filters,
            patterns: filters.get("reference").collect(),
            before: bound("before")?,
            since: bound("since")?,
            dangling: filters.boolean("dangling")?,
            all,
        })
    }

    /// Whether a name is shown.
    #[must_use]
    pub fn shows(&self, tag: &str) -> bool {
        self.patterns.is_empty()
            || self
                .patterns
                .iter()
                .any(|pattern| reference_matches(pattern, tag))
    }

    /// Whether an image passes.
    #[must_use]
    pub fn passes(&self, engine: &Engine, image: &Image) -> bool {
        let childless = || engine.store.children(&image.id).is_empty();
        let nameless = image.tags.is_empty() && image.digests.is_empty();
        let shown = match self.dangling {
            Some(true) => image.tags.is_empty() && childless(),
            Some(false) => !image.tags.is_empty(),
            None => self.all || !nameless || childless(),
        };
        shown
            && labels_pass(self.filters, image)
            && self.before.is_none_or(|time| created(image) < time)
            && self.since.is_none_or(|time| created(image) > time)
            && (self.patterns.is_empty() || image.tags.iter().any(|tag| self.shows(tag)))
    }
}

fn labels_pass(filters: &Filters, image: &Image) -> bool {
    let labels: Map = image
        .config
        .config
        .as_ref()
        .and_then(|config| config.labels.clone())
        .unwrap_or_default();
    filters
        .get("label")
        .all(|wanted| has_label(&labels, wanted))
        && !filters
            .get("label!")
            .any(|wanted| has_label(&labels, wanted))
}

/// Which images a prune takes.
#[derive(Debug)]
pub struct Pruned<'a> {
    filters: &'a Filters,
    dangling: bool,
    until: Option<i64>,
}

impl<'a> Pruned<'a> {
    /// Checks the filters.
    ///
    /// # Errors
    /// Invalid for an unknown filter or a time that is none.
    pub fn new(filters: &'a Filters) -> Result<Self> {
        filters.only(&["dangling", "until", "label", "label!"])?;
        let until = filters.get("until").next().map(|text| {
            clock::parse(text)
                .ok_or_else(|| Error::invalid(format!("invalid filter 'until={text}'")))
        });
        Ok(Self {
            filters,
            dangling: filters.boolean("dangling")?.unwrap_or(true),
            until: until.transpose()?,
        })
    }

    /// Whether an unused image goes.
    #[must_use]
    pub fn goes(&self, image: &Image) -> bool {
        let nameless = image.tags.is_empty() && image.digests.is_empty();
        (nameless || !self.dangling)
            && self
                .until
                .is_none_or(|time| created(image) < time / 1_000_000_000)
            && labels_pass(self.filters, image)
    }
}

/// docker's `reference` filter: a glob over `name` or `name:tag`, where `*` stops at slashes.
fn reference_matches(pattern: &str, tag: &str) -> bool {
    let name = tag.rsplit_once(':').map_or(tag, |(name, _)| name);
    glob(pattern.as_bytes(), tag.as_bytes()) || glob(pattern.as_bytes(), name.as_bytes())
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            glob(rest, text)
                || text
                    .split_first()
                    .is_some_and(|(first, left)| *first != b'/' && glob(pattern, left))
        }
        (Some((b'?', rest)), Some((first, left))) => *first != b'/' && glob(rest, left),
        (Some((wanted, rest)), Some((first, left))) => wanted == first && glob(rest, left),
        _ => false,
    }
}

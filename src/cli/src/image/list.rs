//! `images`.

use gantry_api::image::list::Summary;
use serde_json::json;

use crate::connection::Query;
use crate::container::list::{as_float, filters};
use crate::failure::{Failure, Outcome};
use crate::format::list::{Fields, List};
use crate::format::{short_id, time, units};
use crate::grammar::{COMMAND as BASE, Command, Count, Flag, Parsed, checks, flag, option};
use crate::session::Session;

/// `image ls`.
pub const COMMAND: Command = Command {
    name: "ls",
    aliases: &["list"],
    usage: "[OPTIONS] [REPOSITORY[:TAG]]",
    about: "List images",
    flags: &[FLAGS],
    count: Count::AtMost(1),
    run,
    ..BASE
};

const FLAGS: &[Flag] = &[
    flag("all", "Also those that are only parts of others").short('a'),
    flag("digests", "Show digests"),
    option("filter", "filter", "Only those that match (name=value)")
        .short('f')
        .check(checks::filter),
    option(
        "format",
        "string",
        "Template of a row, 'table TEMPLATE' or 'json'",
    ),
    flag("no-trunc", "Print everything in full"),
    flag("quiet", "Only IDs").short('q'),
    flag("tree", "Show platforms as a tree; not supported"),
];

const TITLES: &[(&str, &str)] = &[
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("Containers", "CONTAINERS"),
    ("VirtualSize", "SIZE"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
];

fn run(session: &Session, parsed: &Parsed) -> Outcome {
    if parsed.is("tree") {
        return Err(Failure::new(
            "--tree: not supported here; use --digests or inspect",
        ));
    }
    let mut wanted = filters(parsed);
    if let Some(name) = parsed.arguments.first() {
        wanted.add("reference", name);
    }
    let query = Query::new()
        .when("all", parsed.is("all"))
        .maybe("filters", &wanted.to_parameter());
    let images: Vec<Summary> = session.engine()?.get("/images/json", &query)?;
    let configured = session
        .configuration
        .text("imagesFormat")
        .unwrap_or_default();
    let format = match parsed.text("format") {
        "" if parsed.is("quiet") => "",
        "" => configured,
        given => given,
    };
    let digests = parsed.is("digests") || format.contains(".Digest");
    let cut = !parsed.is("no-trunc");
    let rows: Vec<Fields> = images
        .iter()
        .flat_map(|image| rows(image, cut, digests))
        .collect();
    let table = if parsed.is("digests") {
        "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
    } else {
        "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
    };
    List {
        format,
        quiet: parsed.is("quiet"),
        table,
        id: "{{.ID}}",
        what: "*formatter.imageContext",
        titles: TITLES,
        raw: "repository: {{.Repository}}\ntag: {{.Tag}}\nimage_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n",
    }
    .print(&rows)
}

/// An image has a row per tag, or per digest where no tag goes with it.
fn rows(image: &Summary, cut: bool, digests: bool) -> Vec<Fields> {
    const NONE: &str = "<none>";
    let tags: Vec<(&str, &str)> = image
        .repo_tags
        .iter()
        .flatten()
        .filter_map(|name| name.rsplit_once(':'))
        .filter(|name| *name != (NONE, NONE))
        .collect();
    let names: Vec<(&str, &str)> = image
        .repo_digests
        .iter()
        .flatten()
        .filter_map(|name| name.split_once('@'))
        .filter(|(name, _)| *name != NONE)
        .collect();
    let mut found = Vec::new();
    for (repository, tag) in &tags {
        let of: Vec<&str> = names
            .iter()
            .filter(|(name, _)| name == repository)
            .map(|(_, digest)| *digest)
            .collect();
        match of.as_slice() {
            [_, ..] if digests => {
                found.extend(of.iter().map(|digest| (*repository, *tag, *digest)))
            }
            [digest, ..] => found.push((*repository, *tag, *digest)),
            [] => found.push((*repository, *tag, NONE)),
        }
    }
    for (repository, digest) in &names {
        if !tags.iter().any(|(name, _)| name == repository) {
            found.push((*repository, NONE, *digest));
        }
    }
    if found.is_empty() {
        found.push((NONE, NONE, NONE));
    }
    found
        .into_iter()
        .map(|(repository, tag, digest)| row(image, cut, repository, tag, digest))
        .collect()
}

fn row(image: &Summary, cut: bool, repository: &str, tag: &str, digest: &str) -> Fields {
    let size = units::human_with(as_float(image.size), 3);
    let or_unknown = |known: bool, text: String| if known { text } else { "N/A".to_owned() };
    Fields::from([
        (
            "ID",
            json!(if cut { short_id(&image.id) } else { &image.id }),
        ),
        ("Repository", json!(repository)),
        ("Tag", json!(tag)),
        ("Digest", json!(digest)),
        (
            "CreatedSince",
            json!(if image.created <= 0 {
                "N/A".to_owned()
            } else {
                time::ago(image.created)
            }),
        ),
        ("CreatedAt", json!(time::go(image.created))),
        ("Size", json!(size)),
        ("VirtualSize", json!(units::human(as_float(image.size)))),
        (
            "Containers",
            json!(or_unknown(
                image.containers >= 0,
                image.containers.to_string()
            )),
        ),
        (
            "SharedSize",
            json!(or_unknown(
                image.shared_size >= 0,
                units::human(as_float(image.shared_size))
            )),
        ),
        (
            "UniqueSize",
            json!(or_unknown(
                image.shared_size >= 0,
                units::human(as_float(image.size - image.shared_size))
            )),
        ),
    ])
}

//! `search`, and `search --tags`: the tags of one repository, asked of its registry through the engine.

use gantry_api::image::search::{Found, Tags};
use serde_json::json;

use super::reference::Name;
use crate::connection::{Body, Query, query::segment};
use crate::container::list::filters;
use crate::credentials;
use crate::failure::{Failure, Outcome};
use crate::format::ellipsis;
use crate::format::list::{Fields, List};
use crate::grammar::{COMMAND as BASE, Command, Count, Parsed, checks, flag, option};
use crate::output;
use crate::session::Session;

/// `search`.
pub const COMMAND: Command = Command {
    name: "search",
    usage: "[OPTIONS] TERM",
    about: "Search Docker Hub for images, or a repository for tags",
    flags: &[&[
        option(
            "filter",
            "filter",
            "Only those that match (is-official=true, stars=3)",
        )
        .short('f')
        .check(checks::filter),
        option(
            "format",
            "string",
            "Template of a row, 'table TEMPLATE' or 'json'",
        ),
        option("limit", "int", "At most so many").check(checks::int),
        flag("no-trunc", "Print everything in full"),
        flag("tags", "List the tags of the repository TERM"),
    ]],
    count: Count::Exactly(1),
    run,
    ..BASE
};

fn run(session: &Session, parsed: &Parsed) -> Outcome {
    let term = &parsed.arguments[0];
    if parsed.is("tags") {
        return tags(session, parsed, term);
    }
    let domain = term.split_once('/').map_or("docker.io", |(first, _)| {
        if first.contains(['.', ':']) {
            first
        } else {
            "docker.io"
        }
    });
    let limit = parsed.number("limit");
    let query = Query::new()
        .with("term", term)
        .maybe(
            "limit",
            &if limit > 0 {
                limit.to_string()
            } else {
                String::new()
            },
        )
        .maybe("filters", &filters(parsed).to_parameter());
    let headers = vec![(
        "X-Registry-Auth".to_owned(),
        credentials::header(session, domain)?,
    )];
    let answer = session
        .engine()?
        .send("GET", "/images/search", &query, headers, Body::Empty)?
        .check()?;
    let mut found: Vec<Found> = answer.json()?;
    found.sort_by_key(|found| std::cmp::Reverse(found.star_count));
    let cut = !parsed.is("no-trunc");
    let rows: Vec<Fields> = found.iter().map(|found| row(found, cut)).collect();
    List {
        format: parsed.text("format"),
        quiet: false,
        table: "{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}",
        id: "",
        what: "*registry.searchContext",
        titles: &[
            ("Name", "NAME"),
            ("Description", "DESCRIPTION"),
            ("StarCount", "STARS"),
            ("IsOfficial", "OFFICIAL"),
            ("IsAutomated", "AUTOMATED"),
        ],
        raw: "",
    }
    .print(&rows)
}

fn row(found: &Found, cut: bool) -> Fields {
    let description = found.description.replace(['\n', '\r'], " ");
    let ok = |yes| if yes { "[OK]" } else { "" };
    Fields::from([
        ("Name", json!(found.name)),
        (
            "Description",
            json!(if cut {
                ellipsis(&description, 45)
            } else {
                description
            }),
        ),
        ("StarCount", json!(found.star_count.to_string())),
        ("IsOfficial", json!(ok(found.is_official))),
        ("IsAutomated", json!(ok(found.is_automated))),
    ])
}

fn tags(session: &Session, parsed: &Parsed, term: &str) -> Outcome {
    let name = Name::parse(term)?;
    if !name.tag.is_empty() || !name.digest.is_empty() {
        return Err(Failure::new(format!(
            "{term}: --tags takes a repository, without tag or digest"
        )));
    }
    let headers = vec![(
        "X-Registry-Auth".to_owned(),
        credentials::header(session, &name.domain)?,
    )];
    let path = format!(
        "/distribution/{}/tags",
        segment(&name.familiar_repository())
    );
    let limit = usize::try_from(parsed.number("limit")).unwrap_or(0);
    let answer = session
        .engine()?
        .send("GET", &path, &Query::new(), headers, Body::Empty)?;
    let answer = answer.check().map_err(|error| match error.status {
        Some(404) if error.text.ends_with("page not found") => {
            Failure::new("search --tags: this engine cannot list tags; gantryd can")
        }
        _ => error,
    })?;
    let tags: Tags = answer.json()?;
    let all = tags.tags.unwrap_or_default();
    let shown = if limit > 0 {
        limit.min(all.len())
    } else {
        all.len()
    };
    let text: String = all[..shown]
        .iter()
        .map(|tag| format!("{}:{tag}\n", name.familiar_repository()))
        .collect();
    output::text(&text)
}

//! `history`.

use gantry_api::image::history::Step;
use serde_json::json;

use crate::connection::{Query, query::segment};
use crate::container::list::as_float;
use crate::failure::Outcome;
use crate::format::list::{Fields, List};
use crate::format::{ellipsis, short_id, time, units};
use crate::grammar::{COMMAND as BASE, Command, Count, Parsed, flag, option};
use crate::session::Session;

/// `history`.
pub const COMMAND: Command = Command {
    name: "history",
    usage: "[OPTIONS] IMAGE",
    about: "Show the steps an image was made in",
    flags: &[&[
        option(
            "format",
            "string",
            "Template of a row, 'table TEMPLATE' or 'json'",
        ),
        flag("human", "Sizes and times as people read them")
            .short('H')
            .default("true"),
        flag("no-trunc", "Print everything in full"),
        option(
            "platform",
            "string",
            "Platform to show, if there are several",
        ),
        flag("quiet", "Only IDs").short('q'),
    ]],
    count: Count::Exactly(1),
    run,
    ..BASE
};

fn run(session: &Session, parsed: &Parsed) -> Outcome {
    let mut query = Query::new();
    if !parsed.text("platform").is_empty() {
        query = query.with(
            "platform",
            &super::archive::platform(parsed.text("platform"))?,
        );
    }
    let path = format!("/images/{}/history", segment(&parsed.arguments[0]));
    let steps: Vec<Step> = session.engine()?.get(&path, &query)?;
    let (cut, human) = (!parsed.is("no-trunc"), parsed.is("human"));
    let rows: Vec<Fields> = steps.iter().map(|step| row(step, cut, human)).collect();
    List {
        format: parsed.text("format"),
        quiet: parsed.is("quiet"),
        table: "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
        id: "{{.ID}}",
        what: "*image.historyContext",
        titles: &[
            ("ID", "IMAGE"),
            ("CreatedSince", "CREATED"),
            ("CreatedAt", "CREATED AT"),
            ("CreatedBy", "CREATED BY"),
            ("Size", "SIZE"),
            ("Comment", "COMMENT"),
        ],
        raw: "",
    }
    .print(&rows)
}

fn row(step: &Step, cut: bool, human: bool) -> Fields {
    let by = step.created_by.replace('\t', " ");
    let since = if !human {
        time::rfc3339(step.created)
    } else if step.created <= 0 {
        "N/A".to_owned()
    } else {
        time::ago(step.created)
    };
    let size = if human {
        units::human_with(as_float(step.size), 3)
    } else {
        step.size.to_string()
    };
    Fields::from([
        ("ID", json!(if cut { short_id(&step.id) } else { &step.id })),
        ("CreatedSince", json!(since)),
        ("CreatedAt", json!(time::rfc3339(step.created))),
        ("CreatedBy", json!(if cut { ellipsis(&by, 45) } else { by })),
        ("Size", json!(size)),
        ("Comment", json!(step.comment)),
    ])
}

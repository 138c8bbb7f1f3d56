//! `events`.

use std::io::{BufRead, BufReader};

use gantry_api::system::events::Event;

use crate::connection::{Body, Query};
use crate::container::list::filters;
use crate::failure::{Failure, Outcome};
use crate::format::template::{Format, Row, value};
use crate::format::time;
use crate::grammar::{COMMAND as BASE, Command, Parsed, checks, option};
use crate::output;
use crate::session::Session;

/// `events`.
pub const COMMAND: Command = Command {
    name: "events",
    usage: "[OPTIONS]",
    about: "Show what happens in the engine, as it happens",
    flags: &[&[
        option("filter", "filter", "Only those that match (name=value)")
            .short('f')
            .check(checks::filter),
        option("format", "string", "Template of a line, or 'json'"),
        option("since", "string", "From this time on"),
        option("until", "string", "Until this time"),
    ]],
    run,
    ..BASE
};

fn run(session: &Session, parsed: &Parsed) -> Outcome {
    let format = match parsed.text("format") {
        "json" => "{{json .}}",
        other => other,
    };
    let template =
        if format.is_empty() {
            None
        } else {
            let source = format.replace("\\t", "\t").replace("\\n", "\n");
            let parsed = Format::parse(&source, Row::Data, gotmpl::MissingKey::Error);
            Some(parsed.map_err(|text| {
                Failure::new(format!("Error parsing format: {text}")).with_code(64)
            })?)
        };
    let engine = session.engine()?;
    let query = Query::new()
        .maybe("since", &time::since(parsed.text("since"))?)
        .maybe("until", &time::since(parsed.text("until"))?)
        .maybe("filters", &filters(parsed).to_parameter());
    let answer = engine.call("GET", "/events", &query, Body::Empty)?;
    for text in BufReader::new(answer.body).lines() {
        let text = text?;
        if text.trim().is_empty() {
            continue;
        }
        let event: Event = serde_json::from_str(&text)?;
        match &template {
            None => output::line(&line(&event))?,
            Some(_) if format == "{{json .}}" => output::line(text.trim())?,
            Some(template) => {
                let mut data = serde_json::to_value(&event)?;
                if let Some(data) = data.as_object_mut() {
                    // Go's names of what JSON writes in lower case.
                    for (go, json) in [
                        ("Status", "status"),
                        ("ID", "id"),
                        ("From", "from"),
                        ("Scope", "scope"),
                        ("Time", "time"),
                        ("TimeNano", "timeNano"),
                    ] {
                        let value = data.get(json).cloned().unwrap_or_default();
                        data.insert(go.to_owned(), value);
                    }
                }
                let filled = template.fill(&value(&data), Some("events.Message"));
                output::line(&filled.map_err(Failure::new)?)?;
            }
        }
    }
    Ok(())
}

fn line(event: &Event) -> String {
    let moment = if event.time_nano != 0 {
        time::rfc3339_nano(event.time_nano)
    } else {
        time::rfc3339(event.time)
    };
    let attributes: Vec<String> = event
        .actor
        .attributes
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let attributes = if attributes.is_empty() {
        String::new()
    } else {
        format!(" ({})", attributes.join(", "))
    };
    format!(
        "{moment} {} {} {}{attributes}",
        event.kind, event.action, event.actor.id
    )
}

//! `gantry volume …`.

use gantry_api::volume::{CreateRequest, List as Volumes, PruneReport, Volume};
use serde_json::json;

use crate::connection::{Body, Query, query::segment};
use crate::container::list::{as_float, filters};
use crate::container::options::pairs;
use crate::container::prune::{self, Reclaimed};
use crate::failure::{Failure, Outcome, for_each};
use crate::format::list::{Fields, List, labels};
use crate::format::natural::natural;
use crate::format::units;
use crate::grammar::{COMMAND, Command, Count, Parsed, checks, flag, option};
use crate::output;
use crate::session::{Engine, Session};

/// The family.
pub const FAMILY: Command = Command {
    name: "volume",
    about: "Manage volumes",
    children: &[CREATE, crate::inspect::VOLUME, LIST, PRUNE, REMOVE],
    ..COMMAND
};

const CREATE: Command = Command {
    name: "create",
    usage: "[OPTIONS] [VOLUME]",
    about: "Create a volume",
    flags: &[&[
        option("driver", "string", "Driver")
            .short('d')
            .default("local"),
        option("label", "list", "Label (name=value)").check(checks::label),
        option("name", "string", "Name of the volume").hidden(),
        option("opt", "map", "Option of the driver").short('o'),
    ]],
    count: Count::AtMost(1),
    run: create,
    ..COMMAND
};

const LIST: Command = Command {
    name: "ls",
    aliases: &["list"],
    usage: "[OPTIONS]",
    about: "List volumes",
    flags: &[&[
        option(
            "filter",
            "filter",
            "Only those that match (dangling=true, driver=…, label=…, name=…)",
        )
        .short('f')
        .check(checks::filter),
        option(
            "format",
            "string",
            "Template of a row, 'table TEMPLATE' or 'json'",
        ),
        flag("quiet", "Only names").short('q'),
    ]],
    run: list,
    ..COMMAND
};

const PRUNE: Command = Command {
    name: "prune",
    usage: "[OPTIONS]",
    about: "Remove unused volumes",
    flags: &[&[
        flag("all", "Also those with names").short('a'),
        option("filter", "filter", "Only those that match (label=…)").check(checks::filter),
        flag("force", "Do not ask").short('f'),
    ]],
    run: prune_unused,
    ..COMMAND
};

const REMOVE: Command = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    about: "Remove volumes",
    flags: &[&[flag("force", "Forgive a volume that is not there").short('f')]],
    count: Count::AtLeast(1),
    run: remove,
    ..COMMAND
};

fn create(session: &Session, parsed: &Parsed) -> Outcome {
    let named = parsed.text("name");
    let name = match parsed.arguments.first() {
        Some(_) if !named.is_empty() => {
            return Err(Failure::new(
                "conflicting options: cannot specify a volume-name through both --name and as a positional arg",
            ));
        }
        Some(name) => name,
        None => named,
    };
    let request = CreateRequest {
        driver: parsed.text("driver").to_owned(),
        driver_opts: pairs(parsed.list("opt")),
        labels: pairs(parsed.list("label")),
        name: name.to_owned(),
    };
    let made: Volume = session
        .engine()?
        .post_json("/volumes/create", &Query::new(), &request)?;
    output::line(&made.name)
}

fn list(session: &Session, parsed: &Parsed) -> Outcome {
    let query = Query::new().maybe("filters", &filters(parsed).to_parameter());
    let answer: Volumes = session.engine()?.get("/volumes", &query)?;
    let mut volumes = answer.volumes.unwrap_or_default();
    volumes.sort_by_cached_key(|each| natural(&each.name));
    let configured = session
        .configuration
        .text("volumesFormat")
        .unwrap_or_default();
    let format = match parsed.text("format") {
        "" if parsed.is("quiet") => "",
        "" => configured,
        given => given,
    };
    let rows: Vec<Fields> = volumes.iter().map(row).collect();
    List {
        format,
        quiet: parsed.is("quiet"),
        table: "{{.Driver}}\t{{.Name}}",
        id: "{{.Name}}",
        what: "*formatter.volumeContext",
        titles: &[
            ("Name", "VOLUME NAME"),
            ("Driver", "DRIVER"),
            ("Scope", "SCOPE"),
            ("Availability", "AVAILABILITY"),
            ("Mountpoint", "MOUNTPOINT"),
            ("Labels", "LABELS"),
            ("Links", "LINKS"),
            ("Size", "SIZE"),
            ("Group", "GROUP"),
            ("Status", "STATUS"),
        ],
        raw: "name: {{.Name}}\ndriver: {{.Driver}}\n",
    }
    .print(&rows)
}

fn row(volume: &Volume) -> Fields {
    let usage = volume.usage_data.as_ref();
    let links = usage.map_or_else(|| "N/A".to_owned(), |usage| usage.ref_count.to_string());
    let size = usage.map_or_else(
        || "N/A".to_owned(),
        |usage| units::human(as_float(usage.size)),
    );
    Fields::from([
        ("Name", json!(volume.name)),
        ("Driver", json!(volume.driver)),
        ("Scope", json!(volume.scope)),
        ("Mountpoint", json!(volume.mountpoint)),
        ("Labels", json!(labels(volume.labels.as_ref()))),
        ("Links", json!(links)),
        ("Size", json!(size)),
        ("Availability", json!("N/A")),
        ("Group", json!("N/A")),
        ("Status", json!("N/A")),
    ])
}

/// Removes unused volumes.
///
/// # Errors
/// When the engine refuses.
pub fn unused(engine: &Engine, parsed: &Parsed, all: bool) -> Outcome<Reclaimed> {
    let mut wanted = filters(parsed);
    if all {
        wanted.add("all", "true");
    }
    let query = Query::new().maybe("filters", &wanted.to_parameter());
    let report: PruneReport = engine
        .call("POST", "/volumes/prune", &query, Body::Empty)?
        .json()?;
    Ok((
        prune::lines(
            "Deleted Volumes:",
            &report.volumes_deleted.unwrap_or_default(),
        ),
        report.space_reclaimed,
    ))
}

fn prune_unused(session: &Session, parsed: &Parsed) -> Outcome {
    let all = parsed.is("all");
    if all
        && parsed
            .list("filter")
            .iter()
            .any(|text| text.starts_with("all="))
    {
        return Err(Failure::new(
            "conflicting options: cannot specify both --all and --filter all=1",
        ));
    }
    let which = if all {
        "all local volumes"
    } else {
        "anonymous local volumes"
    };
    prune::agree(
        parsed,
        &format!("This will remove {which} not used by at least one container."),
    )?;
    prune::report(&unused(&session.engine()?, parsed, all)?)
}

fn remove(session: &Session, parsed: &Parsed) -> Outcome {
    let engine = session.engine()?;
    let query = Query::new().when("force", parsed.is("force"));
    for_each(&parsed.arguments, |name| {
        engine.delete(&format!("/volumes/{}", segment(name)), &query)?;
        Ok(Some(name.to_owned()))
    })
}

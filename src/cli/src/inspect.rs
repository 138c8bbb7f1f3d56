//! `inspect`, of anything or of one kind, as JSON, by a template, or as the command that makes the container again.

use gotmpl::MissingKey;
use serde_json::Value as Json;

use crate::connection::{Answer, Query, query::segment};
use crate::container::recreate;
use crate::failure::{Failure, Outcome};
use crate::format::ordered::{Originals, indent};
use crate::format::template::{Format, Row, value};
use crate::grammar::{COMMAND, Command, Count, Flag, Parsed, flag, option};
use crate::output;
use crate::session::{Engine, Session};

const FORMAT: Flag = option("format", "string", "Template, or 'json'").short('f');
const AS: Flag = option(
    "as",
    "string",
    "Print as 'run': the command that makes the container again",
)
.check(check_as);
const SIZE: Flag = flag("size", "Show how much disk containers use").short('s');

fn check_as(text: &str) -> Result<(), String> {
    if text == "run" {
        Ok(())
    } else {
        Err("must be \"run\"".to_owned())
    }
}

/// `inspect`.
pub const ANY: Command = Command {
    name: "inspect",
    usage: "[OPTIONS] NAME|ID [NAME|ID...]",
    about: "Show everything known about containers, images, networks or volumes",
    flags: &[&[
        AS,
        FORMAT,
        SIZE,
        option("type", "string", "Only things of this type"),
    ]],
    count: Count::AtLeast(1),
    run: any,
    ..COMMAND
};

/// `container inspect`.
pub const CONTAINER: Command = Command {
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Show everything known about containers",
    flags: &[&[AS, FORMAT, SIZE]],
    run: |session, parsed| run(session, parsed, &["container"]),
    ..ANY
};

/// `image inspect`.
pub const IMAGE: Command = Command {
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Show everything known about images",
    flags: &[&[
        FORMAT,
        option(
            "platform",
            "string",
            "Platform to show, if there are several",
        ),
    ]],
    run: |session, parsed| run(session, parsed, &["image"]),
    ..ANY
};

/// `network inspect`.
pub const NETWORK: Command = Command {
    usage: "[OPTIONS] NETWORK [NETWORK...]",
    about: "Show everything known about networks",
    flags: &[&[
        FORMAT,
        flag("verbose", "Also what helps to find faults").short('v'),
    ]],
    run: |session, parsed| run(session, parsed, &["network"]),
    ..ANY
};

/// `volume inspect`.
pub const VOLUME: Command = Command {
    usage: "[OPTIONS] VOLUME [VOLUME...]",
    about: "Show everything known about volumes",
    flags: &[&[FORMAT]],
    run: |session, parsed| run(session, parsed, &["volume"]),
    ..ANY
};

/// In the order docker looks.
const KINDS: &[&str] = &["container", "image", "network", "volume"];

fn any(session: &Session, parsed: &Parsed) -> Outcome {
    let kind = parsed.text("type");
    if parsed.given("type") && kind.is_empty() {
        return Err(Failure::new(
            "type is empty: must be one of \"config\", \"container\", \"image\", \"network\", \"node\", \"plugin\", \"secret\", \"service\", \"task\", \"volume\"",
        ));
    }
    if kind.is_empty() {
        return run(session, parsed, KINDS);
    }
    match KINDS.iter().position(|known| *known == kind) {
        Some(at) => run(session, parsed, &KINDS[at..=at]),
        None if ["config", "node", "plugin", "secret", "service", "task"].contains(&kind) => {
            Err(Failure::new(format!(
                "--type {kind}: swarm and plugins are not supported"
            )))
        }
        None => Err(Failure::new(format!(
            "unknown type: {}: must be one of \"config\", \"container\", \"image\", \"network\", \"node\", \"plugin\", \"secret\", \"service\", \"task\", \"volume\"",
            crate::grammar::checks::quoted(kind)
        ))),
    }
}

/// The text of one thing.
fn fetch(engine: &Engine, parsed: &Parsed, kind: &str, name: &str) -> Outcome<String> {
    let name = segment(name);
    let (path, query) = match kind {
        "container" => (
            format!("/containers/{name}/json"),
            Query::new().when("size", parsed.is("size")),
        ),
        "image" => {
            let platform = parsed.text("platform");
            let query = if platform.is_empty() {
                Query::new()
            } else {
                Query::new().with("platform", &crate::image::archive::platform(platform)?)
            };
            (format!("/images/{name}/json"), query)
        }
        "network" => (
            format!("/networks/{name}"),
            Query::new().when("verbose", parsed.is("verbose")),
        ),
        _ => (format!("/volumes/{name}"), Query::new()),
    };
    let bytes = engine
        .call("GET", &path, &query, crate::connection::Body::Empty)
        .and_then(Answer::bytes)?;
    String::from_utf8(bytes).map_err(|_| Failure::new("engine's answer: not UTF-8"))
}

fn find(engine: &Engine, parsed: &Parsed, kinds: &[&str], name: &str) -> Outcome<String> {
    for kind in kinds {
        match fetch(engine, parsed, kind, name) {
            Err(error) if error.is_not_found() && kinds.len() > 1 => {}
            other => return other,
        }
    }
    Err(Failure::new(format!("Error: No such object: {name}")))
}

fn run(session: &Session, parsed: &Parsed, kinds: &[&str]) -> Outcome {
    let engine = session.engine()?;
    let mut texts = Vec::new();
    let mut errors = Vec::new();
    for name in &parsed.arguments {
        match find(&engine, parsed, kinds, name) {
            Ok(text) => texts.push(text),
            Err(error) => errors.push(error.text),
        }
    }
    let printed = print(&engine, parsed, &texts);
    match printed {
        Err(error) if errors.is_empty() => return Err(error),
        Err(error) => errors.push(error.text),
        Ok(()) => {}
    }
    crate::failure::all(errors)
}

fn print(engine: &Engine, parsed: &Parsed, texts: &[String]) -> Outcome {
    if parsed.given("as") {
        return recreate::print(engine, texts);
    }
    match parsed.text("format") {
        "" => {
            if texts.is_empty() {
                return output::line("[]");
            }
            let items: Vec<String> = texts.iter().map(|text| indent(text, 1)).collect();
            output::line(&format!("[\n    {}\n]", items.join(",\n    ")))
        }
        "json" => output::line(&format!(
            "[{}]",
            texts
                .iter()
                .map(|text| text.trim())
                .collect::<Vec<_>>()
                .join(",")
        )),
        format => by_template(format, texts),
    }
}

fn by_template(format: &str, texts: &[String]) -> Outcome {
    let source = format.replace("\\t", "\t").replace("\\n", "\n");
    let mut out = String::new();
    for text in texts {
        let (json, originals) = Originals::read(text)?;
        let template = Format::with_order(&source, Row::Data, MissingKey::Error, originals)
            .map_err(|error| {
                Failure::new(format!("template parsing error: {error}")).with_code(64)
            })?;
        // Fields Go writes only when they are set exist all the same in its templates, and `ID` is called so in Go.
        let filled = template.fill(&value(&json), None).or_else(|error| {
            template
                .fill(&value(&with_go_fields(json)), None)
                .map_err(|_| error)
        });
        match filled {
            Ok(text) => out += &format!("{text}\n"),
            Err(error) if error.ends_with(" not defined") => {
                return Err(Failure::new(format!("template parsing error: {error}")).with_code(64));
            }
            Err(error) => {
                output::text(&format!("{out}\n"))?;
                return Err(Failure::new(format!("template parsing error: {error}")));
            }
        }
    }
    if texts.is_empty() {
        out.push('\n');
    }
    output::text(&out)
}

fn with_go_fields(mut json: Json) -> Json {
    let fill = |object: &mut Json, fields: &[&str]| {
        if let Some(object) = object.as_object_mut() {
            for field in fields {
                object.entry(*field).or_insert_with(|| Json::from(""));
            }
        }
    };
    if let Some(id) = json.get("Id").cloned()
        && let Some(object) = json.as_object_mut()
    {
        object.insert("ID".to_owned(), id);
    }
    for mount in json
        .get_mut("Mounts")
        .and_then(Json::as_array_mut)
        .into_iter()
        .flatten()
    {
        fill(mount, &["Type", "Name", "Driver"]);
    }
    if let Some(config) = json.get_mut("Config") {
        fill(
            config,
            &["StopSignal", "MacAddress", "Domainname", "Hostname"],
        );
        if let Some(config) = config.as_object_mut() {
            for field in [
                "ExposedPorts",
                "Volumes",
                "Healthcheck",
                "Shell",
                "StopTimeout",
                "Labels",
            ] {
                config.entry(field).or_insert(Json::Null);
            }
        }
    }
    if let Some(state) = json.get_mut("State").and_then(Json::as_object_mut) {
        state.entry("Health").or_insert(Json::Null);
    }
    if let Some(host) = json.get_mut("HostConfig").and_then(Json::as_object_mut) {
        for field in [
            "Mounts",
            "Tmpfs",
            "Sysctls",
            "StorageOpt",
            "Annotations",
            "Init",
        ] {
            host.entry(field).or_insert(Json::Null);
        }
    }
    json
}

//! `gantry context …`: named addresses of engines, in docker's own store.

pub mod store;

use serde_json::json;

use crate::connection::Endpoint;
use crate::failure::{Failure, Outcome, for_each};
use crate::format::list::{Fields, List};
use crate::grammar::{COMMAND, Command, Count, Parsed, flag, option};
use crate::output;
use crate::session::Session;

/// The family.
pub const FAMILY: Command = Command {
    name: "context",
    about: "Manage contexts: names for the engines of other hosts",
    children: &[CREATE, INSPECT, LIST, REMOVE, SHOW, UPDATE, USE],
    ..COMMAND
};

const DESCRIPTION: crate::grammar::Flag =
    option("description", "string", "What the context is for");
const DOCKER: crate::grammar::Flag = option(
    "docker",
    "map",
    "Its engine (host=unix://…, tcp://… or ssh://…)",
);

const CREATE: Command = Command {
    name: "create",
    usage: "[OPTIONS] CONTEXT",
    about: "Create a context",
    flags: &[&[
        DESCRIPTION,
        DOCKER,
        option("from", "string", "Context to copy"),
    ]],
    count: Count::Exactly(1),
    run: create,
    ..COMMAND
};

const UPDATE: Command = Command {
    name: "update",
    usage: "[OPTIONS] CONTEXT",
    about: "Change a context",
    flags: &[&[DESCRIPTION, DOCKER]],
    count: Count::Exactly(1),
    run: update,
    ..COMMAND
};

const INSPECT: Command = Command {
    name: "inspect",
    usage: "[OPTIONS] [CONTEXT] [CONTEXT...]",
    about: "Show everything known about contexts",
    flags: &[&[option("format", "string", "Template, or 'json'").short('f')]],
    count: Count::AtLeast(0),
    run: inspect,
    ..COMMAND
};

const LIST: Command = Command {
    name: "ls",
    aliases: &["list"],
    usage: "[OPTIONS]",
    about: "List contexts",
    flags: &[&[
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

const REMOVE: Command = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "CONTEXT [CONTEXT...]",
    about: "Remove contexts",
    flags: &[&[flag("force", "Even the one in use").short('f')]],
    count: Count::AtLeast(1),
    run: remove,
    ..COMMAND
};

const SHOW: Command = Command {
    name: "show",
    about: "Print the name of the context in use",
    run: show,
    ..COMMAND
};

const USE: Command = Command {
    name: "use",
    usage: "CONTEXT",
    about: "Use a context from now on",
    count: Count::Exactly(1),
    run: switch,
    ..COMMAND
};

fn host(parsed: &Parsed) -> Outcome<Option<String>> {
    let mut host = None;
    for pair in parsed
        .list("docker")
        .iter()
        .flat_map(|text| text.split(','))
    {
        match pair.split_once('=') {
            Some(("host", value)) => {
                Endpoint::parse(value)?;
                host = Some(value.to_owned());
            }
            Some((key @ ("ca" | "cert" | "key" | "skip-tls-verify"), _)) => {
                return Err(Failure::new(format!(
                    "--docker {key}: TLS is not supported; use ssh:// or unix://"
                )));
            }
            _ => {
                return Err(Failure::new(format!(
                    "--docker {pair}: unrecognized config key"
                )));
            }
        }
    }
    Ok(host)
}

fn create(session: &Session, parsed: &Parsed) -> Outcome {
    let name = &parsed.arguments[0];
    let folder = &session.configuration.folder;
    store::check_name(name)?;
    if store::read(folder, name).is_ok() {
        return Err(Failure::new(format!("context \"{name}\" already exists")));
    }
    let from = parsed.text("from");
    let copied = if from.is_empty() {
        None
    } else {
        Some(store::read(folder, from)?)
    };
    let host = match (host(parsed)?, &copied) {
        (Some(host), _) => host,
        (None, Some(copied)) => copied.host.clone(),
        (None, None) => return Err(Failure::new("docker endpoint configuration is required")),
    };
    let description = if parsed.given("description") {
        parsed.text("description").to_owned()
    } else {
        copied.map(|copied| copied.description).unwrap_or_default()
    };
    store::write(folder, name, &store::Context { description, host })?;
    output::line(name)?;
    output::complain(&format!("Successfully created context \"{name}\""));
    Ok(())
}

fn update(session: &Session, parsed: &Parsed) -> Outcome {
    let name = &parsed.arguments[0];
    let folder = &session.configuration.folder;
    let mut context = store::read(folder, name)?;
    if parsed.given("description") {
        parsed
            .text("description")
            .clone_into(&mut context.description);
    }
    if let Some(host) = host(parsed)? {
        context.host = host;
    }
    store::write(folder, name, &context)?;
    output::line(name)?;
    output::complain(&format!("Successfully updated context \"{name}\""));
    Ok(())
}

fn inspect(session: &Session, parsed: &Parsed) -> Outcome {
    let names = if parsed.arguments.is_empty() {
        vec![session.context_name()]
    } else {
        parsed.arguments.clone()
    };
    let mut found = Vec::new();
    for name in &names {
        let context = match get(session, name) {
            Ok(context) => context,
            Err(error) => {
                output::line("[]")?;
                return Err(error);
            }
        };
        let folder = session.configuration.folder.join("contexts");
        let id = store::identity(name);
        let storage = |kind: &str| {
            if name == "default" {
                "<IN MEMORY>".to_owned()
            } else {
                folder.join(kind).join(&id).display().to_string()
            }
        };
        let metadata = if context.description.is_empty() {
            json!({})
        } else {
            json!({ "Description": context.description })
        };
        found.push(json!({
            "Name": name,
            "Metadata": metadata,
            "Endpoints": { "docker": { "Host": context.host, "SkipTLSVerify": false } },
            "TLSMaterial": {},
            "Storage": { "MetadataPath": storage("meta"), "TLSPath": storage("tls") },
        }));
    }
    if parsed.given("format") {
        for context in &found {
            crate::format::list::one(
                parsed.text("format"),
                context,
                "*context.contextWithTLSListing",
            )?;
        }
        return Ok(());
    }
    print_all(&found)
}

/// Prints contexts with their keys in docker's order, which a sorted map would lose.
fn print_all(found: &[serde_json::Value]) -> Outcome {
    let keys = ["Name", "Metadata", "Endpoints", "TLSMaterial", "Storage"];
    let items: Vec<String> = found
        .iter()
        .map(|context| {
            let members: Vec<String> = keys
                .iter()
                .map(|key| format!("\"{key}\":{}", context[*key]))
                .collect();
            crate::format::ordered::indent(&format!("{{{}}}", members.join(",")), 1)
        })
        .collect();
    output::line(&format!("[\n    {}\n]", items.join(",\n    ")))
}

fn get(session: &Session, name: &str) -> Outcome<store::Context> {
    if name != "default" {
        return store::read(&session.configuration.folder, name);
    }
    let host = session
        .host
        .clone()
        .or_else(|| std::env::var("DOCKER_HOST").ok())
        .filter(|host| !host.is_empty());
    Ok(store::Context {
        description: String::new(),
        host: host.unwrap_or_else(|| format!("unix://{}", crate::session::DEFAULT_SOCKET)),
    })
}

fn list(session: &Session, parsed: &Parsed) -> Outcome {
    let current = session.context_name();
    let mut names = store::names(&session.configuration.folder);
    names.push("default".to_owned());
    names.sort_by_key(|name| crate::format::natural::natural(name));
    let mut rows = Vec::new();
    for name in names {
        let context = get(session, &name);
        let (context, error) = match context {
            Ok(context) => (context, String::new()),
            Err(error) => (store::Context::default(), error.text),
        };
        let description = if name == "default" {
            "Current DOCKER_HOST based configuration".to_owned()
        } else {
            context.description
        };
        let shown = if name == current && !parsed.is("quiet") {
            format!("{name} *")
        } else {
            name.clone()
        };
        rows.push(Fields::from([
            (
                "Name",
                json!(if parsed.text("format").is_empty() {
                    shown
                } else {
                    name.clone()
                }),
            ),
            (
                "Description",
                json!(crate::format::ellipsis(&description, 60)),
            ),
            ("DockerEndpoint", json!(context.host)),
            ("Error", json!(crate::format::ellipsis(&error, 60))),
            ("Current", json!(name == current)),
        ]));
    }
    List {
        format: parsed.text("format"),
        quiet: parsed.is("quiet"),
        table: "{{.Name}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}",
        id: "{{.Name}}",
        what: "*formatter.clientContextContext",
        titles: &[
            ("Name", "NAME"),
            ("Description", "DESCRIPTION"),
            ("DockerEndpoint", "DOCKER ENDPOINT"),
            ("Error", "ERROR"),
            ("Current", "CURRENT"),
        ],
        raw: "",
    }
    .print(&rows)?;
    warn_of_docker_host("a context");
    Ok(())
}

fn remove(session: &Session, parsed: &Parsed) -> Outcome {
    let current = session.context_name();
    for_each(&parsed.arguments, |name| {
        if name == "default" {
            return Err(Failure::new("context \"default\" cannot be removed"));
        }
        if name == current && !parsed.is("force") {
            return Err(Failure::new(format!(
                "context \"{name}\" is in use, set -f flag to force remove"
            )));
        }
        store::remove(&session.configuration.folder, name)?;
        Ok(Some(name.to_owned()))
    })
}

fn show(session: &Session, _: &Parsed) -> Outcome {
    output::line(&session.context_name())
}

fn switch(session: &Session, parsed: &Parsed) -> Outcome {
    let name = &parsed.arguments[0];
    if name != "default" {
        store::check_name(name)?;
        store::read(&session.configuration.folder, name)?;
    }
    let mut configuration = session.configuration.clone();
    if name == "default" {
        configuration.values.remove("currentContext");
    } else {
        configuration
            .values
            .insert("currentContext".to_owned(), json!(name));
    }
    configuration.save()?;
    output::line(name)?;
    output::complain(&format!("Current context is now \"{name}\""));
    warn_of_docker_host(&format!("\"{name}\""));
    Ok(())
}

/// Says that the environment names an engine already.
fn warn_of_docker_host(what: &str) {
    if std::env::var_os("DOCKER_HOST").is_some_and(|host| !host.is_empty()) {
        output::complain(&format!(
            "Warning: DOCKER_HOST environment variable overrides the active context. \
             To use {what}, either set the global --context flag, or unset DOCKER_HOST environment variable."
        ));
    }
}

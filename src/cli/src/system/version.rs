//! `version`.

use gantry_api::system::version::Version;
use serde_json::{Value as Json, json};

use crate::connection::Query;
use crate::failure::{Failure, Outcome};
use crate::format::{list, table};
use crate::grammar::{COMMAND as BASE, Command, Parsed, option};
use crate::output;
use crate::session::Session;

/// `version`.
pub const COMMAND: Command = Command {
    name: "version",
    usage: "[OPTIONS]",
    about: "Show the versions of gantry and the engine",
    flags: &[&[option("format", "string", "Template, or 'json'").short('f')]],
    run,
    ..BASE
};

/// The processor as Go names it.
#[must_use]
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn run(session: &Session, parsed: &Parsed) -> Outcome {
    let server = session.engine().and_then(|engine| {
        let server: Version = engine.get("/version", &Query::new())?;
        Ok((server, engine.version))
    });
    let (server, spoken, failure) = match server {
        Ok((server, spoken)) => (Some(server), spoken, None),
        Err(error) => (None, gantry_api::VERSION.to_owned(), Some(error)),
    };
    let client = json!({
        "Version": env!("CARGO_PKG_VERSION"),
        "ApiVersion": spoken,
        "DefaultAPIVersion": gantry_api::VERSION,
        "Os": "linux",
        "Arch": architecture(),
        "Context": session.context_name(),
    });
    let format = parsed.text("format");
    if format.is_empty() {
        output::text(&table::with(&text(&client, server.as_ref()), 21).replace("  \n", "\n"))?;
    } else {
        let mut server = serde_json::to_value(&server)?;
        for component in server
            .get_mut("Components")
            .and_then(Json::as_array_mut)
            .into_iter()
            .flatten()
        {
            rewrite_time(component.get_mut("Details"));
        }
        let mut all = json!({ "Client": client, "Server": server });
        if !format.contains("json") {
            go_names(&mut all);
        }
        // The fault lies in the client's half where the template speaks of it.
        let half = if format.contains(".Client.") {
            "clientVersion"
        } else {
            "versionInfo"
        };
        list::one(format, &all, &format!("system.{half}")).map_err(|error| Failure {
            text: error
                .text
                .replacen("template: :", "template: version:", 1)
                .replace("executing \"\"", "executing \"version\""),
            ..error
        })?;
    }
    failure.map_or(Ok(()), Err)
}

/// Go's names of the fields whose JSON has others.
fn go_names(all: &mut Json) {
    for side in ["Client", "Server"] {
        if let Some(side) = all.get_mut(side).and_then(Json::as_object_mut)
            && let Some(version) = side.remove("ApiVersion")
        {
            side.insert("APIVersion".to_owned(), version);
        }
    }
}

/// The moment of a build as people read it.
fn rewrite_time(details: Option<&mut Json>) {
    if let Some(Json::String(text)) = details.and_then(|details| details.get_mut("BuildTime")) {
        *text = build_time(text);
    }
}

fn build_time(text: &str) -> String {
    text.parse::<jiff::Timestamp>().map_or_else(
        |_| text.to_owned(),
        |time| {
            time.to_zoned(jiff::tz::TimeZone::UTC)
                .strftime("%a %b %e %H:%M:%S %Y")
                .to_string()
        },
    )
}

fn text(client: &Json, server: Option<&Version>) -> String {
    let mut lines = vec!["Client:".to_owned()];
    let mut row = |indent: &str, name: &str, value: &str| {
        lines.push(format!(
            "{indent}{:<w$}{value}",
            format!("{name}:"),
            w = 20 - indent.len()
        ))
    };
    let of = |key: &str| client[key].as_str().unwrap_or_default().to_owned();
    row(" ", "Version", &of("Version"));
    row(" ", "API version", &of("ApiVersion"));
    row(" ", "OS/Arch", &format!("linux/{}", architecture()));
    row(" ", "Context", &of("Context"));
    let Some(server) = server else {
        return lines.join("\n") + "\n";
    };
    lines.push(String::new());
    lines.push(format!(
        "Server:{}",
        if server.platform.name.is_empty() {
            String::new()
        } else {
            format!(" {}", server.platform.name)
        }
    ));
    for component in &server.components {
        lines.push(format!(" {}:", component.name));
        let mut row =
            |name: &str, value: &str| lines.push(format!("  {:<18}{value}", format!("{name}:")));
        row("Version", &component.version);
        let detail = |key: &str| component.details.get(key).cloned().unwrap_or_default();
        if component.name == "Engine" {
            row(
                "API version",
                &format!(
                    "{} (minimum version {})",
                    detail("ApiVersion"),
                    detail("MinAPIVersion")
                ),
            );
            row("Go version", &detail("GoVersion"));
            row("Git commit", &detail("GitCommit"));
            row("Built", &build_time(&detail("BuildTime")));
            row("OS/Arch", &format!("{}/{}", detail("Os"), detail("Arch")));
            row("Experimental", &detail("Experimental"));
        } else {
            for (name, value) in &component.details {
                row(name, value);
            }
        }
    }
    lines.join("\n") + "\n"
}

/// `--version` of the command itself.
///
/// # Errors
/// When standard output is gone.
pub fn short() -> Outcome {
    output::line(&format!("gantry version {}", env!("CARGO_PKG_VERSION")))
}

//! `diff`, `top`, `port`.

use gantry_api::container::changes::Change;
use gantry_api::container::inspect::Inspect;
use gantry_api::container::top::Top;

use crate::connection::{Query, query::segment};
use crate::failure::{Failure, Outcome};
use crate::format::table;
use crate::grammar::{COMMAND, Command, Count, Parsed};
use crate::output;
use crate::session::Session;

/// `diff`.
pub const DIFF: Command = Command {
    name: "diff",
    usage: "CONTAINER",
    about: "List the files a container has changed",
    count: Count::Exactly(1),
    run: diff,
    ..COMMAND
};

/// `top`.
pub const TOP: Command = Command {
    name: "top",
    usage: "CONTAINER [ps OPTIONS]",
    about: "List a container's processes",
    count: Count::AtLeast(1),
    trailing: true,
    run: top,
    ..COMMAND
};

/// `port`.
pub const PORT: Command = Command {
    name: "port",
    usage: "CONTAINER [PRIVATE_PORT[/PROTO]]",
    about: "List a container's published ports",
    count: Count::Between(1, 2),
    run: port,
    ..COMMAND
};

fn diff(session: &Session, parsed: &Parsed) -> Outcome {
    let path = format!("/containers/{}/changes", segment(&parsed.arguments[0]));
    let changes: Option<Vec<Change>> = session.engine()?.get(&path, &Query::new())?;
    let text: String = changes
        .into_iter()
        .flatten()
        .map(|change| {
            format!(
                "{} {}\n",
                ["C", "A", "D"]
                    .get(usize::try_from(change.kind).unwrap_or(0))
                    .unwrap_or(&"C"),
                change.path
            )
        })
        .collect();
    output::text(&text)
}

fn top(session: &Session, parsed: &Parsed) -> Outcome {
    let path = format!("/containers/{}/top", segment(&parsed.arguments[0]));
    let query = Query::new().maybe("ps_args", &parsed.arguments[1..].join(" "));
    let top: Top = session.engine()?.get(&path, &query)?;
    let rows =
        std::iter::once(top.titles.unwrap_or_default()).chain(top.processes.unwrap_or_default());
    let text: String = rows.map(|row| format!("{}\n", row.join("\t"))).collect();
    output::text(&table::with(&text, 20))
}

fn port(session: &Session, parsed: &Parsed) -> Outcome {
    let name = &parsed.arguments[0];
    let container: Inspect = session.engine()?.get(
        &format!("/containers/{}/json", segment(name)),
        &Query::new(),
    )?;
    let ports = container.network_settings.ports.unwrap_or_default();
    let host = |ip: &str, port: &str| {
        if ip.contains(':') {
            format!("[{ip}]:{port}")
        } else {
            format!("{ip}:{port}")
        }
    };
    let Some(asked) = parsed.arguments.get(1) else {
        let mut lines: Vec<(u32, String)> = Vec::new();
        for (inside, bindings) in &ports {
            let number = inside
                .split('/')
                .next()
                .and_then(|digits| digits.parse().ok())
                .unwrap_or(0);
            for binding in bindings.iter().flatten() {
                lines.push((
                    number,
                    format!(
                        "{inside} -> {}\n",
                        host(&binding.host_ip, &binding.host_port)
                    ),
                ));
            }
        }
        lines.sort();
        return output::text(&lines.into_iter().map(|(_, line)| line).collect::<String>());
    };
    let (number, protocol) = asked.split_once('/').unwrap_or((asked, "tcp"));
    crate::grammar::checks::uint16(number)
        .map_err(|why| Failure::new(format!("Error: invalid port ({number}): {why}")))?;
    match ports
        .get(&format!("{number}/{protocol}"))
        .and_then(Option::as_ref)
        .filter(|bindings| !bindings.is_empty())
    {
        Some(bindings) => {
            let mut lines: Vec<String> = bindings
                .iter()
                .map(|binding| format!("{}\n", host(&binding.host_ip, &binding.host_port)))
                .collect();
            lines.sort();
            output::text(&lines.concat())
        }
        None => Err(Failure::new(format!(
            "Error: No public port '{asked}' published for {name}"
        ))),
    }
}

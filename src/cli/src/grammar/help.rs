//! Help texts: the usage line, flags in columns, wrapped to the terminal.

use super::{Command, Flag, Parsed};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::session::Session;

/// `gantry run [OPTIONS] IMAGE [COMMAND] [ARG...]`. A usage of several lines repeats the path on each.
#[must_use]
pub fn usage_line(command: &Command, path: &str) -> String {
    if command.usage.is_empty() {
        return path.to_owned();
    }
    let lines: Vec<String> = command
        .usage
        .lines()
        .map(|line| format!("{path} {line}"))
        .collect();
    lines.join("\n\t")
}

/// The run of a family: its help, or a refusal of the word that is no command of it.
pub fn family(_: &Session, parsed: &Parsed) -> Outcome {
    if let Some(word) = parsed.arguments.first() {
        return Err(Failure::new(format!(
            "gantry: unknown command: {path} {word}\n\nUsage:  {path}\n\nRun '{path} --help' for more information",
            path = parsed.path
        )));
    }
    output::text(&of(&parsed.command, &parsed.path, width()))
}

/// Columns to wrap at: the terminal's, 80 where there is none.
#[must_use]
pub fn width() -> usize {
    crate::terminal::size(std::io::stdin()).map_or(80, |(_, columns)| usize::from(columns).max(40))
}

/// The help of one command.
#[must_use]
pub fn of(command: &Command, path: &str, width: usize) -> String {
    let mut text = if command.children.is_empty() {
        format!(
            "Usage:  {}\n\n{}\n",
            usage_line(command, path),
            command.about
        )
    } else {
        format!("Usage:  {path} COMMAND\n\n{}\n", command.about)
    };
    if !command.more.is_empty() {
        text += &format!("\n{}\n", command.more.trim_end());
    }
    if !command.aliases.is_empty() {
        let parent = path.rsplit_once(' ').map_or("", |(parent, _)| parent);
        let names: Vec<String> = std::iter::once(command.name)
            .chain(command.aliases.iter().copied())
            .map(|name| format!("{parent} {name}"))
            .collect();
        text += &format!("\nAliases:\n  {}\n", names.join(", "));
    }
    if command.flags.iter().any(|table| !table.is_empty()) {
        text += &format!("\nOptions:\n{}", flags(&command.all_flags(), width));
    }
    if !command.children.is_empty() {
        text += &format!(
            "\nCommands:\n{}\nRun '{path} COMMAND --help' for more information on a command.\n",
            commands(command.children)
        );
    }
    text
}

/// Commands in two columns.
#[must_use]
pub fn commands(commands: &[Command]) -> String {
    let longest = commands
        .iter()
        .map(|command| command.name.len())
        .max()
        .unwrap_or(0)
        .max(11);
    commands
        .iter()
        .map(|command| format!("  {:longest$} {}\n", command.name, command.about))
        .collect()
}

/// Flags in two columns, the second wrapped.
#[must_use]
pub fn flags(flags: &[&Flag], width: usize) -> String {
    let shown: Vec<(String, String)> = flags
        .iter()
        .filter(|flag| !flag.hidden)
        .map(|flag| row(flag))
        .collect();
    let left = shown.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 3;
    let mut text = String::new();
    for (name, about) in shown {
        let mut column = left;
        text += &format!("{name:left$}");
        for (index, word) in about.split(' ').enumerate() {
            if index > 0 && column + 1 + word.len() > width.max(left + 24) - 1 {
                text += &format!("\n{:left$}", "");
                column = left;
            } else if index > 0 {
                text.push(' ');
                column += 1;
            }
            text += word;
            column += word.len();
        }
        text.push('\n');
    }
    text
}

fn row(flag: &Flag) -> (String, String) {
    let short = flag
        .short
        .map_or_else(|| "    ".to_owned(), |letter| format!("-{letter}, "));
    let kind = if flag.kind.is_empty() {
        String::new()
    } else {
        format!(" {}", flag.kind)
    };
    let default = match flag.default {
        "" => String::new(),
        value if flag.kind == "string" => format!(" (default \"{value}\")"),
        value => format!(" (default {value})"),
    };
    (
        format!("  {short}--{}{kind}", flag.long),
        format!("{}{default}", flag.about),
    )
}

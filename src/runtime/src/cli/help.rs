//! Help in the shape urfave/cli gives runc, drawn from clap's definition.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command};

/// The whole program's help.
pub(super) fn program(definition: &Command, name: &str, version: &str) -> String {
    let mut out = format!(
        "NAME:\n   {name} - {}\n\n{}\n\nUSAGE:\n   {name} [global options] command [command options] [arguments...]\n\n\
         VERSION:\n   {version}\n\nCOMMANDS:\n",
        definition
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default(),
        definition
            .get_long_about()
            .map(ToString::to_string)
            .unwrap_or_default(),
    );
    for verb in definition.get_subcommands().filter(|c| !c.is_hide_set()) {
        row(&mut out, 10, verb.get_name(), &about(verb));
    }
    row(
        &mut out,
        10,
        "help, h",
        "show this list, or the help of one command",
    );
    out.push_str("\nGLOBAL OPTIONS:\n");
    options(&mut out, definition);
    out
}

/// The help of one command; `name` is the program's.
pub(super) fn verb(verb: &Command, name: &str) -> String {
    let mut usage = format!("   {name} {}", verb.get_name());
    if verb.get_opts().next().is_some() || verb.get_arguments().any(is_switch) {
        usage.push_str(" [command options]");
    }
    for arg in verb.get_positionals() {
        let label = arg
            .get_value_names()
            .and_then(|names| names.first())
            .map_or("", |name| name.as_str());
        let (open, close) = if arg.is_required_set() {
            ("<", ">")
        } else {
            ("[", "]")
        };
        let more = if many(arg) { "..." } else { "" };
        let _infallible = write!(usage, " {open}{label}{close}{more}");
    }
    let mut out = format!(
        "NAME:\n   {name} {} - {}\n\nUSAGE:\n{usage}\n",
        verb.get_name(),
        about(verb)
    );
    let mut list = String::new();
    options(&mut list, verb);
    if !list.is_empty() {
        out.push_str("\nOPTIONS:\n");
        out.push_str(&list);
    }
    out
}

/// How many positional arguments a command takes, from its definition.
pub(super) fn arity(verb: &Command) -> (usize, Option<usize>) {
    let least = verb
        .get_positionals()
        .filter(|arg| arg.is_required_set())
        .count();
    let unbounded = verb.get_positionals().any(many);
    (least, (!unbounded).then(|| verb.get_positionals().count()))
}

pub(super) fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

fn many(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

fn about(verb: &Command) -> String {
    verb.get_about()
        .map(ToString::to_string)
        .unwrap_or_default()
}

fn options(out: &mut String, command: &Command) {
    let mut rows: Vec<(String, String)> = Vec::new();
    for arg in command
        .get_arguments()
        .filter(|a| !a.is_positional() && !a.is_hide_set())
    {
        let Some(long) = arg.get_long() else { continue };
        let value = if is_switch(arg) { "" } else { " value" };
        let short = arg
            .get_short()
            .map(|s| format!(", -{s}{value}"))
            .unwrap_or_default();
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let default = arg.get_default_values().first().filter(|_| !is_switch(arg));
        let default = default
            .map(|d| format!(" (default: {})", d.to_string_lossy()))
            .unwrap_or_default();
        rows.push((
            format!("--{long}{value}{short}"),
            format!("{help}{default}"),
        ));
    }
    let width = rows.iter().map(|(left, _)| left.len()).max().unwrap_or(0);
    for (left, right) in rows {
        row(out, width, &left, &right);
    }
}

fn row(out: &mut String, width: usize, left: &str, right: &str) {
    let _infallible = writeln!(out, "   {left:<width$}  {right}");
}

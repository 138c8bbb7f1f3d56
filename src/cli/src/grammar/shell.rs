//! `completion` and `man`, made from the same tables as the parsing.

use std::io::Write;

use clap_complete::Shell;

use super::{COMMAND, Command, Count, Parsed, option};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::session::Session;

/// `completion`.
pub const COMPLETION: Command = Command {
    name: "completion",
    usage: "SHELL",
    about: "Print a completion script (bash, zsh, fish, elvish, powershell)",
    count: Count::Exactly(1),
    run: completion,
    ..COMMAND
};

/// `man`.
pub const MAN: Command = Command {
    name: "man",
    usage: "[OPTIONS]",
    about: "Print the manual page, or write all of them to a directory",
    flags: &[&[option("output", "string", "Directory to write the pages to").short('o')]],
    run: man,
    ..COMMAND
};

/// A command as clap describes one.
fn describe(command: &Command) -> clap::Command {
    let mut described = clap::Command::new(command.name)
        .about(command.about)
        .disable_help_subcommand(true);
    if !command.more.is_empty() {
        described = described.long_about(format!("{}\n\n{}", command.about, command.more));
    }
    described = described.visible_aliases(command.aliases);
    for flag in command.all_flags() {
        let mut argument = clap::Arg::new(flag.long)
            .long(flag.long)
            .help(flag.about)
            .hide(flag.hidden);
        argument = match flag.short {
            // -h is help's everywhere else.
            Some('h') | None => argument,
            Some(letter) => argument.short(letter),
        };
        argument = match (flag.bare, flag.kind) {
            (Some(_), "") => argument.action(clap::ArgAction::SetTrue),
            (_, "list" | "map" | "strings" | "filter" | "mount" | "network" | "ulimit") => argument
                .value_name(flag.kind)
                .action(clap::ArgAction::Append),
            (_, kind) => argument.value_name(kind),
        };
        described = described.arg(argument);
    }
    if command.children.is_empty() && command.count != Count::None {
        let value = clap::Arg::new("ARG")
            .num_args(0..)
            .help(command.usage)
            .value_hint(clap::ValueHint::AnyPath);
        described = described.arg(if command.trailing {
            value.trailing_var_arg(true).allow_hyphen_values(true)
        } else {
            value
        });
    }
    described.subcommands(command.children.iter().map(describe))
}

fn whole() -> clap::Command {
    // `--version` stands in the table already.
    describe(&crate::commands::root())
        .version(env!("CARGO_PKG_VERSION"))
        .disable_version_flag(true)
}

fn completion(_: &Session, parsed: &Parsed) -> Outcome {
    let name = parsed.arguments[0].as_str();
    let shell: Shell = name.parse().map_err(|_| {
        Failure::new(format!(
            "{name}: unknown shell; bash, zsh, fish, elvish or powershell is expected"
        ))
    })?;
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut whole(), "gantry", &mut text);
    output::bytes(&text)
}

fn man(_: &Session, parsed: &Parsed) -> Outcome {
    let folder = parsed.text("output");
    if folder.is_empty() {
        let mut text = Vec::new();
        clap_mangen::Man::new(whole()).render(&mut text)?;
        return output::bytes(&text);
    }
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(whole(), folder)?;
    std::io::stdout().flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_command_can_be_described() {
        super::whole().debug_assert();
    }
}

//! The command line: runc's and crun's grammar, read into one [`Command`].
//!
//! Words are split by Go's rules ([`scan`]), because every caller writes them Go's way: one dash or two, global flags before
//! or behind the command. clap's derive is the only definition of what there is; the commands that run for every container
//! are assigned directly ([`hot`]), the others go through clap. Usage errors read as runc's do: `Incorrect Usage` and the
//! help on standard output, the reason in the log, exit code 1; an unknown command exits with 3.

mod generate;
mod globals;
mod help;
mod hot;
mod scan;
mod value;
mod verbs;

use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory as _, FromArgMatches};

pub use generate::{completion, manual};
pub use globals::{CgroupManager, GlobalFlags, LogFormat, LogLevel, Rootless};
use scan::{Flag, Found, Given, Table, scan};
pub use value::{FlagError, UserSpec};
pub use verbs::*;

/// Version of the runtime specification that keel follows.
pub const SPEC_VERSION: &str = "1.3.0";

/// Whether this build can checkpoint and restore.
pub const CAN_CHECKPOINT: bool = true;

/// run containers as the Open Container Initiative specifies them
///
/// keel runs one container from one bundle: a directory with config.json and a root file system. It takes runc's place under
/// containerd, podman, dockerd, buildah and CRI-O, and runs bundles from scripts.
#[derive(Debug, clap::Parser)]
#[command(
    name = "keel",
    disable_help_flag = true,
    disable_version_flag = true,
    disable_help_subcommand = true
)]
struct Program {
    #[command(flatten)]
    global: GlobalFlags,
    #[command(subcommand)]
    command: Command,
}

/// A command line that was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// What the program is called: `keel`, or `runc` or `crun` where it is installed under that name.
    pub program: &'static str,
    /// The flags before the command.
    pub global: GlobalFlags,
    /// The command.
    pub command: Command,
}

/// A command line that was not understood, with all that is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What the program is called.
    pub program: &'static str,
    /// The flags before the command, as far as they were read: they say where the message is logged.
    pub global: GlobalFlags,
    /// Text for standard output: `Incorrect Usage` and help, or nothing.
    pub stdout: String,
    /// The one line of error.
    pub message: String,
    /// Exit code.
    pub code: u8,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

/// The name a program goes by, from `argv[0]`: it stands in messages and names the default state root.
#[must_use]
pub fn program_name(argv0: &std::ffi::OsStr) -> &'static str {
    match Path::new(argv0).file_name().and_then(|name| name.to_str()) {
        Some("runc") => "runc",
        Some(name) if name == "crun" || name.starts_with("crun-") => "crun",
        _ => "keel",
    }
}

/// What `--version` prints: engines look for the first line's form and for `commit:` and `spec:`.
#[must_use]
pub fn version(program: &str) -> String {
    format!(
        "{program} version {}\ncommit: {}\nspec: {SPEC_VERSION}\n",
        env!("CARGO_PKG_VERSION"),
        option_env!("KEEL_COMMIT").unwrap_or("unknown"),
    )
}

/// Reads a whole command line, `argv[0]` included.
///
/// # Errors
/// A [`Refusal`] that says what is wrong the way runc says it.
pub fn parse(argv: impl IntoIterator<Item = OsString>) -> Result<Invocation, Box<Refusal>> {
    let mut argv = argv.into_iter().collect::<Vec<_>>().into_iter();
    let program = program_name(&argv.next().unwrap_or_default());
    let mut reader = Reader {
        program,
        global: GlobalFlags::default(),
    };
    let command = reader.read(&mut argv)?;
    Ok(Invocation {
        program,
        global: reader.global,
        command,
    })
}

/// The complete definition, for help, completions and the manual page.
fn definition() -> clap::Command {
    let mut definition = Program::command();
    definition.build();
    definition
}

struct Reader {
    program: &'static str,
    global: GlobalFlags,
}

impl Reader {
    fn read(&mut self, argv: &mut std::vec::IntoIter<OsString>) -> Result<Command, Box<Refusal>> {
        let found =
            scan(argv, globals::FLAGS, None).map_err(|message| self.incorrect(None, &message))?;
        self.assign(None, &found.global)?;
        if found.version {
            return Ok(Command::Version(Version {}));
        }
        let verb = match found.positionals.into_iter().next() {
            Some(verb) if !found.help => verb.to_string_lossy().into_owned(),
            _ => return Ok(Command::Help(self.help(None))),
        };
        if verb == "help" || verb == "h" {
            return self.topic(argv.next());
        }
        if let Some(table) = hot::table(&verb) {
            let found = self.words(&verb, argv, &table)?;
            if found.help || found.version {
                return Ok(Command::Help(self.help(Some(&verb))));
            }
            return hot::command(&verb, &found.own, found.positionals).map_err(
                |(flag, value, error)| self.wrong(&verb, &flag, &value.to_string_lossy(), &error),
            );
        }
        self.cold(&verb, argv)
    }

    /// A command read through clap.
    fn cold(
        &mut self,
        verb: &str,
        argv: &mut std::vec::IntoIter<OsString>,
    ) -> Result<Command, Box<Refusal>> {
        let definition = definition();
        let Some(command) = definition.find_subcommand(verb) else {
            return Err(self.unknown(verb));
        };
        let (least, most) = help::arity(command);
        let table = Table {
            flags: flags_of(command),
            in_order: verb == "ps",
            least,
            most,
        };
        let found = self.words(verb, argv, &table)?;
        if found.help || found.version {
            return self.help_of(verb);
        }
        let line = canonical(command, &found);
        let matches = Program::command().args_override_self(true);
        let matches = matches
            .mut_subcommand(verb, |c| c.args_override_self(true))
            .try_get_matches_from(line);
        let parsed = matches.and_then(|m| Program::from_arg_matches(&m));
        parsed
            .map(|p| p.command)
            .map_err(|error| self.refused_by_clap(verb, &error))
    }

    fn words<'a>(
        &mut self,
        verb: &str,
        argv: &mut std::vec::IntoIter<OsString>,
        table: &Table<'a>,
    ) -> Result<Found<'a>, Box<Refusal>> {
        let found = scan(argv, globals::FLAGS, Some(table))
            .map_err(|message| self.incorrect(Some(verb), &message))?;
        self.assign(Some(verb), &found.global)?;
        if !found.help && !found.version {
            self.arity(verb, table, found.positionals.len())?;
        }
        Ok(found)
    }

    fn assign(&mut self, verb: Option<&str>, flags: &[(&str, Given)]) -> Result<(), Box<Refusal>> {
        for (long, given) in flags {
            self.global.set(long, given).map_err(|error| match error {
                FlagError::Plain(message) => self.plain(&message),
                other => self.incorrect(
                    verb,
                    &format!("invalid value {:?} for flag -{long}: {other}", given.text()),
                ),
            })?;
        }
        Ok(())
    }

    fn arity(&self, verb: &str, table: &Table<'_>, given: usize) -> Result<(), Box<Refusal>> {
        let wanted = match table.most {
            Some(most) if most == table.least && given != most => format!("exactly {most}"),
            Some(most) if given > most => format!("a maximum of {most}"),
            _ if given < table.least => format!("a minimum of {}", table.least),
            _ => return Ok(()),
        };
        let message = format!("{}: {verb:?} requires {wanted} argument(s)", self.program);
        Err(self.refusal(
            format!("Incorrect Usage.\n\n{}\n", self.help(Some(verb))),
            message,
            1,
        ))
    }

    fn help(&self, verb: Option<&str>) -> String {
        let definition = definition();
        match verb.and_then(|verb| definition.find_subcommand(verb)) {
            Some(command) => help::verb(command, self.program),
            None => help::program(&definition, self.program, env!("CARGO_PKG_VERSION")),
        }
    }

    fn topic(&self, topic: Option<OsString>) -> Result<Command, Box<Refusal>> {
        let Some(topic) = topic else {
            return Ok(Command::Help(self.help(None)));
        };
        let topic = topic.to_string_lossy();
        if definition().find_subcommand(topic.as_ref()).is_none() {
            return Err(self.unknown(&topic));
        }
        self.help_of(&topic)
    }

    /// The help of a command. podman and CRI-O take the success of `checkpoint --help` for the ability to checkpoint.
    fn help_of(&self, verb: &str) -> Result<Command, Box<Refusal>> {
        if matches!(verb, "checkpoint" | "restore") && crate::checkpoint::program().is_none() {
            return Err(self.plain(&format!(
                "{verb}: not supported here: criu is not installed"
            )));
        }
        Ok(Command::Help(self.help(Some(verb))))
    }

    fn unknown(&self, verb: &str) -> Box<Refusal> {
        self.refusal(String::new(), format!("No help topic for '{verb}'"), 3)
    }

    fn plain(&self, message: &str) -> Box<Refusal> {
        self.refusal(String::new(), message.to_owned(), 1)
    }

    fn incorrect(&self, verb: Option<&str>, message: &str) -> Box<Refusal> {
        let mark = if verb.is_some() { ':' } else { '.' };
        self.refusal(
            format!("Incorrect Usage{mark} {message}\n\n{}\n", self.help(verb)),
            message.to_owned(),
            1,
        )
    }

    /// One wrong value. What exec refuses about the process itself is a failure to launch it, which exits with 255.
    fn wrong(&self, verb: &str, flag: &str, value: &str, error: &FlagError) -> Box<Refusal> {
        match error {
            FlagError::Plain(message) if verb == "exec" => {
                self.refusal(String::new(), format!("exec failed: {message}"), 255)
            }
            FlagError::Plain(message) => self.plain(message),
            other => self.incorrect(
                Some(verb),
                &format!("invalid value {value:?} for flag -{flag}: {other}"),
            ),
        }
    }

    fn refused_by_clap(&self, verb: &str, error: &clap::Error) -> Box<Refusal> {
        let context = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => text.clone(),
            _ => String::new(),
        };
        let argument = context(ContextKind::InvalidArg);
        let name = argument
            .trim_start_matches('-')
            .split([' ', '='])
            .next()
            .unwrap_or_default()
            .to_owned();
        let value = context(ContextKind::InvalidValue);
        let source = std::error::Error::source(error)
            .and_then(|s| s.downcast_ref::<FlagError>())
            .cloned();
        if let Some(refused) = source {
            return self.wrong(verb, &name, &value, &refused);
        }
        let accepted = match error.get(ContextKind::ValidValue) {
            Some(ContextValue::Strings(all)) => all.join(", "),
            _ => return self.wrong(verb, &name, &value, &FlagError::Parse),
        };
        let name = name.trim_matches(['<', '>']);
        self.plain(&format!("invalid {name}: {value} (accepted: {accepted})"))
    }

    fn refusal(&self, stdout: String, message: String, code: u8) -> Box<Refusal> {
        Box::new(Refusal {
            program: self.program,
            global: self.global.clone(),
            stdout,
            message,
            code,
        })
    }
}

/// What the scanner must know of a command that clap defines.
fn flags_of(command: &clap::Command) -> Vec<Flag<'_>> {
    let named = command
        .get_arguments()
        .filter_map(|arg| Some((arg, arg.get_long()?)));
    named
        .map(|(arg, long)| Flag {
            long,
            short: arg.get_short(),
            takes_value: !help::is_switch(arg),
        })
        .collect()
}

/// The words as clap wants them: two dashes, values attached, the last of each switch only, positionals behind `--`.
fn canonical(command: &clap::Command, found: &Found<'_>) -> Vec<OsString> {
    let mut line = vec![OsString::from("keel"), OsString::from(command.get_name())];
    for (at, (long, given)) in found.own.iter().enumerate() {
        let mut word = OsString::from(format!("--{long}"));
        match given {
            Given::Switch(on) => {
                let last = !found.own[at + 1..].iter().any(|(later, _)| later == long);
                if *on && last {
                    line.push(word);
                }
            }
            Given::Value(value) => {
                let takes_path = command.get_arguments().any(|arg| {
                    arg.get_long() == Some(long) && arg.get_value_hint() == clap::ValueHint::AnyPath
                });
                if !hot::is_void(takes_path, value) {
                    word.push("=");
                    word.push(value);
                    line.push(word);
                }
            }
        }
    }
    line.push(OsString::from("--"));
    line.extend(found.positionals.iter().cloned());
    line
}

#[cfg(test)]
mod tests;

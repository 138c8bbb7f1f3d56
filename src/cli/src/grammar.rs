//! The words of the command line: commands, flags and how they are read, after the rules of the library docker's own
//! command line uses (pflag), because scripts and people rely on its exact refusals. Completions and man pages come from
//! the same tables.

pub mod checks;
pub mod flag;
pub mod help;
pub mod parse;
pub mod shell;

pub use flag::{Flag, flag, option};
pub use parse::Parsed;

use crate::failure::Outcome;
use crate::session::Session;

/// How many arguments a command takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// None.
    None,
    /// Exactly so many.
    Exactly(usize),
    /// So many or more.
    AtLeast(usize),
    /// So many or fewer.
    AtMost(usize),
    /// From the first to the second number.
    Between(usize, usize),
}

/// One command, or a family of commands when it has children.
#[derive(Clone, Copy)]
pub struct Command {
    /// What is typed.
    pub name: &'static str,
    /// Other names.
    pub aliases: &'static [&'static str],
    /// What follows the name in the usage line.
    pub usage: &'static str,
    /// One sentence.
    pub about: &'static str,
    /// More, for the help of this command alone.
    pub more: &'static str,
    /// Flags, in as many tables as are shared.
    pub flags: &'static [&'static [Flag]],
    /// Arguments.
    pub count: Count,
    /// Whether flags are read only before the first argument, the rest being somebody else's command line.
    pub trailing: bool,
    /// Exit code of a flag that is refused is always 125; this is the rest.
    pub run: fn(&Session, &Parsed) -> Outcome,
    /// Commands of the family.
    pub children: &'static [Command],
}

/// A command to start a definition from.
pub const COMMAND: Command = Command {
    name: "",
    aliases: &[],
    usage: "",
    about: "",
    more: "",
    flags: &[],
    count: Count::None,
    trailing: false,
    run: help::family,
    children: &[],
};

impl Command {
    /// The same command under another name.
    #[must_use]
    pub const fn named(self, name: &'static str) -> Self {
        Self {
            name,
            aliases: &[],
            ..self
        }
    }

    /// Whether `word` calls this command.
    #[must_use]
    pub fn answers_to(&self, word: &str) -> bool {
        self.name == word || self.aliases.contains(&word)
    }

    /// All flags, sorted by name.
    #[must_use]
    pub fn all_flags(&self) -> Vec<&'static Flag> {
        let mut flags: Vec<&'static Flag> =
            self.flags.iter().flat_map(|table| table.iter()).collect();
        flags.sort_by_key(|flag| flag.long);
        flags
    }
}

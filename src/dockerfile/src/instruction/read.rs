//! A logical line to its typed instruction.

use super::{
    Argument, CommandLine, Copy, From, Health, Instruction, Kind, Mount, NAMES, Network, Run,
};
use crate::argument;
use crate::directive::Directives;
use crate::error::{Error, Fault, Result};
use crate::flag::{self, Flags};
use crate::heredoc::Heredoc;
use crate::line::Line;

impl Instruction {
    /// Reads one logical line.
    ///
    /// # Errors
    /// An unknown instruction (with the nearest known one), or arguments or flags it does not take.
    pub fn read(line: &Line, directives: &Directives) -> Result<Self> {
        let (word, flags, rest) = argument::command(&line.text, directives.escape);
        let name = word.to_ascii_uppercase();
        let known = NAMES.contains(&name.as_str()) && (name != "INCLUDE" || directives.include);
        if !known {
            return Err(unknown(line.start, &word, &name));
        }
        let written = Written {
            name: &name,
            flags: &flags,
            rest: &rest,
            line,
            escape: directives.escape,
        };
        Ok(Self {
            line: line.start,
            end: line.end,
            text: line.text.trim().to_owned(),
            kind: written.kind().map_err(|fault| fault.at(line.start))?,
            word,
            comments: line.comments.clone(),
        })
    }
}

fn unknown(line: usize, word: &str, name: &str) -> Error {
    if name == "INCLUDE" {
        let message =
            "INCLUDE is no part of docker's language; a first line `# include=1` allows it";
        return Error::new(line, message);
    }
    let docker: Vec<&str> = NAMES
        .iter()
        .copied()
        .filter(|name| *name != "INCLUDE")
        .collect();
    Error::new(line, format!("unknown instruction: {word}")).suggest(word, &docker)
}

/// The parts of one line.
struct Written<'a> {
    name: &'a str,
    flags: &'a [String],
    rest: &'a str,
    line: &'a Line,
    escape: char,
}

impl Written<'_> {
    fn kind(&self) -> Result<Kind, Fault> {
        Ok(match self.name {
            "FROM" => Kind::From(self.from()?),
            "RUN" => Kind::Run(self.run()?),
            "CMD" => Kind::Cmd(self.plain_command()?),
            "ENTRYPOINT" => Kind::Entrypoint(self.plain_command()?),
            "ADD" => Kind::Add(Copy::read(
                true,
                self.flags,
                self.rest,
                &self.line.heredocs,
            )?),
            "COPY" => Kind::Copy(Copy::read(
                false,
                self.flags,
                self.rest,
                &self.line.heredocs,
            )?),
            "HEALTHCHECK" => Kind::Healthcheck(Health::read(self.flags, self.rest)?),
            "ONBUILD" => Kind::Onbuild(self.onbuild()?),
            _ => return self.metadata(),
        })
    }

    /// The instructions that take no flags.
    fn metadata(&self) -> Result<Kind, Fault> {
        Flags::read(self.flags, &[])?;
        Ok(match self.name {
            "LABEL" => Kind::Label(argument::pairs(self.rest, "LABEL", self.escape)?),
            "ENV" => Kind::Env(argument::pairs(self.rest, "ENV", self.escape)?),
            "MAINTAINER" => Kind::Maintainer(self.one()?),
            "USER" => Kind::User(self.one()?),
            "WORKDIR" => Kind::Workdir(self.one()?),
            "STOPSIGNAL" => Kind::StopSignal(self.one()?),
            "INCLUDE" => Kind::Include(self.one()?),
            "EXPOSE" => Kind::Expose(self.some(argument::bare_words(self.rest))?),
            "VOLUME" => Kind::Volume(self.volumes()?),
            "ARG" => Kind::Arg(self.arguments()?),
            _ => Kind::Shell(self.shell()?),
        })
    }

    fn one(&self) -> Result<String, Fault> {
        if self.rest.is_empty() {
            return Err(format!("{} requires exactly one argument", self.name).into());
        }
        Ok(self.rest.to_owned())
    }

    fn some(&self, words: Vec<String>) -> Result<Vec<String>, Fault> {
        if words.is_empty() {
            return Err(format!("{} requires at least one argument", self.name).into());
        }
        Ok(words)
    }

    fn from(&self) -> Result<From, Fault> {
        let words = argument::bare_words(self.rest);
        let flags = Flags::read(self.flags, &[("platform", flag::Kind::Text)])?;
        let platform = flags
            .text("platform")
            .filter(|platform| !platform.is_empty());
        let (base, as_word, written_name) = match words.as_slice() {
            [base] => (base, None, None),
            [base, word, name] if word.eq_ignore_ascii_case("as") => {
                (base, Some(word.clone()), Some(name.clone()))
            }
            _ => return Err("FROM requires either one or three arguments".into()),
        };
        let name = written_name.as_deref().map(stage_name).transpose()?;
        Ok(From {
            base: base.clone(),
            name,
            platform,
            as_word,
            written_name,
        })
    }

    fn run(&self) -> Result<Run, Fault> {
        let flags = Flags::read(
            self.flags,
            &[
                ("mount", flag::Kind::List),
                ("network", flag::Kind::Text),
                ("security", flag::Kind::Text),
            ],
        )?;
        let mount_texts = flags.list("mount");
        for text in mount_texts.iter().filter(|text| !text.contains('$')) {
            Mount::parse(text, &mut |value| Ok(value.to_owned()))?;
        }
        let command = self.command()?;
        if command.words.is_empty() {
            return Err("RUN requires at least one argument".into());
        }
        Ok(Run {
            command,
            heredocs: self.line.heredocs.clone(),
            mount_texts,
            network: network(flags.text("network").as_deref())?,
            insecure: security(flags.text("security").as_deref())?,
        })
    }

    fn plain_command(&self) -> Result<CommandLine, Fault> {
        Flags::read(self.flags, &[])?;
        self.command()
    }

    fn command(&self) -> Result<CommandLine, Fault> {
        Ok(match argument::json(self.rest)? {
            Some(words) => CommandLine {
                words,
                shell: false,
            },
            None if self.rest.is_empty() => CommandLine {
                words: Vec::new(),
                shell: true,
            },
            None => CommandLine {
                words: vec![self.rest.to_owned()],
                shell: true,
            },
        })
    }

    /// The trigger is checked now, so that a mistake shows in the build that writes it and not in its children's.
    fn onbuild(&self) -> Result<String, Fault> {
        Flags::read(self.flags, &[])?;
        let (word, _, _) = argument::command(self.rest, self.escape);
        match word.to_ascii_uppercase().as_str() {
            "" => return Err("ONBUILD requires at least one argument".into()),
            "ONBUILD" => return Err("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed".into()),
            name @ ("MAINTAINER" | "FROM") => {
                return Err(format!("{name} isn't allowed as an ONBUILD trigger").into());
            }
            _ => {}
        }
        let trigger = Line {
            text: self.rest.to_owned(),
            ..self.line.clone()
        };
        let directives = Directives {
            escape: self.escape,
            ..Directives::default()
        };
        Instruction::read(&trigger, &directives).map_err(|error| Fault {
            message: error.message,
            suggestion: error.suggestion,
        })?;
        Ok(with_documents(self.rest, &self.line.heredocs))
    }

    fn volumes(&self) -> Result<Vec<String>, Fault> {
        let words = match argument::json(self.rest)? {
            Some(words) => words,
            None => argument::bare_words(self.rest),
        };
        let words: Vec<String> = words.iter().map(|word| word.trim().to_owned()).collect();
        if words.iter().any(String::is_empty) {
            return Err("VOLUME specified can not be an empty string".into());
        }
        self.some(words)
    }

    fn arguments(&self) -> Result<Vec<Argument>, Fault> {
        let words = self.some(argument::quoted_words(self.rest, self.escape))?;
        words
            .iter()
            .map(|word| match word.split_once('=') {
                Some(("", _)) => Err("ARG names can not be blank".into()),
                Some((name, value)) => Ok(Argument {
                    name: name.to_owned(),
                    default: Some(value.to_owned()),
                }),
                None => Ok(Argument {
                    name: word.clone(),
                    default: None,
                }),
            })
            .collect()
    }

    fn shell(&self) -> Result<Vec<String>, Fault> {
        match argument::json(self.rest)? {
            Some(words) => self.some(words),
            None if self.rest.is_empty() => self.some(Vec::new()),
            None => Err(format!(
                "SHELL requires the arguments to be in JSON form, as in SHELL [\"/bin/sh\", \"-c\"], not {:?}",
                self.rest
            )
            .into()),
        }
    }
}

/// The trigger as it is kept in the image: with its here-documents behind it.
fn with_documents(text: &str, documents: &[Heredoc]) -> String {
    let mut out = text.to_owned();
    for document in documents {
        out.push('\n');
        out.push_str(&document.content);
        out.push_str(&document.name);
    }
    out
}

fn stage_name(written: &str) -> Result<String, Fault> {
    let name = written.to_lowercase();
    let valid = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.'));
    if !valid {
        return Err(format!(
            "invalid name for build stage: {written:?}, name can't start with a number or contain symbols"
        )
        .into());
    }
    Ok(name)
}

fn network(value: Option<&str>) -> Result<Network, Fault> {
    match value {
        None | Some("default") => Ok(Network::Default),
        Some("none") => Ok(Network::None),
        Some("host") => Ok(Network::Host),
        Some(other) => Err(Fault::near(
            format!("unsupported network mode {other:?}"),
            other,
            &["default", "none", "host"],
        )),
    }
}

fn security(value: Option<&str>) -> Result<bool, Fault> {
    match value {
        None | Some("sandbox") => Ok(false),
        Some("insecure") => Ok(true),
        Some(other) => Err(Fault::near(
            format!("security {other:?} is not valid"),
            other,
            &["sandbox", "insecure"],
        )),
    }
}

//! The whole file: global arguments and stages.

use crate::directive::Directives;
use crate::error::{Error, Result};
use crate::instruction::{Argument, From, Instruction, Kind};
use crate::line;

/// A Dockerfile, read and checked as far as its text alone allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// What its leading comments ask for.
    pub directives: Directives,
    /// ARG before the first FROM, each with its line: visible to FROM, and to a stage that declares it again.
    pub global: Vec<(usize, Argument)>,
    /// The stages in order.
    pub stages: Vec<Stage>,
    /// Lines at which a continuation runs into an empty line.
    pub empty_continuations: Vec<usize>,
}

/// FROM and what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Line of FROM.
    pub line: usize,
    /// FROM as written.
    pub text: String,
    /// The instruction's word as written, for the linter.
    pub word: String,
    /// FROM.
    pub from: From,
    /// The rest.
    pub instructions: Vec<Instruction>,
}

/// Reads a Dockerfile.
///
/// # Errors
/// The first line that cannot be understood, or an instruction before the first FROM.
pub fn parse(text: &str) -> Result<Dockerfile> {
    let lines = line::split(text)?;
    let mut file = Dockerfile {
        directives: lines.directives,
        global: Vec::new(),
        stages: Vec::new(),
        empty_continuations: lines.empty_continuations,
    };
    for line in &lines.lines {
        let instruction = Instruction::read(line, &file.directives)?;
        file.add(instruction)?;
    }
    if file.stages.is_empty() {
        return Err(Error::new(0, "no build stage: a Dockerfile needs a FROM"));
    }
    Ok(file)
}

impl Dockerfile {
    fn add(&mut self, instruction: Instruction) -> Result<()> {
        if let Kind::From(from) = instruction.kind {
            self.stages.push(Stage {
                line: instruction.line,
                text: instruction.text,
                word: instruction.word,
                from,
                instructions: Vec::new(),
            });
            return Ok(());
        }
        if let Some(stage) = self.stages.last_mut() {
            stage.instructions.push(instruction);
            return Ok(());
        }
        let Kind::Arg(arguments) = instruction.kind else {
            let message = format!(
                "no build stage in current context: {} stands before the first FROM",
                instruction.word
            );
            return Err(Error::new(instruction.line, message));
        };
        self.global.extend(
            arguments
                .into_iter()
                .map(|argument| (instruction.line, argument)),
        );
        Ok(())
    }

    /// The stage a reference names: by name (upper and lower case alike) the last one so called before `before`, or by
    /// its number among them.
    #[must_use]
    pub fn stage(&self, reference: &str, before: usize) -> Option<usize> {
        let earlier = self.stages.get(..before).unwrap_or(&self.stages);
        let name = reference.to_lowercase();
        earlier
            .iter()
            .rposition(|stage| stage.from.name.as_deref() == Some(name.as_str()))
            .or_else(|| {
                reference
                    .parse()
                    .ok()
                    .filter(|index| *index < earlier.len())
            })
    }
}

/// The instruction that ONBUILD kept in an image, to be run right after a child's FROM.
///
/// # Errors
/// A trigger that is no instruction, or one ONBUILD does not take.
pub fn trigger(text: &str) -> Result<Instruction> {
    let lines = line::split(text)?;
    let [line] = lines.lines.as_slice() else {
        return Err(Error::new(
            0,
            format!("ONBUILD trigger {text:?} is more than one instruction"),
        ));
    };
    let instruction = Instruction::read(line, &lines.directives)?;
    match instruction.kind {
        Kind::From(_) | Kind::Maintainer(_) | Kind::Onbuild(_) => {
            let message = format!(
                "{} isn't allowed as an ONBUILD trigger",
                instruction.kind.name()
            );
            Err(Error::new(0, message))
        }
        _ => Ok(instruction),
    }
}

//! What a Dockerfile may say and should not: docker's `build --check` rules that need nothing but the file's text.

use std::collections::BTreeSet;
use std::fmt;

use crate::instruction::{Instruction, Kind};
use crate::stage::{Dockerfile, Stage};

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule's name, as docker's documentation has it.
    pub rule: &'static str,
    /// The line, counted from 1.
    pub line: usize,
    /// What is found there.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (line {})", self.rule, self.message, self.line)
    }
}

/// The rules this linter knows; what `# check=skip=` may name.
pub const RULES: &[&str] = &[
    "ConsistentInstructionCasing",
    "DuplicateStageName",
    "FromAsCasing",
    "JSONArgsRecommended",
    "LegacyKeyValueFormat",
    "MaintainerDeprecated",
    "MultipleInstructionsDisallowed",
    "NoEmptyContinuation",
    "ReservedStageName",
    "SecretsUsedInArgOrEnv",
    "StageNameCasing",
    "UndefinedArgInFrom",
    "WorkdirRelativePath",
];

/// What `# check=` asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// Rules not looked at; `all` skips every one.
    pub skip: Vec<String>,
    /// Findings make the build fail.
    pub error: bool,
}

impl Check {
    /// Reads `skip=A,B;error=true`.
    ///
    /// # Errors
    /// Another key, or a value of `error` that is neither true nor false.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut check = Self::default();
        for part in text
            .split(';')
            .map(str::trim)
            .filter(|part| !part.is_empty())
        {
            match part.split_once('=') {
                Some(("skip", names)) => {
                    check.skip = names
                        .split(',')
                        .map(|name| name.trim().to_owned())
                        .collect()
                }
                Some(("error", "true" | "1")) => check.error = true,
                Some(("error", "false" | "0")) => check.error = false,
                _ => {
                    return Err(format!(
                        "check directive: {part:?} is none of skip=RULE,… and error=true|false"
                    ));
                }
            }
        }
        Ok(check)
    }

    fn skips(&self, rule: &str) -> bool {
        self.skip
            .iter()
            .any(|name| name == "all" || name.eq_ignore_ascii_case(rule))
    }
}

/// Every finding, in the order of lines.
#[must_use]
pub fn check(file: &Dockerfile, options: &Check) -> Vec<Finding> {
    let mut findings = Vec::new();
    for line in &file.empty_continuations {
        add(
            &mut findings,
            "NoEmptyContinuation",
            *line,
            "Empty continuation line",
        );
    }
    casing(file, &mut findings);
    let mut names = BTreeSet::new();
    for stage in &file.stages {
        stage_names(stage, &mut names, &mut findings);
        arguments_in_from(file, stage, &mut findings);
        let mut workdir_known = false;
        for instruction in &stage.instructions {
            one(instruction, &mut workdir_known, &mut findings);
        }
        repeated(stage, &mut findings);
    }
    findings.retain(|finding| !options.skips(finding.rule));
    findings.sort_by_key(|finding| finding.line);
    findings
}

fn add(findings: &mut Vec<Finding>, rule: &'static str, line: usize, message: impl Into<String>) {
    findings.push(Finding {
        rule,
        line,
        message: message.into(),
    });
}

/// The words of a file should be all upper or all lower case; the more frequent case counts.
fn casing(file: &Dockerfile, findings: &mut Vec<Finding>) {
    let words: Vec<(usize, &str)> = file
        .stages
        .iter()
        .flat_map(|stage| {
            let rest = stage.instructions.iter().map(|i| (i.line, i.word.as_str()));
            std::iter::once((stage.line, stage.word.as_str())).chain(rest)
        })
        .collect();
    let is_lower = |word: &str| word.chars().all(char::is_lowercase);
    let lower = words.iter().filter(|(_, word)| is_lower(word)).count();
    let majority_lower = lower * 2 > words.len();
    let case = if majority_lower {
        "lowercase"
    } else {
        "uppercase"
    };
    for (line, word) in words {
        let fits = if majority_lower {
            is_lower(word)
        } else {
            word.chars().all(char::is_uppercase)
        };
        if !fits {
            let message =
                format!("Command '{word}' should match the case of the command majority ({case})");
            add(findings, "ConsistentInstructionCasing", line, message);
        }
    }
}

fn stage_names(stage: &Stage, names: &mut BTreeSet<String>, findings: &mut Vec<Finding>) {
    let (Some(name), Some(written)) = (&stage.from.name, &stage.from.written_name) else {
        return;
    };
    if name != written {
        add(
            findings,
            "StageNameCasing",
            stage.line,
            format!("Stage name '{written}' should be lowercase"),
        );
    }
    if matches!(name.as_str(), "scratch" | "context") {
        let message =
            format!("Stage name should not use the same name as reserved stage \"{name}\"");
        add(findings, "ReservedStageName", stage.line, message);
    }
    if !names.insert(name.clone()) {
        let message = format!("Duplicate stage name {name:?}, stage names should be unique");
        add(findings, "DuplicateStageName", stage.line, message);
    }
    let lower = |word: &str| word.chars().all(char::is_lowercase);
    if let Some(word) = stage
        .from
        .as_word
        .as_deref()
        .filter(|word| lower(word) != lower(&stage.word))
    {
        let message = format!(
            "'{word}' and '{}' keywords' casing do not match",
            stage.word
        );
        add(findings, "FromAsCasing", stage.line, message);
    }
}

/// FROM sees the global arguments alone.
fn arguments_in_from(file: &Dockerfile, stage: &Stage, findings: &mut Vec<Finding>) {
    let predefined = |name: &str| name.starts_with("BUILD") || name.starts_with("TARGET");
    let lexer = crate::word::Lexer::new(file.directives.escape);
    let texts = [Some(&stage.from.base), stage.from.platform.as_ref()];
    for text in texts.into_iter().flatten() {
        let Ok(expansion) = lexer.expand(text, &crate::word::NoVariables) else {
            continue;
        };
        for name in expansion.unset {
            let declared = file
                .global
                .iter()
                .any(|(line, a)| *line < stage.line && a.name == name);
            if !declared && !predefined(&name) {
                let message = format!("FROM argument '{name}' is not declared");
                add(findings, "UndefinedArgInFrom", stage.line, message);
            }
        }
    }
}

fn one(instruction: &Instruction, workdir_known: &mut bool, findings: &mut Vec<Finding>) {
    let line = instruction.line;
    match &instruction.kind {
        Kind::Maintainer(_) => {
            let message = "Maintainer instruction is deprecated in favor of using label";
            add(findings, "MaintainerDeprecated", line, message);
        }
        Kind::Cmd(command) | Kind::Entrypoint(command) if command.shell => {
            let name = instruction.kind.name();
            let message = format!(
                "JSON arguments recommended for {name} to prevent unintended behavior related to OS signals"
            );
            add(findings, "JSONArgsRecommended", line, message);
        }
        Kind::Env(pairs) | Kind::Label(pairs) if pairs.iter().any(|pair| pair.legacy) => {
            let name = instruction.kind.name();
            let message = format!(
                "\"{name} key=value\" should be used instead of legacy \"{name} key value\" format"
            );
            add(findings, "LegacyKeyValueFormat", line, message);
        }
        Kind::Workdir(path) => {
            if !path.starts_with(['/', '$']) && !*workdir_known {
                let message = format!(
                    "Relative workdir {path:?} can have unexpected results if the base image changes"
                );
                add(findings, "WorkdirRelativePath", line, message);
            }
            *workdir_known = true;
        }
        _ => {}
    }
    let named: Vec<&str> = match &instruction.kind {
        Kind::Env(pairs) => pairs.iter().map(|pair| pair.name.as_str()).collect(),
        Kind::Arg(arguments) => arguments
            .iter()
            .map(|argument| argument.name.as_str())
            .collect(),
        _ => Vec::new(),
    };
    for name in named.into_iter().filter(|name| is_secret(name)) {
        let message = format!(
            "Do not use ARG or ENV instructions for sensitive data ({} {name:?})",
            instruction.kind.name()
        );
        add(findings, "SecretsUsedInArgOrEnv", line, message);
    }
}

/// A name one of whose `_` separated parts says that it holds a secret.
fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase();
    let parts = || name.split('_');
    let secret = [
        "apikey",
        "auth",
        "credential",
        "credentials",
        "key",
        "password",
        "pword",
        "passwd",
        "secret",
        "token",
    ];
    parts().any(|part| secret.contains(&part)) && !parts().any(|part| part == "public")
}

/// Of these only the last one of a stage counts.
fn repeated(stage: &Stage, findings: &mut Vec<Finding>) {
    for name in ["CMD", "ENTRYPOINT", "HEALTHCHECK"] {
        let lines: Vec<usize> = stage
            .instructions
            .iter()
            .filter(|i| i.kind.name() == name)
            .map(|i| i.line)
            .collect();
        for line in lines.iter().take(lines.len().saturating_sub(1)) {
            let message = format!(
                "Multiple {name} instructions should not be used in the same stage because only the last one will be used"
            );
            add(findings, "MultipleInstructionsDisallowed", *line, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<&'static str> {
        let file = crate::parse(text).unwrap();
        check(&file, &Check::default())
            .into_iter()
            .map(|finding| finding.rule)
            .collect()
    }

    #[test]
    fn a_clean_file_has_no_finding() {
        assert_eq!(
            rules("ARG V=1\nFROM a:$V AS b\nENV x=1\nWORKDIR /x\nWORKDIR y\nCMD [\"a\"]\n"),
            Vec::<&str>::new()
        );
    }

    #[test]
    fn every_rule_finds_its_case() {
        for (text, rule) in [
            ("FROM a\nrun x\nRUN y", "ConsistentInstructionCasing"),
            ("FROM a AS b\nFROM c AS b", "DuplicateStageName"),
            ("FROM a as b", "FromAsCasing"),
            ("FROM a\nCMD x", "JSONArgsRecommended"),
            ("FROM a\nENV x y", "LegacyKeyValueFormat"),
            ("FROM a\nMAINTAINER x", "MaintainerDeprecated"),
            (
                "FROM a\nCMD [\"a\"]\nCMD [\"b\"]",
                "MultipleInstructionsDisallowed",
            ),
            ("FROM a\nRUN x \\\n\n y", "NoEmptyContinuation"),
            ("FROM a AS scratch", "ReservedStageName"),
            ("FROM a\nARG API_TOKEN", "SecretsUsedInArgOrEnv"),
            ("FROM a AS Bc", "StageNameCasing"),
            ("FROM a:$x", "UndefinedArgInFrom"),
            ("FROM a\nWORKDIR x", "WorkdirRelativePath"),
        ] {
            assert_eq!(rules(text), [rule], "{text}");
            assert!(RULES.contains(&rule));
        }
    }

    #[test]
    fn rules_can_be_skipped() {
        let file = crate::parse("FROM a as b\nCMD x").unwrap();
        let options = Check::parse("skip=FromAsCasing;error=true").unwrap();
        assert!(options.error);
        assert_eq!(check(&file, &options).len(), 1);
        assert!(check(&file, &Check::parse("skip=all").unwrap()).is_empty());
        assert!(Check::parse("x=1").is_err());
    }
}

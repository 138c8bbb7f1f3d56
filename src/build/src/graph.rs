//! Which stages a target needs and what each waits for.

use std::collections::BTreeSet;

use gantry_dockerfile::instruction::{Instruction, Kind};
use gantry_dockerfile::{Dockerfile, Stage};

use crate::error::{Error, Result, at};
use crate::variables::Globals;

/// Where files or a base come from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// An earlier stage, by index.
    Stage(usize),
    /// Nothing: `scratch`.
    Scratch,
    /// An image, as written, variables replaced; or a named context, which whoever resolves it knows.
    Image(String),
}

/// A stage that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its index in the file.
    pub stage: usize,
    /// What it begins with.
    pub base: Origin,
    /// `--platform` of its FROM, variables replaced.
    pub platform: Option<String>,
    /// Stages it takes files from, its base included.
    pub waits_for: BTreeSet<usize>,
}

/// The stages `target` needs, each after all it waits for; the target is the last.
///
/// # Errors
/// A target that is no stage, a FROM that expands to nothing, or files taken from a stage that comes later.
pub fn needed(file: &Dockerfile, globals: &Globals, target: Option<&str>) -> Result<Vec<Node>> {
    let last = file.stages.len() - 1;
    let target = match target.filter(|name| !name.is_empty()) {
        None => last,
        Some(name) => file
            .stage(name, file.stages.len())
            .ok_or_else(|| Error::Target(name.to_owned()))?,
    };
    let mut nodes: Vec<Node> = Vec::new();
    visit(file, globals, target, &mut nodes)?;
    Ok(nodes)
}

/// A stage waits for earlier ones alone, so this ends.
fn visit(file: &Dockerfile, globals: &Globals, index: usize, nodes: &mut Vec<Node>) -> Result<()> {
    if nodes.iter().any(|node| node.stage == index) {
        return Ok(());
    }
    let node = node(file, globals, index)?;
    for earlier in &node.waits_for {
        visit(file, globals, *earlier, nodes)?;
    }
    nodes.push(node);
    Ok(())
}

fn node(file: &Dockerfile, globals: &Globals, index: usize) -> Result<Node> {
    let stage = &file.stages[index];
    let escape = file.directives.escape;
    let expand = |text: &str| globals.expand(text, escape).map_err(at(stage.line));
    let name = expand(&stage.from.base)?;
    if name.is_empty() {
        let message = format!("base name ({}) should not be blank", stage.from.base);
        return Err(gantry_dockerfile::Error::new(stage.line, message).into());
    }
    let base = origin(file, &name, index, false);
    let platform = stage.from.platform.as_deref().map(expand).transpose()?;
    let mut waits_for = sources(file, stage, index)?;
    if let Origin::Stage(base) = base {
        waits_for.insert(base);
    }
    Ok(Node {
        stage: index,
        base,
        platform: platform.filter(|platform| !platform.is_empty()),
        waits_for,
    })
}

/// What a reference means to the stage `index`: FROM knows names of earlier stages alone, COPY `--from` numbers too and
/// every stage but itself.
#[must_use]
pub fn origin(file: &Dockerfile, reference: &str, index: usize, numbers: bool) -> Origin {
    if reference == "scratch" {
        return Origin::Scratch;
    }
    let number = reference.parse::<usize>().is_ok();
    let found = if numbers || !number {
        file.stage(reference, index)
    } else {
        None
    };
    found.map_or_else(|| Origin::Image(reference.to_owned()), Origin::Stage)
}

/// Stages whose files the instructions of a stage use.
fn sources(file: &Dockerfile, stage: &Stage, index: usize) -> Result<BTreeSet<usize>> {
    let mut found = BTreeSet::new();
    for instruction in &stage.instructions {
        for reference in references(instruction) {
            let refuse = |message: String| {
                Err(gantry_dockerfile::Error::new(instruction.line, message).into())
            };
            if reference.trim_end_matches('$').contains('$') {
                return refuse(
                    "variable expansion is not supported for --from, define a new stage with FROM using ARG from \
                     global scope as a workaround"
                        .to_owned(),
                );
            }
            if let Origin::Stage(earlier) = origin(file, &reference, index, true) {
                found.insert(earlier);
            } else if file.stage(&reference, file.stages.len()).is_some() {
                let current = stage.from.name.clone().unwrap_or_else(|| index.to_string());
                return refuse(format!(
                    "cannot copy from stage {reference:?}, it needs to be defined before current stage {current:?}"
                ));
            } else if reference.parse::<usize>().is_ok() {
                return refuse(format!("invalid stage index {reference}"));
            }
        }
    }
    Ok(found)
}

/// `--from` of COPY and of the mounts of RUN.
#[must_use]
pub fn references(instruction: &Instruction) -> Vec<String> {
    match &instruction.kind {
        Kind::Copy(copy) => copy.from.iter().cloned().collect(),
        Kind::Run(run) => {
            // `from` holds no variables, so what the others expand to does not matter here.
            let mounts = run.mounts(|text| Ok(text.to_owned())).unwrap_or_default();
            mounts.into_iter().filter_map(|mount| mount.from).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Platform;

    fn order(text: &str, target: Option<&str>) -> Result<Vec<usize>> {
        let file = gantry_dockerfile::parse(text).unwrap();
        let platform = Platform::host();
        let globals = Globals::new(&file, Default::default(), &platform, &platform, "").unwrap();
        Ok(needed(&file, &globals, target)?
            .into_iter()
            .map(|node| node.stage)
            .collect())
    }

    const FILE: &str = "FROM a AS one\nFROM b AS two\nFROM c AS unused\nFROM one\nCOPY --from=two /x /\n\
                        RUN --mount=from=img,target=/t x\nFROM d\n";

    #[test]
    fn unused_stages_are_left_out() {
        assert_eq!(order(FILE, Some("3")), Ok(vec![0, 1, 3]));
        assert_eq!(order(FILE, Some("TWO")), Ok(vec![1]));
        assert_eq!(order(FILE, None), Ok(vec![4]));
        assert_eq!(order(FILE, Some("x")), Err(Error::Target("x".into())));
    }

    #[test]
    fn files_come_from_earlier_stages() {
        let error = |text| order(text, None).unwrap_err().to_string();
        assert_eq!(
            error("FROM a AS b\nCOPY --from=c x y\nFROM b AS c\n"),
            "dockerfile parse error on line 2: cannot copy from stage \"c\", it needs to be defined before current stage \"b\""
        );
        assert!(error("FROM a\nCOPY --from=7 x y").ends_with("invalid stage index 7"));
        assert!(error("ARG v\nFROM a\nCOPY --from=$v x y").contains("not supported for --from"));
    }

    #[test]
    fn an_empty_base_is_refused() {
        let error = order("ARG x\nFROM $x\n", None).unwrap_err().to_string();
        assert_eq!(
            error,
            "dockerfile parse error on line 2: base name ($x) should not be blank"
        );
    }
}

//! `system check [--repair]`: has gantryd verify what it stores.

use serde::Deserialize;

use crate::connection::{Body, Query};
use crate::failure::{Failure, Outcome};
use crate::grammar::{COMMAND as BASE, Command, Parsed, flag};
use crate::output;
use crate::session::Session;

/// `system check`.
pub const COMMAND: Command = Command {
    name: "check",
    usage: "[OPTIONS]",
    about: "Verify everything the engine stores",
    flags: &[&[flag(
        "repair",
        "Remove what is broken or belongs to nothing",
    )]],
    run,
    ..BASE
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    #[serde(default)]
    problems: Vec<Problem>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Problem {
    what: String,
    why: String,
    #[serde(default)]
    repaired: bool,
}

fn run(session: &Session, parsed: &Parsed) -> Outcome {
    let query = Query::new().when("repair", parsed.is("repair"));
    let answer = session
        .engine()?
        .call("POST", "/system/check", &query, Body::Empty)
        .map_err(|error| match error.status {
            Some(404) => Failure::new("system check: this engine cannot check itself; gantryd can"),
            _ => error,
        })?;
    let report: Report = answer.json()?;
    let mut left = 0;
    for problem in &report.problems {
        left += usize::from(!problem.repaired);
        let repaired = if problem.repaired { " (repaired)" } else { "" };
        output::line(&format!("{}: {}{repaired}", problem.what, problem.why))?;
    }
    match (report.problems.len(), left) {
        (0, _) => output::line("nothing wrong"),
        (_, 0) => Ok(()),
        (_, left) => Err(Failure::new(format!(
            "{left} problems left; `gantry system check --repair` removes what is broken"
        ))),
    }
}

//! `container prune`.

use gantry_api::container::create::PruneReport;

use crate::connection::{Body, Query};
use crate::failure::{Failure, Outcome};
use crate::format::units;
use crate::grammar::{COMMAND as BASE, Command, Parsed, checks, flag, option};
use crate::output;
use crate::session::{Engine, Session};

/// `container prune`.
pub const COMMAND: Command = Command {
    name: "prune",
    usage: "[OPTIONS]",
    about: "Remove all stopped containers",
    flags: &[&[
        option(
            "filter",
            "filter",
            "Only those that match (until=24h, label=…)",
        )
        .check(checks::filter),
        flag("force", "Do not ask").short('f'),
    ]],
    run,
    ..BASE
};

/// Asks whether to go on, unless `--force` says so.
///
/// # Errors
/// When the answer is no.
pub fn agree(parsed: &Parsed, warning: &str) -> Outcome {
    if parsed.is("force")
        || output::confirm(&format!(
            "WARNING! {warning}\nAre you sure you want to continue?"
        ))?
    {
        return Ok(());
    }
    // Docker says nothing and calls it a success.
    Err(Failure::exit(0))
}

/// What a prune gave back: the text of what went, and the bytes.
pub type Reclaimed = (String, u64);

/// The lines of a prune.
#[must_use]
pub fn lines(title: &str, names: &[String]) -> String {
    if names.is_empty() {
        String::new()
    } else {
        format!("{title}\n{}\n\n", names.join("\n"))
    }
}

/// Prints what went and how much came of it.
///
/// # Errors
/// When standard output is gone.
pub fn report((text, space): &Reclaimed) -> Outcome {
    #[allow(clippy::cast_precision_loss, reason = "printed with four digits")]
    let space = *space as f64;
    output::text(&format!(
        "{text}Total reclaimed space: {}\n",
        units::human(space)
    ))
}

/// Removes stopped containers.
///
/// # Errors
/// When the engine refuses.
pub fn containers(engine: &Engine, filters: &str) -> Outcome<Reclaimed> {
    let query = Query::new().maybe("filters", filters);
    let report: PruneReport = engine
        .call("POST", "/containers/prune", &query, Body::Empty)?
        .json()?;
    Ok((
        lines(
            "Deleted Containers:",
            &report.containers_deleted.unwrap_or_default(),
        ),
        report.space_reclaimed,
    ))
}

fn run(session: &Session, parsed: &Parsed) -> Outcome {
    agree(parsed, "This will remove all stopped containers.")?;
    let filters = super::list::filters(parsed).to_parameter();
    report(&containers(&session.engine()?, &filters)?)
}

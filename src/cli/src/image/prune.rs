//! `image prune`, by docker's rule or by a policy of age, number and size.

use gantry_api::image::delete::PruneReport;

use super::{policy, remove};
use crate::connection::{Body, Query};
use crate::container::list::filters;
use crate::container::prune::{self, Reclaimed};
use crate::failure::Outcome;
use crate::grammar::{COMMAND as BASE, Command, Parsed, checks, flag, option};
use crate::session::{Engine, Session};

/// `image prune`.
pub const COMMAND: Command = Command {
    name: "prune",
    usage: "[OPTIONS]",
    about: "Remove unused images",
    more: "With --keep-last, --keep-newer or --keep-size the images to go are chosen by policy: those that no container\nuses, the oldest first, until what is left keeps to every rule given. --dry-run shows them and removes nothing.",
    flags: &[&[
        flag("all", "Every unused image, not just those without a name").short('a'),
        flag("dry-run", "Show what would go and remove nothing"),
        option(
            "filter",
            "filter",
            "Only those that match (until=24h, label=…)",
        )
        .check(checks::filter),
        flag("force", "Do not ask").short('f'),
        option(
            "keep-label",
            "list",
            "Keep images with this label (name or name=value)",
        ),
        option(
            "keep-last",
            "int",
            "Keep so many images of each repository, the newest",
        )
        .default("0")
        .check(checks::uint),
        option(
            "keep-newer",
            "duration",
            "Keep images made within this time",
        )
        .default("0s")
        .check(checks::duration),
        option(
            "keep-size",
            "bytes",
            "Keep as many images as fit in this size, the newest",
        )
        .check(checks::bytes),
    ]],
    run,
    ..BASE
};

/// Removes unused images; `all` means also those with names.
///
/// # Errors
/// When the engine refuses.
pub fn images(engine: &Engine, parsed: &Parsed, all: bool) -> Outcome<Reclaimed> {
    let mut wanted = filters(parsed);
    wanted.add("dangling", if all { "false" } else { "true" });
    let query = Query::new().with("filters", &wanted.to_parameter());
    let report: PruneReport = engine
        .call("POST", "/images/prune", &query, Body::Empty)?
        .json()?;
    let lines = remove::lines(&report.images_deleted.unwrap_or_default())
        .replace("Untagged: ", "untagged: ")
        .replace("Deleted: ", "deleted: ");
    let text = if lines.is_empty() {
        lines
    } else {
        format!("Deleted Images:\n{lines}\n")
    };
    Ok((text, report.space_reclaimed))
}

fn run(session: &Session, parsed: &Parsed) -> Outcome {
    let by_policy = [
        "dry-run",
        "keep-label",
        "keep-last",
        "keep-newer",
        "keep-size",
    ]
    .iter()
    .any(|flag| parsed.given(flag));
    if by_policy {
        return policy::run(session, parsed);
    }
    let all = parsed.is("all");
    let warning = if all {
        "This will remove all images without at least one container associated to them."
    } else {
        "This will remove all dangling images."
    };
    prune::agree(parsed, warning)?;
    prune::report(&images(&session.engine()?, parsed, all)?)
}

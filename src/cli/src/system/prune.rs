//! `system prune`.

use gantry_api::image::delete::BuildPruneReport;

use crate::connection::{Body, Query};
use crate::container::list::filters;
use crate::container::prune::{self, report};
use crate::failure::{Failure, Outcome};
use crate::grammar::{COMMAND as BASE, Command, Parsed, checks, flag, option};
use crate::session::Session;
use crate::{image, network, volume};

/// `system prune`.
pub const COMMAND: Command = Command {
    name: "prune",
    usage: "[OPTIONS]",
    about: "Remove everything unused",
    flags: &[&[
        flag("all", "Every unused image, not just those without a name").short('a'),
        option("filter", "filter", "Only what matches (until=24h, label=…)").check(checks::filter),
        flag("force", "Do not ask").short('f'),
        flag("volumes", "Anonymous volumes too"),
    ]],
    run,
    ..BASE
};

fn run(session: &Session, parsed: &Parsed) -> Outcome {
    let wanted = filters(parsed);
    let volumes = parsed.is("volumes");
    if volumes && wanted.contains("until") {
        return Err(Failure::new(
            "ERROR: The \"until\" filter is not supported with \"--volumes\"",
        ));
    }
    let all = parsed.is("all");
    let mut warning = "This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n".to_owned();
    if volumes {
        warning += "  - all anonymous volumes not used by at least one container\n";
    }
    warning += if all {
        "  - all images without at least one container associated to them\n  - all build cache\n"
    } else {
        "  - all dangling images\n  - unused build cache\n"
    };
    if !parsed.list("filter").is_empty() {
        warning += &format!(
            "\n  Items to be pruned will be filtered with:\n{}",
            parsed
                .list("filter")
                .iter()
                .map(|text| format!("  - {text}\n"))
                .collect::<String>()
        );
    }
    prune::agree(parsed, &warning)?;
    let engine = session.engine()?;
    let parameter = wanted.to_parameter();
    let (mut text, mut space) = prune::containers(&engine, &parameter)?;
    text += &network::unused(&engine, &parameter)?;
    if volumes {
        let (lines, bytes) = volume::unused(&engine, parsed, false)?;
        text += &lines;
        space += bytes;
    }
    let (lines, bytes) = image::prune::images(&engine, parsed, all)?;
    text += &lines;
    space += bytes;
    let query = Query::new().when("all", all).maybe("filters", &parameter);
    let caches: BuildPruneReport = engine
        .call("POST", "/build/prune", &query, Body::Empty)?
        .json()?;
    text += &prune::lines(
        "Deleted build cache objects:",
        &caches.caches_deleted.unwrap_or_default(),
    );
    report(&(text, space + caches.space_reclaimed))
}

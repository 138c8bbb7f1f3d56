//! `rmi` and `tag`.

use gantry_api::image::delete::Removed;

use super::reference;
use crate::connection::{Query, query::segment};
use crate::failure::{Failure, Outcome};
use crate::grammar::{COMMAND, Command, Count, Parsed, flag, option};
use crate::output;
use crate::session::Session;

/// `rmi`.
pub const REMOVE: Command = Command {
    name: "rm",
    aliases: &["remove"],
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Remove images",
    flags: &[&[
        flag("force", "Also one that a stopped container uses").short('f'),
        flag("no-prune", "Keep untagged parents"),
        option("platform", "list", "Only this platform's part"),
    ]],
    count: Count::AtLeast(1),
    run: remove,
    ..COMMAND
};

/// `tag`.
pub const TAG: Command = Command {
    name: "tag",
    usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    about: "Give an image another name",
    count: Count::Exactly(2),
    run: tag,
    ..COMMAND
};

/// One line per thing that went.
#[must_use]
pub fn lines(removed: &[Removed]) -> String {
    removed
        .iter()
        .map(|item| {
            if item.deleted.is_empty() {
                format!("Untagged: {}\n", item.untagged)
            } else {
                format!("Deleted: {}\n", item.deleted)
            }
        })
        .collect()
}

fn remove(session: &Session, parsed: &Parsed) -> Outcome {
    let engine = session.engine()?;
    let force = parsed.is("force");
    let mut query = Query::new()
        .when("force", force)
        .when("noprune", parsed.is("no-prune"));
    for platform in parsed.list("platform") {
        query = query.with("platforms", &super::archive::platform(platform)?);
    }
    let mut errors = Vec::new();
    let mut fatal = false;
    for name in &parsed.arguments {
        let removed = engine
            .delete(&format!("/images/{}", segment(name)), &query)
            .and_then(crate::connection::Answer::json::<Vec<Removed>>);
        match removed {
            Ok(removed) => output::text(&lines(&removed))?,
            Err(error) => {
                fatal |= !error.is_not_found();
                errors.push(error.text);
            }
        }
    }
    if errors.is_empty() {
        return Ok(());
    }
    if force && !fatal {
        output::complain(&errors.join("\n"));
        return Ok(());
    }
    Err(Failure::new(errors.join("\n")))
}

fn tag(session: &Session, parsed: &Parsed) -> Outcome {
    let target = &parsed.arguments[1];
    let (repository, tag) = reference::split(target).map_err(|error| {
        if error.text.starts_with("refusing") {
            return error;
        }
        let quoted = crate::grammar::checks::quoted(target);
        let why = error.text;
        Failure::new(format!(
            "Error parsing reference: {quoted} is not a valid repository/tag: {why}"
        ))
    })?;
    let path = format!("/images/{}/tag", segment(&parsed.arguments[0]));
    session.engine()?.post(
        &path,
        &Query::new().with("repo", &repository).with("tag", &tag),
    )
}

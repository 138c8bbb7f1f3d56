//! `GET /containers/{id}/logs`.

use super::Call;
use super::answer::{self, Answer};
use super::attach::content_type;
use crate::clock;
use crate::container::logs::{self, Wanted};
use crate::error::{Error, Result};
use crate::pipe;

/// Sends a log.
pub fn logs(call: &Call, id: &str) -> Answer {
    let container = call.engine.containers.find(id)?;
    let query = &call.query;
    let (stdout, stderr) = (query.flag("stdout"), query.flag("stderr"));
    if !stdout && !stderr {
        return Err(Error::invalid(
            "Bad parameters: you must choose at least one stream",
        ));
    }
    let record = container.view();
    if record.host.log_config.driver == "none" {
        return Err(Error::unsupported(
            "configured logging driver does not support reading",
        ));
    }
    let wanted = Wanted {
        stdout,
        stderr,
        follow: query.flag("follow"),
        since: time(query.text("since"), "since")?,
        until: time(query.text("until"), "until")?.filter(|until| *until != 0),
        tail: match query.text("tail") {
            "" | "all" => None,
            text => text
                .parse::<i64>()
                .ok()
                .and_then(|count| usize::try_from(count).ok()),
        },
        timestamps: query.flag("timestamps"),
        details: query.flag("details"),
    };
    let (mut writer, parts) = pipe::writer();
    let busy = call.engine.idle.busy();
    tokio::task::spawn_blocking(move || {
        let _busy = busy;
        if let Err(error) = logs::read(&container, &wanted, &mut writer)
            && !writer.is_closed()
        {
            writer.fail(&error);
        }
    });
    answer::stream(content_type(record.config.tty, call.version), parts)
}

/// A time parameter; 0 and the empty text are none.
pub fn time(text: &str, name: &str) -> Result<Option<i64>> {
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    clock::parse(text)
        .map(Some)
        .ok_or_else(|| Error::invalid(format!("invalid value for \"{name}\": {text}")))
}

//! `ps`: the processes of a container as the host sees them.

use std::process::Command;

use super::Context;
use crate::cgroups::Cgroup;
use crate::cli::{Format, Ps};
use crate::error::{Error, Result};
use crate::query::print;

/// Prints the pids as JSON, or the lines of the host's ps(1) that are about them.
///
/// # Errors
/// Where ps(1) fails or shows no pid.
pub fn ps(context: &Context, verb: &Ps) -> Result<()> {
    let record = context.root()?.find(&verb.id)?.record()?;
    let pids = Cgroup::from_record(&record.cgroup).pids()?;
    match verb.format {
        // As runc: a nil list.
        Format::Json if pids.is_empty() => print(b"null\n"),
        Format::Json => {
            let text = serde_json::to_string(&pids).map_err(|e| Error::Bug(e.to_string()))?;
            print(format!("{text}\n").as_bytes())
        }
        Format::Table => print(table(verb, &pids)?.as_bytes()),
    }
}

fn table(verb: &Ps, pids: &[i32]) -> Result<String> {
    let default = ["-ef".to_owned()];
    let options = if verb.options.is_empty() {
        &default[..]
    } else {
        &verb.options[..]
    };
    let output = Command::new("ps").args(options).output().map_err(|error| {
        let errno = sys::Errno::from_io_error(&error).unwrap_or(sys::Errno::IO);
        Error::kernel("run ps", "execve", "", errno)
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Error::Usage(format!(
            "ps: {}: {}",
            output.status,
            said.trim_end()
        )));
    }
    filter(&String::from_utf8_lossy(&output.stdout), pids)
}

/// The heading and the lines whose PID is one of `pids`.
fn filter(text: &str, pids: &[i32]) -> Result<String> {
    let mut lines = text.lines();
    let heading = lines.next().unwrap_or_default();
    let Some(column) = heading.split_whitespace().position(|name| name == "PID") else {
        return Err(Error::Usage(
            "couldn't find PID field in ps output".to_owned(),
        ));
    };
    let listed = |line: &&str| {
        let pid = line
            .split_whitespace()
            .nth(column)
            .and_then(|field| field.parse().ok());
        pid.is_some_and(|pid: i32| pids.contains(&pid))
    };
    let rows = lines.filter(listed).map(|line| format!("{line}\n"));
    Ok(format!("{heading}\n{}", rows.collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_containers_lines() {
        let text =
            "UID        PID  PPID CMD\nroot         1     0 init\nroot        12     1 sh -c 1\n";
        assert_eq!(
            filter(text, &[12]).unwrap(),
            "UID        PID  PPID CMD\nroot        12     1 sh -c 1\n"
        );
        assert_eq!(filter(text, &[]).unwrap(), "UID        PID  PPID CMD\n");
        assert!(filter("COMMAND\nsh\n", &[1]).is_err());
    }
}

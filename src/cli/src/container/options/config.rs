//! The portable half of the request.

use std::fs;

use gantry_api::container::{Config, Healthcheck};
use gantry_api::word::{Empty, Set};

use super::mounts::{Volume, parse_volume};
use super::{pairs, refuse, some};
use crate::failure::{Outcome, os_text};
use crate::grammar::{Parsed, checks};

/// Lines of a file that are neither blank nor comments; a bare name is completed by `lookup`, or left out.
fn lines(path: &str, variables: bool) -> Outcome<Vec<String>> {
    let bytes =
        fs::read(path).map_err(|error| refuse(format!("open {path}: {}", os_text(&error))))?;
    let text = String::from_utf8(bytes).map_err(|_| {
        refuse(format!(
            "env file {path} contains invalid utf8 bytes at line 1"
        ))
    })?;
    let mut found = Vec::new();
    for line in text.trim_start_matches('\u{feff}').lines() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line
            .split_once('=')
            .map_or((line, None), |(name, value)| (name, Some(value)));
        if name.contains([' ', '\t']) {
            let text = format!("invalid env file ({path}): variable '{name}' contains whitespaces");
            return Err(refuse(text));
        }
        if name.is_empty() {
            let text = format!("invalid env file ({path}): no variable name on line '{line}'");
            return Err(refuse(text));
        }
        match value {
            Some(_) => found.push(line.to_owned()),
            None if variables => found.extend(
                std::env::var(name)
                    .ok()
                    .map(|value| format!("{name}={value}")),
            ),
            None => found.push(line.to_owned()),
        }
    }
    Ok(found)
}

/// The environment of `--env-file` and `--env`, in that order; a bare name takes this process's value or is left out.
///
/// # Errors
/// For files that cannot be read.
pub fn environment(parsed: &Parsed) -> Outcome<Vec<String>> {
    let mut all = Vec::new();
    for path in parsed.list("env-file") {
        all.extend(lines(path, true)?);
    }
    for word in parsed.list("env") {
        if word.contains('=') {
            all.push(word.clone());
        } else {
            match std::env::var(word) {
                Ok(value) => all.push(format!("{word}={value}")),
                // Docker sends the bare name, which takes the variable out of the image's environment.
                Err(_) => all.push(word.clone()),
            }
        }
    }
    Ok(all)
}

/// The labels of `--label-file` and `--label`.
fn labels(parsed: &Parsed) -> Outcome<gantry_api::word::Map> {
    let mut all = Vec::new();
    for path in parsed.list("label-file") {
        all.extend(lines(path, false)?);
    }
    all.extend_from_slice(parsed.list("label"));
    Ok(pairs(&all))
}

fn healthcheck(parsed: &Parsed) -> Outcome<Option<Healthcheck>> {
    let names = [
        "health-cmd",
        "health-interval",
        "health-timeout",
        "health-retries",
        "health-start-period",
        "health-start-interval",
    ];
    let given = names.iter().any(|name| parsed.given(name));
    if parsed.is("no-healthcheck") {
        if given {
            return Err(refuse("--no-healthcheck conflicts with --health-* options"));
        }
        return Ok(Some(Healthcheck {
            test: vec!["NONE".to_owned()],
            ..Healthcheck::default()
        }));
    }
    if !given {
        return Ok(None);
    }
    for (name, what) in [
        ("health-interval", "--health-interval"),
        ("health-timeout", "--health-timeout"),
        ("health-start-period", "--health-start-period"),
        ("health-start-interval", "--health-start-interval"),
    ] {
        if parsed.duration(name) < 0 {
            return Err(refuse(format!("{what} cannot be negative")));
        }
    }
    if parsed.number("health-retries") < 0 {
        return Err(refuse("--health-retries cannot be negative"));
    }
    let command = parsed.text("health-cmd");
    let test = if command.is_empty() {
        Vec::new()
    } else {
        vec!["CMD-SHELL".to_owned(), command.to_owned()]
    };
    Ok(Some(Healthcheck {
        test,
        interval: parsed.duration("health-interval"),
        timeout: parsed.duration("health-timeout"),
        start_period: parsed.duration("health-start-period"),
        start_interval: parsed.duration("health-start-interval"),
        retries: parsed.number("health-retries"),
    }))
}

/// The configuration, and the binds among the volumes.
///
/// # Errors
/// For what docker's own command line refuses.
pub fn read(parsed: &Parsed, exposed: Set) -> Outcome<(Config, Vec<String>)> {
    let attach: Vec<String> = parsed
        .list("attach")
        .iter()
        .map(|word| word.to_lowercase())
        .collect();
    let attached = |word: &str| attach.iter().any(|each| each == word);
    let interactive = parsed.is("interactive");
    let mut volumes = Set::new();
    let mut binds = Vec::new();
    for text in parsed.list("volume") {
        match parse_volume(text).map_err(refuse)? {
            Volume::Anonymous(path) => drop(volumes.insert(path, Empty {})),
            Volume::Bind(bind) => binds.push(bind),
        }
    }
    let entrypoint = parsed.last("entrypoint").map(|text| vec![text.to_owned()]);
    let stdin = interactive || attached("stdin");
    let words = &parsed.arguments[1..];
    let config = Config {
        hostname: parsed.text("hostname").to_owned(),
        domainname: parsed.text("domainname").to_owned(),
        user: parsed.text("user").to_owned(),
        attach_stdin: stdin,
        attach_stdout: attach.is_empty() || attached("stdout"),
        attach_stderr: attach.is_empty() || attached("stderr"),
        exposed_ports: exposed,
        tty: parsed.is("tty"),
        open_stdin: interactive,
        stdin_once: interactive && stdin,
        env: Some(environment(parsed)?),
        cmd: some(words),
        healthcheck: healthcheck(parsed)?,
        image: parsed.arguments[0].clone(),
        volumes: Some(volumes),
        working_dir: parsed.text("workdir").to_owned(),
        entrypoint,
        mac_address: parsed.text("mac-address").to_owned(),
        labels: Some(labels(parsed)?),
        stop_signal: parsed.text("stop-signal").to_owned(),
        stop_timeout: parsed
            .given("stop-timeout")
            .then(|| parsed.number("stop-timeout")),
        ..Config::default()
    };
    for label in parsed.list("label") {
        checks::label(label).map_err(refuse)?;
    }
    Ok((config, binds))
}

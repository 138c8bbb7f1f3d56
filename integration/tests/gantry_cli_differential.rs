//! The same command lines given to two commands, or to one command on two engines: exit code, standard output and
//! standard error must be the same after masking IDs, times and made-up names. `gantry_cli_differential/` holds the
//! lines, what they find, and the deviations with their reasons. Needs root and a tree with a real dockerd
//! (`hack/reference-dockerd prepare`); skipped where either is missing.

#[path = "gantry_cli_differential/engines.rs"]
mod engines;
#[path = "gantry_cli_differential/mask.rs"]
mod mask;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result};
use engines::{Engine, Said};

const LINES: &str = include_str!("gantry_cli_differential/lines.txt");
const DEVIATIONS: &str = include_str!("gantry_cli_differential/deviations.txt");

/// The lines of `lines.txt`; `GANTRY_DIFFERENTIAL` takes only those that contain it.
fn lines() -> Vec<&'static str> {
    let only = std::env::var("GANTRY_DIFFERENTIAL").unwrap_or_default();
    let lines = LINES
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter(|line| line.contains(&only)).collect()
}

/// The deviations of one section: the line, then its reason, indented.
fn deviations(section: &str) -> BTreeMap<&'static str, &'static str> {
    let mut found = BTreeMap::new();
    let (mut current, mut line) = ("", "");
    for text in DEVIATIONS
        .lines()
        .filter(|text| !text.is_empty() && !text.starts_with('#'))
    {
        if let Some(name) = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            current = name;
        } else if text.starts_with("    ") {
            if current == section {
                found.insert(line, text.trim());
            }
        } else {
            line = text;
        }
    }
    found
}

/// Compares and tells every difference that has no reason, and every reason that has no difference.
fn compare(section: &str, left: &[Said], right: &[Said]) {
    let known = deviations(section);
    let mut wrong = Vec::new();
    for ((line, left), right) in lines().iter().zip(left).zip(right) {
        match (left == right, known.get(line)) {
            (false, None) => wrong.push(format!("$ {line}\n{}", left.against(right))),
            (true, Some(reason)) => eprintln!("no longer differs: {line} ({reason})"),
            _ => {}
        }
    }
    let all = lines().len();
    assert!(
        wrong.is_empty(),
        "{} of {all} lines differ:\n\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    eprintln!(
        "{all} command lines compared, {} known deviations",
        known.len()
    );
}

fn docker() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .map(|folder| folder.join("docker"))
        .find(|path| path.is_file())
}

/// What is missing for these tests, if anything is.
fn missing() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("needs root".to_owned());
    }
    let tree = engines::tree();
    if !tree.is_dir() {
        return Some(format!(
            "{}: not there; hack/reference-dockerd prepare makes it",
            tree.display()
        ));
    }
    if docker().is_none() {
        return Some("docker: not in PATH".to_owned());
    }
    if !Path::new(engines::BUSYBOX).is_file() {
        return Some(format!("{}: not there", engines::BUSYBOX));
    }
    None
}

/// What docker on dockerd says to every line, and what gantry says there.
fn on_dockerd() -> &'static Result<(Vec<Said>, Vec<Said>)> {
    static SAID: OnceLock<Result<(Vec<Said>, Vec<Said>)>> = OnceLock::new();
    SAID.get_or_init(|| {
        let engine = Engine::dockerd()?;
        let docker = docker().context("docker")?;
        engine.prepare(&docker)?;
        // Line by line, so that what one leaves behind by mistake is told of the other at once.
        let gantry = integration::binary("gantry");
        let mut said = (Vec::new(), Vec::new());
        for line in lines() {
            said.0.push(engine.run(&docker, line)?);
            said.1.push(if gantry.is_file() {
                engine.run(&gantry, line)?
            } else {
                Said::default()
            });
        }
        Ok(said)
    })
}

#[test]
fn gantry_prints_what_docker_prints() {
    if let Some(missing) = missing() {
        return integration::skip("gantry_prints_what_docker_prints", &missing);
    }
    let gantry = integration::binary("gantry");
    if !gantry.is_file() {
        return integration::skip(
            "gantry_prints_what_docker_prints",
            &format!("{}: not built", gantry.display()),
        );
    }
    let said = on_dockerd().as_ref().expect("lines on dockerd");
    compare("gantry on dockerd", &said.0, &said.1);
}

#[test]
fn docker_prints_the_same_on_both_engines() {
    let test = "docker_prints_the_same_on_both_engines";
    if let Some(missing) = missing() {
        return integration::skip(test, &missing);
    }
    let gantryd = integration::binary("gantryd");
    if !gantryd.is_file() {
        return integration::skip(test, &format!("{}: not built", gantryd.display()));
    }
    let said = on_dockerd().as_ref().expect("lines on dockerd");
    let docker = docker().expect("docker");
    let engine = Engine::gantryd(&gantryd).expect("gantryd");
    engine.prepare(&docker).expect("fixtures");
    let ours: Vec<Said> = lines()
        .iter()
        .map(|line| engine.run(&docker, line).expect("run"))
        .collect();
    let between = |said: &[Said]| said.iter().map(Said::between_engines).collect::<Vec<_>>();
    compare("docker on gantryd", &between(&said.0), &between(&ours));
}

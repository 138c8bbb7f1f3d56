//! The host's forwarding: turned on for containers, and opened where another firewall's policy would stop it.
//!
//! A packet passes only if every table's chains let it. An iptables `FORWARD` policy of drop, which dockerd and some
//! distributions set, would therefore stop what our own table accepts; two rules a bridge in front of it leave the decision to ours.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::error::{Error, Result};

const SWITCHES: [&str; 2] = [
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/net/ipv6/conf/all/forwarding",
];

/// Turns forwarding on where it is off. Says whether this engine turned it on, now or earlier: then what belongs to none of its
/// networks must not be forwarded. `record` remembers that over the engine's restarts.
///
/// # Errors
/// The kernel refused, or the record could not be written.
pub fn enable(record: &Path) -> Result<bool> {
    let mut ours = record.exists();
    for switch in SWITCHES {
        match fs::read_to_string(switch) {
            Ok(value) if value.trim() == "0" => {
                fs::write(record, "on\n").map_err(|e| {
                    Error::kernel("forwarding", format!("write {}", record.display()), e)
                })?;
                ours = true;
                fs::write(switch, "1")
                    .map_err(|e| Error::kernel("forwarding", format!("write {switch}"), e))?;
            }
            Ok(_) => {}
            // A kernel without IPv6.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::kernel("forwarding", format!("read {switch}"), e)),
        }
    }
    Ok(ours)
}

/// Lets packets of `bridge` past the iptables `FORWARD` chains whose policy is drop. Where there are none, or no iptables program,
/// nothing is done.
///
/// # Errors
/// A rule could not be added.
pub fn admit(bridge: &str) -> Result<()> {
    for program in ["iptables", "ip6tables"] {
        if !drops(program) {
            continue;
        }
        for rule in rules(bridge) {
            if run(program, &[&["-C", "FORWARD"], &rule[..]].concat())
                .is_ok_and(|out| out.status.success())
            {
                continue;
            }
            let call = [&["-I", "FORWARD"], &rule[..]].concat();
            let done = run(program, &call).map_err(|e| Error::kernel("forwarding", program, e))?;
            if !done.status.success() {
                let text = String::from_utf8_lossy(&done.stderr).trim().to_string();
                return Err(Error::kernel(
                    "forwarding",
                    format!("{program} {}", call.join(" ")),
                    io::Error::other(text),
                ));
            }
        }
    }
    Ok(())
}

/// Takes the rules of [`admit`] away again; none there is fine.
pub fn dismiss(bridge: &str) {
    for program in ["iptables", "ip6tables"] {
        if !drops(program) {
            continue;
        }
        for rule in rules(bridge) {
            // The rule is looked for by deleting it: a failure means that it was not there.
            let deleted = run(program, &[&["-D", "FORWARD"], &rule[..]].concat());
            tracing::debug!(
                "forwarding: {program} rule of {bridge}: {:?}",
                deleted.map(|out| out.status)
            );
        }
    }
}

fn rules(bridge: &str) -> [[&str; 4]; 2] {
    [
        ["-i", bridge, "-j", "ACCEPT"],
        ["-o", bridge, "-j", "ACCEPT"],
    ]
}

fn drops(program: &str) -> bool {
    run(program, &["-S", "FORWARD"]).is_ok_and(|out| out.stdout.starts_with(b"-P FORWARD DROP"))
}

fn run(program: &str, arguments: &[&str]) -> io::Result<Output> {
    Command::new(program)
        .arg("-w")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
}

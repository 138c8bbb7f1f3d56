//! `linux.sysctl`: only what belongs to a namespace of the container, never the host's.

use std::collections::BTreeMap;

use super::namespaces::{Kind, Namespaces};
use crate::error::{Error, Result};

const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

pub(super) fn read(
    document: Option<&BTreeMap<String, String>>,
    namespaces: &Namespaces,
) -> Result<Vec<(String, String)>> {
    let mut result = Vec::new();
    for (given, value) in document.into_iter().flatten() {
        let field = format!("linux.sysctl[{given:?}]");
        let path = path_of(given);
        if path
            .split('/')
            .any(|part| part.is_empty() || part == "." || part == "..")
            || path.contains('\0')
        {
            return Err(Error::config(
                field,
                "is no name of a kernel parameter, accepted: net.ipv4.ip_forward and such",
            ));
        }
        // The dotted form in which a dot of a name is a slash, as sysctl(8) prints it.
        let dotted: String = path
            .chars()
            .map(|c| {
                if c == '/' {
                    '.'
                } else if c == '.' {
                    '/'
                } else {
                    c
                }
            })
            .collect();
        owner(&dotted, namespaces).map_err(|reason| Error::config(field, reason))?;
        result.push((path, value.clone()));
    }
    Ok(result)
}

/// The path below `/proc/sys` of a key: whichever of `.` and `/` comes first separates, the other is itself (sysctl(8)).
fn path_of(key: &str) -> String {
    let swap = key
        .find(['.', '/'])
        .is_some_and(|at| key.as_bytes()[at] == b'.');
    if !swap {
        return key.to_owned();
    }
    key.chars()
        .map(|letter| match letter {
            '.' => '/',
            '/' => '.',
            other => other,
        })
        .collect()
}

fn owner(key: &str, namespaces: &Namespaces) -> std::result::Result<(), String> {
    let need = |kind: Kind| {
        if namespaces.has(kind) {
            return Ok(());
        }
        Err(format!(
            "sysctl {key:?} is not allowed in the host's {} namespace",
            kind.name()
        ))
    };
    if IPC.contains(&key) || key.starts_with("fs.mqueue.") {
        return need(Kind::Ipc);
    }
    if key.starts_with("net.") {
        return need(Kind::Network);
    }
    if key.starts_with("user.") {
        return need(Kind::User);
    }
    match key {
        "kernel.domainname" => need(Kind::Uts),
        "kernel.hostname" => Err("use the field hostname instead".to_owned()),
        _ => Err(format!(
            "sysctl {key:?} is not in a separate kernel namespace"
        )),
    }
}

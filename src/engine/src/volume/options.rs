//! Options of the local driver: `type`, `device` and `o`, as mount(8) takes them.

use std::fs;
use std::net::ToSocketAddrs;
use std::path::Path;

use gantry_api::word::Map;
use nix::mount::{MntFlags, MsFlags};

use crate::error::{Error, Result, describe};

const KNOWN: [&str; 4] = ["type", "o", "device", "size"];

/// Checks options as docker's local driver does.
///
/// # Errors
/// An unknown option, or one missing.
pub fn check(options: &Map) -> Result<()> {
    if let Some(unknown) = options.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(Error::invalid(format!("invalid option: \"{unknown}\"")));
    }
    if options.contains_key("size") {
        return Err(Error::unsupported(
            "quota size requested but no quota support: expected no option \"size\"",
        ));
    }
    for required in ["device", "type"] {
        if options.get(required).is_none_or(String::is_empty) {
            return Err(Error::invalid(format!(
                "missing required option: \"{required}\""
            )));
        }
    }
    Ok(())
}

/// Mounts what the options say on `data`.
///
/// # Errors
/// The kernel's; a host name in `addr=` that is not known.
pub fn mount(options: &Map, data: &Path) -> Result<()> {
    let text = |key: &str| options.get(key).map(String::as_str).unwrap_or_default();
    let (flags, rest) = split(text("o"))?;
    let kind = match text("type") {
        "none" => "",
        kind => kind,
    };
    let words = rest.join(",");
    let device = text("device");
    let words = (!words.is_empty()).then_some(words.as_str());
    let step = format!(
        "failed to mount local volume: mount {device}:{}",
        data.display()
    );
    nix::mount::mount(Some(device), data, Some(kind), flags, words).map_err(|e| {
        let shown = words.map(|w| format!(", data: {w}")).unwrap_or_default();
        Error::internal(format!("{step}{shown}: {}", describe(&e.into())))
    })
}

/// Whether anything is mounted on `data`.
///
/// # Errors
/// The kernel's.
pub fn is_mounted(data: &Path) -> Result<bool> {
    let table = fs::read_to_string("/proc/self/mountinfo")
        .map_err(|e| Error::kernel("/proc/self/mountinfo", e))?;
    let wanted = data.to_string_lossy();
    Ok(table
        .lines()
        .any(|line| line.split(' ').nth(4) == Some(wanted.as_ref())))
}

/// Unmounts `data`; nothing mounted there is fine.
///
/// # Errors
/// The kernel's.
pub fn unmount(data: &Path) -> Result<()> {
    if !is_mounted(data)? {
        return Ok(());
    }
    nix::mount::umount2(data, MntFlags::MNT_DETACH)
        .map_err(|e| Error::kernel(format!("unmount {}", data.display()), e))
}

/// The flags among `o`'s words, and the words left for the filesystem; `addr=` gets the address the kernel wants.
fn split(text: &str) -> Result<(MsFlags, Vec<String>)> {
    let mut flags = MsFlags::empty();
    let mut rest = Vec::new();
    for word in text.split(',').filter(|word| !word.is_empty()) {
        match word {
            "defaults" | "rw" | "suid" | "dev" | "exec" | "async" | "atime" | "diratime" => {}
            "ro" => flags |= MsFlags::MS_RDONLY,
            "nosuid" => flags |= MsFlags::MS_NOSUID,
            "nodev" => flags |= MsFlags::MS_NODEV,
            "noexec" => flags |= MsFlags::MS_NOEXEC,
            "sync" => flags |= MsFlags::MS_SYNCHRONOUS,
            "dirsync" => flags |= MsFlags::MS_DIRSYNC,
            "noatime" => flags |= MsFlags::MS_NOATIME,
            "nodiratime" => flags |= MsFlags::MS_NODIRATIME,
            "relatime" => flags |= MsFlags::MS_RELATIME,
            "strictatime" => flags |= MsFlags::MS_STRICTATIME,
            "bind" => flags |= MsFlags::MS_BIND,
            "rbind" => flags |= MsFlags::MS_BIND | MsFlags::MS_REC,
            word => match word.strip_prefix("addr=") {
                Some(host) => rest.push(format!("addr={}", address(host)?)),
                None => rest.push(word.to_owned()),
            },
        }
    }
    Ok((flags, rest))
}

fn address(host: &str) -> Result<String> {
    let found = (host, 0)
        .to_socket_addrs()
        .ok()
        .and_then(|mut all| all.next());
    let unknown = || {
        Error::invalid(format!(
            "error resolving passed in network volume address: lookup {host}: no such host"
        ))
    };
    Ok(found.ok_or_else(unknown)?.ip().to_string())
}

//! `linux.devices`, and the nodes that every container gets.

use std::path::{Component, Path, PathBuf};

use sys::file::Kind;

use super::document;
use crate::error::{Error, Result};

/// A device node (or fifo) to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Where, absolute.
    pub path: PathBuf,
    /// Character, block or fifo.
    pub kind: Kind,
    /// Major and minor number.
    pub number: (u32, u32),
    /// Permission bits.
    pub mode: u32,
    /// Owner in the container.
    pub uid: u32,
    /// Group in the container.
    pub gid: u32,
}

/// `null`, `zero`, `full`, `random`, `urandom` and `tty`: runtime-spec, "Default Devices".
const DEFAULTS: [(&str, (u32, u32)); 6] = [
    ("/dev/null", (1, 3)),
    ("/dev/zero", (1, 5)),
    ("/dev/full", (1, 7)),
    ("/dev/tty", (5, 0)),
    ("/dev/urandom", (1, 9)),
    ("/dev/random", (1, 8)),
];

/// The listed devices, and the default ones that they do not mention.
pub(super) fn read(list: Option<&[document::Device]>) -> Result<Vec<Device>> {
    let mut devices: Vec<Device> = Vec::new();
    for (index, entry) in list.unwrap_or_default().iter().enumerate() {
        let device = device_of(entry, &format!("linux.devices[{index}]"))?;
        devices.push(device);
    }
    for (path, number) in DEFAULTS {
        if !devices.iter().any(|device| device.path == Path::new(path)) {
            devices.push(Device {
                path: PathBuf::from(path),
                kind: Kind::CharacterDevice,
                number,
                mode: 0o666,
                uid: 0,
                gid: 0,
            });
        }
    }
    Ok(devices)
}

fn device_of(entry: &document::Device, at: &str) -> Result<Device> {
    let kind = match entry.kind.as_deref().unwrap_or_default() {
        "c" | "u" => Kind::CharacterDevice,
        "b" => Kind::BlockDevice,
        "p" => Kind::Fifo,
        other => {
            let reason = format!("unknown device type {other:?}, accepted: c, u, b, p");
            return Err(Error::config(format!("{at}.type"), reason));
        }
    };
    let text = entry.path.as_deref().unwrap_or_default();
    let path = PathBuf::from(text);
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::RootDir));
    if !text.starts_with('/') || text.contains('\0') || !plain || path.file_name().is_none() {
        let reason = format!("{text:?} is no absolute path of a file without .. in it");
        return Err(Error::config(format!("{at}.path"), reason));
    }
    let number = |value: Option<i64>, field: &str| {
        if kind == Kind::Fifo {
            return Ok(0);
        }
        let value = value.ok_or_else(|| {
            Error::config(format!("{at}.{field}"), "required unless the type is p")
        })?;
        u32::try_from(value)
            .map_err(|_| Error::config(format!("{at}.{field}"), format!("{value} is out of range")))
    };
    Ok(Device {
        path,
        kind,
        number: (number(entry.major, "major")?, number(entry.minor, "minor")?),
        mode: entry.file_mode.map_or(0o666, |mode| mode & 0o7777),
        uid: entry.uid.unwrap_or(0),
        gid: entry.gid.unwrap_or(0),
    })
}

//! What a container's `-v`, `--mount`, `--tmpfs`, `--volumes-from` and the image's volumes become.

use std::path::{Path, PathBuf};

use gantry_api::container::host_config::Mount;
use gantry_api::container::inspect::MountPoint;
use gantry_api::container::{Config, HostConfig};
use serde_json::{Value, json};

use super::names;
use super::record::{Mounted, Record};
use crate::Engine;
use crate::error::{Error, Result};

const PROPAGATIONS: [&str; 6] = [
    "rprivate", "private", "rshared", "shared", "rslave", "slave",
];

/// All mounts a container asks for, one per destination, later wishes over earlier ones as docker orders them.
///
/// # Errors
/// Invalid, docker's text, for a wish that is none; not found for a container in `--volumes-from`.
pub fn plan(engine: &Engine, config: &Config, host: &HostConfig) -> Result<Vec<Mounted>> {
    let mut all: Vec<Mounted> = Vec::new();
    for from in host.volumes_from.iter().flatten() {
        for mount in inherited(engine, from)? {
            put(&mut all, mount);
        }
    }
    let mut named: Vec<String> = Vec::new();
    let asked = host
        .binds
        .iter()
        .flatten()
        .map(|text| bind(text, &host.volume_driver));
    let asked = asked.chain(host.mounts.iter().map(long_form));
    for mount in asked {
        let mount = mount?;
        if named.contains(&mount.point.destination) {
            return Err(Error::invalid(format!(
                "Duplicate mount point: {}",
                mount.point.destination
            )));
        }
        named.push(mount.point.destination.clone());
        put(&mut all, mount);
    }
    for path in config.volumes.iter().flat_map(|set| set.keys()) {
        let destination = clean(&format!("/{path}"))?;
        if !all
            .iter()
            .any(|mount| mount.point.destination == destination)
        {
            let mut mount = volume("", &destination, &host.volume_driver);
            mount.point.mode.clear();
            mount.anonymous = true;
            all.push(mount);
        }
    }
    for mount in &mut all {
        if mount.point.kind == "volume" && mount.point.name.is_empty() {
            mount.point.name = names::id()?;
            mount.anonymous = true;
        }
    }
    Ok(all)
}

fn put(all: &mut Vec<Mounted>, mount: Mounted) {
    all.retain(|known| known.point.destination != mount.point.destination);
    all.push(mount);
}

fn volume(name: &str, destination: &str, driver: &str) -> Mounted {
    Mounted {
        point: MountPoint {
            kind: "volume".into(),
            name: name.into(),
            destination: destination.into(),
            driver: if driver.is_empty() {
                "local".into()
            } else {
                driver.into()
            },
            mode: "z".into(),
            rw: true,
            ..MountPoint::default()
        },
        copy: true,
        ..Mounted::default()
    }
}

/// An absolute path without `.`, `..` and doubled slashes.
fn clean(path: &str) -> Result<String> {
    if !path.starts_with('/') {
        return Err(Error::invalid(format!(
            "invalid mount path: '{path}' mount path must be absolute"
        )));
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    if parts.is_empty() {
        return Err(Error::invalid(
            "invalid specification: destination can't be '/'",
        ));
    }
    Ok(format!("/{}", parts.join("/")))
}

/// `source:destination[:mode,…]`.
fn bind(text: &str, driver: &str) -> Result<Mounted> {
    let refuse = |why: &str| Error::invalid(format!("invalid volume specification: '{text}'{why}"));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, destination, mode) = match parts[..] {
        [source, destination] => (source, destination, ""),
        [source, destination, mode] if !mode.is_empty() => (source, destination, mode),
        _ => return Err(refuse("")),
    };
    if source.is_empty() {
        return Err(refuse(""));
    }
    let kind = if source.starts_with('/') {
        "bind"
    } else {
        "volume"
    };
    let destination = clean(destination).map_err(|error| {
        refuse(&format!(
            ": invalid mount config for type \"{kind}\": {error}"
        ))
    })?;
    let mut mount = if source.starts_with('/') {
        Mounted {
            point: MountPoint {
                kind: "bind".into(),
                source: clean(source).unwrap_or_else(|_| "/".into()),
                destination,
                rw: true,
                propagation: "rprivate".into(),
                ..MountPoint::default()
            },
            make_source: true,
            ..Mounted::default()
        }
    } else if names::is_valid(source) {
        volume(source, &destination, driver)
    } else {
        return Err(Error::invalid(format!(
            "create {source}: \"{source}\" includes invalid characters for a local volume name, only \
             \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
        )));
    };
    if !mode.is_empty() {
        mount.point.mode = mode.into();
    }
    for word in mode.split(',').filter(|word| !word.is_empty()) {
        match word {
            "ro" | "readonly" => mount.point.rw = false,
            "rw" | "z" | "Z" | "consistent" | "cached" | "delegated" => {}
            "nocopy" if mount.point.kind == "volume" => mount.copy = false,
            word if PROPAGATIONS.contains(&word) && mount.point.kind == "bind" => {
                mount.point.propagation = word.into()
            }
            _ => return Err(Error::invalid(format!("invalid mode: {word}"))),
        }
    }
    Ok(mount)
}

/// `--mount`.
fn long_form(mount: &Mount) -> Result<Mounted> {
    let refuse = |why: &str| {
        Error::invalid(format!(
            "invalid mount config for type \"{}\": {why}",
            mount.kind
        ))
    };
    if mount.target.is_empty() {
        return Err(refuse("field Target must not be empty"));
    }
    let destination = clean(&mount.target).map_err(|error| refuse(&error.message))?;
    let mut made = match mount.kind.as_str() {
        "bind" => bind_form(mount, destination, &refuse)?,
        "volume" => {
            if mount.source.starts_with('/') {
                return Err(refuse("mount path must not be an absolute path"));
            }
            let options = mount.volume_options.clone().unwrap_or_default();
            let driver = options.driver_config.clone().unwrap_or_default();
            let mut made = volume(&mount.source, &destination, &driver.name);
            made.copy = !options.no_copy;
            made.subpath = options.subpath;
            made
        }
        "tmpfs" => {
            if !mount.source.is_empty() {
                return Err(refuse("field Source must not be specified"));
            }
            let options = mount.tmpfs_options.clone().unwrap_or_default();
            let mut words = vec!["noexec".to_owned(), "nosuid".into(), "nodev".into()];
            if options.size_bytes != 0 {
                words.push(format!("size={}", options.size_bytes));
            }
            if options.mode != 0 {
                words.push(format!("mode={:o}", options.mode));
            }
            let point = MountPoint {
                kind: "tmpfs".into(),
                destination,
                rw: true,
                ..MountPoint::default()
            };
            Mounted {
                point,
                options: words,
                ..Mounted::default()
            }
        }
        "image" | "npipe" | "cluster" => {
            return Err(Error::unsupported(format!(
                "mount type {:?}: expected bind, volume or tmpfs",
                mount.kind
            )));
        }
        _ => return Err(refuse("mount type unknown")),
    };
    made.point.rw = !mount.read_only;
    Ok(made)
}

fn bind_form(
    mount: &Mount,
    destination: String,
    refuse: &dyn Fn(&str) -> Error,
) -> Result<Mounted> {
    if mount.source.is_empty() {
        return Err(refuse("field Source must not be empty"));
    }
    if !mount.source.starts_with('/') {
        return Err(refuse(&format!(
            "invalid mount path: '{}' mount path must be absolute",
            mount.source
        )));
    }
    let options = mount.bind_options.clone().unwrap_or_default();
    if !options.create_mountpoint && !Path::new(&mount.source).exists() {
        return Err(refuse(&format!(
            "bind source path does not exist: {}",
            mount.source
        )));
    }
    let propagation = if options.propagation.is_empty() {
        "rprivate"
    } else {
        &options.propagation
    };
    if !PROPAGATIONS.contains(&propagation) {
        return Err(refuse(&format!("invalid propagation mode: {propagation}")));
    }
    let point = MountPoint {
        kind: "bind".into(),
        source: mount.source.clone(),
        destination,
        rw: true,
        propagation: propagation.into(),
        ..MountPoint::default()
    };
    let bind = if options.non_recursive {
        "bind"
    } else {
        "rbind"
    };
    Ok(Mounted {
        point,
        options: vec![bind.to_owned()],
        make_source: options.create_mountpoint,
        ..Mounted::default()
    })
}

/// `container[:ro|rw]`.
fn inherited(engine: &Engine, text: &str) -> Result<Vec<Mounted>> {
    let (name, mode) = text.split_once(':').unwrap_or((text, "rw"));
    if !["ro", "rw", "z", "Z"].contains(&mode) {
        return Err(Error::invalid(format!("invalid mode: {mode}")));
    }
    let other = engine.containers.find(name)?.view();
    let own = other
        .mounts
        .iter()
        .filter(|mount| mount.point.kind != "tmpfs")
        .cloned();
    Ok(own
        .map(|mut mount| {
            mount.point.rw &= mode != "ro";
            mount.anonymous = false;
            mount.copy = false;
            mount
        })
        .collect())
}

/// The OCI mounts of a record, ordered so that no mount hides an earlier one, with docker's files last of their depth.
///
/// # Errors
/// A bind source that cannot be made.
pub fn oci(record: &Record, home: &Path, shm: Option<&Path>) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    match shm {
        Some(path) => all.push(json!({
            "destination": "/dev/shm", "type": "bind", "source": path, "options": ["rbind", "rprivate"],
        })),
        None if record.host.ipc_mode == "none" => {}
        None => all.push(json!({
            "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
            "options": ["nosuid", "noexec", "nodev", "mode=1777", format!("size={}", record.host.shm_size)],
        })),
    }
    for (path, options) in &record.host.tmpfs {
        let mut words = vec!["noexec".to_owned(), "nosuid".into(), "nodev".into()];
        for word in options.split(',').filter(|word| !word.is_empty()) {
            words.retain(|known| Some(known.as_str()) != Some(&format!("no{word}")));
            words.push(word.to_owned());
        }
        words.push("rprivate".into());
        all.push(json!({"destination": clean(path)?, "type": "tmpfs", "source": "tmpfs", "options": words}));
    }
    for mount in &record.mounts {
        all.push(one(mount)?);
    }
    for (name, destination) in [
        ("resolv.conf", "/etc/resolv.conf"),
        ("hostname", "/etc/hostname"),
        ("hosts", "/etc/hosts"),
    ] {
        if !record
            .mounts
            .iter()
            .any(|mount| mount.point.destination == destination)
            && home.join(name).exists()
        {
            all.push(json!({
                "destination": destination, "type": "bind", "source": home.join(name), "options": ["rbind", "rprivate"],
            }));
        }
    }
    // A user's own /dev/shm takes the place of docker's.
    if record
        .mounts
        .iter()
        .any(|mount| mount.point.destination == "/dev/shm")
    {
        all.remove(0);
    }
    all.sort_by_key(|mount| {
        mount["destination"]
            .as_str()
            .map_or(0, |path| path.matches('/').count())
    });
    Ok(all)
}

fn one(mount: &Mounted) -> Result<Value> {
    let point = &mount.point;
    let mut options = mount.options.clone();
    if point.kind == "tmpfs" {
        options.push("rprivate".into());
        if !point.rw {
            options.push("ro".into());
        }
        return Ok(
            json!({"destination": point.destination, "type": "tmpfs", "source": "tmpfs", "options": options}),
        );
    }
    if options.is_empty() {
        options.push("rbind".into());
    }
    if !point.rw {
        options.push("ro".into());
    }
    if !point.propagation.is_empty() {
        options.push(point.propagation.clone());
    }
    let mut source = PathBuf::from(&point.source);
    if !mount.subpath.is_empty() {
        source = inside(&source, &mount.subpath)?;
    }
    if !source.exists() {
        if !mount.make_source {
            return Err(Error::invalid(format!(
                "invalid mount config for type \"{}\": bind source path does not exist: {}",
                point.kind,
                source.display()
            )));
        }
        std::fs::create_dir_all(&source).map_err(|e| {
            Error::kernel(
                format!(
                    "error while creating mount source path '{}': mkdir",
                    source.display()
                ),
                e,
            )
        })?;
    }
    Ok(
        json!({"destination": point.destination, "type": "bind", "source": source, "options": options}),
    )
}

/// A path inside a volume that no link leads out of.
fn inside(volume: &Path, subpath: &str) -> Result<PathBuf> {
    let refuse = |why: &str| Error::invalid(format!("invalid subpath {subpath:?}: {why}"));
    let path = volume
        .join(subpath)
        .canonicalize()
        .map_err(|e| refuse(&crate::error::describe(&e)))?;
    let root = volume
        .canonicalize()
        .map_err(|e| Error::kernel(volume.display(), e))?;
    if path.starts_with(&root) {
        Ok(path)
    } else {
        Err(refuse("it leads out of the volume"))
    }
}

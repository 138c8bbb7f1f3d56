//! Volumes and mounts.

use gantry_api::container::host_config::{
    BindOptions, Driver, ImageOptions, Mount, TmpfsOptions, VolumeOptions,
};

use super::fields;
use crate::format::units;
use crate::grammar::checks::{parse_boolean, quoted};

/// Reads `--mount`.
///
/// # Errors
/// Docker's words for what it cannot mean.
pub fn parse_mount(text: &str) -> Result<Mount, String> {
    if text.trim().is_empty() {
        return Err("EOF".to_owned());
    }
    let mut mount = Mount {
        kind: "volume".to_owned(),
        ..Mount::default()
    };
    for field in fields(text)? {
        read_field(&mut mount, &field)?;
    }
    if mount.kind.is_empty() {
        return Err("type is required".to_owned());
    }
    if mount.target.is_empty() {
        return Err("target is required".to_owned());
    }
    let kinds = [
        (mount.volume_options.is_some(), "volume", "volume-*"),
        (mount.bind_options.is_some(), "bind", "bind-*"),
        (mount.tmpfs_options.is_some(), "tmpfs", "tmpfs-*"),
        (mount.image_options.is_some(), "image", "image-*"),
    ];
    for (given, kind, options) in kinds {
        if given && mount.kind != kind {
            return Err(format!(
                "cannot mix '{options}' options with mount type '{}'",
                mount.kind
            ));
        }
    }
    finish_read_only(&mut mount)?;
    Ok(mount)
}

/// A read-only bind made read-only all the way down must be private too.
fn finish_read_only(mount: &mut Mount) -> Result<(), String> {
    let Some(bind) = &mount.bind_options else {
        return Ok(());
    };
    if bind.read_only_non_recursive && !mount.read_only {
        return Err(
            "option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction"
                .to_owned(),
        );
    }
    if bind.read_only_force_recursive {
        if !mount.read_only {
            return Err("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction".to_owned());
        }
        if bind.propagation != "rprivate" {
            return Err("option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction".to_owned());
        }
    }
    Ok(())
}

fn boolean(key: &str, value: Option<&str>) -> Result<bool, String> {
    match value {
        None => Ok(true),
        Some(value) => parse_boolean(value).ok_or_else(|| format!("invalid value for '{key}': invalid boolean value ({}): must be one of \"true\", \"1\", \"false\", or \"0\" (default \"true\")", quoted(value))),
    }
}

fn read_field(mount: &mut Mount, field: &str) -> Result<(), String> {
    let (key, value) = match field.split_once('=') {
        Some((key, value)) => (key.to_lowercase(), Some(value)),
        None => (field.to_lowercase(), None),
    };
    match key.as_str() {
        "readonly" | "ro" => {
            mount.read_only = boolean(&key, value)?;
            return Ok(());
        }
        "volume-nocopy" => {
            mount.volume_options.get_or_insert_default().no_copy = boolean(&key, value)?;
            return Ok(());
        }
        "bind-nonrecursive" => {
            mount.bind_options.get_or_insert_default().non_recursive = boolean(&key, value)?;
            return Ok(());
        }
        "bind-create-src" => {
            mount.bind_options.get_or_insert_default().create_mountpoint = boolean(&key, value)?;
            return Ok(());
        }
        _ => {}
    }
    let Some(value) = value else {
        return Err(format!("invalid field '{field}' must be a key=value pair"));
    };
    match key.as_str() {
        "type" => mount.kind = value.to_lowercase(),
        "source" | "src" => mount.source = source(value),
        "target" | "dst" | "destination" => value.clone_into(&mut mount.target),
        "consistency" => mount.consistency = value.to_lowercase(),
        key if key.starts_with("volume-") => volume_field(
            mount.volume_options.get_or_insert_default(),
            key,
            value,
            field,
        )?,
        key if key.starts_with("bind-") => bind_field(
            mount.bind_options.get_or_insert_default(),
            key,
            value,
            field,
        )?,
        key if key.starts_with("tmpfs-") => tmpfs_field(
            mount.tmpfs_options.get_or_insert_default(),
            key,
            value,
            field,
        )?,
        "image-subpath" => {
            mount.image_options = Some(ImageOptions {
                subpath: value.to_owned(),
            })
        }
        _ => return Err(format!("unexpected key '{key}' in '{field}'")),
    }
    Ok(())
}

/// A relative source is relative to where the command runs.
fn source(value: &str) -> String {
    if value.starts_with('.') {
        absolute(value)
    } else {
        value.to_owned()
    }
}

fn absolute(value: &str) -> String {
    let mut path = std::env::current_dir().unwrap_or_default();
    for part in std::path::Path::new(value).components() {
        match part {
            std::path::Component::ParentDir => drop(path.pop()),
            std::path::Component::CurDir => {}
            part => path.push(part),
        }
    }
    path.to_string_lossy().into_owned()
}

fn volume_field(
    options: &mut VolumeOptions,
    key: &str,
    value: &str,
    field: &str,
) -> Result<(), String> {
    let pair = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (name.to_owned(), value.to_owned())
    };
    match key {
        "volume-subpath" => value.clone_into(&mut options.subpath),
        "volume-label" => options.labels.extend([pair(value)]),
        "volume-driver" => value.clone_into(
            &mut options
                .driver_config
                .get_or_insert_with(Driver::default)
                .name,
        ),
        "volume-opt" => options
            .driver_config
            .get_or_insert_with(Driver::default)
            .options
            .extend([pair(value)]),
        _ => return Err(format!("unexpected key '{key}' in '{field}'")),
    }
    Ok(())
}

fn bind_field(
    options: &mut BindOptions,
    key: &str,
    value: &str,
    field: &str,
) -> Result<(), String> {
    match (key, value) {
        ("bind-propagation", value) => options.propagation = value.to_lowercase(),
        ("bind-recursive", "enabled") => {}
        ("bind-recursive", "disabled") => options.non_recursive = true,
        ("bind-recursive", "writable") => options.read_only_non_recursive = true,
        ("bind-recursive", "readonly") => options.read_only_force_recursive = true,
        ("bind-recursive", _) => {
            return Err(format!(
                "invalid value for {key}: {value} (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")"
            ));
        }
        _ => return Err(format!("unexpected key '{key}' in '{field}'")),
    }
    Ok(())
}

fn tmpfs_field(
    options: &mut TmpfsOptions,
    key: &str,
    value: &str,
    field: &str,
) -> Result<(), String> {
    let refuse = || format!("invalid value for {key}: {value}");
    match key {
        "tmpfs-size" => options.size_bytes = units::parse_bytes(value).map_err(|_| refuse())?,
        "tmpfs-mode" => options.mode = u32::from_str_radix(value, 8).map_err(|_| refuse())?,
        _ => return Err(format!("unexpected key '{key}' in '{field}'")),
    }
    Ok(())
}

/// What a `-v` comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Volume {
    /// A path with a volume of its own.
    Anonymous(String),
    /// A named volume or a host directory, with its options.
    Bind(String),
}

/// Reads `-v`.
///
/// # Errors
/// Docker's words for what it cannot mean.
pub fn parse_volume(text: &str) -> Result<Volume, String> {
    if text.is_empty() {
        return Err("invalid empty volume spec".to_owned());
    }
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [path] => Ok(Volume::Anonymous((*path).to_owned())),
        [_, ""] | ["", _] | ["", _, _] | [_, "", _] => Err(format!(
            "invalid spec: {text}: empty section between colons"
        )),
        [source, rest @ ..] => {
            let source = if source.starts_with('.') {
                absolute(source)
            } else {
                (*source).to_owned()
            };
            Ok(Volume::Bind(format!("{source}:{}", rest.join(":"))))
        }
        [] => Err("invalid empty volume spec".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Volume, parse_mount, parse_volume};

    #[test]
    fn mounts_are_read() {
        let mount = parse_mount("type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1777").expect("mount");
        let options = mount.tmpfs_options.expect("options");
        assert_eq!((options.size_bytes, options.mode), (1 << 20, 0o1777));
        assert_eq!(
            parse_mount("x").expect_err("refused"),
            "invalid field 'x' must be a key=value pair"
        );
        assert_eq!(
            parse_mount("type=bind,src=/x").expect_err("refused"),
            "target is required"
        );
    }

    #[test]
    fn volumes_are_told_from_binds() {
        assert_eq!(parse_volume("/a"), Ok(Volume::Anonymous("/a".to_owned())));
        assert_eq!(
            parse_volume("n:/a:ro"),
            Ok(Volume::Bind("n:/a:ro".to_owned()))
        );
        assert!(parse_volume(":/a").is_err());
    }
}

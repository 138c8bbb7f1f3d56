//! Devices.

use gantry_api::container::host_config::{
    DeviceMapping, DeviceRequest, ThrottleDevice, WeightDevice,
};

use super::{fields, pairs, refuse};
use crate::failure::Outcome;
use crate::format::units;
use crate::grammar::Parsed;

/// Splits `/dev/x:value`.
fn device_value(text: &str) -> Result<(&str, &str), String> {
    let (path, value) = text
        .split_once(':')
        .ok_or_else(|| format!("bad format: {text}"))?;
    if !path.starts_with("/dev/") {
        return Err(format!("bad format for device path: {text}"));
    }
    Ok((path, value))
}

/// Reads `/dev/x:weight`.
///
/// # Errors
/// Docker's words for anything else.
pub fn parse_weight(text: &str) -> Result<WeightDevice, String> {
    let (path, value) = device_value(text)?;
    let weight: u16 = value
        .parse()
        .map_err(|_| format!("invalid weight for device: {text}"))?;
    if weight > 0 && !(10..=1000).contains(&weight) {
        return Err(format!("invalid weight for device: {text}"));
    }
    Ok(WeightDevice {
        path: path.to_owned(),
        weight,
    })
}

/// Reads `/dev/x:1mb`.
///
/// # Errors
/// Docker's words for anything else.
pub fn parse_bps(text: &str) -> Result<ThrottleDevice, String> {
    let (path, value) = device_value(text)?;
    let rate = units::parse_bytes(value).ok().and_then(|rate| u64::try_from(rate).ok()).ok_or_else(|| {
        format!("invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb")
    })?;
    Ok(ThrottleDevice {
        path: path.to_owned(),
        rate,
    })
}

/// Reads `/dev/x:1000`.
///
/// # Errors
/// Docker's words for anything else.
pub fn parse_iops(text: &str) -> Result<ThrottleDevice, String> {
    let (path, value) = device_value(text)?;
    let rate = value.parse().map_err(|_| {
        format!("invalid rate for device: {text}. The correct format is <device-path>:<number>. Number must be a positive integer")
    })?;
    Ok(ThrottleDevice {
        path: path.to_owned(),
        rate,
    })
}

/// Looks at `c 1:3 rwm`.
///
/// # Errors
/// Docker's words for anything else.
pub fn check_cgroup_rule(text: &str) -> Result<(), String> {
    let number = |part: &str| {
        part == "*" || (!part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let parts: Vec<&str> = text.split(' ').collect();
    let good = match parts.as_slice() {
        [kind, numbers, access] => {
            matches!(*kind, "a" | "b" | "c")
                && numbers
                    .split_once(':')
                    .is_some_and(|(major, minor)| number(major) && number(minor))
                && !access.is_empty()
                && access.len() <= 3
                && access.bytes().all(|byte| b"rwm".contains(&byte))
        }
        _ => false,
    };
    if good {
        Ok(())
    } else {
        Err(format!("invalid device cgroup format '{text}'"))
    }
}

/// A device of the container device interface: `vendor/class=name`.
fn is_cdi(text: &str) -> bool {
    !text.starts_with('/')
        && text
            .split_once('=')
            .is_some_and(|(kind, name)| kind.contains('/') && !name.is_empty())
}

/// Reads `--device`: `source[:destination[:permissions]]`.
///
/// # Errors
/// Docker's words for anything else.
pub fn mappings(list: &[String]) -> Outcome<Vec<DeviceMapping>> {
    list.iter()
        .filter(|text| !is_cdi(text))
        .map(|text| {
            let access = |part: &str| {
                !part.is_empty()
                    && part.len() <= 3
                    && part.bytes().all(|byte| b"rwm".contains(&byte))
            };
            let parts: Vec<&str> = text.split(':').collect();
            let (source, destination, permissions) = match parts.as_slice() {
                [source] if !source.is_empty() => (*source, *source, "rwm"),
                [source, last] if access(last) => (*source, *source, *last),
                [source, destination] => (*source, *destination, "rwm"),
                [source, destination, permissions] => (*source, *destination, *permissions),
                [_] => return Err(refuse(format!("bad format for path: {text}"))),
                _ => return Err(refuse(format!("invalid device specification: {text}"))),
            };
            if !access(permissions) {
                return Err(refuse(format!("bad mode specified: {permissions}")));
            }
            if !destination.starts_with('/') {
                return Err(refuse(format!("{destination} is not an absolute path")));
            }
            Ok(DeviceMapping {
                path_on_host: source.to_owned(),
                path_in_container: destination.to_owned(),
                cgroup_permissions: permissions.to_owned(),
            })
        })
        .collect()
}

/// Reads `--gpus`.
///
/// # Errors
/// Docker's words for anything else.
pub fn parse_gpus(text: &str) -> Result<DeviceRequest, String> {
    let mut request = DeviceRequest {
        count: 1,
        capabilities: Some(vec![vec!["gpu".to_owned()]]),
        ..DeviceRequest::default()
    };
    let count = |text: &str| match text {
        "all" => Ok(-1),
        text => text.parse::<i64>().map_err(|_| {
            format!(
                "invalid count ({text}): value must be either \"all\" or an integer: invalid syntax"
            )
        }),
    };
    for field in fields(text)? {
        match field.split_once('=') {
            None => request.count = count(&field)?,
            Some(("count", value)) => request.count = count(value)?,
            Some(("driver", value)) => value.clone_into(&mut request.driver),
            Some(("device", value)) => {
                request.device_ids = Some(value.split(',').map(str::to_owned).collect());
                request.count = 0;
            }
            Some(("capabilities", value)) => {
                let mut all: Vec<String> = value.split(',').map(str::to_owned).collect();
                all.push("gpu".to_owned());
                request.capabilities = Some(vec![all]);
            }
            Some(("options", value)) => {
                let options: Vec<String> = value.split(',').map(str::to_owned).collect();
                request.options = Some(pairs(&options));
            }
            Some((key, _)) => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
    }
    Ok(request)
}

/// Devices asked of drivers: `--gpus`, and CDI names given to `--device`.
#[must_use]
pub fn requests(parsed: &Parsed) -> Option<Vec<DeviceRequest>> {
    let mut requests: Vec<DeviceRequest> = parsed
        .list("gpus")
        .iter()
        .filter_map(|text| parse_gpus(text).ok())
        .collect();
    let cdi: Vec<String> = parsed
        .list("device")
        .iter()
        .filter(|text| is_cdi(text))
        .cloned()
        .collect();
    if !cdi.is_empty() {
        requests.push(DeviceRequest {
            driver: "cdi".to_owned(),
            device_ids: Some(cdi),
            ..DeviceRequest::default()
        });
    }
    Some(requests).filter(|requests| !requests.is_empty())
}

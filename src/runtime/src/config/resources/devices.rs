//! The device filter: from `linux.resources.devices` to rules.

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use crate::cgroups::{Access, DeviceClass, DeviceRule};
use crate::error::{Error, Result};

/// The rules that entry number `index` of `linux.resources.devices` stands for.
pub(super) fn device(index: usize, spec: &LinuxDeviceCgroup) -> Result<Vec<DeviceRule>> {
    let at = |field: &str| format!("linux.resources.devices[{index}].{field}");
    let number = |field: &str, value: Option<i64>| match value {
        None | Some(-1) => Ok(None),
        Some(n) => u32::try_from(n).map(Some).map_err(|_| {
            Error::config(
                at(field),
                format!("{n} is neither a device number nor -1 for any"),
            )
        }),
    };
    let text = spec.access().as_deref().unwrap_or_default();
    if text.is_empty() {
        let what =
            format!("device access at {index} field cannot be empty; give any of r, w and m");
        return Err(Error::config(at("access"), what));
    }
    let access = Access::parse(text).ok_or_else(|| {
        Error::config(
            at("access"),
            format!("{text:?} has none of the letters r, w and m"),
        )
    })?;
    let classes: &[DeviceClass] = match spec.typ().unwrap_or(LinuxDeviceType::A) {
        LinuxDeviceType::A => &[DeviceClass::Char, DeviceClass::Block],
        LinuxDeviceType::C | LinuxDeviceType::U => &[DeviceClass::Char],
        LinuxDeviceType::B => &[DeviceClass::Block],
        LinuxDeviceType::P => {
            return Err(Error::config(
                at("type"),
                "a FIFO has no device number; give a, b or c",
            ));
        }
    };
    let (major, minor) = (
        number("major", spec.major())?,
        number("minor", spec.minor())?,
    );
    let rule = |class: &DeviceClass| DeviceRule {
        allow: spec.allow(),
        class: *class,
        major,
        minor,
        access,
    };
    Ok(classes.iter().map(rule).collect())
}

/// What every container may do: make any node, and use those that runtime-spec "Default Devices" lists, the console,
/// pseudo-terminals and /dev/net/tun.
pub(super) fn default_devices() -> impl Iterator<Item = DeviceRule> {
    const MEM: [u32; 5] = [3, 5, 7, 8, 9];
    let make = [DeviceClass::Char, DeviceClass::Block].map(|class| DeviceRule {
        allow: true,
        class,
        major: None,
        minor: None,
        access: Access::MAKE,
    });
    let numbers = MEM.iter().map(|minor| (1, Some(*minor)));
    let rest = [
        (5, Some(0)),
        (5, Some(1)),
        (5, Some(2)),
        (136, None),
        (10, Some(200)),
    ];
    let used = numbers.chain(rest).map(|(major, minor)| DeviceRule {
        allow: true,
        class: DeviceClass::Char,
        major: Some(major),
        minor,
        access: Access::ALL,
    });
    make.into_iter().chain(used)
}

//! What `linux.resources` means, and what of it is refused.

use super::*;
use crate::cgroups::{Access, DeviceClass};

fn read(text: &str) -> Result<Resources> {
    Resources::parse(Some(&RawValue::from_string(text.to_owned()).unwrap()))
}

#[test]
fn what_asks_for_nothing_is_nothing() {
    let text = r#"{"memory":{"limit":0,"swap":0},"cpu":{"shares":0,"quota":0,"cpus":""},"pids":{},"blockIO":{"weight":0}}"#;
    let found = read(text).unwrap();
    let bare = Resources::parse(None).unwrap();
    assert_eq!(found, bare);
    assert_eq!(bare.devices.len(), 12);
    assert_eq!(read(r#"{"pids":{"limit":0}}"#).unwrap().pids, Some(0));
    let pages = read(r#"{"hugepageLimits":[{"pagesize":"2MB","limit":7}]}"#)
        .unwrap()
        .hugepages;
    assert_eq!((pages[0].size.as_str(), pages[0].limit), ("2MB", 7));
}

#[test]
fn a_rule_for_all_devices_is_one_for_each_class() {
    let found = read(
        r#"{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":10,"minor":-1,"access":"r"}]}"#,
    );
    let devices = found.unwrap().devices;
    assert_eq!(devices.len(), 12 + 3);
    assert_eq!(
        (devices[0].class, devices[1].class),
        (DeviceClass::Char, DeviceClass::Block)
    );
    let third = (devices[2].major, devices[2].minor, devices[2].access);
    assert_eq!(third, (Some(10), None, Access::READ));
}

#[test]
fn refusals_name_the_field() {
    for (text, field) in [
        (r#"{"memory":{"limit":-2}}"#, "memory.limit"),
        (r#"{"memory":{"limit":9,"swap":8}}"#, "memory.swap"),
        (r#"{"memory":{"swappiness":101}}"#, "memory.swappiness"),
        (r#"{"cpu":{"cpus":"0-"}}"#, "cpu.cpus"),
        (r#"{"cpu":{"mems":"x"}}"#, "cpu.mems"),
        (r#"{"cpu":{"idle":2}}"#, "cpu.idle"),
        (r#"{"blockIO":{"weight":5}}"#, "blockIO.weight"),
        (
            r#"{"blockIO":{"weightDevice":[{"major":8,"minor":0,"weight":1001}]}}"#,
            "blockIO.weightDevice[0].weight",
        ),
        (
            r#"{"hugepageLimits":[{"pageSize":"2M","limit":1}]}"#,
            "hugepageLimits[0].pageSize",
        ),
        (
            r#"{"hugepageLimits":[{"pageSize":"2MB","limit":1},{"pageSize":"2MB","limit":2}]}"#,
            "hugepageLimits[1].pageSize",
        ),
        (r#"{"unified":{"a/b.c":"1"}}"#, "unified[\"a/b.c\"]"),
        (r#"{"unified":{"memory":"1"}}"#, "unified[\"memory\"]"),
        (r#"{"devices":[{"allow":true}]}"#, "devices[0].access"),
        (
            r#"{"devices":[{"allow":true,"access":"x"}]}"#,
            "devices[0].access",
        ),
        (
            r#"{"devices":[{"allow":true,"access":"r","major":-5}]}"#,
            "devices[0].major",
        ),
        (
            r#"{"devices":[{"allow":true,"access":"r","type":"p"}]}"#,
            "devices[0].type",
        ),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("linux.resources.{field}: ")),
            "{text}: {error}"
        );
    }
}

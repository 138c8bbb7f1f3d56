//! config-linux.md#devices, #default-devices, #network-devices.

use crate::case::{Case, case, must_refuse, refused, sees};
use crate::rig::Rig;
use crate::verdict::{Verdict, same};
use serde_json::{Value, json};
use std::fs;

const DEVICES: &str = "config-linux.md#devices";
const DEFAULT: &str = "config-linux.md#default-devices";
const NETWORK: &str = "config-linux.md#network-devices";

/// The chapter's cases.
pub fn cases() -> Vec<Case> {
    let mut all = defaults();
    all.extend(configured().into_iter().map(Case::root));
    all.extend(network().into_iter().map(Case::root));
    all
}

fn defaults() -> Vec<Case> {
    let mut all = Vec::new();
    for (name, major, minor) in [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)] {
        let action = format!("follow:/dev/{name}");
        let seen = action.clone();
        all.push(sees(format!("devices/default/{name}"), DEFAULT, json!({}), &[&action], move |r| {
            let device = r.ok(&seen)?;
            same("type, major and minor", json!([device["kind"], device["major"], device["minor"]]), json!(["c", major, minor]))?;
            same("the mode", device["mode"].as_u64(), Some(0o666))
        }));
    }
    all.push(sees("devices/default/null-usable", DEFAULT, json!({}), &["write:/dev/null=text", "read:/dev/null"], |r| {
        r.ok("write:/dev/null=text")?;
        same("what /dev/null holds", r.text("read:/dev/null")?, "")
    }));
    all.push(sees("devices/default/full-is-full", DEFAULT, json!({}), &["write:/dev/full=text"], |r| {
        same("errno", r.errno("write:/dev/full=text")?, 28)
    }));
    all.push(sees("devices/default/ptmx", DEFAULT, json!({}), &["follow:/dev/ptmx", "follow:/dev/pts/ptmx"], |r| {
        let (outer, inner) = (r.ok("follow:/dev/ptmx")?, r.ok("follow:/dev/pts/ptmx")?);
        same("the device and inode of /dev/ptmx", (&outer["dev"], &outer["ino"]), (&inner["dev"], &inner["ino"]))
    }));
    all.push(sees("devices/console/absent-without-terminal", DEFAULT, json!({}), &["stat:/dev/console"], |r| {
        same("errno", r.errno("stat:/dev/console")?, 2)
    }));
    all
}

fn device(entry: &Value) -> Value {
    json!({"linux": {"devices": [entry]}})
}

fn configured() -> Vec<Case> {
    let shows = |name: &str, entry: Value, wanted: Value| {
        let path = entry["path"].as_str().unwrap_or_default().to_owned();
        let action = format!("stat:{path}");
        let fields = wanted.clone();
        let seen = action.clone();
        sees(format!("devices/{name}"), DEVICES, device(&entry), &[&action], move |r| {
            let found = r.ok(&seen)?;
            for (field, value) in fields.as_object().into_iter().flatten() {
                same(field, &found[field], value)?;
            }
            Ok(())
        })
    };
    let fuse = json!({"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229});
    let with = |more: Value| {
        let mut entry = fuse.clone();
        crate::bundle::merge(&mut entry, &more);
        entry
    };
    let bad = |name: &str, more: Value| refused(format!("devices/{name}"), "config.md#valid-values", device(&with(more)));
    vec![
        shows("character", fuse.clone(), json!({"kind": "c", "major": 10, "minor": 229})),
        shows("unbuffered-character", with(json!({"type": "u"})), json!({"kind": "c", "major": 10, "minor": 229})),
        shows("block", json!({"path": "/dev/disk", "type": "b", "major": 7, "minor": 99}), json!({"kind": "b", "major": 7, "minor": 99})),
        shows("pipe", json!({"path": "/dev/pipe", "type": "p"}), json!({"kind": "p"})),
        shows("large-numbers", with(json!({"major": 511, "minor": 70000})), json!({"major": 511, "minor": 70000})),
        shows("fileMode", with(json!({"fileMode": 0o640})), json!({"mode": 0o640})),
        shows("fileMode-not-masked", with(json!({"fileMode": 0o777})), json!({"mode": 0o777})),
        shows("uid", with(json!({"uid": 12, "gid": 34})), json!({"uid": 12, "gid": 34})),
        shows("outside-dev", with(json!({"path": "/mnt/deep/fuse"})), json!({"kind": "c", "minor": 229})),
        shows("below-dev", with(json!({"path": "/dev/a/b/fuse"})), json!({"kind": "c", "minor": 229})),
        bad("unknown-type", json!({"type": "x"})),
        bad("relative-path", json!({"path": "dev/fuse"})),
        case("devices/existing-matching", DEVICES, |rig| existing(rig, 229, true)),
        case("devices/existing-other-numbers", DEVICES, |rig| existing(rig, 228, false)),
        case("devices/existing-file", DEVICES, |rig| {
            let bundle = rig.bundle()?;
            fs::write(bundle.inside("/mnt/fuse"), "")?;
            let entry = json!({"path": "/mnt/fuse", "type": "c", "major": 10, "minor": 229});
            let bundle = rig.bundle_at(&bundle, &device(&entry), &["pid"])?;
            require!(rig.create_as(&rig.id(), &bundle, &[])?.is_err(), "create accepted a file where the device belongs");
            Ok(())
        }),
        case("devices/in-user-namespace", DEVICES, |rig| {
            let ids = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
            // What cannot be made by mknod there may be bound from the host, which has this one.
            let mut patch = device(&json!({"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11}));
            crate::bundle::compose(&mut patch, &json!({"linux": {"+namespaces": [{"type": "user"}], "uidMappings": ids, "gidMappings": ids}}));
            let report = rig.run(&patch, &["follow:/dev/kmsg"])?;
            let device = report.ok("follow:/dev/kmsg")?;
            same("major and minor", json!([device["major"], device["minor"]]), json!([1, 11]))
        }),
    ]
}

/// A node that is there already: the same device may stay, another must be refused.
fn existing(rig: &Rig, minor: u64, fits: bool) -> Verdict {
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    let bundle = rig.bundle()?;
    mknod(&bundle.inside("/mnt/fuse"), SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(10, minor))?;
    let entry = json!({"path": "/mnt/fuse", "type": "c", "major": 10, "minor": 229});
    let bundle = rig.bundle_at(&bundle, &device(&entry), &["pid"])?;
    match rig.create_as(&rig.id(), &bundle, &[])? {
        Ok(_) => same("the node fitting", fits, true),
        Err(text) => {
            require!(!fits, "create refused the device that is already there: {text}");
            Ok(())
        }
    }
}

fn network() -> Vec<Case> {
    let plain = json!({"veth1": {}});
    let moved = |name: &'static str, devices: Value, act: fn(&Rig, &Value) -> Verdict| {
        case(format!("net-devices/{name}"), NETWORK, move |rig| act(rig, &devices))
    };
    let bad = |name: &'static str, devices: Value| {
        case(format!("net-devices/{name}"), NETWORK, move |rig| {
            prepare(rig)?;
            must_refuse(rig, &patch(&devices), false)
        })
    };
    vec![
        moved("moved", plain.clone(), |rig, devices| appears(rig, devices, "veth1")),
        moved("renamed", json!({"veth1": {"name": "inner0"}}), |rig, devices| appears(rig, devices, "inner0")),
        moved("template", json!({"veth1": {"name": "eth%d"}}), |rig, devices| appears(rig, devices, "eth0")),
        moved("addresses-kept", plain.clone(), |rig, devices| {
            prepare(rig)?;
            let report = rig.run(&patch(devices), &["ifaces", "read:/proc/net/fib_trie", "read:/proc/net/if_inet6"])?;
            require!(report.text("read:/proc/net/fib_trie")?.contains("192.0.2.7"), "192.0.2.7 is gone");
            require!(report.text("read:/proc/net/if_inet6")?.contains("20010db8000000000000000000000007"), "2001:db8::7 is gone");
            Ok(())
        }),
        moved("up", plain.clone(), |rig, devices| {
            prepare(rig)?;
            let report = rig.run(&patch(devices), &["ifaces"])?;
            let up = report.ok("ifaces")?.as_array().into_iter().flatten().any(|i| i["name"] == "veth1" && i["up"] == true);
            same("veth1 being up", up, true)
        }),
        moved("mtu-kept", plain.clone(), |rig, devices| {
            prepare(rig)?;
            rig.tool(&["ip", "link", "set", "veth1", "mtu", "1300"])?;
            let mut sys = patch(devices);
            crate::bundle::compose(&mut sys, &json!({"+mounts": [{"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]}]}));
            let action = "read:/sys/class/net/veth1/mtu";
            same("the MTU", rig.run(&sys, &[action])?.text(action)?, "1300")
        }),
        moved("not-moved-back", plain, |rig, devices| {
            prepare(rig)?;
            rig.run(&patch(devices), &["pid"])?;
            // Its namespace ends with the container and takes the pair along, some time later.
            let left = rig.tool(&["ip", "-br", "link"])?;
            require!(!left.contains("veth1"), "the device is back in the runtime's namespace: {left}");
            Ok(())
        }),
        bad("unknown-device", json!({"nosuch0": {}})),
        bad("name-exists", json!({"veth1": {"name": "lo"}})),
        bad("name-too-long", json!({"veth1": {"name": "a2345678901234567"}})),
        bad("name-with-slash", json!({"veth1": {"name": "a/b"}})),
        case("net-devices/without-namespace", NETWORK, |rig| {
            prepare(rig)?;
            must_refuse(rig, &json!({"linux": {"netDevices": {"veth1": {"name": "other"}}}}), false)
        }),
    ]
}

fn patch(devices: &Value) -> Value {
    json!({"linux": {"+namespaces": [{"type": "network"}], "netDevices": devices}})
}

/// A network namespace for the runtime with a pair of devices, one end of which has global addresses.
fn prepare(rig: &Rig) -> Verdict {
    let pid = rig.keep(&["net"])?;
    rig.enter(pid, &["net"]);
    rig.tool(&["ip", "link", "add", "veth1", "type", "veth", "peer", "name", "veth2"])?;
    rig.tool(&["ip", "address", "add", "192.0.2.7/24", "dev", "veth1"])?;
    rig.tool(&["ip", "address", "add", "2001:db8::7/64", "dev", "veth1", "nodad"]).map(drop)
}

fn appears(rig: &Rig, devices: &Value, name: &str) -> Verdict {
    prepare(rig)?;
    let report = rig.run(&patch(devices), &["ifaces"])?;
    let seen = report.ok("ifaces")?.as_array().into_iter().flatten().any(|i| i["name"] == name);
    same("the device being inside", seen, true)
}

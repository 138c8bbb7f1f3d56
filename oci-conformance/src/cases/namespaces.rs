//! config-linux.md#namespaces, #user-namespace-mappings, #offset-for-time-namespace; config.md#hostname, #domainname.

use crate::case::{Case, accepted, case, must_refuse, refused, sees};
use crate::rig::Rig;
use crate::verdict::{Verdict, fail, same, skip};
use serde_json::{Value, json};
use std::path::Path;

const NAMESPACES: &str = "config-linux.md#namespaces";
const MAPPINGS: &str = "config-linux.md#user-namespace-mappings";
const TIME: &str = "config-linux.md#offset-for-time-namespace";

/// The types and their names under /proc/PID/ns.
const TYPES: [(&str, &str); 8] =
    [("pid", "pid"), ("network", "net"), ("mount", "mnt"), ("ipc", "ipc"), ("uts", "uts"), ("user", "user"), ("cgroup", "cgroup"), ("time", "time")];

/// The chapter's cases.
pub fn cases() -> Vec<Case> {
    let mut all: Vec<Case> = TYPES.into_iter().flat_map(|(kind, file)| each(kind, file)).collect();
    all.push(refused("namespaces/unknown-type", "config.md#valid-values", json!({"linux": {"+namespaces": [{"type": "lunch"}]}})));
    all.push(case("namespaces/pid/only-own-processes", NAMESPACES, |rig| {
        let report = rig.run(&json!({}), &["list:/proc"])?;
        let numbers = report.ok("list:/proc")?.as_array().into_iter().flatten().filter(|n| n.as_str().is_some_and(|n| n.parse::<u32>().is_ok()));
        same("processes seen", numbers.count(), 1)
    }));
    all.push(sees("namespaces/network/only-loopback", NAMESPACES, json!({"linux": {"+namespaces": [{"type": "network"}]}}), &["ifaces"], |r| {
        let names: Vec<_> = r.ok("ifaces")?.as_array().into_iter().flatten().filter(|i| i["name"] != "lo").collect();
        require!(names.is_empty(), "interfaces: {names:?}");
        Ok(())
    }));
    all.push(
        case("namespaces/cgroup/root-is-own", NAMESPACES, |rig| {
            let report = rig.run(&json!({"linux": {"+namespaces": [{"type": "cgroup"}]}}), &["read:/proc/self/cgroup"])?;
            let text = report.text("read:/proc/self/cgroup")?;
            require!(!text.contains(&rig.session.group), "the container sees {text:?}");
            Ok(())
        })
        .root(),
    );
    all.extend(names());
    all.extend(users());
    all.extend(users_outside().into_iter().map(Case::root));
    all.extend(clocks());
    all
}

/// A patch that adds the namespace where the base has none; the entry of the base is replaced.
fn with(rig: &Rig, kind: &str, entry: Option<Value>) -> Value {
    let base = rig.config(&json!({}), &[]);
    let mut list: Vec<Value> = base["linux"]["namespaces"].as_array().cloned().unwrap_or_default();
    list.retain(|n| n["type"] != kind);
    list.extend(entry);
    let mut patch = json!({"linux": {"namespaces": list}});
    if kind == "user" && !rig.session.rootless {
        let ids = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        patch["linux"]["uidMappings"] = ids.clone();
        patch["linux"]["gidMappings"] = ids;
    }
    patch
}

fn each(kind: &'static str, file: &'static str) -> Vec<Case> {
    let named = |what: &str| format!("namespaces/{kind}/{what}");
    let seen = move |rig: &Rig, entry: Option<Value>| -> Verdict<Value> {
        if !Path::new("/proc/self/ns").join(file).exists() {
            return skip(format!("a kernel with {kind} namespaces"));
        }
        Ok(rig.run(&with(rig, kind, entry), &["ns"])?.ok("ns")?[file].clone())
    };
    let own = move || crate::probe::namespaces()[file].clone();
    let mut all = vec![
        case(named("new"), NAMESPACES, move |rig| {
            let inside = seen(rig, Some(json!({"type": kind})))?;
            require!(inside.is_string() && inside != own(), "the container has {inside}, the runtime {}", own());
            Ok(())
        }),
        case(named("duplicate"), NAMESPACES, move |rig| {
            let mut patch = with(rig, kind, Some(json!({"type": kind})));
            crate::bundle::compose(&mut patch, &json!({"linux": {"+namespaces": [{"type": kind}]}}));
            must_refuse(rig, &patch, false)
        }),
        case(named("path-missing"), NAMESPACES, move |rig| {
            let path = format!("/no/such/{file}");
            must_refuse(rig, &path_only(with(rig, kind, Some(json!({"type": kind, "path": path})))), false)
        }),
        case(named("path-not-a-namespace"), NAMESPACES, move |rig| {
            must_refuse(rig, &path_only(with(rig, kind, Some(json!({"type": kind, "path": "/dev/null"})))), false)
        }),
        case(named("path-of-other-type"), NAMESPACES, move |rig| {
            let other = if kind == "uts" { "ipc" } else { "uts" };
            let pid = rig.keep(&[other])?;
            let path = format!("/proc/{pid}/ns/{other}");
            must_refuse(rig, &path_only(with(rig, kind, Some(json!({"type": kind, "path": path})))), false)
        })
        .root(),
    ];
    if !matches!(kind, "mount" | "user") {
        all.push(
            case(named("path"), NAMESPACES, move |rig| {
                let pid = rig.keep(&[file])?;
                let path = format!("/proc/{pid}/ns/{file}");
                let wanted = std::fs::read_link(&path)?.to_string_lossy().into_owned();
                same("the namespace inside", seen(rig, Some(json!({"type": kind, "path": path})))?.as_str(), Some(wanted.as_str()))
            })
            .root(),
        );
    }
    if kind != "mount" {
        let mut inherited = case(named("inherited"), NAMESPACES, move |rig| {
            let mut patch = with(rig, kind, None);
            if kind == "pid" {
                // A process of the suite's own pid namespace, whose /proc may be mounted anew.
                patch["linux"]["cgroupsPath"] = json!(format!("/{}/{}", rig.session.group, rig.name));
            }
            let report = rig.run(&path_only(patch), &["ns"])?;
            same("the namespace inside", &report.ok("ns")?[file], &own())
        });
        inherited.root = true;
        all.push(inherited);
    }
    all
}

/// Mappings are only for a new user namespace.
fn path_only(mut patch: Value) -> Value {
    if let Some(linux) = patch["linux"].as_object_mut() {
        linux.remove("uidMappings");
        linux.remove("gidMappings");
    }
    patch
}

fn names() -> Vec<Case> {
    let uname = |name: &str, clause, patch: Value, field: &'static str, wanted: &'static str| {
        sees(name, clause, patch, &["uname"], move |r| same(field, r.ok("uname")?[field].as_str(), Some(wanted)))
    };
    vec![
        uname("hostname/set", "config.md#hostname", json!({"hostname": "oci-conformance"}), "node", "oci-conformance"),
        uname(
            "hostname/longest",
            "config.md#hostname",
            json!({"hostname": "a123456789b123456789c123456789d123456789e123456789f123456789g123"}),
            "node",
            "a123456789b123456789c123456789d123456789e123456789f123456789g123",
        ),
        refused(
            "hostname/too-long",
            "config.md#valid-values",
            json!({"hostname": "a123456789b123456789c123456789d123456789e123456789f123456789g12345"}),
        ),
        uname("domainname/set", "config.md#domainname", json!({"domainname": "example.test"}), "domain", "example.test"),
        case("hostname/host-unchanged", "config.md#hostname", |rig| {
            let before = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
            rig.run(&json!({"hostname": "other"}), &["pid"])?;
            same("the host's name", std::fs::read_to_string("/proc/sys/kernel/hostname")?, before)
        }),
        case("hostname/without-uts-namespace", "config.md#hostname", |rig| {
            let before = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
            let mut patch = with(rig, "uts", None);
            patch["hostname"] = json!("other");
            let refused = must_refuse(rig, &patch, false);
            same("the host's name", std::fs::read_to_string("/proc/sys/kernel/hostname")?, before)?;
            refused
        }),
        case("hostname/in-joined-namespace", "config.md#hostname", |rig| {
            let pid = rig.keep(&["uts"])?;
            let mut patch = with(rig, "uts", Some(json!({"type": "uts", "path": format!("/proc/{pid}/ns/uts")})));
            patch["hostname"] = json!("joined");
            same("the host name", rig.run(&patch, &["uname"])?.ok("uname")?["node"].as_str(), Some("joined"))
        })
        .root(),
    ]
}

fn users() -> Vec<Case> {
    let userns = |uids: Value, gids: Value| json!({"linux": {"+namespaces": [{"type": "user"}], "uidMappings": uids, "gidMappings": gids}});
    let one = |inside: u32, outside: u32, size: u32| json!([{"containerID": inside, "hostID": outside, "size": size}]);
    let map = |action: &'static str, wanted: &'static [&'static str]| {
        move |r: &crate::report::Report| {
            let words: Vec<&str> = r.text(action)?.split_whitespace().collect();
            same(action, words, wanted)
        }
    };
    let all = vec![
        sees(
            "user-namespace/uidMappings",
            MAPPINGS,
            userns(one(0, 100_000, 65536), one(0, 200_000, 65536)),
            &["read:/proc/self/uid_map"],
            map("read:/proc/self/uid_map", &["0", "100000", "65536"]),
        ),
        sees(
            "user-namespace/gidMappings",
            MAPPINGS,
            userns(one(0, 100_000, 65536), one(0, 200_000, 65536)),
            &["read:/proc/self/gid_map"],
            map("read:/proc/self/gid_map", &["0", "200000", "65536"]),
        ),
        sees(
            "user-namespace/several-ranges",
            MAPPINGS,
            userns(
                json!([{"containerID": 0, "hostID": 5000, "size": 1}, {"containerID": 1, "hostID": 100_000, "size": 1000}]),
                one(0, 100_000, 65536),
            ),
            &["read:/proc/self/uid_map"],
            map("read:/proc/self/uid_map", &["0", "5000", "1", "1", "100000", "1000"]),
        ),
        sees("user-namespace/identity", MAPPINGS, userns(one(0, 0, 1000), one(0, 0, 1000)), &["status"], |r| {
            same("Uid", r.status("Uid")?.split('\t').next(), Some("0"))
        }),
        sees(
            "user-namespace/other-user",
            MAPPINGS,
            {
                let mut patch = userns(one(0, 100_000, 65536), one(0, 100_000, 65536));
                patch["process"] = json!({"user": {"uid": 7, "gid": 8, "additionalGids": [9]}});
                patch
            },
            &["status"],
            |r| same("Uid and Gid", (r.status("Uid")?, r.status("Gid")?), ("7\t7\t7\t7", "8\t8\t8\t8")),
        ),
        case("user-namespace/joined", NAMESPACES, joined_user),
        refused(
            "user-namespace/overlapping-mappings",
            MAPPINGS,
            userns(json!([{"containerID": 0, "hostID": 1000, "size": 10}, {"containerID": 5, "hostID": 5000, "size": 10}]), one(0, 1000, 10)),
        ),
        refused("user-namespace/user-not-mapped", "runtime.md#create", {
            let mut patch = userns(one(10, 100_000, 10), one(10, 100_000, 10));
            patch["process"] = json!({"user": {"uid": 50, "gid": 50}});
            patch
        }),
    ];
    all.into_iter().map(Case::root).collect()
}

/// What a user namespace looks like from the host.
fn users_outside() -> Vec<Case> {
    let userns = || {
        let ids = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        json!({"linux": {"+namespaces": [{"type": "user"}], "uidMappings": ids, "gidMappings": ids}})
    };
    vec![
        case("user-namespace/owner-on-the-host", MAPPINGS, move |rig| {
            use std::os::unix::fs::MetadataExt;
            let mut container = rig.launch(&userns(), &["hold"])?;
            container.ready()?;
            let owner = std::fs::metadata(format!("/proc/{}", container.pid))?;
            same("uid and gid of the process", (owner.uid(), owner.gid()), (100_000, 100_000))
        }),
        case("user-namespace/keeps-ownership-of-files", MAPPINGS, move |rig| {
            use std::os::unix::fs::MetadataExt;
            let bundle = rig.bundle_with(&userns(), &["pid"])?;
            rig.run_bundle(&bundle)?;
            same("the owner of /etc", std::fs::metadata(bundle.inside("/etc"))?.uid(), 0)
        }),
    ]
}

fn joined_user(rig: &Rig) -> Verdict {
    let pid = rig.keep(&["user"])?;
    for file in ["uid_map", "gid_map"] {
        std::fs::write(format!("/proc/{pid}/{file}"), "0 100000 65536")?;
    }
    let path = format!("/proc/{pid}/ns/user");
    let wanted = std::fs::read_link(&path)?.to_string_lossy().into_owned();
    let report = rig.run(&json!({"linux": {"+namespaces": [{"type": "user", "path": path}]}}), &["ns", "status"])?;
    same("the namespace inside", report.ok("ns")?["user"].as_str(), Some(wanted.as_str()))?;
    same("Uid", report.status("Uid")?, "0\t0\t0\t0")
}

fn clocks() -> Vec<Case> {
    let offsets = |offsets: Value| json!({"linux": {"+namespaces": [{"type": "time"}], "timeOffsets": offsets}});
    let all = vec![
        case("time/monotonic", TIME, move |rig| shifted(rig, &offsets(json!({"monotonic": {"secs": 100_000}})), "monotonic", 100_000)),
        case("time/boottime", TIME, move |rig| shifted(rig, &offsets(json!({"boottime": {"secs": 200_000, "nanosecs": 5}})), "boottime", 200_000)),
        case("time/negative", TIME, move |rig| shifted(rig, &offsets(json!({"boottime": {"secs": -1}})), "boottime", -1)),
        case("time/both", TIME, move |rig| {
            let patch = offsets(json!({"monotonic": {"secs": 7000, "nanosecs": 1}, "boottime": {"secs": 9000}}));
            shifted(rig, &patch, "monotonic", 7000)?;
            shifted(rig, &patch, "boottime", 9000)
        }),
        sees("time/nanosecs", TIME, offsets(json!({"monotonic": {"secs": 3, "nanosecs": 123_456_789}})), &["read:/proc/self/timens_offsets"], |r| {
            let text = r.text("read:/proc/self/timens_offsets")?;
            require!(text.split_whitespace().any(|w| w == "123456789"), "timens_offsets: {text:?}");
            Ok(())
        }),
        accepted("time/no-offsets", TIME, offsets(json!({}))),
        refused("time/unknown-clock", TIME, offsets(json!({"lunchtime": {"secs": 1}}))),
        refused("time/nanosecs-out-of-range", "config.md#valid-values", offsets(json!({"monotonic": {"secs": 1, "nanosecs": 1_000_000_000}}))),
        refused("time/before-boot", "config.md#valid-values", offsets(json!({"boottime": {"secs": -1_000_000_000}}))),
        refused("time/offsets-without-namespace", TIME, json!({"linux": {"timeOffsets": {"monotonic": {"secs": 1}}}})),
    ];
    all.into_iter().map(Case::root).collect()
}

/// The clock inside must be the host's plus the offset, give or take what the run itself lasts.
fn shifted(rig: &Rig, patch: &Value, clock: &str, offset: i64) -> Verdict {
    use rustix::time::{ClockId, clock_gettime};
    if !Path::new("/proc/self/ns/time").exists() {
        return skip("a kernel with time namespaces");
    }
    let inside = rig.run(patch, &["clocks"])?.ok("clocks")?[clock].as_i64().unwrap_or(0);
    let id = if clock == "monotonic" { ClockId::Monotonic } else { ClockId::Boottime };
    let ahead = inside - clock_gettime(id).tv_sec;
    if (offset - 20..=offset + 1).contains(&ahead) { Ok(()) } else { fail(format!("the clock is {ahead} s ahead instead of {offset}")) }
}

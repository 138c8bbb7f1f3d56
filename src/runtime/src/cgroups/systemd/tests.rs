//! The driver against a bus of its own: names and properties purely, then a whole life of a unit.

use std::collections::BTreeMap;
use std::process::Command;

use super::fake::Fake;
use super::unit::{self, DeviceNames, Unit};
use super::wire::Value;
use crate::cgroups::{Cgroup, DeviceClass, Layout, Manager, Request};
use crate::config::resources::Resources;

fn request<'a>(
    path: Option<&'a str>,
    resources: &'a Resources,
    properties: &'a BTreeMap<String, String>,
) -> Request<'a> {
    Request {
        id: "box",
        path,
        manager: Manager::Systemd,
        rootless: false,
        owner: None,
        resources,
        properties,
    }
}

fn named(path: Option<&str>) -> Result<(String, String, String), String> {
    let (resources, properties) = (Resources::default(), BTreeMap::new());
    let unit = Unit::of(&request(path, &resources, &properties)).map_err(|e| e.to_string())?;
    let place = unit.place().map_err(|e| e.to_string())?;
    Ok((unit.name, unit.slice, place.display().to_string()))
}

#[test]
fn paths_name_units() {
    let is = |path, name: &str, slice: &str, place: &str| {
        assert_eq!(
            named(path),
            Ok((name.to_owned(), slice.to_owned(), place.to_owned())),
            "{path:?}"
        );
    };
    is(
        None,
        "keel-box.scope",
        "system.slice",
        "system.slice/keel-box.scope",
    );
    is(
        Some("machine.slice:libpod:1"),
        "libpod-1.scope",
        "machine.slice",
        "machine.slice/libpod-1.scope",
    );
    is(
        Some(":x:y"),
        "x-y.scope",
        "system.slice",
        "system.slice/x-y.scope",
    );
    is(
        Some("a-b.slice:p:n"),
        "p-n.scope",
        "a-b.slice",
        "a.slice/a-b.slice/p-n.scope",
    );
    is(Some("-.slice:p:n"), "p-n.scope", "-.slice", "p-n.scope");
    is(Some("a.slice::n"), "n.scope", "a.slice", "a.slice/n.scope");
    is(
        Some("a.slice:p:a-n.slice"),
        "a-n.slice",
        "a.slice",
        "a.slice/a-n.slice",
    );
    for path in [
        "/x",
        "a:b",
        "a:b:c:d",
        "a.slice:b:",
        "x:b:c",
        "a--b.slice:p:n",
        "../a.slice:p:n",
        ".slice:p:n",
        "a.slice:p:../n",
    ] {
        assert!(named(Some(path)).is_err(), "{path}");
    }
}

struct Names;

impl DeviceNames for Names {
    fn driver(&self, _: DeviceClass, major: u32) -> Option<String> {
        (major == 136).then(|| "pts".to_owned())
    }
}

fn limits(text: &str, v2: bool) -> Vec<(String, Value)> {
    let spec = serde_json::from_str(text).unwrap();
    unit::limits(&Resources::for_update(&spec).unwrap(), v2, &Names).unwrap()
}

#[test]
fn limits_in_systemds_words() {
    let number = |name: &str, n| (name.to_owned(), Value::U64(n));
    let text = r#"{"memory":{"limit":100,"swap":300,"reservation":-1},"cpu":{"shares":1024,"quota":5000,"period":10000,"cpus":"0,9"},"pids":{"limit":0},"blockIO":{"weight":10}}"#;
    let mask = Value::Array("y".to_owned(), vec![Value::Byte(1), Value::Byte(2)]);
    let want = [
        number("MemoryMax", 100),
        number("MemoryLow", u64::MAX),
        number("MemorySwapMax", 200),
        number("CPUWeight", 100),
        number("CPUQuotaPeriodUSec", 10_000),
        number("CPUQuotaPerSecUSec", 500_000),
        ("AllowedCPUs".to_owned(), mask),
        number("TasksMax", 1),
        number("IOWeight", 1),
    ];
    assert_eq!(limits(text, true), want);
    assert_eq!(
        limits(r#"{"cpu":{"quota":-1}}"#, true),
        [number("CPUQuotaPerSecUSec", u64::MAX)]
    );
    assert_eq!(
        limits(r#"{"cpu":{"quota":1234}}"#, false),
        [number("CPUQuotaPerSecUSec", 20_000)]
    );
    let oom = limits(
        r#"{"unified":{"memory.oom.group":"1","memory.high":"5","hugetlb.2MB.max":"0"}}"#,
        true,
    );
    assert_eq!(
        oom,
        [
            number("MemoryHigh", 5),
            ("OOMPolicy".to_owned(), Value::text("kill"))
        ]
    );
}

#[test]
fn devices_in_systemds_words() {
    let all = unit::limits(&Resources::for_create(None).unwrap(), true, &Names).unwrap();
    assert_eq!(all[0], ("DevicePolicy".to_owned(), Value::text("strict")));
    let Value::Array(_, entries) = &all[2].1 else {
        panic!()
    };
    let has = |place: &str, access: &str| {
        entries.contains(&Value::Tuple(vec![Value::text(place), Value::text(access)]))
    };
    assert!(has("char-*", "m") && has("/dev/char/1:3", "rwm") && has("char-pts", "rwm"));
}

#[test]
fn annotations_are_properties() {
    let read = |key: &str, text: &str| {
        let given = [(format!("org.systemd.property.{key}"), text.to_owned())].into();
        unit::annotated(&given).map_err(|e| e.to_string())
    };
    let is = |key: &str, text: &str, name: &str, value: Value| {
        assert_eq!(
            read(key, text),
            Ok(vec![(name.to_owned(), value)]),
            "{key} {text}"
        );
    };
    is(
        "TimeoutStopUSec",
        "uint64 5",
        "TimeoutStopUSec",
        Value::U64(5),
    );
    is(
        "TimeoutStopSec",
        "7",
        "TimeoutStopUSec",
        Value::U64(7_000_000),
    );
    is(
        "TimeoutStopSec",
        "0.5",
        "TimeoutStopUSec",
        Value::U64(500_000),
    );
    is(
        "CollectMode",
        "'inactive-or-failed'",
        "CollectMode",
        Value::text("inactive-or-failed"),
    );
    for (key, text) in [
        ("ab", "1"),
        ("Un7t", "1"),
        ("Unit", "x y"),
        ("StopSec", "'a'"),
        ("StopSec", "-1"),
    ] {
        assert!(read(key, text).is_err(), "{key} {text}");
    }
}

/// The life of a unit in a process of its own, which gets the bus by its environment as keel does.
#[test]
fn a_unit_from_start_to_stop() {
    let Some(fake) = Fake::start("systemd") else {
        println!("skipped: dbus-daemon is not installed");
        return;
    };
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root may make cgroups here");
        return;
    }
    let mut inner = Command::new(std::env::current_exe().unwrap());
    inner.args([
        "--exact",
        "--ignored",
        "--nocapture",
        "cgroups::systemd::tests::on_the_private_bus",
    ]);
    let output = inner
        .env("DBUS_SYSTEM_BUS_ADDRESS", fake.address())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let asked = fake.asked.lock().unwrap().clone();
    let unit = |n: &str| format!("keeltest-{n}.scope");
    let counted = Layout::probe().unwrap().hierarchy("pids").is_some();
    let tasks = if counted { "TasksMax " } else { "" };
    let start = format!("Slice Delegate PIDs {tasks}DevicePolicy DeviceAllow TimeoutStopUSec");
    let mut want = vec![
        format!("StartTransientUnit {} {start}", unit("again")),
        format!("ResetFailedUnit {}", unit("again")),
        format!("StartTransientUnit {} {start}", unit("again")),
        format!("SetUnitProperties {}", unit("again")),
        format!("StopUnit {}", unit("again")),
        format!("ResetFailedUnit {}", unit("again")),
        format!("StartTransientUnit {} {start}", unit("broken")),
        format!("ResetFailedUnit {}", unit("broken")),
    ];
    want.retain(|line| counted || !line.starts_with("SetUnitProperties"));
    assert_eq!(asked, want);
}

#[test]
#[ignore = "run by a_unit_from_start_to_stop with a bus of its own"]
fn on_the_private_bus() {
    let mut resources = Resources::for_create(None).unwrap();
    resources.pids = Some(44);
    let properties = [(
        "org.systemd.property.TimeoutStopSec".to_owned(),
        "9".to_owned(),
    )]
    .into();
    let layout = Layout::probe().unwrap();
    let counted = layout.hierarchy("pids").is_some();
    if !counted {
        // A file that v2 has without any controller.
        resources.pids = None;
        resources
            .unified
            .insert("cgroup.max.descendants".to_owned(), "7".to_owned());
    }
    let slice = format!("keeltest{}.slice", std::process::id());
    let path = |name: &str| format!("{slice}:keeltest:{name}");
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let again = path("again");
    let cgroup = Cgroup::create(&request(Some(&again), &resources, &properties), &layout).unwrap();
    assert!(cgroup.clone_target().is_none() && !cgroup.exists());
    cgroup.attach(child.id() as i32).unwrap();
    assert_eq!(cgroup.pids().unwrap(), [child.id() as i32]);
    let record = serde_json::to_string(cgroup.record()).unwrap();
    let found = Cgroup::from_record(&serde_json::from_str(&record).unwrap());
    if counted {
        let spec = serde_json::from_str(r#"{"pids":{"limit":55}}"#).unwrap();
        found.set(&Resources::for_update(&spec).unwrap()).unwrap();
        let max = found.dir("pids").unwrap().join("pids.max");
        assert_eq!(std::fs::read_to_string(max).unwrap(), "55\n");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    found.remove().unwrap();
    assert!(!found.exists());
    let broken = path("broken");
    let cgroup = Cgroup::create(&request(Some(&broken), &resources, &properties), &layout).unwrap();
    let error = cgroup
        .attach(std::process::id() as i32)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("unable to start unit \"keeltest-broken.scope\""),
        "{error}"
    );
    for hierarchy in &layout.hierarchies {
        super::dir::remove(&hierarchy.mountpoint.join(&slice)).unwrap();
    }
}

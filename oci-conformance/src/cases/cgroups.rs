//! config-linux.md#control-groups: the path, and every resource as the container sees it in its own cgroup files.
//! A table row names the controller, the resource and the file that must hold the value on version 1 and on version 2.

use crate::case::{Case, case, must_refuse};
use crate::host::Layout;
use crate::rig::Rig;
use crate::verdict::{Verdict, fail, same, skip};
use serde_json::{Value, json};

const PATH: &str = "config-linux.md#cgroups-path";
const GROUPS: &str = "config-linux.md#control-groups";

/// The chapter's cases.
pub fn cases() -> Vec<Case> {
    let mut all = vec![
        case("cgroups/path/absolute", PATH, |rig| {
            let path = format!("/{}/{}-x/y", rig.session.group, rig.name);
            let seen = inside(rig, &json!({"linux": {"cgroupsPath": path}}))?;
            require!(seen.lines().any(|l| l.ends_with(&path)), "the container is in {seen:?}");
            Ok(())
        }),
        case("cgroups/path/same-place-again", PATH, |rig| {
            let patch = json!({"linux": {"cgroupsPath": format!("/{}/{}-again", rig.session.group, rig.name)}});
            same("the second time", inside(rig, &patch)?, inside(rig, &patch)?)
        }),
        case("cgroups/path/escape-refused-or-contained", PATH, |rig| {
            let escape = format!("/{}/../../../../{}-escape", rig.session.group, rig.session.group);
            let bundle = rig.bundle_with(&json!({"linux": {"cgroupsPath": escape}}), &["read:/proc/self/cgroup"])?;
            let Ok(mut container) = rig.create_as(&rig.id(), &bundle, &[])? else { return Ok(()) };
            container.start(rig)?;
            let report = container.finish()?;
            require!(!report.text("read:/proc/self/cgroup")?.contains(".."), "the container is outside the hierarchy");
            rig.delete(&container.id)
        }),
        case("cgroups/path/made", PATH, |rig| in_use(rig, 1)),
        case("cgroups/path/non-empty-refused", GROUPS, nested),
    ];
    all.extend(memory());
    all.extend(cpu());
    all.extend(others());
    all.extend(effects());
    all.extend(refusals());
    all.into_iter().map(Case::root).collect()
}

fn inside(rig: &Rig, patch: &Value) -> Verdict<String> {
    Ok(rig.run(patch, &["read:/proc/self/cgroup"])?.text("read:/proc/self/cgroup")?.to_owned())
}

/// While the container runs its cgroup holds exactly its processes.
fn in_use(rig: &Rig, processes: usize) -> Verdict {
    let mut container = rig.launch(&json!({}), &["hold"])?;
    container.ready()?;
    let group = format!("{}/{}", rig.session.group, rig.name);
    for root in &rig.session.host.hierarchies {
        let file = root.join(&group).join("cgroup.procs");
        if let Ok(text) = std::fs::read_to_string(&file) {
            return same("processes in the cgroup", text.lines().count(), processes);
        }
    }
    fail(format!("no hierarchy has {group}"))
}

/// A runtime may check that the cgroup is fit; when it does, a group in use must be refused. One that does not check
/// must still run both containers.
fn nested(rig: &Rig) -> Verdict {
    let mut first = rig.launch(&json!({}), &["hold"])?;
    first.ready()?;
    let bundle = rig.bundle_with(&json!({}), &["pid"])?;
    if let Ok(mut second) = rig.create_as(&rig.id(), &bundle, &[])? {
        second.start(rig)?;
        second.finish()?.ok("pid")?;
        rig.delete(&second.id)?;
    }
    same("the first container's status", first.state(rig)?["status"].as_str(), Some("running"))
}

/// Where a value must show: version 1 controller and file, version 2 controller and file, each with the text it holds.
pub struct Shown {
    v1: Option<(&'static str, &'static str, &'static str)>,
    v2: Option<(&'static str, &'static str, &'static str)>,
}

/// The base with these resources, its own cgroup tree mounted at /sys/fs/cgroup.
pub fn with(resources: &Value) -> Value {
    json!({
        "+mounts": [
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro", "nosuid", "noexec", "nodev"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro", "nosuid", "noexec", "nodev"]},
        ],
        "linux": {"+namespaces": [{"type": "cgroup"}, {"type": "network"}], "resources": resources},
    })
}

/// Skips unless the layout here has the controller and the controller the file.
fn place(rig: &Rig, shown: &Shown) -> Verdict<(String, &'static str)> {
    let (controller, file, wanted, below) = match (&rig.session.host.cgroups, shown.v1, shown.v2) {
        (Layout::V1(all), Some((controller, file, wanted)), _) => match all.get(controller) {
            Some(root) => (controller, file, wanted, Some((root.clone(), format!("/sys/fs/cgroup/{}/", name_of(root))))),
            None => (controller, file, wanted, None),
        },
        (Layout::V2(root, _), _, Some((controller, file, wanted))) if rig.session.host.controls(controller) => {
            (controller, file, wanted, Some((root.clone(), "/sys/fs/cgroup/".to_owned())))
        }
        (Layout::V2(..), _, Some((controller, file, wanted))) => (controller, file, wanted, None),
        (Layout::V1(_), None, _) => return skip("cgroup v2"),
        (Layout::V2(..), _, None) => return skip("cgroup v1"),
        (Layout::Absent, ..) => return skip("cgroups"),
    };
    let Some((root, inside)) = below else { return skip(format!("the cgroup controller {controller}")) };
    // The root group lacks many files its children have, so a child is made to look.
    let child = root.join(&rig.session.group).join(format!("{}-look", rig.name));
    let seen = std::fs::create_dir_all(&child).is_ok_and(|()| {
        enable(&root, &rig.session.group, controller);
        child.join(file).exists()
    });
    drop(std::fs::remove_dir(&child));
    if seen { Ok((format!("read:{inside}{file}"), wanted)) } else { skip(format!("a kernel whose cgroups have {file}")) }
}

/// On version 2 a controller's files appear below groups that have it enabled.
fn enable(root: &std::path::Path, group: &str, controller: &str) {
    for dir in [root.to_owned(), root.join(group)] {
        // Version 1 has no such file; a controller that cannot be enabled shows as the missing file.
        drop(std::fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}")));
    }
}

fn name_of(root: &std::path::Path) -> String {
    root.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The resource must show in its file. White space and what follows the wanted text after a blank do not count.
fn shows(name: &str, clause: &'static str, resources: Value, shown: Shown) -> Case {
    case(format!("cgroups/{name}"), clause, move |rig| {
        let (action, wanted) = place(rig, &shown)?;
        let report = rig.run(&with(&resources), &[&action])?;
        let text = report.text(&action)?;
        let found = text == wanted || text.lines().any(|line| line.trim() == wanted);
        require!(found, "{} holds {text:?} instead of {wanted:?}", action.trim_start_matches("read:"));
        Ok(())
    })
}

type Place = Option<(&'static str, &'static str, &'static str)>;

fn memory() -> Vec<Case> {
    const CLAUSE: &str = "config-linux.md#memory";
    let row = |name: &str, memory: Value, v1: Place, v2: Place| shows(&format!("memory/{name}"), CLAUSE, json!({"memory": memory}), Shown { v1, v2 });
    let v1 = |file, wanted| Some(("memory", file, wanted));
    vec![
        row("limit", json!({"limit": 104_857_600}), v1("memory.limit_in_bytes", "104857600"), v1("memory.max", "104857600")),
        row("limit-unlimited", json!({"limit": -1}), v1("memory.limit_in_bytes", "9223372036854771712"), v1("memory.max", "max")),
        row("reservation", json!({"reservation": 52_428_800}), v1("memory.soft_limit_in_bytes", "52428800"), v1("memory.low", "52428800")),
        row(
            "swap",
            json!({"limit": 104_857_600, "swap": 209_715_200}),
            v1("memory.memsw.limit_in_bytes", "209715200"),
            v1("memory.swap.max", "104857600"),
        ),
        row(
            "swap-equal-to-limit",
            json!({"limit": 104_857_600, "swap": 104_857_600}),
            v1("memory.memsw.limit_in_bytes", "104857600"),
            v1("memory.swap.max", "0"),
        ),
        row(
            "swap-unlimited",
            json!({"limit": 104_857_600, "swap": -1}),
            v1("memory.memsw.limit_in_bytes", "9223372036854771712"),
            v1("memory.swap.max", "max"),
        ),
        row(
            "limit-beside-swap",
            json!({"limit": 104_857_600, "swap": 209_715_200}),
            v1("memory.limit_in_bytes", "104857600"),
            v1("memory.max", "104857600"),
        ),
        row("swappiness", json!({"swappiness": 10}), v1("memory.swappiness", "10"), None),
        row("swappiness-zero", json!({"swappiness": 0}), v1("memory.swappiness", "0"), None),
        row("disableOOMKiller", json!({"disableOOMKiller": true}), v1("memory.oom_control", "oom_kill_disable 1"), None),
        row("disableOOMKiller-false", json!({"disableOOMKiller": false}), v1("memory.oom_control", "oom_kill_disable 0"), None),
        row("useHierarchy", json!({"useHierarchy": true}), v1("memory.use_hierarchy", "1"), None),
        row(
            "checkBeforeUpdate",
            json!({"limit": 104_857_600, "checkBeforeUpdate": true}),
            v1("memory.limit_in_bytes", "104857600"),
            v1("memory.max", "104857600"),
        ),
    ]
}

fn cpu() -> Vec<Case> {
    const CLAUSE: &str = "config-linux.md#cpu";
    let row = |name: &str, cpu: Value, v1: Place, v2: Place| shows(&format!("cpu/{name}"), CLAUSE, json!({"cpu": cpu}), Shown { v1, v2 });
    let of = |file, wanted| Some(("cpu", file, wanted));
    let set = |file, wanted| Some(("cpuset", file, wanted));
    vec![
        row("shares", json!({"shares": 2048}), of("cpu.shares", "2048"), None),
        row("shares-least", json!({"shares": 2}), of("cpu.shares", "2"), of("cpu.weight", "1")),
        row("shares-most", json!({"shares": 262_144}), of("cpu.shares", "262144"), of("cpu.weight", "10000")),
        row("quota", json!({"quota": 50_000, "period": 100_000}), of("cpu.cfs_quota_us", "50000"), of("cpu.max", "50000 100000")),
        row("period", json!({"quota": 50_000, "period": 200_000}), of("cpu.cfs_period_us", "200000"), of("cpu.max", "50000 200000")),
        row("quota-alone", json!({"quota": 30_000}), of("cpu.cfs_quota_us", "30000"), of("cpu.max", "30000 100000")),
        row("period-alone", json!({"period": 50_000}), of("cpu.cfs_period_us", "50000"), of("cpu.max", "max 50000")),
        row("quota-unlimited", json!({"quota": -1}), of("cpu.cfs_quota_us", "-1"), of("cpu.max", "max 100000")),
        row("burst", json!({"quota": 50_000, "period": 100_000, "burst": 20_000}), of("cpu.cfs_burst_us", "20000"), of("cpu.max.burst", "20000")),
        row("idle", json!({"idle": 1}), of("cpu.idle", "1"), of("cpu.idle", "1")),
        row("idle-off", json!({"idle": 0}), of("cpu.idle", "0"), of("cpu.idle", "0")),
        row("realtimePeriod", json!({"realtimePeriod": 500_000}), of("cpu.rt_period_us", "500000"), None),
        row("cpus", json!({"cpus": "0"}), set("cpuset.cpus", "0"), set("cpuset.cpus", "0")),
        row("mems", json!({"mems": "0"}), set("cpuset.mems", "0"), set("cpuset.mems", "0")),
        case("cgroups/cpu/cpus-are-used", CLAUSE, |rig| {
            if !rig.session.host.controls("cpuset") {
                return skip("the cgroup controller cpuset");
            }
            same("the processors", rig.run(&with(&json!({"cpu": {"cpus": "0"}})), &["affinity"])?.ok("affinity")?, &json!([0]))
        }),
        case("cgroups/cpu/shares-scale", CLAUSE, |rig| {
            // More shares must give more weight, whatever the conversion.
            let weight = |shares: u32| -> Verdict<u32> {
                let shown = Shown { v1: None, v2: Some(("cpu", "cpu.weight", "")) };
                let (action, _) = place(rig, &shown)?;
                Ok(rig.run(&with(&json!({"cpu": {"shares": shares}})), &[&action])?.text(&action)?.parse()?)
            };
            let (less, more) = (weight(512)?, weight(4096)?);
            require!(less < more && less >= 1 && more <= 10000, "weights {less} and {more}");
            Ok(())
        }),
    ]
}

fn others() -> Vec<Case> {
    let block = |name: &str, io: Value, v1: Place, v2: Place| {
        shows(&format!("blockIO/{name}"), "config-linux.md#block-io", json!({"blockIO": io}), Shown { v1, v2 })
    };
    let pids = |name: &str, limit: i64, wanted| {
        let at = Some(("pids", "pids.max", wanted));
        shows(&format!("pids/{name}"), "config-linux.md#pids", json!({"pids": {"limit": limit}}), Shown { v1: at, v2: at })
    };
    let huge = |name: &str, v1: Place, v2: Place| {
        shows(
            &format!("hugepageLimits/{name}"),
            "config-linux.md#huge-page-limits",
            json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4_194_304}]}),
            Shown { v1, v2 },
        )
    };
    let at = |file, wanted| Some(("blkio", file, wanted));
    let io = |file, wanted| Some(("io", file, wanted));
    let rate = |what: &str, rate: u64| json!({what: [{"major": disk().0, "minor": disk().1, "rate": rate}]});
    vec![
        block("weight-v1", json!({"weight": 500}), at("blkio.weight", "500"), None),
        block("weight-bfq-v1", json!({"weight": 500}), at("blkio.bfq.weight", "500"), None),
        case("cgroups/blockIO/weight", "config-linux.md#block-io", weight),
        block("leafWeight", json!({"leafWeight": 300}), at("blkio.leaf_weight", "300"), None),
        block(
            "throttleReadBpsDevice",
            rate("throttleReadBpsDevice", 1_048_576),
            at("blkio.throttle.read_bps_device", leak(" 1048576")),
            io("io.max", leak(" rbps=1048576 wbps=max riops=max wiops=max")),
        ),
        block(
            "throttleWriteBpsDevice",
            rate("throttleWriteBpsDevice", 2_097_152),
            at("blkio.throttle.write_bps_device", leak(" 2097152")),
            io("io.max", leak(" rbps=max wbps=2097152 riops=max wiops=max")),
        ),
        block(
            "throttleReadIOPSDevice",
            rate("throttleReadIOPSDevice", 300),
            at("blkio.throttle.read_iops_device", leak(" 300")),
            io("io.max", leak(" rbps=max wbps=max riops=300 wiops=max")),
        ),
        block(
            "throttleWriteIOPSDevice",
            rate("throttleWriteIOPSDevice", 400),
            at("blkio.throttle.write_iops_device", leak(" 400")),
            io("io.max", leak(" rbps=max wbps=max riops=max wiops=400")),
        ),
        pids("limit", 42, "42"),
        pids("unlimited", -1, "max"),
        huge("usage", Some(("hugetlb", "hugetlb.2MB.limit_in_bytes", "4194304")), Some(("hugetlb", "hugetlb.2MB.max", "4194304"))),
        huge("reservation", Some(("hugetlb", "hugetlb.2MB.rsvd.limit_in_bytes", "4194304")), Some(("hugetlb", "hugetlb.2MB.rsvd.max", "4194304"))),
    ]
}

/// On version 2 the weight is BFQ's as it is, or the kernel's own from 1 to 10000 in proportion.
fn weight(rig: &Rig) -> Verdict {
    let at = |file, wanted| place(rig, &Shown { v1: None, v2: Some(("io", file, wanted)) });
    let found: Vec<(String, &str)> = [at("io.bfq.weight", "500"), at("io.weight", "4950")].into_iter().flatten().collect();
    if found.is_empty() {
        return at("io.weight", "").map(drop);
    }
    let actions: Vec<&str> = found.iter().map(|(action, _)| action.as_str()).collect();
    let report = rig.run(&with(&json!({"blockIO": {"weight": 500}})), &actions)?;
    let texts: Vec<&str> = actions.iter().map(|a| report.text(a)).collect::<Verdict<_>>()?;
    let set = texts.iter().zip(&found).any(|(text, (_, wanted))| text.lines().any(|l| l.trim_start_matches("default ") == *wanted));
    require!(set, "{} hold {texts:?}", actions.join(" and "));
    Ok(())
}

/// What a limit does, and the resources of the network controllers.
fn effects() -> Vec<Case> {
    vec![
        shows(
            "network/classID",
            "config-linux.md#network",
            json!({"network": {"classID": 1_048_577}}),
            Shown { v1: Some(("net_cls", "net_cls.classid", "1048577")), v2: None },
        ),
        shows(
            "network/priorities",
            "config-linux.md#network",
            json!({"network": {"priorities": [{"name": "lo", "priority": 3}]}}),
            Shown { v1: Some(("net_prio", "net_prio.ifpriomap", "lo 3")), v2: None },
        ),
        // By its effect: a cgroup of no task takes not even the first process, so a runtime may write 1, as runc does.
        case("cgroups/pids/zero-is-a-limit", "config-linux.md#pids", |rig| {
            let shown = Shown { v1: Some(("pids", "pids.max", "")), v2: Some(("pids", "pids.max", "")) };
            place(rig, &shown)?;
            let report = rig.run(&with(&json!({"pids": {"limit": 0}})), &["exec:/probe"])?;
            same("errno of a second process", report.errno("exec:/probe")?, 11)
        }),
        case("cgroups/pids/enforced", "config-linux.md#pids", |rig| {
            let shown = Shown { v1: Some(("pids", "pids.max", "")), v2: Some(("pids", "pids.max", "")) };
            place(rig, &shown)?;
            let report = rig.run(&with(&json!({"pids": {"limit": 1}})), &["exec:/probe"])?;
            same("errno of a second process", report.errno("exec:/probe")?, 11)
        }),
    ]
}

/// The numbers of a whole disk of this machine, for throttling; 0:0 where none is found.
fn disk() -> (u64, u64) {
    let names = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let mut numbers: Vec<String> =
        names.filter(|d| d.path().join("device").exists()).filter_map(|d| std::fs::read_to_string(d.path().join("dev")).ok()).collect();
    numbers.sort();
    let first = numbers.first().and_then(|n| n.trim().split_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())));
    first.map_or((0, 0), |(a, b)| (a.parse().unwrap_or(0), b.parse().unwrap_or(0)))
}

/// The disk's numbers before the text, for the tables; leaked once per row and process.
fn leak(rest: &str) -> &'static str {
    let (major, minor) = disk();
    Box::leak(format!("{major}:{minor}{rest}").into_boxed_str())
}

/// Values no kernel takes, and resources this layout has no file for.
fn refusals() -> Vec<Case> {
    let bad = |name: &str, clause: &'static str, controller: &'static str, resources: Value| {
        case(format!("cgroups/{name}"), clause, move |rig| {
            if !rig.session.host.controls(controller) {
                return skip(format!("the cgroup controller {controller}"));
            }
            must_refuse(rig, &with(&resources), false)
        })
    };
    let invalid = "config.md#valid-values";
    vec![
        bad("cpu/cpus-malformed", invalid, "cpuset", json!({"cpu": {"cpus": "0-x"}})),
        bad("cpu/cpus-not-there", invalid, "cpuset", json!({"cpu": {"cpus": "4000"}})),
        bad("cpu/mems-not-there", invalid, "cpuset", json!({"cpu": {"mems": "900"}})),
        bad("cpu/period-out-of-range", invalid, "cpu", json!({"cpu": {"period": 1, "quota": 1}})),
        bad("memory/swap-below-limit", invalid, "memory", json!({"memory": {"limit": 104_857_600, "swap": 1_048_576}})),
        bad("memory/swappiness-out-of-range", invalid, "memory", json!({"memory": {"swappiness": 500}})),
        bad(
            "hugepageLimits/unknown-size",
            "config-linux.md#huge-page-limits",
            "hugetlb",
            json!({"hugepageLimits": [{"pageSize": "3MB", "limit": 0}]}),
        ),
        bad(
            "hugepageLimits/malformed-size",
            "config-linux.md#huge-page-limits",
            "hugetlb",
            json!({"hugepageLimits": [{"pageSize": "2 lunches", "limit": 0}]}),
        ),
        case("cgroups/blockIO/weight-out-of-range", invalid, |rig| {
            place(rig, &Shown { v1: Some(("blkio", "blkio.weight", "")), v2: Some(("io", "io.weight", "")) })?;
            must_refuse(rig, &with(&json!({"blockIO": {"weight": 5}})), false)
        }),
        case("cgroups/rdma/unknown-device", "config-linux.md#rdma", |rig| {
            if !rig.session.host.controls("rdma") {
                return skip("the cgroup controller rdma");
            }
            must_refuse(rig, &with(&json!({"rdma": {"nosuch0": {"hcaHandles": 3}}})), false)
        }),
    ]
}

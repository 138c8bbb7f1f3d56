//! config.md#posix-process and config.md#linux-process: resource limits, capabilities, scheduling and I/O priority.

use crate::case::{Case, accepted, case, refused_by_start, sees};
use crate::rig::Rig;
use crate::verdict::{Verdict, same, skip};
use nix::sys::resource::{Resource, getrlimit};
use serde_json::{Value, json};

const POSIX: &str = "config.md#posix-process";
const LINUX: &str = "config.md#linux-process";

/// The capabilities of capabilities(7) by number.
pub const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// The chapter's cases.
pub fn cases() -> Vec<Case> {
    let mut all = rlimits();
    all.extend(capabilities());
    all.extend(schedulers());
    all.extend(priorities());
    all
}

fn of(process: &Value) -> Value {
    json!({"process": process})
}

/// Each limit with soft and hard values that need no privilege: they are cut to the suite's own hard limit.
fn rlimits() -> Vec<Case> {
    let table = [
        ("RLIMIT_AS", Resource::RLIMIT_AS, 1 << 40, 1 << 41),
        ("RLIMIT_CORE", Resource::RLIMIT_CORE, 0, 1024),
        ("RLIMIT_CPU", Resource::RLIMIT_CPU, 100, 200),
        ("RLIMIT_DATA", Resource::RLIMIT_DATA, 1 << 36, 1 << 37),
        ("RLIMIT_FSIZE", Resource::RLIMIT_FSIZE, 1 << 30, 1 << 31),
        ("RLIMIT_LOCKS", Resource::RLIMIT_LOCKS, 100, 200),
        ("RLIMIT_MEMLOCK", Resource::RLIMIT_MEMLOCK, 4096, 65536),
        ("RLIMIT_MSGQUEUE", Resource::RLIMIT_MSGQUEUE, 1000, 2000),
        ("RLIMIT_NICE", Resource::RLIMIT_NICE, 1, 2),
        ("RLIMIT_NOFILE", Resource::RLIMIT_NOFILE, 512, 1024),
        ("RLIMIT_NPROC", Resource::RLIMIT_NPROC, 5000, 6000),
        ("RLIMIT_RSS", Resource::RLIMIT_RSS, 1 << 30, 1 << 31),
        ("RLIMIT_RTPRIO", Resource::RLIMIT_RTPRIO, 1, 2),
        ("RLIMIT_RTTIME", Resource::RLIMIT_RTTIME, 1_000_000, 2_000_000),
        ("RLIMIT_SIGPENDING", Resource::RLIMIT_SIGPENDING, 100, 200),
        ("RLIMIT_STACK", Resource::RLIMIT_STACK, 1 << 23, 1 << 24),
    ];
    let mut all = Vec::new();
    for (name, resource, soft, hard) in table {
        all.push(case(format!("process/rlimits/{name}"), POSIX, move |rig| {
            let (_, most) = getrlimit(resource)?;
            let (soft, hard): (u64, u64) = (most.min(soft), most.min(hard));
            let patch = of(&json!({"rlimits": [{"type": name, "soft": soft, "hard": hard}]}));
            same(name, &rig.run(&patch, &["limits"])?.ok("limits")?[name], &json!([soft, hard]))
        }));
    }
    let nofile = |soft: u64, hard: u64| json!({"type": "RLIMIT_NOFILE", "soft": soft, "hard": hard});
    all.push(case("process/rlimits/unset-are-inherited", POSIX, |rig| {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NPROC)?;
        let patch = of(&json!({"rlimits": [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]}));
        same("RLIMIT_NPROC", &rig.run(&patch, &["limits"])?.ok("limits")?["RLIMIT_NPROC"], &json!([soft, hard]))
    }));
    all.push(refused_by_start("process/rlimits/duplicate", POSIX, of(&json!({"rlimits": [nofile(512, 1024), nofile(256, 512)]}))));
    all.push(refused_by_start("process/rlimits/unknown", POSIX, of(&json!({"rlimits": [{"type": "RLIMIT_LUNCH", "soft": 1, "hard": 1}]}))));
    all.push(refused_by_start("process/rlimits/no-prefix", POSIX, of(&json!({"rlimits": [{"type": "NOSUCH", "soft": 1, "hard": 1}]}))));
    all.push(refused_by_start("process/rlimits/soft-above-hard", POSIX, of(&json!({"rlimits": [nofile(1024, 512)]}))));
    all
}

fn mask(names: &[&str]) -> String {
    let bits = NAMES.iter().enumerate().filter(|(_, n)| names.contains(n)).fold(0_u64, |all, (bit, _)| all | 1 << bit);
    format!("{bits:016x}")
}

fn capabilities() -> Vec<Case> {
    let some = ["CAP_CHOWN", "CAP_KILL"];
    let more = ["CAP_CHOWN", "CAP_KILL", "CAP_SETUID"];
    let set = |patch: Value| of(&json!({"capabilities": patch}));
    let shows = |name: &str, patch: Value, field: &'static str, wanted: String| {
        let patch = json!({"process": {"capabilities": patch}});
        sees(format!("process/capabilities/{name}"), LINUX, patch, &["status"], move |r| same(field, r.status(field)?, wanted.as_str()))
    };
    let full = |sets: &[&str]| -> Value {
        // A program that root executes gets all of the bounding set (capabilities(7)), so that is what is asked for.
        let mut value = json!({"bounding": some, "effective": some, "permitted": some, "inheritable": [], "ambient": []});
        for name in sets {
            value[*name] = json!(some);
        }
        value
    };
    vec![
        shows("bounding", full(&[]), "CapBnd", mask(&some)),
        shows("bounding-above-the-rest", json!({"bounding": more, "permitted": some, "effective": some}), "CapBnd", mask(&more)),
        shows("effective", full(&[]), "CapEff", mask(&some)),
        shows("permitted", full(&[]), "CapPrm", mask(&some)),
        shows("inheritable", full(&["inheritable"]), "CapInh", mask(&some)),
        shows("inheritable-empty", full(&[]), "CapInh", mask(&[])),
        shows("ambient", full(&["inheritable", "ambient"]), "CapAmb", mask(&some)),
        shows("ambient-empty", full(&["inheritable"]), "CapAmb", mask(&[])),
        shows("empty-bounding", json!({"bounding": [], "effective": [], "permitted": []}), "CapBnd", mask(&[])),
        shows("empty-object", json!({"bounding": null, "effective": null, "permitted": null}), "CapEff", mask(&[])),
        sees(
            "process/capabilities/kept-for-other-user",
            LINUX,
            json!({"process": {"user": {"uid": 1000, "gid": 1000},
            "capabilities": {"bounding": some, "effective": some, "permitted": some, "inheritable": some, "ambient": some}}}),
            &["status"],
            move |r| same("CapEff", r.status("CapEff")?, mask(&some).as_str()),
        )
        .root(),
        sees(
            "process/capabilities/root-without-ambient",
            LINUX,
            set(json!({"bounding": some, "effective": some, "permitted": some})),
            &["chmod:/etc=700"],
            |r| r.ok("chmod:/etc=700").map(drop),
        ),
        accepted(
            "process/capabilities/unknown-is-a-warning",
            LINUX,
            set(json!({"+bounding": ["CAP_LUNCH"], "+effective": ["CAP_LUNCH"], "+permitted": ["CAP_LUNCH"]})),
        ),
        case("process/capabilities/every-name", "features-linux.md#capabilities", every_capability),
        case("process/capabilities/not-to-be-had-is-a-warning", LINUX, |rig| {
            if rig.session.host.capabilities & (1 << 24) != 0 {
                return skip("a machine where root lacks CAP_SYS_RESOURCE");
            }
            let more = json!(["CAP_SYS_RESOURCE"]);
            rig.run(&of(&json!({"capabilities": {"+bounding": more, "+effective": more, "+permitted": more}})), &["pid"])?.ok("pid").map(drop)
        }),
    ]
}

/// Every capability the caller has can be given, one by one.
fn every_capability(rig: &Rig) -> Verdict {
    let own = rig.session.host.capabilities;
    let mine: Vec<&str> = NAMES.iter().enumerate().filter(|(bit, _)| own & (1 << bit) != 0).map(|(_, n)| *n).collect();
    let report = rig.run(&of(&json!({"capabilities": {"bounding": mine, "effective": mine, "permitted": mine}})), &["status"])?;
    if rig.session.rootless {
        return Ok(());
    }
    same("CapEff", report.status("CapEff")?, mask(&mine).as_str())
}

fn schedulers() -> Vec<Case> {
    let row = |name: &str, scheduler: Value, wanted: Value| {
        let patch = of(&json!({"scheduler": scheduler}));
        case(format!("process/scheduler/{name}"), LINUX, move |rig| {
            realtime(rig, &patch)?;
            same("nice, priority and policy", rig.run(&patch, &["sched"])?.ok("sched")?, &wanted)
        })
    };
    let seen = |nice: i64, priority: i64, policy: i64| json!({"nice": nice, "priority": priority, "policy": policy});
    vec![
        row("SCHED_OTHER", json!({"policy": "SCHED_OTHER", "nice": 5}), seen(5, 0, 0)),
        row("SCHED_OTHER-nice-unset", json!({"policy": "SCHED_OTHER"}), seen(0, 0, 0)),
        row("SCHED_OTHER-nice-negative", json!({"policy": "SCHED_OTHER", "nice": -5}), seen(-5, 0, 0)).root(),
        row("SCHED_BATCH", json!({"policy": "SCHED_BATCH", "nice": 3}), seen(3, 0, 3)),
        row("SCHED_IDLE", json!({"policy": "SCHED_IDLE"}), seen(0, 0, 5)),
        row("SCHED_FIFO", json!({"policy": "SCHED_FIFO", "priority": 10}), seen(0, 10, 1)).root(),
        row("SCHED_RR", json!({"policy": "SCHED_RR", "priority": 20}), seen(0, 20, 2)).root(),
        row(
            "SCHED_DEADLINE",
            json!({"policy": "SCHED_DEADLINE", "runtime": 10_000_000, "deadline": 30_000_000, "period": 30_000_000}),
            seen(0, 0, 6),
        )
        .root(),
        row("SCHED_FLAG_RESET_ON_FORK", json!({"policy": "SCHED_BATCH", "nice": 1, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}), seen(1, 0, 3)),
        refused_by_start("process/scheduler/unknown-policy", "config.md#valid-values", of(&json!({"scheduler": {"policy": "SCHED_LUNCH"}}))),
        refused_by_start(
            "process/scheduler/unknown-flag",
            "config.md#valid-values",
            of(&json!({"scheduler": {"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_LUNCH"]}})),
        ),
        refused_by_start("process/scheduler/policy-without-kernel", "config.md#valid-values", of(&json!({"scheduler": {"policy": "SCHED_ISO"}}))),
        refused_by_start(
            "process/scheduler/priority-for-other",
            "config.md#valid-values",
            of(&json!({"scheduler": {"policy": "SCHED_OTHER", "priority": 10}})),
        ),
        refused_by_start(
            "process/scheduler/nice-out-of-range",
            "config.md#valid-values",
            of(&json!({"scheduler": {"policy": "SCHED_OTHER", "nice": 100}})),
        ),
    ]
}

/// With real-time group scheduling a new version 1 cpu group has no real-time budget at all.
fn realtime(rig: &Rig, patch: &Value) -> Verdict {
    let policy = patch["process"]["scheduler"]["policy"].as_str().unwrap_or_default();
    if let crate::host::Layout::V1(all) = &rig.session.host.cgroups
        && matches!(policy, "SCHED_FIFO" | "SCHED_RR")
        && all.get("cpu").is_some_and(|root| root.join("cpu.rt_runtime_us").exists())
    {
        return skip("a kernel without RT_GROUP_SCHED, or cgroup v2");
    }
    Ok(())
}

fn priorities() -> Vec<Case> {
    let row = |class: &'static str, priority: u8, wanted: &'static str| {
        case(format!("process/ioPriority/{class}-{priority}"), LINUX, move |rig| {
            if !rig.session.busybox {
                return skip("busybox (for ionice)");
            }
            let patch = of(&json!({"ioPriority": {"class": class, "priority": priority}}));
            let report = rig.run(&patch, &["busybox:ionice -p 1"])?;
            same("ionice", report.ok("busybox:ionice -p 1")?["out"].as_str().map(str::trim), Some(wanted))
        })
    };
    let bad = |name: &str, value: Value| {
        refused_by_start(format!("process/ioPriority/{name}"), "config.md#valid-values", of(&json!({"ioPriority": value})))
    };
    vec![
        row("IOPRIO_CLASS_BE", 0, "best-effort: prio 0"),
        row("IOPRIO_CLASS_BE", 7, "best-effort: prio 7"),
        row("IOPRIO_CLASS_RT", 3, "realtime: prio 3").root(),
        row("IOPRIO_CLASS_IDLE", 0, "idle"),
        bad("unknown-class", json!({"class": "IOPRIO_CLASS_LUNCH", "priority": 1})),
        bad("out-of-range", json!({"class": "IOPRIO_CLASS_BE", "priority": 8})),
        bad("negative", json!({"class": "IOPRIO_CLASS_BE", "priority": -1})),
    ]
}

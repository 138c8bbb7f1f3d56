//! The writes for cgroup v2, with the conversions from the spec's v1 scales.

use std::borrow::Cow;

use super::legacy::rdma;
use super::{Absent, Plan, Write, or_max, scale, tasks};
use crate::config::resources::{BlockIo, Cpu, Memory, Resources, Throttle};
use crate::error::{Error, Result};

/// The kernel's period of `cpu.max` where none is given, microseconds.
const PERIOD: u64 = 100_000;

/// What to write for `resources`, without the device filter. `unified` comes last: it has the last word.
pub fn plan(resources: &Resources) -> Result<Vec<Write>> {
    let mut plan = Plan::default();
    plan.controller("pids");
    plan.add_some("pids.max", resources.pids.map(tasks));
    memory(&mut plan, &resources.memory)?;
    block_io(&mut plan, &resources.block_io)?;
    cpu(&mut plan, &resources.cpu)?;
    plan.controller("cpuset");
    plan.add_some("cpuset.cpus", resources.cpu.cpus.as_ref());
    plan.add_some("cpuset.mems", resources.cpu.mems.as_ref());
    plan.controller("hugetlb");
    for page in &resources.hugepages {
        plan.add(format!("hugetlb.{}.max", page.size), or_max(page.limit));
        plan.push(
            format!("hugetlb.{}.rsvd.max", page.size),
            or_max(page.limit),
            Absent::Skip,
        );
    }
    rdma(&mut plan, resources);
    for (key, value) in &resources.unified {
        let controller = key.split('.').next().unwrap_or_default();
        // Each line is a command of its own: io.max takes one device per write.
        for line in value.lines() {
            plan.writes.push(Write {
                controller: Cow::Owned(controller.to_owned()),
                file: Cow::Owned(key.clone()),
                value: line.to_owned(),
                absent: Absent::Refuse,
            });
        }
    }
    Ok(plan.writes)
}

/// `memory.swap.max` counts swap alone, the spec's `swap` counts memory and swap together.
pub fn swap_alone(limit: Option<i64>, swap: Option<i64>) -> Result<Option<i64>> {
    match (limit, swap) {
        (Some(-1), None) | (_, Some(-1)) => Ok(Some(-1)),
        (_, None) => Ok(None),
        (Some(-1), Some(swap)) => Ok(Some(swap)),
        (None, Some(_)) => {
            let what = "unable to set swap limit without memory limit; give linux.resources.memory.limit too";
            Err(Error::config("linux.resources.memory.swap", what))
        }
        (Some(limit), Some(swap)) if swap >= limit => Ok(Some(swap - limit)),
        (Some(limit), Some(swap)) => {
            let what =
                format!("memory+swap limit should be >= memory limit: {swap} is below {limit}");
            Err(Error::config("linux.resources.memory.swap", what))
        }
    }
}

fn memory(plan: &mut Plan, memory: &Memory) -> Result<()> {
    plan.controller("memory");
    if memory.swappiness.is_some() {
        let what = "cgroup v2 has no swappiness; remove the field";
        return Err(Error::config("linux.resources.memory.swappiness", what));
    }
    if let Some(swap) = swap_alone(memory.limit, memory.swap)? {
        let absent = if swap < 0 {
            Absent::Skip
        } else {
            Absent::Refuse
        };
        plan.push("memory.swap.max", or_max(swap), absent);
    }
    plan.add_some("memory.max", memory.limit.map(or_max));
    plan.add_some("memory.low", memory.reservation.map(or_max));
    Ok(())
}

fn cpu(plan: &mut Plan, cpu: &Cpu) -> Result<()> {
    plan.controller("cpu");
    for (field, set) in [
        ("realtimeRuntime", cpu.realtime_runtime.is_some()),
        ("realtimePeriod", cpu.realtime_period.is_some()),
    ] {
        if set {
            let what = "cgroup v2 has no real-time budget; remove the field";
            return Err(Error::config(format!("linux.resources.cpu.{field}"), what));
        }
    }
    if let Some(idle) = cpu.idle {
        // Linux 5.15; before it no cgroup is idle.
        let absent = if idle == 0 {
            Absent::Skip
        } else {
            Absent::Refuse
        };
        plan.push("cpu.idle", idle, absent);
    }
    // An idle cgroup has the least weight there is, and refuses another.
    if let Some(shares) = cpu.shares.filter(|_| cpu.idle != Some(1)) {
        plan.add("cpu.weight", scale::weight_of_shares(shares));
    }
    if cpu.quota.is_some() || cpu.period.is_some() {
        let quota = cpu
            .quota
            .filter(|q| *q > 0)
            .map_or("max".to_owned(), |q| q.to_string());
        plan.add(
            "cpu.max",
            format!("{quota} {}", cpu.period.unwrap_or(PERIOD)),
        );
    }
    if let Some(burst) = cpu.burst {
        let absent = if burst == 0 {
            Absent::Skip
        } else {
            Absent::Refuse
        };
        plan.push("cpu.max.burst", burst, absent);
    }
    Ok(())
}

fn block_io(plan: &mut Plan, io: &BlockIo) -> Result<()> {
    plan.controller("io");
    let mut either = |device: &str, weight: u16| {
        let value = format!("{device}{}", scale::io_weight(weight));
        let absent = Absent::Use {
            file: "io.weight",
            value,
        };
        plan.push("io.bfq.weight", format!("{device}{weight}"), absent);
    };
    if let Some(weight) = io.weight {
        either("", weight);
    }
    let leaf = "cgroup v2 has no leaf weight; remove the field";
    if io.leaf_weight.is_some() {
        return Err(Error::config("linux.resources.blockIO.leafWeight", leaf));
    }
    for (index, device) in io.weight_device.iter().enumerate() {
        if device.leaf_weight.is_some() {
            let at = format!("linux.resources.blockIO.weightDevice[{index}].leafWeight");
            return Err(Error::config(at, leaf));
        }
        if let Some(weight) = device.weight {
            either(&format!("{}:{} ", device.major, device.minor), weight);
        }
    }
    let mut throttle = |key: &str, devices: &[Throttle]| {
        for device in devices {
            let rate = if device.rate == 0 {
                "max".to_owned()
            } else {
                device.rate.to_string()
            };
            plan.add(
                "io.max",
                format!("{}:{} {key}={rate}", device.major, device.minor),
            );
        }
    };
    throttle("rbps", &io.read_bps);
    throttle("wbps", &io.write_bps);
    throttle("riops", &io.read_iops);
    throttle("wiops", &io.write_iops);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::resources::{Hugepage, Network, WeightDevice};

    fn lines(resources: &Resources) -> Vec<String> {
        let show = |w: Write| format!("{} = {}", w.file, w.value);
        plan(resources).unwrap().into_iter().map(show).collect()
    }

    fn with_cpu(cpu: Cpu) -> Vec<String> {
        lines(&Resources {
            cpu,
            ..Resources::default()
        })
    }

    fn everything() -> Resources {
        let device = Throttle {
            major: 8,
            minor: 0,
            rate: 5,
        };
        Resources {
            cpu: Cpu {
                shares: Some(1024),
                quota: Some(5),
                burst: Some(3),
                cpus: Some("0-1".to_owned()),
                ..Cpu::default()
            },
            memory: Memory {
                limit: Some(100),
                swap: Some(150),
                reservation: Some(-1),
                ..Memory::default()
            },
            pids: Some(-1),
            block_io: BlockIo {
                weight: Some(10),
                weight_device: vec![WeightDevice {
                    major: 8,
                    minor: 1,
                    weight: Some(1000),
                    leaf_weight: None,
                }],
                read_bps: vec![device],
                write_iops: vec![Throttle { rate: 0, ..device }],
                ..BlockIo::default()
            },
            hugepages: vec![Hugepage {
                size: "1GB".to_owned(),
                limit: -1,
            }],
            network: Network {
                class_id: Some(1),
                priorities: Vec::new(),
            },
            unified: [("io.max".to_owned(), "8:0 rbps=1\n8:1 rbps=2".to_owned())].into(),
            ..Resources::default()
        }
    }

    #[test]
    fn everything_at_once() {
        let want = [
            "pids.max = max",
            "memory.swap.max = 50",
            "memory.max = 100",
            "memory.low = max",
            "io.bfq.weight = 10",
            "io.bfq.weight = 8:1 1000",
            "io.max = 8:0 rbps=5",
            "io.max = 8:0 wiops=max",
            "cpu.weight = 100",
            "cpu.max = 5 100000",
            "cpu.max.burst = 3",
            "cpuset.cpus = 0-1",
            "hugetlb.1GB.max = max",
            "hugetlb.1GB.rsvd.max = max",
            "io.max = 8:0 rbps=1",
            "io.max = 8:1 rbps=2",
        ];
        assert_eq!(lines(&everything()), want);
    }

    #[test]
    fn cpu_time() {
        let quota = |quota, period| {
            with_cpu(Cpu {
                quota,
                period,
                ..Cpu::default()
            })
        };
        assert_eq!(quota(Some(-1), None), ["cpu.max = max 100000"]);
        assert_eq!(quota(None, Some(7000)), ["cpu.max = max 7000"]);
        assert_eq!(quota(Some(9), Some(7000)), ["cpu.max = 9 7000"]);
        let idle = |idle| {
            with_cpu(Cpu {
                idle: Some(idle),
                shares: Some(1024),
                ..Cpu::default()
            })
        };
        assert_eq!(idle(1), ["cpu.idle = 1"]);
        assert_eq!(idle(0), ["cpu.idle = 0", "cpu.weight = 100"]);
    }

    #[test]
    fn swap() {
        assert_eq!(swap_alone(Some(-1), None), Ok(Some(-1)));
        assert_eq!(swap_alone(Some(5), Some(-1)), Ok(Some(-1)));
        assert_eq!(swap_alone(None, Some(-1)), Ok(Some(-1)));
        assert_eq!(swap_alone(Some(-1), Some(9)), Ok(Some(9)));
        assert_eq!(swap_alone(Some(9), Some(9)), Ok(Some(0)));
        assert_eq!(swap_alone(Some(9), None), Ok(None));
        assert!(swap_alone(None, Some(9)).is_err());
        assert!(swap_alone(Some(9), Some(8)).is_err());
    }

    #[test]
    fn what_v2_lacks_is_refused_by_path() {
        let memory = Memory {
            swappiness: Some(1),
            ..Memory::default()
        };
        let error = plan(&Resources {
            memory,
            ..Resources::default()
        })
        .unwrap_err()
        .to_string();
        assert!(
            error.starts_with("linux.resources.memory.swappiness: "),
            "{error}"
        );
        let cpu = Cpu {
            realtime_period: Some(1),
            ..Cpu::default()
        };
        let error = plan(&Resources {
            cpu,
            ..Resources::default()
        })
        .unwrap_err()
        .to_string();
        assert!(
            error.starts_with("linux.resources.cpu.realtimePeriod: "),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn swap_is_the_difference(limit in 1i64..i64::MAX / 2, more in 0i64..i64::MAX / 2) {
            prop_assert_eq!(swap_alone(Some(limit), Some(limit + more)), Ok(Some(more)));
        }
    }
}

//! The writes for cgroup v1.

use super::{Absent, Plan, Write, scale, tasks};
use crate::config::resources::{BlockIo, Cpu, Memory, Rdma, Resources, Throttle};
use crate::error::{Error, Result};

/// What to write for `resources`, without the device filter.
pub fn plan(resources: &Resources) -> Result<Vec<Write>> {
    if !resources.unified.is_empty() {
        let what = "invalid configuration: cannot use unified on cgroup v1; use the fields of the controllers";
        return Err(Error::config("linux.resources.unified", what));
    }
    let mut plan = Plan::default();
    cpuset(&mut plan, &resources.cpu);
    memory(&mut plan, &resources.memory);
    cpu(&mut plan, &resources.cpu)?;
    plan.controller("pids");
    plan.add_some("pids.max", resources.pids.map(tasks));
    block_io(&mut plan, &resources.block_io);
    plan.controller("hugetlb");
    for page in &resources.hugepages {
        let limit = page.limit.max(-1);
        plan.add(format!("hugetlb.{}.limit_in_bytes", page.size), limit);
        plan.push(
            format!("hugetlb.{}.rsvd.limit_in_bytes", page.size),
            limit,
            Absent::Skip,
        );
    }
    plan.controller("net_cls");
    plan.add_some("net_cls.classid", resources.network.class_id);
    plan.controller("net_prio");
    for (interface, priority) in &resources.network.priorities {
        plan.add("net_prio.ifpriomap", format!("{interface} {priority}"));
    }
    rdma(&mut plan, resources);
    Ok(plan.writes)
}

fn cpuset(plan: &mut Plan, cpu: &Cpu) {
    plan.controller("cpuset");
    plan.add_some("cpuset.cpus", cpu.cpus.as_ref());
    plan.add_some("cpuset.mems", cpu.mems.as_ref());
}

fn memory(plan: &mut Plan, memory: &Memory) {
    plan.controller("memory");
    plan.add_some("memory.limit_in_bytes", memory.limit);
    match (memory.limit, memory.swap) {
        // Without swap accounting there is no file, and no limit is what there is.
        (Some(-1), None) => plan.push("memory.memsw.limit_in_bytes", -1, Absent::Skip),
        (_, swap) => plan.add_some("memory.memsw.limit_in_bytes", swap),
    }
    plan.add_some("memory.soft_limit_in_bytes", memory.reservation);
    plan.add_some("memory.oom_control", memory.disable_oom_killer.then_some(1));
    plan.add_some("memory.swappiness", memory.swappiness);
}

fn cpu(plan: &mut Plan, cpu: &Cpu) -> Result<()> {
    plan.controller("cpu");
    if let Some(shares) = cpu.shares {
        let at = "linux.resources.cpu.shares";
        // The kernel clamps in silence.
        if shares > *scale::SHARES.end() {
            return Err(Error::config(
                at,
                format!("the maximum allowed cpu-shares is {}", scale::SHARES.end()),
            ));
        }
        if shares < *scale::SHARES.start() {
            return Err(Error::config(
                at,
                format!(
                    "the minimum allowed cpu-shares is {}",
                    scale::SHARES.start()
                ),
            ));
        }
        plan.add("cpu.shares", shares);
    }
    plan.add_some("cpu.rt_period_us", cpu.realtime_period);
    plan.add_some("cpu.rt_runtime_us", cpu.realtime_runtime);
    plan.add_some("cpu.cfs_period_us", cpu.period);
    plan.add_some("cpu.cfs_quota_us", cpu.quota.map(|q| q.max(-1)));
    if let Some(burst) = cpu.burst {
        // Linux 5.14; before it nothing is ever saved up.
        let absent = if burst == 0 {
            Absent::Skip
        } else {
            Absent::Refuse
        };
        plan.push("cpu.cfs_burst_us", burst, absent);
    }
    if let Some(idle) = cpu.idle {
        let absent = if idle == 0 {
            Absent::Skip
        } else {
            Absent::Refuse
        };
        plan.push("cpu.idle", idle, absent);
    }
    Ok(())
}

fn block_io(plan: &mut Plan, io: &BlockIo) {
    plan.controller("blkio");
    let mut either = |file: &'static str, bfq: &'static str, value: String| {
        let absent = Absent::Use {
            file: bfq,
            value: value.clone(),
        };
        plan.push(file, value, absent);
    };
    if let Some(weight) = io.weight {
        either("blkio.weight", "blkio.bfq.weight", weight.to_string());
    }
    if let Some(weight) = io.leaf_weight {
        either(
            "blkio.leaf_weight",
            "blkio.bfq.leaf_weight",
            weight.to_string(),
        );
    }
    for device in &io.weight_device {
        let line = |weight| format!("{}:{} {weight}", device.major, device.minor);
        if let Some(weight) = device.weight {
            either(
                "blkio.weight_device",
                "blkio.bfq.weight_device",
                line(weight),
            );
        }
        if let Some(weight) = device.leaf_weight {
            either(
                "blkio.leaf_weight_device",
                "blkio.bfq.leaf_weight_device",
                line(weight),
            );
        }
    }
    let mut throttle = |file: &'static str, devices: &[Throttle]| {
        for device in devices {
            plan.add(
                file,
                format!("{}:{} {}", device.major, device.minor, device.rate),
            );
        }
    };
    throttle("blkio.throttle.read_bps_device", &io.read_bps);
    throttle("blkio.throttle.write_bps_device", &io.write_bps);
    throttle("blkio.throttle.read_iops_device", &io.read_iops);
    throttle("blkio.throttle.write_iops_device", &io.write_iops);
}

/// The same in both versions.
pub(super) fn rdma(plan: &mut Plan, resources: &Resources) {
    plan.controller("rdma");
    for (
        device,
        Rdma {
            hca_handles,
            hca_objects,
        },
    ) in &resources.rdma
    {
        let mut line = vec![device.clone()];
        line.extend(hca_handles.map(|n| format!("hca_handle={n}")));
        line.extend(hca_objects.map(|n| format!("hca_object={n}")));
        if line.len() > 1 {
            plan.add("rdma.max", line.join(" "));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::resources::{Hugepage, Network};

    fn lines(resources: &Resources) -> Vec<String> {
        let show = |w: Write| format!("{} = {}", w.file, w.value);
        plan(resources).unwrap().into_iter().map(show).collect()
    }

    #[test]
    fn nothing_asked_nothing_written() {
        assert!(lines(&Resources::default()).is_empty());
    }

    fn everything() -> Resources {
        Resources {
            cpu: Cpu {
                shares: Some(512),
                quota: Some(-7),
                period: Some(50_000),
                burst: Some(0),
                realtime_runtime: Some(950),
                realtime_period: Some(1000),
                cpus: Some("0".to_owned()),
                mems: Some("0".to_owned()),
                idle: Some(1),
            },
            memory: Memory {
                limit: Some(100),
                reservation: Some(50),
                swap: Some(200),
                swappiness: Some(7),
                disable_oom_killer: true,
                check_before_update: false,
            },
            pids: Some(0),
            hugepages: vec![Hugepage {
                size: "2MB".to_owned(),
                limit: 9,
            }],
            network: Network {
                class_id: Some(7),
                priorities: vec![("lo".to_owned(), 3)],
            },
            rdma: [(
                "mlx5".to_owned(),
                Rdma {
                    hca_handles: Some(3),
                    hca_objects: None,
                },
            )]
            .into(),
            ..Resources::default()
        }
    }

    #[test]
    fn everything_at_once() {
        let want = [
            "cpuset.cpus = 0",
            "cpuset.mems = 0",
            "memory.limit_in_bytes = 100",
            "memory.memsw.limit_in_bytes = 200",
            "memory.soft_limit_in_bytes = 50",
            "memory.oom_control = 1",
            "memory.swappiness = 7",
            "cpu.shares = 512",
            "cpu.rt_period_us = 1000",
            "cpu.rt_runtime_us = 950",
            "cpu.cfs_period_us = 50000",
            "cpu.cfs_quota_us = -1",
            "cpu.cfs_burst_us = 0",
            "cpu.idle = 1",
            "pids.max = 1",
            "hugetlb.2MB.limit_in_bytes = 9",
            "hugetlb.2MB.rsvd.limit_in_bytes = 9",
            "net_cls.classid = 7",
            "net_prio.ifpriomap = lo 3",
            "rdma.max = mlx5 hca_handle=3",
        ];
        assert_eq!(lines(&everything()), want);
    }

    #[test]
    fn no_memory_limit_lifts_that_of_swap() {
        let memory = Memory {
            limit: Some(-1),
            ..Memory::default()
        };
        let writes = plan(&Resources {
            memory,
            ..Resources::default()
        })
        .unwrap();
        assert_eq!(writes[1].value, "-1");
        assert_eq!(writes[1].absent, Absent::Skip);
    }

    #[test]
    fn refusals() {
        for shares in [1, 262_145] {
            let cpu = Cpu {
                shares: Some(shares),
                ..Cpu::default()
            };
            let error = plan(&Resources {
                cpu,
                ..Resources::default()
            })
            .unwrap_err()
            .to_string();
            assert!(error.contains("allowed cpu-shares is"), "{error}");
        }
        let unified = [("memory.high".to_owned(), "1".to_owned())].into();
        let error = plan(&Resources {
            unified,
            ..Resources::default()
        })
        .unwrap_err()
        .to_string();
        assert!(error.contains("cannot use unified on cgroup v1"), "{error}");
    }
}

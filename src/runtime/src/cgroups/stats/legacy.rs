//! Statistics of cgroup v1, from one directory per controller.

use super::text::{Reader, device, list};
use super::{
    Blkio, BlkioEntry, Cpu, CpuSet, CpuUsage, Hugetlb, Memory, MemoryEntry, Pids, Stats, Throttling,
};
use crate::cgroups::Cgroup;
use crate::error::Result;

/// `cpuacct.usage_all` counts in nanoseconds, `cpuacct.stat` in hundredths of a second (USER_HZ, part of the ABI).
const TICK: u64 = 10_000_000;

/// Reads every controller that the cgroup has.
pub fn read(cgroup: &Cgroup) -> Result<Stats> {
    let mut stats = Stats::default();
    if let Some(dir) = cgroup.dir("cpuacct") {
        stats.cpu.usage = usage(&Reader::new(dir))?;
    }
    if let Some(dir) = cgroup.dir("cpu") {
        throttling(&Reader::new(dir), &mut stats.cpu)?;
    }
    if let Some(dir) = cgroup.dir("cpuset") {
        stats.cpuset = cpuset(&Reader::new(dir))?;
    }
    if let Some(dir) = cgroup.dir("memory") {
        stats.memory = memory(&Reader::new(dir))?;
    }
    if let Some(dir) = cgroup.dir("pids") {
        stats.pids = pids(&Reader::new(dir))?;
    }
    if let Some(dir) = cgroup.dir("blkio") {
        stats.blkio = blkio(&Reader::new(dir))?;
    }
    if let Some(dir) = cgroup.dir("hugetlb") {
        let files = Reader::new(dir);
        for size in super::unified::page_sizes(dir)? {
            let page = Hugetlb {
                usage: files.number(&format!("hugetlb.{size}.usage_in_bytes"))?,
                max: files.number(&format!("hugetlb.{size}.max_usage_in_bytes"))?,
                failcnt: files.number(&format!("hugetlb.{size}.failcnt"))?,
            };
            stats.hugetlb.insert(size, page);
        }
    }
    Ok(stats)
}

/// A limit of none is zero, as in v2 and in runc.
pub(super) fn pids(files: &Reader<'_>) -> Result<Pids> {
    let limit = files.number("pids.max")?;
    Ok(Pids {
        current: files.number("pids.current")?,
        limit: if limit == u64::MAX { 0 } else { limit },
    })
}

fn usage(files: &Reader<'_>) -> Result<CpuUsage> {
    let ticks = files.table("cpuacct.stat")?;
    let time = |name| ticks.get(name).copied().unwrap_or_default() * TICK;
    let mut usage = CpuUsage {
        total: files.number("cpuacct.usage")?,
        user: time("user"),
        kernel: time("system"),
        ..CpuUsage::default()
    };
    let percpu = files.text("cpuacct.usage_percpu")?;
    usage.percpu = percpu
        .split_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect();
    for line in files.text("cpuacct.usage_all")?.lines().skip(1) {
        let mut fields = line
            .split(' ')
            .skip(1)
            .filter_map(|n| n.parse::<u64>().ok());
        usage.percpu_user.extend(fields.next());
        usage.percpu_kernel.extend(fields.next());
    }
    Ok(usage)
}

fn throttling(files: &Reader<'_>, cpu: &mut Cpu) -> Result<()> {
    let table = files.table("cpu.stat")?;
    let value = |name| table.get(name).copied().unwrap_or_default();
    cpu.throttling = Throttling {
        periods: value("nr_periods"),
        throttled_periods: value("nr_throttled"),
        throttled_time: value("throttled_time"),
    };
    Ok(())
}

fn cpuset(files: &Reader<'_>) -> Result<CpuSet> {
    let flag = |name: &str| files.number(&format!("cpuset.{name}"));
    Ok(CpuSet {
        cpus: list(&files.text("cpuset.cpus")?),
        cpu_exclusive: flag("cpu_exclusive")?,
        mems: list(&files.text("cpuset.mems")?),
        mem_hardwall: flag("mem_hardwall")?,
        mem_exclusive: flag("mem_exclusive")?,
        memory_migrate: flag("memory_migrate")?,
        memory_spread_page: flag("memory_spread_page")?,
        memory_spread_slab: flag("memory_spread_slab")?,
        memory_pressure: flag("memory_pressure")?,
        sched_load_balance: flag("sched_load_balance")?,
        sched_relax_domain_level: files
            .text("cpuset.sched_relax_domain_level")?
            .parse()
            .unwrap_or_default(),
    })
}

fn memory(files: &Reader<'_>) -> Result<Memory> {
    let entry = |part: &str| -> Result<MemoryEntry> {
        let file = |name: &str| format!("memory{part}.{name}");
        Ok(MemoryEntry {
            limit: files.number(&file("limit_in_bytes"))?,
            usage: files.number(&file("usage_in_bytes"))?,
            max: files.number(&file("max_usage_in_bytes"))?,
            failcnt: files.number(&file("failcnt"))?,
        })
    };
    let raw = files.table("memory.stat")?;
    Ok(Memory {
        cache: raw.get("cache").copied().unwrap_or_default(),
        usage: entry("")?,
        swap: entry(".memsw")?,
        kernel: entry(".kmem")?,
        kernel_tcp: entry(".kmem.tcp")?,
        raw,
        psi: None,
    })
}

/// CFQ's files where they count something, else those of the throttling layer, which every kernel has.
fn blkio(files: &Reader<'_>) -> Result<Blkio> {
    let read = |file: &str| -> Result<Vec<BlkioEntry>> { Ok(entries(&files.text(file)?)) };
    let serviced = read("blkio.io_serviced_recursive")?;
    if !serviced.is_empty() {
        return Ok(Blkio {
            io_service_bytes_recursive: read("blkio.io_service_bytes_recursive")?,
            io_serviced_recursive: serviced,
            io_queued_recursive: read("blkio.io_queued_recursive")?,
            io_service_time_recursive: read("blkio.io_service_time_recursive")?,
            io_wait_time_recursive: read("blkio.io_wait_time_recursive")?,
            io_merged_recursive: read("blkio.io_merged_recursive")?,
            io_time_recursive: read("blkio.time_recursive")?,
            sectors_recursive: read("blkio.sectors_recursive")?,
            psi: None,
        });
    }
    let either = |bfq: &str, throttle: &str| -> Result<Vec<BlkioEntry>> {
        let found = read(bfq)?;
        if found.is_empty() {
            read(throttle)
        } else {
            Ok(found)
        }
    };
    Ok(Blkio {
        io_service_bytes_recursive: either(
            "blkio.bfq.io_service_bytes_recursive",
            "blkio.throttle.io_service_bytes_recursive",
        )?,
        io_serviced_recursive: either(
            "blkio.bfq.io_serviced_recursive",
            "blkio.throttle.io_serviced_recursive",
        )?,
        ..Blkio::default()
    })
}

/// Lines of `MAJOR:MINOR Operation Number`, or without the operation; the closing `Total` is left out.
fn entries(text: &str) -> Vec<BlkioEntry> {
    let line = |l: &str| {
        let words: Vec<&str> = l.split_whitespace().collect();
        let (major, minor) = device(words.first()?)?;
        let (op, value) = match words.as_slice() {
            [_, op, value] => ((*op).to_owned(), value),
            [_, value] => (String::new(), value),
            _ => return None,
        };
        Some(BlkioEntry {
            major,
            minor,
            op,
            value: value.parse().ok()?,
        })
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_lines() {
        let found = entries("8:0 Read 5\n8:0 Total 5\n8:16 7\nTotal 5");
        let show = |e: &BlkioEntry| format!("{}:{} {} {}", e.major, e.minor, e.op, e.value);
        let found: Vec<String> = found.iter().map(show).collect();
        assert_eq!(found, ["8:0 Read 5", "8:0 Total 5", "8:16  7"]);
    }
}

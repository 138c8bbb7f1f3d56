//! Statistics of cgroup v2, from one directory.

use std::collections::BTreeMap;
use std::path::Path;

use super::text::{Reader, device, number};
use super::{
    Blkio, BlkioEntry, Cpu, CpuUsage, Hugetlb, Memory, MemoryEntry, Stats, Throttling, legacy,
};
use crate::cgroups::failed;
use crate::error::Result;

/// Reads what the directory has.
pub fn read(dir: &Path) -> Result<Stats> {
    let files = Reader::new(dir);
    let mut stats = Stats {
        cpu: cpu(&files)?,
        memory: memory(&files)?,
        pids: legacy::pids(&files)?,
        blkio: io(&files)?,
        ..Stats::default()
    };
    for size in page_sizes(dir)? {
        let page = Hugetlb {
            usage: files.number(&format!("hugetlb.{size}.current"))?,
            max: 0,
            failcnt: value(&files.table(&format!("hugetlb.{size}.events"))?, "max"),
        };
        stats.hugetlb.insert(size, page);
    }
    Ok(stats)
}

fn value(table: &BTreeMap<String, u64>, name: &str) -> u64 {
    table.get(name).copied().unwrap_or_default()
}

/// The sizes of huge pages that `dir` has files for.
pub fn page_sizes(dir: &Path) -> Result<Vec<String>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let errno = sys::Errno::from_io_error(&error).unwrap_or(sys::Errno::IO);
            return Err(failed("list cgroup", "readdir", dir, errno));
        }
    };
    let size = |name: &str| {
        let rest = name.strip_prefix("hugetlb.")?;
        let size = rest
            .strip_suffix(".current")
            .or_else(|| rest.strip_suffix(".usage_in_bytes"))?;
        (!size.contains('.')).then(|| size.to_owned())
    };
    let names = entries
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok());
    Ok(names.filter_map(|name| size(&name)).collect())
}

fn cpu(files: &Reader<'_>) -> Result<Cpu> {
    let table = files.table("cpu.stat")?;
    let nanoseconds = |name| value(&table, name) * 1000;
    Ok(Cpu {
        usage: CpuUsage {
            total: nanoseconds("usage_usec"),
            kernel: nanoseconds("system_usec"),
            user: nanoseconds("user_usec"),
            ..CpuUsage::default()
        },
        throttling: Throttling {
            periods: value(&table, "nr_periods"),
            throttled_periods: value(&table, "nr_throttled"),
            throttled_time: nanoseconds("throttled_usec"),
        },
        psi: files.pressure("cpu.pressure")?,
    })
}

/// Swap is told as v1 told it, memory and swap together.
fn memory(files: &Reader<'_>) -> Result<Memory> {
    let raw = files.table("memory.stat")?;
    let events = files.table("memory.events")?;
    let entry = |part: &str| -> Result<MemoryEntry> {
        Ok(MemoryEntry {
            limit: files.number(&format!("{part}.max"))?,
            usage: files.number(&format!("{part}.current"))?,
            max: files.number(&format!("{part}.peak"))?,
            failcnt: 0,
        })
    };
    let mut usage = entry("memory")?;
    usage.failcnt = value(&events, "max");
    let mut swap = entry("memory.swap")?;
    swap.failcnt = value(&files.table("memory.swap.events")?, "max");
    if swap.limit != 0 || swap.usage != 0 {
        swap.limit = swap.limit.saturating_add(usage.limit);
        swap.usage = swap.usage.saturating_add(usage.usage);
    }
    // The peaks of the two need not have come together.
    swap.max = 0;
    Ok(Memory {
        cache: value(&raw, "file"),
        usage,
        swap,
        raw,
        psi: files.pressure("memory.pressure")?,
        ..Memory::default()
    })
}

/// Lines of `MAJOR:MINOR rbytes=N wbytes=N rios=N wios=N dbytes=N dios=N`.
fn io(files: &Reader<'_>) -> Result<Blkio> {
    let mut stats = Blkio {
        psi: files.pressure("io.pressure")?,
        ..Blkio::default()
    };
    for line in files.text("io.stat")?.lines() {
        let mut fields = line.split(' ');
        let Some((major, minor)) = fields.next().and_then(device) else {
            continue;
        };
        for (key, count) in fields.filter_map(|f| f.split_once('=')) {
            let (list, op) = match key {
                "rbytes" => (&mut stats.io_service_bytes_recursive, "Read"),
                "wbytes" => (&mut stats.io_service_bytes_recursive, "Write"),
                "rios" => (&mut stats.io_serviced_recursive, "Read"),
                "wios" => (&mut stats.io_serviced_recursive, "Write"),
                _ => continue,
            };
            list.push(BlkioEntry {
                major,
                minor,
                op: op.to_owned(),
                value: number(count).unwrap_or_default(),
            });
        }
    }
    Ok(stats)
}

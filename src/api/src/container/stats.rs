//! `GET /containers/{id}/stats`.

use std::collections::BTreeMap;

use crate::word::object;

object! {
    /// One sample with the one before it.
    Stats {
        "name"? name: String,
        "id"? id: String,
        "read" read: String,
        "preread" preread: String,
        "pids_stats" pids_stats: PidsStats,
        "blkio_stats" blkio_stats: BlkioStats,
        "num_procs" num_procs: u64,
        "storage_stats" storage_stats: StorageStats,
        "cpu_stats" cpu_stats: CpuStats,
        "precpu_stats" precpu_stats: CpuStats,
        "memory_stats" memory_stats: MemoryStats,
        /// By interface name in the container.
        "networks"? networks: BTreeMap<String, NetworkStats>,
    }
}

object! {
    /// Processes now and at most.
    PidsStats {
        "current"? current: u64,
        "limit"? limit: u64,
    }
}

object! {
    /// Block I/O; lists are `null` where the kernel has no such counter.
    BlkioStats {
        "io_service_bytes_recursive" io_service_bytes_recursive: Option<Vec<BlkioEntry>>,
        "io_serviced_recursive" io_serviced_recursive: Option<Vec<BlkioEntry>>,
        "io_queue_recursive" io_queue_recursive: Option<Vec<BlkioEntry>>,
        "io_service_time_recursive" io_service_time_recursive: Option<Vec<BlkioEntry>>,
        "io_wait_time_recursive" io_wait_time_recursive: Option<Vec<BlkioEntry>>,
        "io_merged_recursive" io_merged_recursive: Option<Vec<BlkioEntry>>,
        "io_time_recursive" io_time_recursive: Option<Vec<BlkioEntry>>,
        "sectors_recursive" sectors_recursive: Option<Vec<BlkioEntry>>,
    }
}

object! {
    /// One counter of one device; `op` is `read`, `write`, ….
    BlkioEntry {
        "major" major: u64,
        "minor" minor: u64,
        "op" op: String,
        "value" value: u64,
    }
}

object! {
    /// Written on Windows only; `{}` here.
    StorageStats {
        "read_count_normalized"? read_count_normalized: u64,
        "read_size_bytes"? read_size_bytes: u64,
        "write_count_normalized"? write_count_normalized: u64,
        "write_size_bytes"? write_size_bytes: u64,
    }
}

object! {
    /// Processor time in nanoseconds.
    CpuStats {
        "cpu_usage" cpu_usage: CpuUsage,
        "system_cpu_usage"? system_cpu_usage: u64,
        "online_cpus"? online_cpus: u32,
        "throttling_data" throttling_data: ThrottlingData,
    }
}

object! {
    /// Nanoseconds used; per processor with cgroup v1 only.
    CpuUsage {
        "total_usage" total_usage: u64,
        "percpu_usage"? percpu_usage: Vec<u64>,
        "usage_in_kernelmode" usage_in_kernelmode: u64,
        "usage_in_usermode" usage_in_usermode: u64,
    }
}

object! {
    /// How often the quota held the container back.
    ThrottlingData {
        "periods" periods: u64,
        "throttled_periods" throttled_periods: u64,
        /// Nanoseconds.
        "throttled_time" throttled_time: u64,
    }
}

object! {
    /// Memory in bytes; `stats` holds the kernel's `memory.stat`.
    MemoryStats {
        "usage"? usage: u64,
        /// cgroup v1 only.
        "max_usage"? max_usage: u64,
        "stats"? stats: BTreeMap<String, u64>,
        "failcnt"? failcnt: u64,
        "limit"? limit: u64,
        "commitbytes"? commit: u64,
        "commitpeakbytes"? commit_peak: u64,
        "privateworkingset"? private_working_set: u64,
    }
}

object! {
    /// Counters of one interface.
    NetworkStats {
        "rx_bytes" rx_bytes: u64,
        "rx_packets" rx_packets: u64,
        "rx_errors" rx_errors: u64,
        "rx_dropped" rx_dropped: u64,
        "tx_bytes" tx_bytes: u64,
        "tx_packets" tx_packets: u64,
        "tx_errors" tx_errors: u64,
        "tx_dropped" tx_dropped: u64,
        "endpoint_id"? endpoint_id: String,
        "instance_id"? instance_id: String,
    }
}

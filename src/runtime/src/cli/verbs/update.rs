//! `update`.

use std::path::PathBuf;

use super::super::value;

/// `update ID`: only what is named changes. With `resources` all other limits given here are without effect, as in runc.
#[derive(Debug, Clone, PartialEq, Eq, Default, clap::Args)]
pub struct Update {
    /// file with the new linux.resources as in config.json, or - for standard input; other flags are then ignored
    #[arg(short, long, value_name = "value")]
    pub resources: Option<PathBuf>,
    /// relative weight of block i/o, 10 to 1000
    #[arg(long, value_name = "value", value_parser = value::count)]
    pub blkio_weight: Option<u32>,
    /// length of a cpu quota period in microseconds
    #[arg(long, value_name = "value")]
    pub cpu_period: Option<u64>,
    /// cpu time per period in microseconds, -1 for no limit
    #[arg(long, value_name = "value", allow_negative_numbers = true)]
    pub cpu_quota: Option<i64>,
    /// cpu time in microseconds that may be saved up for a burst
    #[arg(long, value_name = "value")]
    pub cpu_burst: Option<u64>,
    /// cpu time relative to other containers
    #[arg(long, value_name = "value")]
    pub cpu_share: Option<u64>,
    /// length of a realtime period in microseconds
    #[arg(long, value_name = "value")]
    pub cpu_rt_period: Option<u64>,
    /// realtime cpu time per period in microseconds
    #[arg(long, value_name = "value", allow_negative_numbers = true)]
    pub cpu_rt_runtime: Option<i64>,
    /// 1 to run only when nothing else does, 0 for the usual
    #[arg(long, value_name = "value", value_parser = value::integer, allow_negative_numbers = true)]
    pub cpu_idle: Option<i64>,
    /// cpus to run on, as 0-3,7
    #[arg(long, value_name = "value")]
    pub cpuset_cpus: Option<String>,
    /// memory nodes to use, as 0-1
    #[arg(long, value_name = "value")]
    pub cpuset_mems: Option<String>,
    /// memory limit in bytes or with k, m, g; -1 for none
    #[arg(long, value_name = "value", value_parser = value::size, allow_negative_numbers = true)]
    pub memory: Option<i64>,
    /// memory that is kept for the container, in bytes or with k, m, g
    #[arg(long, value_name = "value", value_parser = value::size, allow_negative_numbers = true)]
    pub memory_reservation: Option<i64>,
    /// memory and swap together, in bytes or with k, m, g; -1 for no limit
    #[arg(long, value_name = "value", value_parser = value::size, allow_negative_numbers = true)]
    pub memory_swap: Option<i64>,
    /// accepted for old callers: the kernel no longer limits it
    #[arg(long, value_name = "value", value_parser = value::size, allow_negative_numbers = true)]
    pub kernel_memory: Option<i64>,
    /// accepted for old callers: the kernel no longer limits it
    #[arg(long, value_name = "value", value_parser = value::size, allow_negative_numbers = true)]
    pub kernel_memory_tcp: Option<i64>,
    /// how many processes there may be, -1 for no limit
    #[arg(long, value_name = "value", value_parser = value::integer, allow_negative_numbers = true)]
    pub pids_limit: Option<i64>,
    /// file of cgroup v2 and its new value, as memory.high=100M; may be given more than once
    #[arg(long, value_name = "file=value")]
    pub unified: Vec<String>,
    /// Intel RDT schema of the L3 cache
    #[arg(long, value_name = "value")]
    pub l3_cache_schema: Option<String>,
    /// Intel RDT schema of memory bandwidth
    #[arg(long, value_name = "value")]
    pub mem_bw_schema: Option<String>,
    /// name of the container
    #[arg(value_name = "container-id")]
    pub id: String,
}

//! When and where a process runs: scheduler, I/O priority, CPU affinity, memory policy, execution domain.

use crate::{Result, check};

/// What `sched_setattr(2)` takes; times in nanoseconds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// `SCHED_*` number.
    pub policy: u32,
    /// `SCHED_FLAG_*` bits.
    pub flags: u64,
    /// -20 … 19, for the policies that share time.
    pub nice: i32,
    /// 1 … 99, for the real-time policies.
    pub priority: u32,
    /// `SCHED_DEADLINE`: budget in each period.
    pub runtime: u64,
    /// `SCHED_DEADLINE`: when the budget must have been given.
    pub deadline: u64,
    /// `SCHED_DEADLINE`: the period.
    pub period: u64,
}

#[repr(C)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Sets the scheduling policy of this process.
pub fn set_policy(policy: Policy) -> Result<()> {
    let attributes = Attributes {
        size: u32::try_from(size_of::<Attributes>()).unwrap_or(0),
        policy: policy.policy,
        flags: policy.flags,
        nice: policy.nice,
        priority: policy.priority,
        runtime: policy.runtime,
        deadline: policy.deadline,
        period: policy.period,
    };
    // SAFETY: the structure outlives the call and carries its own size.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) }).map(drop)
}

/// Sets the I/O priority of this process: `class` 1 real-time, 2 best effort, 3 idle; `level` 0 (first) … 7.
pub fn set_io_priority(class: i32, level: i32) -> Result<()> {
    const IOPRIO_WHO_PROCESS: libc::c_int = 1;
    // SAFETY: plain numbers.
    check(unsafe {
        libc::syscall(
            libc::SYS_ioprio_set,
            IOPRIO_WHO_PROCESS,
            0,
            (class << 13) | level,
        )
    })
    .map(drop)
}

/// Lets `pid` (0 for this process) run on the CPUs of a bit mask, least CPU in the lowest bit of the first word.
pub fn set_affinity(pid: i32, mask: &[u64]) -> Result<()> {
    // SAFETY: the slice outlives the call and its length in bytes is passed with it.
    let result = unsafe {
        libc::syscall(
            libc::SYS_sched_setaffinity,
            pid,
            size_of_val(mask),
            mask.as_ptr(),
        )
    };
    check(result).map(drop)
}

/// Sets the memory policy `mode` (`MPOL_*` with its flags) over the nodes of a bit mask.
pub fn set_memory_policy(mode: i32, nodes: &[u64]) -> Result<()> {
    let bits = nodes.len() * 64 + usize::from(!nodes.is_empty());
    let pointer = if nodes.is_empty() {
        std::ptr::null()
    } else {
        nodes.as_ptr()
    };
    // SAFETY: the slice outlives the call; the kernel reads one bit less than it is told.
    check(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, pointer, bits) }).map(drop)
}

/// Sets the execution domain (`PER_*`).
pub fn set_personality(domain: u64) -> Result<()> {
    // SAFETY: plain numbers.
    check(unsafe { libc::syscall(libc::SYS_personality, domain) }).map(drop)
}

/// Gives this process a core scheduling cookie of its own by `PR_SCHED_CORE` (Linux 5.14): its threads share a core's
/// hyperthreads with nobody else's.
///
/// # Errors
/// `EINVAL` where the kernel lacks it, `ENODEV` where the processor has no hyperthreads.
pub fn new_core_cookie() -> Result<()> {
    const CREATE: libc::c_ulong = 1;
    const SCOPE_THREAD_GROUP: libc::c_ulong = 1;
    // SAFETY: the call takes numbers only; pid 0 is the caller.
    let result = unsafe {
        libc::prctl(
            libc::PR_SCHED_CORE,
            CREATE,
            0 as libc::c_ulong,
            SCOPE_THREAD_GROUP,
            0 as libc::c_ulong,
        )
    };
    check(libc::c_long::from(result)).map(drop)
}

//! `process`: who runs what, where, with which rights and limits. Also read by `exec --process`.

use std::ffi::CString;

use sys::scheduling::Policy;

use super::document;
use crate::error::{Error, Result};

/// The five capability sets, one bit per capability number.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The limit of what can ever be gained.
    pub bounding: u64,
    /// In force.
    pub effective: u64,
    /// Kept by files that carry them.
    pub inheritable: u64,
    /// May be put in force.
    pub permitted: u64,
    /// Kept by all files.
    pub ambient: u64,
}

/// One resource limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// `RLIMIT_*` number.
    pub resource: u32,
    /// In force.
    pub soft: u64,
    /// The soft limit's limit.
    pub hard: u64,
}

/// The user of the process.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct User {
    /// User id in the container.
    pub uid: u32,
    /// Group id in the container.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Mask for new files; 022 when the config is silent.
    pub umask: u32,
}

/// I/O priority, class and level as `ioprio_set(2)` numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoPriority {
    /// 1 real-time, 2 best effort, 3 idle.
    pub class: i32,
    /// 0 … 7.
    pub level: i32,
}

/// `process` with no question left open.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Process {
    /// A pseudo terminal becomes its standard streams.
    pub terminal: bool,
    /// Rows and columns of that terminal.
    pub console_size: Option<(u16, u16)>,
    /// Who.
    pub user: User,
    /// The program and its arguments; may be empty at `create`.
    pub args: Vec<CString>,
    /// The environment, later duplicates in place of earlier ones.
    pub env: Vec<CString>,
    /// Working directory, absolute.
    pub cwd: CString,
    /// Capabilities; `None` takes all away.
    pub capabilities: Option<Capabilities>,
    /// Capability names that this build does not know; they are warned of and dropped.
    pub unknown_capabilities: Vec<String>,
    /// Resource limits.
    pub limits: Vec<Limit>,
    /// Executing gains no privileges.
    pub no_new_privileges: bool,
    /// AppArmor profile from the exec on.
    pub apparmor: Option<String>,
    /// SELinux label from the exec on.
    pub selinux: Option<String>,
    /// Score for the out-of-memory killer.
    pub oom_score_adj: Option<i32>,
    /// Scheduler.
    pub scheduler: Option<Policy>,
    /// I/O priority.
    pub io_priority: Option<IoPriority>,
    /// CPUs before the cgroup is joined, by `exec` only.
    pub affinity_initial: Option<Vec<u64>>,
    /// CPUs after.
    pub affinity_final: Option<Vec<u64>>,
}

impl Process {
    /// Reads one process document, `at` being its path (`process` in config.json).
    pub(super) fn read(document: &document::Process, at: &str) -> Result<Self> {
        let mut process = Self {
            terminal: document.terminal.unwrap_or(false),
            no_new_privileges: document.no_new_privileges.unwrap_or(false),
            apparmor: given(document.apparmor_profile.as_deref()),
            selinux: given(document.selinux_label.as_deref()),
            user: user(document.user.as_ref(), at)?,
            args: strings(document.args.as_deref(), &format!("{at}.args"))?,
            env: environment(document.env.as_deref(), at)?,
            limits: limits(document.rlimits.as_deref(), at)?,
            ..Self::default()
        };
        if process.terminal {
            let bounded = |value: u64| u16::try_from(value).unwrap_or(u16::MAX);
            process.console_size = document
                .console_size
                .as_ref()
                .map(|size| (bounded(size.height), bounded(size.width)));
        }
        let cwd = document.cwd.as_deref().unwrap_or_default();
        if !cwd.starts_with('/') {
            let reason = format!("{cwd:?} is not an absolute path");
            return Err(Error::config(format!("{at}.cwd"), reason));
        }
        process.cwd = string(cwd, &format!("{at}.cwd"))?;
        if let Some(sets) = &document.capabilities {
            let (sets, unknown) = capabilities(sets);
            process.capabilities = Some(sets);
            process.unknown_capabilities = unknown;
        }
        if let Some(score) = document.oom_score_adj {
            if !(-1000..=1000).contains(&score) {
                let reason = format!("{score} is out of range, accepted: -1000 … 1000");
                return Err(Error::config(format!("{at}.oomScoreAdj"), reason));
            }
            process.oom_score_adj = Some(score);
        }
        process.scheduler = document
            .scheduler
            .as_ref()
            .map(|it| scheduler(it, at))
            .transpose()?;
        process.io_priority = document
            .io_priority
            .as_ref()
            .map(|it| io_priority(it, at))
            .transpose()?;
        if let Some(affinity) = &document.exec_cpu_affinity {
            let path = format!("{at}.execCPUAffinity");
            process.affinity_initial =
                cpus(affinity.initial.as_deref(), &format!("{path}.initial"))?;
            process.affinity_final = cpus(affinity.last.as_deref(), &format!("{path}.final"))?;
        }
        Ok(process)
    }

    /// The value of the environment variable `name`.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&[u8]> {
        self.env.iter().find_map(|entry| {
            let rest = entry.to_bytes().strip_prefix(name.as_bytes())?;
            rest.strip_prefix(b"=")
        })
    }
}

fn given(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(str::to_owned)
}

fn string(text: &str, path: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::config(path, format!("{text:?} contains a NUL")))
}

fn strings(list: Option<&[String]>, path: &str) -> Result<Vec<CString>> {
    let read = |(index, text): (usize, &String)| string(text, &format!("{path}[{index}]"));
    list.unwrap_or_default()
        .iter()
        .enumerate()
        .map(read)
        .collect()
}

fn environment(list: Option<&[String]>, at: &str) -> Result<Vec<CString>> {
    let list = strings(list, &format!("{at}.env"))?;
    let mut places = std::collections::HashMap::with_capacity(list.len());
    let mut result: Vec<CString> = Vec::with_capacity(list.len());
    for (index, entry) in list.into_iter().enumerate() {
        let name = entry
            .to_bytes()
            .split(|byte| *byte == b'=')
            .next()
            .unwrap_or_default();
        if name.is_empty() || !entry.to_bytes().contains(&b'=') {
            let reason = format!(
                "invalid environment variable {:?}, accepted: NAME=value",
                entry.to_string_lossy()
            );
            return Err(Error::config(format!("{at}.env[{index}]"), reason));
        }
        match places.get(name) {
            Some(place) => result[*place] = entry,
            None => {
                places.insert(name.to_vec(), result.len());
                result.push(entry);
            }
        }
    }
    Ok(result)
}

fn user(document: Option<&document::User>, at: &str) -> Result<User> {
    let Some(document) = document else {
        return Ok(User {
            umask: 0o022,
            ..User::default()
        });
    };
    // 4294967295 means "no change" to the kernel, so it can be nobody's number.
    let id = |value: i64, field: &str| {
        u32::try_from(value)
            .ok()
            .filter(|id| *id != u32::MAX)
            .ok_or_else(|| {
                let reason = format!("{value} is out of range, accepted: 0 … 4294967294");
                Error::config(format!("{at}.user.{field}"), reason)
            })
    };
    Ok(User {
        uid: id(document.uid.unwrap_or(0), "uid")?,
        gid: id(document.gid.unwrap_or(0), "gid")?,
        groups: document
            .additional_gids
            .iter()
            .flatten()
            .map(|gid| id(*gid, "additionalGids"))
            .collect::<Result<_>>()?,
        umask: document.umask.unwrap_or(0o022) & 0o7777,
    })
}

const LIMITS: [&str; 16] = [
    "CPU",
    "FSIZE",
    "DATA",
    "STACK",
    "CORE",
    "RSS",
    "NPROC",
    "NOFILE",
    "MEMLOCK",
    "AS",
    "LOCKS",
    "SIGPENDING",
    "MSGQUEUE",
    "NICE",
    "RTPRIO",
    "RTTIME",
];

fn limits(list: Option<&[document::Rlimit]>, at: &str) -> Result<Vec<Limit>> {
    let mut limits: Vec<Limit> = Vec::new();
    for (index, limit) in list.unwrap_or_default().iter().enumerate() {
        let path = format!("{at}.rlimits[{index}]");
        let name = limit.kind.strip_prefix("RLIMIT_");
        let known = name.and_then(|name| LIMITS.iter().position(|known| *known == name));
        let resource = known
            .and_then(|position| u32::try_from(position).ok())
            .ok_or_else(|| {
                let reason = format!(
                    "invalid rlimit type: {:?}, accepted: RLIMIT_ and one of {}",
                    limit.kind,
                    LIMITS.join(", ")
                );
                Error::config(format!("{path}.type"), reason)
            })?;
        if limits.iter().any(|other| other.resource == resource) {
            return Err(Error::config(
                path,
                format!("duplicate rlimit {:?}", limit.kind),
            ));
        }
        limits.push(Limit {
            resource,
            soft: limit.soft,
            hard: limit.hard,
        });
    }
    Ok(limits)
}

/// The number of a capability by its name in config.json, with or without `CAP_`, in any case.
#[must_use]
pub fn capability(name: &str) -> Option<u32> {
    let upper = name.to_ascii_uppercase();
    let full = if upper.starts_with("CAP_") {
        upper
    } else {
        format!("CAP_{upper}")
    };
    full.parse::<caps::Capability>()
        .ok()
        .map(|known| u32::from(known.index()))
}

fn capabilities(document: &document::Capabilities) -> (Capabilities, Vec<String>) {
    let mut unknown = Vec::new();
    let mut set = |names: Option<&Vec<String>>| {
        let mut bits = 0_u64;
        for name in names.into_iter().flatten() {
            match capability(name) {
                Some(number) => bits |= 1 << number,
                None if !unknown.contains(name) => unknown.push(name.clone()),
                None => {}
            }
        }
        bits
    };
    let sets = Capabilities {
        bounding: set(document.bounding.as_ref()),
        effective: set(document.effective.as_ref()),
        inheritable: set(document.inheritable.as_ref()),
        permitted: set(document.permitted.as_ref()),
        ambient: set(document.ambient.as_ref()),
    };
    (sets, unknown)
}

const POLICIES: [(&str, u32); 8] = [
    ("SCHED_OTHER", 0),
    ("SCHED_FIFO", 1),
    ("SCHED_RR", 2),
    ("SCHED_BATCH", 3),
    ("SCHED_ISO", 4),
    ("SCHED_IDLE", 5),
    ("SCHED_DEADLINE", 6),
    ("SCHED_EXT", 7),
];

const SCHEDULER_FLAGS: [(&str, u64); 7] = [
    ("SCHED_FLAG_RESET_ON_FORK", 0x01),
    ("SCHED_FLAG_RECLAIM", 0x02),
    ("SCHED_FLAG_DL_OVERRUN", 0x04),
    ("SCHED_FLAG_KEEP_POLICY", 0x08),
    ("SCHED_FLAG_KEEP_PARAMS", 0x10),
    ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
    ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
];

pub(super) fn named<T: Copy>(table: &[(&str, T)], name: &str, path: String) -> Result<T> {
    let found = table
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| *value);
    found.ok_or_else(|| {
        let known: Vec<_> = table.iter().map(|(known, _)| *known).collect();
        Error::config(
            path,
            format!("unknown value {name:?}, accepted: {}", known.join(", ")),
        )
    })
}

fn scheduler(document: &document::Scheduler, at: &str) -> Result<Policy> {
    let path = format!("{at}.scheduler");
    let policy = named(
        &POLICIES,
        document.policy.as_deref().unwrap_or_default(),
        format!("{path}.policy"),
    )?;
    let mut flags = 0;
    for flag in document.flags.iter().flatten() {
        flags |= named(&SCHEDULER_FLAGS, flag, format!("{path}.flags"))?;
    }
    let nice = document.nice.unwrap_or(0);
    if !(-20..=19).contains(&nice) {
        let reason = format!("{nice} is out of range, accepted: -20 … 19");
        return Err(Error::config(format!("{path}.nice"), reason));
    }
    let priority = document.priority.unwrap_or(0);
    if priority != 0 && !matches!(policy, 1 | 2) {
        let reason = "goes with SCHED_FIFO and SCHED_RR only";
        return Err(Error::config(format!("{path}.priority"), reason));
    }
    let timed = document.runtime.or(document.deadline).or(document.period);
    if timed.is_some_and(|time| time != 0) && policy != 6 {
        let reason = "runtime, deadline and period go with SCHED_DEADLINE only";
        return Err(Error::config(path, reason));
    }
    Ok(Policy {
        policy,
        flags,
        nice,
        priority: u32::try_from(priority)
            .map_err(|_| Error::config(format!("{path}.priority"), "must not be negative"))?,
        runtime: document.runtime.unwrap_or(0),
        deadline: document.deadline.unwrap_or(0),
        period: document.period.unwrap_or(0),
    })
}

fn io_priority(document: &document::IoPriority, at: &str) -> Result<IoPriority> {
    const CLASSES: [(&str, i32); 3] = [
        ("IOPRIO_CLASS_RT", 1),
        ("IOPRIO_CLASS_BE", 2),
        ("IOPRIO_CLASS_IDLE", 3),
    ];
    let path = format!("{at}.ioPriority");
    let class = named(
        &CLASSES,
        document.class.as_deref().unwrap_or_default(),
        format!("{path}.class"),
    )?;
    let level = document.priority.unwrap_or(0);
    if !(0..=7).contains(&level) {
        let reason = format!("{level} is out of range, accepted: 0 … 7");
        return Err(Error::config(format!("{path}.priority"), reason));
    }
    Ok(IoPriority { class, level })
}

fn cpus(text: Option<&str>, path: &str) -> Result<Option<Vec<u64>>> {
    text.filter(|text| !text.is_empty())
        .map(|text| {
            number_list(text).ok_or_else(|| {
                Error::config(path, format!("{text:?} is no list of CPUs like 0-3,7"))
            })
        })
        .transpose()
}

/// A bit mask of a list like `0-3,7`; `None` where it is none. Numbers to 65535.
#[must_use]
pub fn number_list(text: &str) -> Option<Vec<u64>> {
    let mut mask = Vec::new();
    for part in text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last {
            return None;
        }
        for number in usize::from(first)..=usize::from(last) {
            if mask.len() <= number / 64 {
                mask.resize(number / 64 + 1, 0);
            }
            mask[number / 64] |= 1_u64 << (number % 64);
        }
    }
    (!mask.is_empty()).then_some(mask)
}

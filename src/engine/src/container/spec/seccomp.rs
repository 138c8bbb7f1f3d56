//! docker's default seccomp profile: what every container may call, what a capability opens, what needs its arguments
//! looked at. `errno` 1 (EPERM) for the rest, ENOSYS for clone3 because its flags cannot be looked at.

use serde_json::{Value, json};

use crate::error::{Error, Result};

/// Calls allowed to everybody.
const ALLOWED: &str = include_str!("allowed.txt");

/// What each capability opens.
const BY_CAPABILITY: [(&str, &[&str]); 14] = [
    ("CAP_DAC_READ_SEARCH", &["open_by_handle_at"]),
    (
        "CAP_SYS_ADMIN",
        &[
            "bpf",
            "clone",
            "clone3",
            "fanotify_init",
            "fsconfig",
            "fsmount",
            "fsopen",
            "fspick",
            "lookup_dcookie",
            "mount",
            "mount_setattr",
            "move_mount",
            "open_tree",
            "perf_event_open",
            "quotactl",
            "quotactl_fd",
            "setdomainname",
            "sethostname",
            "setns",
            "syslog",
            "umount",
            "umount2",
            "unshare",
        ],
    ),
    ("CAP_SYS_BOOT", &["reboot"]),
    ("CAP_SYS_CHROOT", &["chroot"]),
    (
        "CAP_SYS_MODULE",
        &["delete_module", "finit_module", "init_module"],
    ),
    ("CAP_SYS_PACCT", &["acct"]),
    (
        "CAP_SYS_PTRACE",
        &[
            "kcmp",
            "pidfd_getfd",
            "process_madvise",
            "process_vm_readv",
            "process_vm_writev",
            "ptrace",
        ],
    ),
    ("CAP_SYS_RAWIO", &["ioperm", "iopl"]),
    (
        "CAP_SYS_TIME",
        &["clock_settime", "clock_settime64", "settimeofday", "stime"],
    ),
    ("CAP_SYS_TTY_CONFIG", &["vhangup"]),
    (
        "CAP_SYS_NICE",
        &[
            "get_mempolicy",
            "mbind",
            "set_mempolicy",
            "set_mempolicy_home_node",
        ],
    ),
    ("CAP_SYSLOG", &["syslog"]),
    ("CAP_BPF", &["bpf"]),
    ("CAP_PERFMON", &["perf_event_open"]),
];

/// The namespace flags of clone(2) that need CAP_SYS_ADMIN: all but CLONE_NEWTIME, which clone cannot carry.
const NAMESPACES: u64 = 0x7E02_0000;

/// The profile for a container with these capabilities.
#[must_use]
pub fn default_profile(capabilities: &[String]) -> Value {
    let has = |wanted: &str| capabilities.iter().any(|name| name == wanted);
    let names: Vec<&str> = ALLOWED
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let allow = |names: Value| json!({"names": names, "action": "SCMP_ACT_ALLOW"});
    let compare = |name: &str, value: u64, op: &str| json!({"names": [name], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": value, "op": op}]});
    // Kernels since 4.8 check seccomp after ptrace, so a tracer cannot slip past the filter.
    let mut rules = vec![
        allow(json!(names)),
        allow(json!(["process_vm_readv", "process_vm_writev", "ptrace"])),
    ];
    // 40 is AF_VSOCK: it would reach the host past every namespace.
    rules.push(compare("socket", 40, "SCMP_CMP_NE"));
    for persona in [0x0, 0x8, 0x20000, 0x20008, 0xffff_ffff] {
        rules.push(compare("personality", persona, "SCMP_CMP_EQ"));
    }
    rules.extend(for_architecture());
    for (capability, opened) in BY_CAPABILITY {
        if has(capability) {
            rules.push(allow(json!(opened)));
        }
    }
    if !has("CAP_SYS_ADMIN") {
        rules.push(compare("clone", NAMESPACES, "SCMP_CMP_MASKED_EQ"));
        rules.push(json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}));
    }
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 1,
        "architectures": architectures(),
        "syscalls": rules,
    })
}

fn architectures() -> Value {
    match std::env::consts::ARCH {
        "x86_64" => json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]),
        "aarch64" => json!(["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]),
        "riscv64" => json!(["SCMP_ARCH_RISCV64"]),
        "s390x" => json!(["SCMP_ARCH_S390X", "SCMP_ARCH_S390"]),
        "powerpc64" => json!(["SCMP_ARCH_PPC64LE"]),
        _ => json!([]),
    }
}

fn for_architecture() -> Vec<Value> {
    let names: &[&[&str]] = match std::env::consts::ARCH {
        "x86_64" => &[&["arch_prctl"], &["modify_ldt"]],
        "aarch64" => &[&[
            "arm_fadvise64_64",
            "arm_sync_file_range",
            "breakpoint",
            "cacheflush",
            "set_tls",
            "sync_file_range2",
        ]],
        "riscv64" => &[&["riscv_flush_icache"]],
        "s390x" => &[&[
            "s390_pci_mmio_read",
            "s390_pci_mmio_write",
            "s390_runtime_instr",
        ]],
        "powerpc64" => &[&["swapcontext", "sync_file_range2"]],
        _ => &[],
    };
    names
        .iter()
        .map(|names| json!({"names": names, "action": "SCMP_ACT_ALLOW"}))
        .collect()
}

/// A profile a user brought: docker's own format (with `archMap`, `includes`, `excludes`) becomes the runtime's.
///
/// # Errors
/// Invalid if it is not JSON of that format.
pub fn user_profile(text: &str, capabilities: &[String]) -> Result<Value> {
    let broken =
        |e: serde_json::Error| Error::invalid(format!("decoding seccomp profile failed: {e}"));
    let mut profile: Value = serde_json::from_str(text).map_err(broken)?;
    let Some(object) = profile.as_object_mut() else {
        return Err(Error::invalid(
            "decoding seccomp profile failed: expected an object",
        ));
    };
    if let Some(map) = object.remove("archMap") {
        let wanted = architectures();
        let own = wanted[0].as_str().unwrap_or_default();
        let entries = map.as_array().cloned().unwrap_or_default();
        if let Some(entry) = entries.iter().find(|entry| entry["architecture"] == own) {
            let mut all = vec![json!(own)];
            all.extend(
                entry["subArchitectures"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default(),
            );
            object.insert("architectures".into(), Value::Array(all));
        }
    }
    if let Some(Value::Array(rules)) = object.get_mut("syscalls") {
        rules.retain(|rule| applies(rule, capabilities));
        for rule in rules {
            clean(rule);
        }
    }
    Ok(profile)
}

fn applies(rule: &Value, capabilities: &[String]) -> bool {
    let listed = |part: &str, key: &str| -> Vec<String> {
        let list = rule[part][key].as_array().cloned().unwrap_or_default();
        list.iter()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect()
    };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        other => other,
    };
    let (arches, not_arches) = (listed("includes", "arches"), listed("excludes", "arches"));
    listed("includes", "caps")
        .iter()
        .all(|name| capabilities.contains(name))
        && !listed("excludes", "caps")
            .iter()
            .any(|name| capabilities.contains(name))
        && (arches.is_empty() || arches.iter().any(|name| name == arch))
        && !not_arches.iter().any(|name| name == arch)
}

/// Takes docker's own keys away and turns the old `name` into `names`.
fn clean(rule: &mut Value) {
    let Some(rule) = rule.as_object_mut() else {
        return;
    };
    for key in ["includes", "excludes", "comment"] {
        rule.remove(key);
    }
    if let Some(name) = rule.remove("name") {
        rule.insert("names".into(), json!([name]));
    }
    if rule.get("args").is_some_and(Value::is_null) {
        rule.remove("args");
    }
}

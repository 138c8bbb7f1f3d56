//! config-linux.md#seccomp: actions, operators, architectures, flags and what must be refused.

use crate::case::{Case, case, refused, sees};
use crate::rig::Rig;
use crate::verdict::{Verdict, same, skip};
use serde_json::{Value, json};
use std::fs;

const SECCOMP: &str = "config-linux.md#seccomp";

/// What a static program and a runtime's last steps before it need, for filters that deny by default.
const ALLOWED: [&str; 98] = [
    "access",
    "arch_prctl",
    "brk",
    "capget",
    "capset",
    "chdir",
    "clock_gettime",
    "clone",
    "clone3",
    "close",
    "close_range",
    "dup",
    "dup2",
    "dup3",
    "epoll_create1",
    "epoll_ctl",
    "epoll_pwait",
    "execve",
    "execveat",
    "exit",
    "exit_group",
    "faccessat",
    "faccessat2",
    "fchdir",
    "fchown",
    "fcntl",
    "fstat",
    "fstatfs",
    "futex",
    "getcwd",
    "getdents64",
    "getpid",
    "getppid",
    "getrandom",
    "gettid",
    "getuid",
    "getgid",
    "geteuid",
    "getegid",
    "ioctl",
    "lseek",
    "lstat",
    "madvise",
    "mmap",
    "mprotect",
    "mremap",
    "munmap",
    "nanosleep",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "pause",
    "pipe2",
    "poll",
    "ppoll",
    "prctl",
    "pread64",
    "prlimit64",
    "read",
    "readlink",
    "readlinkat",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    "set_tid_address",
    "setgid",
    "setgroups",
    "setuid",
    "sigaltstack",
    "stat",
    "statx",
    "uname",
    "write",
    "setresgid",
    "setresuid",
    "setregid",
    "setreuid",
    "umask",
    "keyctl",
    "sendmsg",
    "recvmsg",
    "sendto",
    "recvfrom",
    "socketpair",
    "wait4",
    "kill",
    "tgkill",
    "clock_nanosleep",
    "fchmod",
    "fchownat",
    "writev",
    "select",
    "pselect6",
];

/// The chapter's cases.
pub fn cases() -> Vec<Case> {
    let mut all = actions();
    all.extend(operators());
    all.extend(settings());
    all.extend(refusals());
    all
}

fn patch(seccomp: Value) -> Value {
    json!({"linux": {"seccomp": seccomp}})
}

/// A filter that allows all but gives `mkdir` the action.
fn on_mkdir(rule: Value) -> Value {
    let mut entry = json!({"names": ["mkdir", "mkdirat"]});
    crate::bundle::merge(&mut entry, &rule);
    patch(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [entry]}))
}

fn actions() -> Vec<Case> {
    let errno = |name: &str, rule: Value, wanted: i64| {
        sees(format!("seccomp/action/{name}"), SECCOMP, on_mkdir(rule), &["call:mkdir"], move |r| same("errno", r.errno("call:mkdir")?, wanted))
    };
    let deadly = |action: &'static str| {
        case(format!("seccomp/action/{action}"), SECCOMP, move |rig| {
            let report = rig.run(&on_mkdir(json!({"action": action})), &["pid", "call:mkdir"])?;
            require!(report.has("pid") && !report.has("call:mkdir"), "the program went on");
            same("the status (128 + SIGSYS)", report.code, Some(128 + 31))
        })
    };
    let by_default = |more: Value, wanted: i64| {
        let mut seccomp = json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ALLOWED[..], "action": "SCMP_ACT_ALLOW"}]});
        crate::bundle::merge(&mut seccomp, &more);
        let name = if more.get("defaultErrnoRet").is_some() { "seccomp/defaultErrnoRet" } else { "seccomp/defaultAction/SCMP_ACT_ERRNO" };
        sees(name, SECCOMP, patch(seccomp), &["call:mkdir"], move |r| same("errno", r.errno("call:mkdir")?, wanted))
    };
    vec![
        errno("SCMP_ACT_ERRNO", json!({"action": "SCMP_ACT_ERRNO"}), 1),
        errno("SCMP_ACT_ERRNO-errnoRet", json!({"action": "SCMP_ACT_ERRNO", "errnoRet": 42}), 42),
        errno("SCMP_ACT_ERRNO-errnoRet-ENOSYS", json!({"action": "SCMP_ACT_ERRNO", "errnoRet": 38}), 38),
        errno("SCMP_ACT_TRACE", json!({"action": "SCMP_ACT_TRACE"}), 38),
        errno("SCMP_ACT_TRACE-errnoRet", json!({"action": "SCMP_ACT_TRACE", "errnoRet": 1}), 38),
        errno("SCMP_ACT_ALLOW", json!({"action": "SCMP_ACT_ALLOW"}), 0),
        errno("SCMP_ACT_LOG", json!({"action": "SCMP_ACT_LOG"}), 0),
        deadly("SCMP_ACT_KILL"),
        deadly("SCMP_ACT_KILL_THREAD"),
        deadly("SCMP_ACT_KILL_PROCESS"),
        deadly("SCMP_ACT_TRAP"),
        by_default(json!({}), 1),
        by_default(json!({"defaultErrnoRet": 38}), 38),
        sees("seccomp/defaultAction/SCMP_ACT_LOG", SECCOMP, patch(json!({"defaultAction": "SCMP_ACT_LOG"})), &["call:mkdir"], |r| {
            r.ok("call:mkdir").map(drop)
        }),
        sees("seccomp/others-unaffected", SECCOMP, on_mkdir(json!({"action": "SCMP_ACT_ERRNO"})), &["call:sched_yield", "call:getppid"], |r| {
            r.ok("call:sched_yield")?;
            r.ok("call:getppid").map(drop)
        }),
    ]
}

/// Operator, value, second value; the offsets tried and whether each must match.
type Comparison = (&'static str, u64, u64, &'static [(u64, bool)]);

/// An argument comparison against the offset given to lseek, a whole 64-bit number.
fn operators() -> Vec<Case> {
    const BIG: u64 = 0x1_0000_0005;
    let table: [Comparison; 11] = [
        ("SCMP_CMP_EQ", 5, 0, &[(5, true), (6, false), (BIG, false)]),
        ("SCMP_CMP_EQ", BIG, 0, &[(BIG, true), (5, false)]),
        ("SCMP_CMP_NE", 5, 0, &[(5, false), (6, true), (BIG, true)]),
        ("SCMP_CMP_LT", 5, 0, &[(4, true), (5, false), (BIG, false)]),
        ("SCMP_CMP_LT", BIG, 0, &[(5, true), (BIG - 1, true), (BIG, false)]),
        ("SCMP_CMP_LE", 5, 0, &[(5, true), (6, false), (BIG, false)]),
        ("SCMP_CMP_GT", 5, 0, &[(5, false), (6, true), (BIG, true)]),
        ("SCMP_CMP_GE", 5, 0, &[(4, false), (5, true), (BIG, true)]),
        ("SCMP_CMP_GE", BIG, 0, &[(6, false), (BIG, true), (BIG + 1, true)]),
        ("SCMP_CMP_MASKED_EQ", 0xf0, 0x50, &[(0x5f, true), (0x60, false), (0x1_0000_0051, true)]),
        ("SCMP_CMP_MASKED_EQ", 0x1_0000_0000, 0x1_0000_0000, &[(BIG, true), (5, false)]),
    ];
    let mut all: Vec<Case> = table
        .into_iter()
        .map(|(op, value, two, tries)| {
            let rule = json!({"index": 1, "value": value, "valueTwo": two, "op": op});
            compared(format!("seccomp/operator/{op}-{value:#x}"), &[json!([rule])], tries)
        })
        .collect();
    let rule = |index: u32, value: u64| json!({"index": index, "value": value, "op": "SCMP_CMP_EQ"});
    // Index 2 is whence, 0 in the probe's calls.
    all.push(compared("seccomp/args/all-must-match", &[json!([rule(1, 5), rule(2, 0)])], &[(5, true), (6, false)]));
    all.push(compared("seccomp/args/one-does-not-match", &[json!([rule(1, 5), rule(2, 1)])], &[(5, false)]));
    all.push(compared("seccomp/args/several-rules", &[json!([rule(1, 5)]), json!([rule(1, 9)])], &[(5, true), (9, true), (7, false)]));
    all
}

fn compared(name: impl Into<String>, rules: &[Value], tries: &'static [(u64, bool)]) -> Case {
    let entries: Vec<Value> =
        rules.iter().map(|args| json!({"names": ["lseek"], "action": "SCMP_ACT_ERRNO", "errnoRet": 42, "args": args})).collect();
    let actions: Vec<String> = tries.iter().map(|(offset, _)| format!("call:lseek,{offset}")).collect();
    let words: Vec<&str> = actions.iter().map(String::as_str).collect();
    sees(name, SECCOMP, patch(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": entries})), &words, move |r| {
        for (offset, matches) in tries {
            let action = format!("call:lseek,{offset}");
            same(&action, r.errno(&action)? == 42, *matches)?;
        }
        Ok(())
    })
}

fn settings() -> Vec<Case> {
    let flags = |flags: &[&str]| {
        patch(json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": flags, "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}))
    };
    let mut all = vec![
        sees("seccomp/status/filter", SECCOMP, on_mkdir(json!({"action": "SCMP_ACT_ERRNO"})), &["status"], |r| {
            same("Seccomp", r.status("Seccomp")?, "2")
        }),
        sees("seccomp/status/unset", SECCOMP, json!({}), &["status"], |r| same("Seccomp", r.status("Seccomp")?, "0")),
        sees("seccomp/noNewPrivileges", SECCOMP, with_process(json!({"noNewPrivileges": true})), &["call:mkdir"], |r| {
            same("errno", r.errno("call:mkdir")?, 1)
        }),
        sees(
            "seccomp/other-user",
            SECCOMP,
            with_process(json!({"user": {"uid": 1000, "gid": 1000}, "noNewPrivileges": false})),
            &["call:mkdir"],
            |r| same("errno", r.errno("call:mkdir")?, 1),
        )
        .root(),
        sees(
            "seccomp/other-user-noNewPrivileges",
            SECCOMP,
            with_process(json!({"user": {"uid": 1000, "gid": 1000}, "noNewPrivileges": true})),
            &["call:mkdir"],
            |r| same("errno", r.errno("call:mkdir")?, 1),
        )
        .root(),
        sees("seccomp/flags/SPEC_ALLOW-effect", SECCOMP, flags(&["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]), &["status"], |r| {
            let seen = r.status("Speculation_Store_Bypass")?;
            require!(!seen.contains("force mitigated"), "Speculation_Store_Bypass: {seen}");
            Ok(())
        }),
        case("seccomp/architectures/32-bit", SECCOMP, other_architecture),
        sees(
            "seccomp/architectures/native-named",
            SECCOMP,
            {
                let mut named = on_mkdir(json!({"action": "SCMP_ACT_ERRNO"}));
                named["linux"]["seccomp"]["architectures"] = json!([native()]);
                named
            },
            &["call:mkdir"],
            |r| same("errno", r.errno("call:mkdir")?, 1),
        ),
    ];
    for flag in ["TSYNC", "LOG", "SPEC_ALLOW", "WAIT_KILLABLE_RECV"] {
        let name = format!("SECCOMP_FILTER_FLAG_{flag}");
        all.push(sees(format!("seccomp/flags/{flag}"), SECCOMP, flags(&[&name]), &["call:mkdir"], |r| same("errno", r.errno("call:mkdir")?, 1)));
    }
    all
}

fn with_process(process: Value) -> Value {
    let mut patch = on_mkdir(json!({"action": "SCMP_ACT_ERRNO"}));
    patch["process"] = process;
    patch
}

fn native() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "SCMP_ARCH_AARCH64",
        "riscv64" => "SCMP_ARCH_RISCV64",
        _ => "SCMP_ARCH_X86_64",
    }
}

/// A 32-bit x86 program, assembled by hand: it calls mkdir("/made", 0755) by int 0x80 and exits with the errno.
fn program() -> Vec<u8> {
    let base: u32 = 0x0804_8000;
    let code_at = 52 + 32;
    let text: [u8; 32] = [
        0xb8, 39, 0, 0, 0, // mov eax, 39 (mkdir)
        0xbb, 0, 0, 0, 0, // mov ebx, path
        0xb9, 0xed, 1, 0, 0, // mov ecx, 0755
        0xcd, 0x80, // int 0x80
        0xf7, 0xd8, // neg eax
        0x89, 0xc3, // mov ebx, eax
        0xb8, 1, 0, 0, 0, // mov eax, 1 (exit)
        0xcd, 0x80, // int 0x80
        0x90, 0x90, 0x90, 0x90,
    ];
    let total = code_at + 32 + 6;
    let mut elf: Vec<u8> = vec![0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 3, 0, 1, 0, 0, 0];
    for word in [base + code_at, 52, 0, 0] {
        elf.extend(word.to_le_bytes());
    }
    for half in [52_u16, 32, 1, 0, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    for word in [1_u32, 0, base, base, total, total, 5, 0x1000] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(text);
    let path = (base + code_at + 32).to_le_bytes();
    elf[84 + 6..84 + 10].copy_from_slice(&path);
    elf.extend(b"/made\0");
    elf
}

/// With the 32-bit architecture named, the rule also holds for 32-bit programs, whose call has another number.
fn other_architecture(rig: &Rig) -> Verdict {
    use std::os::unix::fs::PermissionsExt;
    if std::env::consts::ARCH != "x86_64" {
        return skip("an x86_64 machine");
    }
    let run = |patch: &Value| -> Verdict<i64> {
        let bundle = rig.bundle()?;
        fs::write(bundle.inside("/old"), program())?;
        fs::set_permissions(bundle.inside("/old"), fs::Permissions::from_mode(0o755))?;
        let report = rig.run_bundle(&rig.bundle_at(&bundle, patch, &["exec:/old"])?)?;
        if report.errno("exec:/old")? == 8 {
            return skip("a kernel with 32-bit emulation");
        }
        Ok(report.ok("exec:/old")?.as_i64().unwrap_or(-1))
    };
    same("without a filter", run(&json!({}))?, 0)?;
    let mut patch = on_mkdir(json!({"action": "SCMP_ACT_ERRNO", "errnoRet": 42}));
    patch["linux"]["seccomp"]["architectures"] = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]);
    same("errno with the filter", run(&patch)?, 42)
}

fn refusals() -> Vec<Case> {
    let bad = |name: &str, seccomp: Value| refused(format!("seccomp/refused/{name}"), SECCOMP, patch(seccomp));
    let rule = |rule: Value| json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]});
    let argument = |op: &str| rule(json!({"names": ["lseek"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "value": 1, "op": op}]}));
    vec![
        bad("unknown-default-action", json!({"defaultAction": "SCMP_ACT_LUNCH"})),
        bad("no-default-action", json!({"syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]})),
        bad("unknown-action", rule(json!({"names": ["mkdir"], "action": "SCMP_ACT_LUNCH"}))),
        bad("unknown-operator", argument("SCMP_CMP_LUNCH")),
        bad(
            "argument-index-out-of-range",
            rule(json!({"names": ["lseek"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]})),
        ),
        bad(
            "unknown-architecture",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_LUNCH"], "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}),
        ),
        bad(
            "unknown-flag",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LUNCH"], "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}),
        ),
        bad("no-names", rule(json!({"names": [], "action": "SCMP_ACT_ERRNO"}))),
        bad(
            "defaultErrnoRet-for-allow",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 42, "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}),
        ),
        bad(
            "errnoRet-for-allow",
            json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ALLOWED[..], "action": "SCMP_ACT_ALLOW", "errnoRet": 42}]}),
        ),
        bad("errnoRet-for-kill", rule(json!({"names": ["mkdir"], "action": "SCMP_ACT_KILL", "errnoRet": 42}))),
        bad(
            "listenerMetadata-without-listenerPath",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}),
        ),
    ]
}

//! libseccomp compiles the same profile; every number of every convention and the neighbourhood of every argument's value
//! must get the same verdict. Left out are calls newer than the installed libseccomp, which drops them unsaid.

use std::collections::BTreeSet;
use std::io::{Read as _, Seek as _};

use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall,
};

use super::machine::{Call, run};
use super::*;

fn action(verdict: Verdict) -> ScmpAction {
    let data = verdict.0 & 0xffff;
    match verdict.0 & 0xffff_0000 {
        0 => ScmpAction::KillThread,
        0x8000_0000 => ScmpAction::KillProcess,
        0x0003_0000 => ScmpAction::Trap,
        0x0005_0000 => ScmpAction::Errno(i32::try_from(data).unwrap()),
        0x7ff0_0000 => ScmpAction::Trace(u16::try_from(data).unwrap()),
        0x7fc0_0000 => ScmpAction::Notify,
        0x7ffc_0000 => ScmpAction::Log,
        _ => ScmpAction::Allow,
    }
}

fn comparison(condition: &Condition) -> ScmpArgCompare {
    let (operator, value) = match condition.operator {
        Operator::NotEqual => (ScmpCompareOp::NotEqual, condition.value),
        Operator::Less => (ScmpCompareOp::Less, condition.value),
        Operator::LessOrEqual => (ScmpCompareOp::LessOrEqual, condition.value),
        Operator::Equal => (ScmpCompareOp::Equal, condition.value),
        Operator::GreaterOrEqual => (ScmpCompareOp::GreaterEqual, condition.value),
        Operator::Greater => (ScmpCompareOp::Greater, condition.value),
        Operator::MaskedEqual => (
            ScmpCompareOp::MaskedEqual(condition.value),
            condition.value_two,
        ),
    };
    ScmpArgCompare::new(condition.index.into(), operator, value)
}

fn libseccomps(profile: &Profile) -> Vec<Instruction> {
    let mut context = ScmpFilterContext::new(action(profile.default)).unwrap();
    for architecture in &profile.architectures {
        let architecture = match architecture {
            Architecture::X86 => ScmpArch::X86,
            Architecture::X32 => ScmpArch::X32,
            _ => continue,
        };
        context.add_arch(architecture).unwrap();
    }
    for rule in profile
        .rules
        .iter()
        .filter(|rule| rule.verdict != profile.default)
    {
        for call in rule
            .names
            .iter()
            .filter_map(|name| ScmpSyscall::from_name(name).ok())
        {
            for conditions in alternatives(rule.conditions.clone()) {
                let comparisons: Vec<_> = conditions.iter().map(comparison).collect();
                context
                    .add_rule_conditional(action(rule.verdict), call, &comparisons)
                    .unwrap();
            }
        }
    }
    let mut file = std::fs::File::from(unnamed(&std::env::temp_dir()));
    context.export_bpf(&file).unwrap();
    let mut bytes = Vec::new();
    file.seek(std::io::SeekFrom::Start(0)).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    let instructions = bytes.chunks_exact(8).map(|b| Instruction {
        code: u16::from_ne_bytes([b[0], b[1]]),
        jt: b[2],
        jf: b[3],
        k: u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
    });
    instructions.collect()
}

/// A file that is gone when it is closed.
fn unnamed(directory: &std::path::Path) -> std::os::fd::OwnedFd {
    use nix::fcntl::{OFlag, open};
    open(
        directory,
        OFlag::O_TMPFILE | OFlag::O_RDWR,
        nix::sys::stat::Mode::S_IRUSR,
    )
    .unwrap()
}

/// Argument values at which any condition of the profile can change its mind.
fn boundaries(profile: &Profile) -> Vec<u64> {
    let mut values = BTreeSet::from([0, 1, u64::from(u32::MAX), 1 << 32, u64::MAX]);
    for condition in profile.rules.iter().flat_map(|rule| &rule.conditions) {
        for value in [condition.value, condition.value_two] {
            let near = [
                value,
                value.wrapping_add(1),
                value.wrapping_sub(1),
                value ^ (1 << 32),
                value ^ (1 << 63),
                !value,
            ];
            values.extend(near);
        }
    }
    values.into_iter().collect()
}

/// Numbers whose name this libseccomp does not know.
fn unknown_to_libseccomp(profile: &Profile) -> BTreeSet<(bool, u32)> {
    let names = profile.rules.iter().flat_map(|rule| &rule.names);
    let mut unknown = BTreeSet::new();
    for name in names.filter(|name| ScmpSyscall::from_name(name).is_err()) {
        let numbers = Numbers::of(name);
        unknown.extend(numbers.x86_64.map(|n| (true, n)));
        unknown.extend(numbers.x32.map(|n| (true, n)));
        unknown.extend(numbers.x86.map(|n| (false, n)));
    }
    unknown
}

fn probes(profile: &Profile) -> Vec<Call> {
    let values = boundaries(profile);
    let conditional: BTreeSet<&str> = profile
        .rules
        .iter()
        .filter(|r| !r.conditions.is_empty())
        .flat_map(|r| &r.names)
        .map(String::as_str)
        .collect();
    let sensitive: BTreeSet<u32> = conditional
        .iter()
        .map(|name| Numbers::of(name))
        .flat_map(|n| [n.x86_64, n.x86, n.x32])
        .flatten()
        .chain([102, 117])
        .collect();
    let numbers = (0..1100).chain(X32_BIT..X32_BIT + 1100).chain([
        u32::MAX,
        u32::MAX - 1,
        X32_BIT - 1,
        1 << 31,
    ]);
    let mut calls = Vec::new();
    for number in numbers {
        let mut push = |arguments| {
            calls.extend([
                Call::wide(number, arguments),
                Call::narrow(number, arguments.map(|a| a & 0xffff_ffff)),
            ])
        };
        push([0; 6]);
        if sensitive.contains(&number) {
            for index in 0..6 {
                for &value in &values {
                    let mut arguments = [0; 6];
                    arguments[index] = value;
                    push(arguments);
                    arguments[(index + 2) % 6] = values[values.len() / 2];
                    push(arguments);
                    push([value; 6]);
                }
            }
            for pair in values
                .iter()
                .flat_map(|a| values.iter().map(move |b| [*a, *b]))
            {
                push([pair[0], 0, pair[1], 0, 0, 0]);
                push([pair[0], pair[1], 0, 0, 0, 0]);
            }
            for selector in 0..25 {
                push([selector, 0, 9, 0, 0, 0]);
            }
        }
    }
    calls.push(Call {
        architecture: 0xc000_00b7,
        ..Call::wide(0, [0; 6])
    });
    calls
}

fn compare(json: &str) {
    let profile = profile(json);
    let theirs = libseccomps(&profile);
    let ours = assemble(&profile, Options::default(), false).unwrap();
    let unknown = unknown_to_libseccomp(&profile);
    let mut probed = 0;
    let mut wrong = Vec::new();
    for call in probes(&profile) {
        if unknown.contains(&(call.architecture == AUDIT_X86_64, call.number)) {
            continue;
        }
        probed += 1;
        let (our, their) = (run(&ours, &call), run(&theirs, &call));
        if our != their {
            wrong.push(format!("{call:x?}: {our:#x}, libseccomp {their:#x}"));
        }
    }
    let shown = wrong[..wrong.len().min(12)].join("\n");
    assert!(
        wrong.is_empty(),
        "{} of {probed} verdicts differ:\n{shown}",
        wrong.len()
    );
}

#[test]
fn docker_default() {
    compare(include_str!("docker.json"));
}

#[test]
fn containerd_default() {
    compare(include_str!("containerd.json"));
}

/// What podman makes of its file: the rules that hold without capabilities on x86_64.
#[test]
fn podman_default() {
    compare(include_str!("podman.json"));
}

#[test]
fn every_operator_and_action() {
    let mut rules = Vec::new();
    let operators = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
    let values = ["5", "4294967296", "18446744073709551615", "0", "4294967301"];
    let actions = [
        "ALLOW",
        "TRAP",
        "KILL_PROCESS",
        "KILL_THREAD",
        "LOG",
        "ERRNO",
        "TRACE",
    ];
    for (at, name) in ["read", "write", "open", "close", "stat", "fstat", "lstat"]
        .iter()
        .enumerate()
    {
        let operator = operators[at];
        let value = values[at % values.len()];
        let action = actions[at];
        rules.push(format!(
            r#"{{"names":["{name}"],"action":"SCMP_ACT_{action}","args":[{{"index":{at},"value":{value},"valueTwo":5,"op":"SCMP_CMP_{operator}"}}]}}"#,
            at = at % 6
        ));
    }
    rules.push(r#"{"names":["poll"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"},{"index":1,"value":9,"op":"SCMP_CMP_GT"}]}"#.to_owned());
    rules.push(r#"{"names":["lseek"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"},{"index":0,"value":9,"op":"SCMP_CMP_EQ"}]}"#.to_owned());
    rules.push(r#"{"names":["mmap"],"action":"SCMP_ACT_ALLOW"},{"names":["mmap"],"action":"SCMP_ACT_TRAP","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]}"#.to_owned());
    rules.push(r#"{"names":["ioctl"],"action":"SCMP_ACT_TRAP","args":[{"index":1,"value":1,"op":"SCMP_CMP_EQ"}]},{"names":["ioctl"],"action":"SCMP_ACT_ALLOW"}"#.to_owned());
    rules.push(
        r#"{"names":["dup"],"action":"SCMP_ACT_ALLOW"},{"names":["dup"],"action":"SCMP_ACT_TRAP"}"#
            .to_owned(),
    );
    rules.push(r#"{"names":["pipe"],"action":"SCMP_ACT_ERRNO"}"#.to_owned());
    for architectures in [
        "[]",
        r#"["SCMP_ARCH_X86_64","SCMP_ARCH_X86"]"#,
        r#"["SCMP_ARCH_X32"]"#,
        r#"["SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_X32","SCMP_ARCH_AARCH64"]"#,
    ] {
        let json = format!(
            r#"{{"defaultAction":"SCMP_ACT_ERRNO","architectures":{architectures},"syscalls":[{}]}}"#,
            rules.join(",")
        );
        compare(&json);
        compare(&json.replace(
            r#""defaultAction":"SCMP_ACT_ERRNO""#,
            r#""defaultAction":"SCMP_ACT_LOG""#,
        ));
    }
}

/// Multiplexed calls without `socketcall` and `ipc` themselves.
#[test]
fn multiplexed_calls() {
    let names = r#""socket","bind","accept4","send","recvmsg","shmat","semop","msgctl","recvmmsg","sendmmsg","semtimedop""#;
    for args in ["", r#","args":[{"index":0,"value":2,"op":"SCMP_CMP_EQ"}]"#] {
        compare(&format!(
            r#"{{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86","SCMP_ARCH_X32"],
            "syscalls":[{{"names":[{names}],"action":"SCMP_ACT_ALLOW"{args}}}]}}"#
        ));
    }
}

//! The compiler against an interpreter of classic BPF, and against libseccomp's program for the same profile.

mod machine;
mod oracle;

use super::*;
use machine::{Call, run};

fn profile(json: &str) -> Profile {
    Profile::parse(json, None).unwrap_or_else(|e| panic!("{e}"))
}

fn program(json: &str) -> Vec<Instruction> {
    compile(&profile(json), Options::default()).unwrap().program
}

fn refusal(json: &str) -> String {
    Profile::parse(json, None).unwrap_err().to_string()
}

const ERRNO: &str = r#""defaultAction":"SCMP_ACT_ERRNO""#;

#[test]
fn refusals_name_the_field() {
    for (json, message) in [
        (
            r#"{"defaultAction":"X"}"#,
            "linux.seccomp.defaultAction: unknown action \"X\"",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#,
            "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be used as default action",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","defaultErrnoRet":1}"#,
            "linux.seccomp.defaultErrnoRet: SCMP_ACT_ALLOW returns no errno",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":4096}"#,
            "linux.seccomp.defaultErrnoRet: 4096 (accepted: 0 to 4095)",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86","Z80"]}"#,
            "linux.seccomp.architectures[1]: unknown architecture \"Z80\"",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["X"]}"#,
            "linux.seccomp.flags[0]: unknown flag \"X\"",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":[],"action":"SCMP_ACT_KILL"}]}"#,
            "linux.seccomp.syscalls[0].names: empty",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["a"],"action":"SCMP_ACT_LOG","errnoRet":1}]}"#,
            "linux.seccomp.syscalls[0].errnoRet: SCMP_ACT_LOG returns no errno",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["write"],"action":"SCMP_ACT_NOTIFY"}]}"#,
            "linux.seccomp.syscalls[0].action: SCMP_ACT_NOTIFY cannot be used for the write syscall",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_NOTIFY"}]}"#,
            "linux.seccomp.listenerPath: missing",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","listenerMetadata":"x"}"#,
            "linux.seccomp.listenerMetadata: cannot be used without listenerPath",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_KILL","args":[{"index":6,"value":0,"op":"SCMP_CMP_EQ"}]}]}"#,
            "linux.seccomp.syscalls[0].args[0].index: 6 (accepted: 0 to 5)",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_KILL","args":[{"index":0,"value":0,"op":"=="}]}]}"#,
            "linux.seccomp.syscalls[0].args[0].op: unknown operator \"==\"",
        ),
        (r"{}", "linux.seccomp: missing field `defaultAction`"),
    ] {
        let said = refusal(json);
        assert!(said.starts_with(message), "{json}: {said}");
    }
}

#[test]
fn flags_and_listener() {
    let compiled = |json: &str| compile(&profile(json), Options::default()).unwrap();
    let absent = compiled(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#);
    assert_eq!(
        (absent.flags, absent.flags_are_optional),
        (kernel::SPEC_ALLOW, true)
    );
    let empty = compiled(r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":[]}"#);
    assert_eq!((empty.flags, empty.flags_are_optional), (0, false));
    let killable =
        r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}"#;
    assert_eq!(compiled(killable).flags, 0);
    let notifying = compiled(
        r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_TSYNC","SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"],
        "listenerPath":"/s","listenerMetadata":"m","syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}]}"#,
    );
    assert_eq!(
        notifying.flags,
        kernel::TSYNC | kernel::TSYNC_ESRCH | kernel::NEW_LISTENER | kernel::WAIT_KILLABLE_RECV
    );
    assert_eq!(
        notifying.listener,
        Some(Listener {
            path: "/s".to_owned(),
            metadata: "m".to_owned()
        })
    );
    assert_eq!(
        run(&notifying.program, &Call::wide(83, [0; 6])),
        Verdict::NOTIFY.0
    );
}

#[test]
fn newer_calls_than_the_profile_get_enosys() {
    let json = format!(
        r#"{{{ERRNO},"architectures":["SCMP_ARCH_X86","SCMP_ARCH_X32"],"syscalls":[{{"names":["read","statx"],"action":"SCMP_ACT_ALLOW"}}]}}"#
    );
    let program = program(&json);
    let wide = |number| run(&program, &Call::wide(number, [0; 6]));
    let eperm = Verdict::errno(1).0;
    assert_eq!(wide(332), Verdict::ALLOW.0);
    assert_eq!(wide(2), eperm);
    assert_eq!(wide(333), Verdict::ENOSYS.0);
    assert_eq!(wide(9999), Verdict::ENOSYS.0);
    assert_eq!(wide(X32_BIT), Verdict::ALLOW.0);
    assert_eq!(wide(X32_BIT | 333), Verdict::ENOSYS.0);
    assert_eq!(wide(u32::MAX), eperm);
    let narrow = |number| run(&program, &Call::narrow(number, [0; 6]));
    assert_eq!(narrow(383), Verdict::ALLOW.0);
    assert_eq!(narrow(384), Verdict::ENOSYS.0);
    let allowing = self::program(
        r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_KILL"}]}"#,
    );
    assert_eq!(run(&allowing, &Call::wide(9999, [0; 6])), Verdict::ALLOW.0);
}

#[test]
fn calls_by_another_convention_are_killed() {
    let program = program(&format!(
        r#"{{{ERRNO},"syscalls":[{{"names":["read"],"action":"SCMP_ACT_ALLOW"}}]}}"#
    ));
    for call in [
        Call::narrow(3, [0; 6]),
        Call::wide(X32_BIT, [0; 6]),
        Call {
            architecture: 0xc000_00b7,
            ..Call::wide(0, [0; 6])
        },
    ] {
        assert_eq!(run(&program, &call), Verdict::KILL_THREAD.0, "{call:?}");
    }
}

#[test]
fn unknown_names_are_left_out_or_refused() {
    let json = format!(
        r#"{{{ERRNO},"syscalls":[{{"names":["nosuchcall","read"],"action":"SCMP_ACT_ALLOW"}}]}}"#
    );
    assert!(compile(&profile(&json), Options::default()).is_ok());
    let said = compile(&profile(&json), Options { fail_unknown: true })
        .unwrap_err()
        .to_string();
    assert_eq!(
        said,
        "linux.seccomp.syscalls[0].names: unknown system call \"nosuchcall\""
    );
}

#[test]
fn compiled_filters_come_in_base64() {
    // ret ALLOW: 06 00 00 00 00 00 ff 7f
    let filter = Filter::from_base64("BgAAAAAA/38=").unwrap();
    assert_eq!(
        run(&filter.program, &Call::wide(0, [0; 6])),
        Verdict::ALLOW.0
    );
    for text in ["", "!", "BgAA"] {
        assert!(Filter::from_base64(text).is_err(), "{text}");
    }
}

#[test]
fn the_kernel_takes_the_program() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/seccomp/tests/docker.json");
    let filter = compile(
        &profile(&std::fs::read_to_string(path).unwrap()),
        Options::default(),
    )
    .unwrap();
    // In a thread of its own, which the filter outlives nothing of.
    let answer = std::thread::spawn(move || {
        sys::process::set_no_new_privileges().unwrap();
        filter.load().unwrap();
        nix::mount::umount("/nowhere").unwrap_err()
    });
    let answer = answer.join().unwrap();
    assert_eq!(answer, nix::errno::Errno::EPERM);
}

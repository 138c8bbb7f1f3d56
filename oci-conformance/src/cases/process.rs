//! config.md#process: the program, its arguments, environment, directory, user, and how privileges stand.

use crate::bundle::CAPABILITIES;
use crate::case::{Case, accepted, case, refused, refused_by_start, sees};
use crate::report::holds;
use crate::rig::Rig;
use crate::verdict::{Verdict, same, skip};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;

const PROCESS: &str = "config.md#process";
const LINUX: &str = "config.md#linux-process";
const USER: &str = "config.md#posix-platform-user";
const INVALID: &str = "config.md#valid-values";
const DESCRIPTORS: &str = "runtime-linux.md#file-descriptors";

/// The chapter's cases.
pub fn cases() -> Vec<Case> {
    let mut all = program();
    all.extend(surroundings());
    all.extend(users());
    all.extend(privileges());
    all.extend(descriptors());
    all
}

fn of(process: &Value) -> Value {
    json!({"process": process})
}

fn program() -> Vec<Case> {
    let args = |words: &[&str]| of(&json!({"args": words}));
    let argv = |name: &str, words: &'static [&'static str]| {
        sees(format!("process/args/{name}"), PROCESS, of(&json!({"args": words})), &[], move |report| same("argv", report.ok("args")?, &json!(words)))
    };
    vec![
        argv("exact", &["/probe", "args", "pid:one two", "pid:\"'$HOME*"]),
        argv("empty-argument", &["/probe", "args", "", "pid"]),
        argv("not-ascii", &["/probe", "args", "pid:žluťoučký 🐎"]),
        argv("many", &["/probe", "args", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"]),
        sees("process/args/found-in-path", PROCESS, args(&["probe", "pid"]), &[], |r| r.ok("pid").map(drop)),
        sees("process/args/relative-to-cwd", PROCESS, of(&json!({"args": ["./probe", "pid"], "cwd": "/"})), &[], |r| r.ok("pid").map(drop)),
        sees("process/args/is-pid-1", PROCESS, json!({}), &["pid"], |r| same("the pid", r.ok("pid")?.as_i64(), Some(1))),
        case("process/args/status-handed-on", PROCESS, |rig| same("the status", rig.run(&json!({}), &["exit:42"])?.code, Some(42))),
        refused_by_start("process/args/missing-program", PROCESS, args(&["/no/such/program"])),
        refused_by_start("process/args/not-in-path", PROCESS, args(&["nosuchprogram"])),
        refused_by_start("process/args/directory", PROCESS, args(&["/proc"])),
        refused_by_start("process/args/empty", PROCESS, args(&[])),
        refused_by_start("process/args/absent", PROCESS, of(&json!({"args": null}))),
        case("process/args/not-executable", PROCESS, |rig| {
            let bundle = rig.bundle()?;
            fs::write(bundle.inside("/script"), "#!/probe\n")?;
            fs::set_permissions(bundle.inside("/script"), fs::Permissions::from_mode(0o644))?;
            let bundle = rig.bundle_at(&bundle, &of(&json!({"args": ["/script"]})), &[])?;
            let id = rig.id();
            let refused = match rig.create_as(&id, &bundle, &[])? {
                Err(_) => true,
                Ok(_) => !rig.operate(&["start", &id])?.ok,
            };
            require!(refused, "create and start accepted a file that cannot be executed");
            Ok(())
        }),
    ]
}

fn surroundings() -> Vec<Case> {
    let directory = |name: &str, cwd: &'static str| {
        sees(format!("process/cwd/{name}"), PROCESS, of(&json!({"cwd": cwd})), &["cwd"], move |r| same("cwd", r.text("cwd")?, cwd))
    };
    let relative = |name: &str, cwd: &str| refused_by_start(format!("process/cwd/{name}"), PROCESS, of(&json!({"cwd": cwd})));
    vec![
        directory("root", "/"),
        directory("directory", "/etc"),
        directory("on-a-mount", "/dev/pts"),
        relative("relative", "etc"),
        relative("relative-dot", "."),
        relative("empty", ""),
        refused_by_start("process/cwd/file", PROCESS, of(&json!({"cwd": "/probe"}))),
        sees("process/env/exact", PROCESS, of(&json!({"env": ["ONE=1", "TWO=a b=c", "EMPTY=", "PATH=/x"]})), &["env"], |r| {
            let env = r.ok("env")?;
            for wanted in ["ONE=1", "TWO=a b=c", "EMPTY=", "PATH=/x"] {
                require!(holds(env, wanted), "{wanted} is not in {env}");
            }
            Ok(())
        }),
        case("process/env/caller-not-seen", PROCESS, |rig| {
            let report = rig.run(&of(&json!({"env": ["ONE=1"]})), &["env"])?;
            let env = report.ok("env")?.as_array().cloned().unwrap_or_default();
            // HOME is what runtimes add where it is not given.
            let strange: Vec<_> = env.iter().filter(|e| *e != "ONE=1" && !e.as_str().is_some_and(|e| e.starts_with("HOME="))).collect();
            require!(strange.is_empty(), "the environment also holds {strange:?}");
            Ok(())
        }),
        accepted("process/env/absent", PROCESS, of(&json!({"env": null}))),
        sees("process/consoleSize/ignored-without-terminal", PROCESS, of(&json!({"consoleSize": {"width": 10, "height": 10}})), &["tty"], |r| {
            same("stdin being a terminal", r.ok("tty")?["stdin"].as_bool(), Some(false))
        }),
        sees("process/execCPUAffinity/not-for-init", LINUX, of(&json!({"execCPUAffinity": {"initial": "0", "final": "0"}})), &["affinity"], |r| {
            let own = std::thread::available_parallelism().map_or(1, usize::from);
            same("the number of processors", r.ok("affinity")?.as_array().map(Vec::len), Some(own))
        }),
    ]
}

fn users() -> Vec<Case> {
    let of = |user: &Value| json!({"process": {"user": user}});
    let all = vec![
        sees("process/user/uid", USER, of(&json!({"uid": 1000, "gid": 0})), &["status"], |r| same("Uid", r.status("Uid")?, "1000\t1000\t1000\t1000")),
        sees("process/user/gid", USER, of(&json!({"uid": 0, "gid": 2000})), &["status"], |r| same("Gid", r.status("Gid")?, "2000\t2000\t2000\t2000")),
        sees("process/user/largest", USER, of(&json!({"uid": 4_294_967_294_u32, "gid": 4_294_967_294_u32})), &["status"], |r| {
            same("Uid", r.status("Uid")?.split('\t').next(), Some("4294967294"))
        }),
        sees("process/user/additionalGids", USER, of(&json!({"uid": 1000, "gid": 2000, "additionalGids": [5, 6, 70000]})), &["status"], |r| {
            let mut groups: Vec<u32> = r.status("Groups")?.split_whitespace().filter_map(|g| g.parse().ok()).collect();
            groups.retain(|g| *g != 2000);
            groups.sort_unstable();
            same("Groups", groups, [5, 6, 70000])
        }),
        sees("process/user/no-groups-of-the-caller", USER, of(&json!({"uid": 1000, "gid": 2000})), &["status"], |r| {
            let strange = r.status("Groups")?.split_whitespace().filter(|g| *g != "2000").count();
            same("groups not asked for", strange, 0)
        }),
        sees(
            "process/user/no-capabilities-gained",
            USER,
            json!({"process": {"user": {"uid": 1000, "gid": 1000}, "capabilities": {"bounding": [], "effective": [], "permitted": []}}}),
            &["status"],
            |r| same("CapPrm", r.status("CapPrm")?, "0000000000000000"),
        ),
    ];
    let mut all: Vec<Case> = all.into_iter().map(Case::root).collect();
    for (name, mask) in [("022", 0o22), ("077", 0o77), ("0", 0), ("0777", 0o777)] {
        all.push(sees(format!("process/user/umask-{name}"), USER, of(&json!({"umask": mask})), &["status"], move |r| {
            same("Umask", u32::from_str_radix(r.status("Umask")?, 8).ok(), Some(mask))
        }));
    }
    all.push(refused("process/user/negative-uid", INVALID, of(&json!({"uid": -1, "gid": 0}))));
    all.push(refused("process/user/uid-is-a-name", INVALID, of(&json!({"uid": "root", "gid": 0}))));
    all
}

fn privileges() -> Vec<Case> {
    let mut all = vec![
        sees("process/noNewPrivileges/true", LINUX, of(&json!({"noNewPrivileges": true})), &["status"], |r| {
            same("NoNewPrivs", r.status("NoNewPrivs")?, "1")
        }),
        sees("process/noNewPrivileges/false", LINUX, of(&json!({"noNewPrivileges": false})), &["status"], |r| {
            same("NoNewPrivs", r.status("NoNewPrivs")?, "0")
        }),
        sees("process/noNewPrivileges/unset", LINUX, json!({}), &["status"], |r| same("NoNewPrivs", r.status("NoNewPrivs")?, "0")),
        case("process/oomScoreAdj/unset", LINUX, |rig| {
            let own = fs::read_to_string("/proc/self/oom_score_adj")?;
            let report = rig.run(&json!({}), &["read:/proc/self/oom_score_adj"])?;
            same("oom_score_adj", report.text("read:/proc/self/oom_score_adj")?, own.trim())
        }),
        refused_by_start("process/oomScoreAdj/out-of-range", INVALID, of(&json!({"oomScoreAdj": 5000}))),
        refused_by_start("process/apparmorProfile/unknown", LINUX, of(&json!({"apparmorProfile": "oci-conformance-no-such-profile"}))),
        case("process/selinuxLabel/without-selinux", LINUX, |rig| {
            if std::path::Path::new("/sys/fs/selinux/enforce").exists() {
                return skip("a machine without SELinux");
            }
            crate::case::must_refuse(rig, &of(&json!({"selinuxLabel": "system_u:system_r:container_t:s0"})), true)
        }),
    ];
    for value in [1000, 500, 0, -500] {
        all.push(case(format!("process/oomScoreAdj/{value}"), LINUX, move |rig| oom_score(rig, value)));
    }
    all
}

fn oom_score(rig: &Rig, value: i64) -> Verdict {
    let own: i64 = fs::read_to_string("/proc/self/oom_score_adj")?.trim().parse()?;
    if value < own && rig.session.host.capabilities & (1 << 24) == 0 {
        return skip("CAP_SYS_RESOURCE");
    }
    let report = rig.run(&of(&json!({"oomScoreAdj": value})), &["read:/proc/self/oom_score_adj"])?;
    same("oom_score_adj", report.text("read:/proc/self/oom_score_adj")?, value.to_string().as_str())
}

fn descriptors() -> Vec<Case> {
    let mut all = vec![
        sees("process/descriptors/only-stdio", DESCRIPTORS, json!({}), &["fds"], |r| {
            let open = r.ok("fds")?.as_object().cloned().unwrap_or_default();
            require!(open.keys().all(|k| matches!(k.as_str(), "0" | "1" | "2")), "open descriptors: {open:?}");
            same("their number", open.len(), 3)
        }),
        sees("process/descriptors/stdout-and-stderr-writable", DESCRIPTORS, json!({}), &["stderr:text"], |r| r.ok("stderr:text").map(drop)),
        sees("process/descriptors/stdin-readable", DESCRIPTORS, json!({}), &["stdin"], |r| same("stdin", r.text("stdin")?, "")),
    ];
    for (link, target) in [("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2")] {
        let action = format!("link:/dev/{link}");
        let seen = action.clone();
        all.push(sees(format!("runtime-linux/symlink/{link}"), "runtime-linux.md#dev-symbolic-links", json!({}), &[&action], move |r| {
            same(&seen, r.text(&seen)?, target)
        }));
    }
    all.push(sees("process/capabilities/base", LINUX, json!({}), &["status"], |r| {
        let bits = u64::from_str_radix(r.status("CapEff")?, 16)?;
        same("the number of effective capabilities", bits.count_ones() as usize, CAPABILITIES.len())
    }));
    all
}

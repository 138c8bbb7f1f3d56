use super::*;

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

fn read(line: &str) -> Result<Invocation, Box<Refusal>> {
    parse(words(line))
}

fn command(line: &str) -> Command {
    read(line).unwrap_or_else(|e| panic!("{line}: {e}")).command
}

fn refusal(line: &str) -> Box<Refusal> {
    read(line).expect_err(line)
}

const HOT: [&str; 7] = ["create", "run", "start", "state", "kill", "delete", "exec"];

#[test]
fn definition_is_sound() {
    Program::command().debug_assert();
}

#[test]
fn tables_agree_with_the_definition() {
    let definition = definition();
    let sorted = |mut flags: Vec<Flag<'static>>| {
        flags.sort();
        format!("{flags:?}")
    };
    let defined = |command: &clap::Command| {
        let mut flags = flags_of(command);
        flags.sort();
        format!("{flags:?}")
    };
    assert_eq!(sorted(globals::FLAGS.to_vec()), defined(&definition));
    for verb in HOT {
        let command = definition.find_subcommand(verb).unwrap();
        let table = hot::table(verb).unwrap();
        assert_eq!((table.least, table.most), help::arity(command), "{verb}");
        assert_eq!(sorted(table.flags), defined(command), "{verb}");
    }
}

/// The same words through clap and through the direct parser.
fn both(line: &str) {
    let direct = command(line);
    let verb = line.split_whitespace().nth(1).unwrap();
    let mut reader = Reader {
        program: "keel",
        global: GlobalFlags::default(),
    };
    let through_clap = reader.cold(verb, &mut words(line)[2..].to_vec().into_iter());
    let through_clap = if verb == "exec" {
        // The cold path knows no order for exec; its words are put behind `--` by the caller of this test.
        through_clap.unwrap()
    } else {
        through_clap.unwrap_or_else(|e| panic!("{line}: {e}"))
    };
    assert_eq!(direct, through_clap, "{line}");
}

#[test]
fn hot_commands_read_as_clap_reads_them() {
    for line in [
        "keel create c1",
        "keel create -b /b --console-socket s --pidfd-socket=p --pid-file pid --no-pivot --no-new-keyring --preserve-fds 3 --no-subreaper -f x c1",
        "keel create --bundle= --preserve-fds 0x2 c1",
        "keel run -d --keep --bundle /b c1",
        "keel run --detach --detach=false c1",
        "keel start c1",
        "keel state c1",
        "keel kill c1",
        "keel kill -a c1 9",
        "keel kill -r c.* sigusr1",
        "keel delete c1",
        "keel delete -f --regex c1",
        "keel exec c1 ls",
        "keel exec -td --cwd /x -e A=1 --env B=2 -u 1:2 -g 5 -g 6 c1 ls",
        "keel exec --process p --console-socket c --pidfd-socket f --pid-file i --process-label l --apparmor a --no-new-privs --cap CAP_X -c Y --preserve-fds 1 --cgroup cpu:/x --ignore-paused c1",
    ] {
        both(line);
    }
}

#[test]
fn callers_command_lines() {
    // containerd's shim, through go-runc.
    let line = "runc --root /run/containerd/runc/k8s.io --log /b/log.json --log-format json --systemd-cgroup create --bundle /b --pid-file /b/init.pid --console-socket /t/s -no-subreaper c1";
    let read = read(line).unwrap();
    assert_eq!(read.program, "runc");
    assert_eq!(read.global.manager(), CgroupManager::Systemd);
    assert_eq!(read.global.log_format, LogFormat::Json);
    let Command::Create(create) = read.command else {
        panic!("{:?}", read.command)
    };
    assert!(create.launch.no_subreaper);
    // podman without cgroups.
    let global = self::read("keel --cgroup-manager disabled --log-format=json --log F start c1")
        .unwrap()
        .global;
    assert_eq!(global.manager(), CgroupManager::Disabled);
    // Global flags behind the command.
    let global = self::read("keel list --root /r -f json").unwrap().global;
    assert_eq!(global.root.as_deref(), Some(Path::new("/r")));
    // The shim updates from standard input and lists as JSON.
    let Command::Update(update) = command("keel update --resources=- c1") else {
        panic!()
    };
    assert_eq!(update.resources.as_deref(), Some(Path::new("-")));
    let Command::Ps(ps) = command("keel ps --format json c1") else {
        panic!()
    };
    assert_eq!(ps.format, Format::Json);
    let Command::Ps(ps) = command("keel ps c1 -o pid") else {
        panic!()
    };
    assert_eq!(ps.options, ["-o", "pid"]);
    let Command::Exec(exec) = command("keel exec -td c1 sh -c -x") else {
        panic!()
    };
    assert_eq!(exec.args, ["sh", "-c", "-x"]);
}

#[test]
fn cold_commands() {
    let Command::Update(update) = command(
        "keel update --memory 1.5g --memory-swap -1 --cpu-quota=-1 --pids-limit 0 --cpuset-cpus 0-3 c1",
    ) else {
        panic!()
    };
    assert_eq!(
        (
            update.memory,
            update.memory_swap,
            update.cpu_quota,
            update.pids_limit
        ),
        (Some(3 << 29), Some(-1), Some(-1), Some(0))
    );
    let Command::Events(events) = command("keel events --interval 1m30s c1") else {
        panic!()
    };
    assert_eq!(events.interval.as_secs(), 90);
    let Command::Mounts(mounts) = command("keel mounts add c1 f.json") else {
        panic!()
    };
    assert_eq!(mounts.action, MountsAction::Add);
    let Command::Checkpoint(checkpoint) = command(
        "keel checkpoint --image-path i --status-fd -1 --manage-cgroups-mode full --empty-ns network c1",
    ) else {
        panic!()
    };
    assert_eq!(checkpoint.criu.manage_cgroups_mode, CgroupsMode::Full);
    let Command::Restore(restore) = command("keel restore -d --lsm-profile selinux:a:b c1") else {
        panic!()
    };
    assert_eq!(restore.lsm_profile.unwrap().name, "a:b");
    assert_eq!(
        command("keel spec --rootless"),
        Command::Spec(Spec {
            rootless: true,
            ..Spec::default()
        })
    );
    assert_eq!(command("keel --version"), Command::Version(Version {}));
    assert_eq!(command("keel -v"), Command::Version(Version {}));
    let Command::Plan(plan) = command("keel plan --json /b") else {
        panic!()
    };
    assert!(plan.json && plan.id == "plan");
}

/// A command line, its exit code, how standard output begins, and the message.
const REFUSALS: &[(&str, u8, &str, &str)] = &[
    ("keel bogus", 3, "", "No help topic for 'bogus'"),
    ("keel help bogus", 3, "", "No help topic for 'bogus'"),
    (
        "keel --bogus",
        1,
        "Incorrect Usage. flag provided but not defined: -bogus\n\nNAME:\n   keel - ",
        "flag provided but not defined: -bogus",
    ),
    (
        "runc create",
        1,
        "Incorrect Usage.\n\nNAME:\n   runc create - ",
        "runc: \"create\" requires exactly 1 argument(s)",
    ),
    (
        "runc kill",
        1,
        "Incorrect Usage.\n\n",
        "runc: \"kill\" requires a minimum of 1 argument(s)",
    ),
    (
        "runc kill a b c",
        1,
        "Incorrect Usage.\n\n",
        "runc: \"kill\" requires a maximum of 2 argument(s)",
    ),
    (
        "runc exec",
        1,
        "Incorrect Usage.\n\n",
        "runc: \"exec\" requires a minimum of 1 argument(s)",
    ),
    (
        "runc features x",
        1,
        "Incorrect Usage.\n\n",
        "runc: \"features\" requires exactly 0 argument(s)",
    ),
    (
        "keel create --bogus x",
        1,
        "Incorrect Usage: flag provided but not defined: -bogus\n\n",
        "flag provided but not defined: -bogus",
    ),
    (
        "keel restore --lsm-mount-context",
        1,
        "Incorrect Usage: ",
        "flag needs an argument: -lsm-mount-context",
    ),
    (
        "keel --log",
        1,
        "Incorrect Usage. ",
        "flag needs an argument: -log",
    ),
    (
        "keel create -preserve-fds x y",
        1,
        "Incorrect Usage: ",
        "invalid value \"x\" for flag -preserve-fds: parse error",
    ),
    (
        "keel create --preserve-fds= y",
        1,
        "Incorrect Usage: ",
        "invalid value \"\" for flag -preserve-fds: parse error",
    ),
    (
        "keel create --no-pivot=maybe x",
        1,
        "Incorrect Usage: ",
        "invalid boolean value \"maybe\" for -no-pivot: parse error",
    ),
    (
        "keel events --interval 5 x",
        1,
        "Incorrect Usage: ",
        "invalid value \"5\" for flag -interval: parse error",
    ),
    (
        "keel update --cpu-period x y",
        1,
        "Incorrect Usage: ",
        "invalid value \"x\" for flag -cpu-period: parse error",
    ),
    (
        "keel update --memory x y",
        1,
        "",
        "invalid size: 'x' (accepted: bytes, a number with k, m or g, or -1)",
    ),
    (
        "keel --log-format xml list",
        1,
        "",
        "invalid log-format: xml (accepted: text, json)",
    ),
    (
        "keel list -f xml",
        1,
        "",
        "invalid format option \"xml\" (accepted: table, json)",
    ),
    ("keel kill c1 NOPE", 1, "", "unknown signal \"NOPE\""),
    (
        "keel exec -u 1000abc c1 ls",
        255,
        "",
        "exec failed: user \"1000abc\": \"1000abc\" is not an id (accepted: UID or UID:GID, numbers below 4294967295)",
    ),
    (
        "keel checkpoint --manage-cgroups-mode x c1",
        1,
        "",
        "invalid manage-cgroups-mode: x (accepted: soft, full, strict, ignore)",
    ),
    (
        "keel mounts rename c1 f",
        1,
        "",
        "invalid add|remove: rename (accepted: add, remove)",
    ),
];

#[test]
fn refusals_as_runc_words_them() {
    for &(line, code, stdout, message) in REFUSALS {
        let refusal = refusal(line);
        assert_eq!(refusal.message, message, "{line}");
        assert_eq!(refusal.code, code, "{line}");
        assert!(
            refusal.stdout.starts_with(stdout) && refusal.stdout.is_empty() == stdout.is_empty(),
            "{line}: {}",
            refusal.stdout
        );
    }
    assert!(refusal("keel --log f create").global.log.is_some());
}

#[test]
fn help_is_asked_for_in_every_way() {
    for line in [
        "keel",
        "keel help",
        "keel -h",
        "keel --help",
        "keel --debug h",
    ] {
        let Command::Help(text) = command(line) else {
            panic!("{line}")
        };
        assert!(
            text.starts_with("NAME:\n   keel - run containers") && text.contains("GLOBAL OPTIONS:"),
            "{line}: {text}"
        );
    }
    for line in [
        "keel create -h",
        "keel help create",
        "keel create --help x y z",
        "keel create -?",
    ] {
        let Command::Help(text) = command(line) else {
            panic!("{line}")
        };
        assert!(
            text.contains("keel create [command options] <container-id>"),
            "{line}: {text}"
        );
        assert!(
            text.contains("   --bundle value, -b value"),
            "{line}: {text}"
        );
    }
}

#[test]
fn generated_texts() {
    let page = String::from_utf8(manual().unwrap()).unwrap();
    assert!(page.contains(".SS checkpoint") && page.contains("preserve\\-fds"));
    let script = completion(clap_complete::Shell::Bash, "keel");
    assert!(
        String::from_utf8(script)
            .unwrap()
            .contains("--console-socket")
    );
    assert!(
        version("runc").starts_with("runc version ") && version("keel").contains("\nspec: 1.3.0\n")
    );
}

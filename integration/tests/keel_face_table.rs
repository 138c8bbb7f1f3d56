//! The same command on runc and on keel (under runc's name): standard output, exit code and message must agree. Where they
//! do not, the row says why, and the difference is checked as well, so that it cannot grow.
//!
//! The reference is the runc of `$PATH`; Debian 12 has 1.1.5, whose deviations from the contract are among the reasons.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use integration::{binary, skip};

/// What one command did.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    stdout: String,
    code: Option<i32>,
    message: String,
}

/// A runtime with a state root and bundles of its own.
struct Runtime {
    program: PathBuf,
    base: PathBuf,
}

impl Runtime {
    fn run(&self, line: &str) -> Outcome {
        let base = self.base.to_str().unwrap();
        let words = line
            .split_whitespace()
            .map(|word| word.replace('@', base).replace("''", ""));
        let out = Command::new(&self.program)
            .arg0("runc")
            .args(words)
            .current_dir(&self.base)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(base, "@");
        Outcome {
            stdout: text(&out.stdout),
            code: out.status.code(),
            message: message(&text(&out.stderr)),
        }
    }

    /// A command whose container's init inherits the streams: nobody may wait for their end.
    fn launch(&self, line: &str) -> Option<i32> {
        let words = line
            .split_whitespace()
            .map(|word| word.replace('@', self.base.to_str().unwrap()));
        let mut command = Command::new(&self.program);
        let command = command
            .arg0("runc")
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().unwrap().code()
    }
}

/// The last error's message, out of logrus's line; what is no such line stays as it is.
fn message(stderr: &str) -> String {
    let line = stderr
        .lines()
        .rfind(|line| !line.contains("level=warning"))
        .unwrap_or_default();
    let Some((_, message)) = line.split_once(" msg=") else {
        return line.to_owned();
    };
    serde_json::from_str(message).unwrap_or_else(|_| message.to_owned())
}

/// Both runtimes, each with a bundle `b`; nothing where the machine has no runc or busybox, or no keel was built.
fn both(test: &str) -> Option<[Runtime; 2]> {
    let found = |name: &str| {
        std::env::split_paths(&std::env::var_os("PATH")?)
            .map(|d| d.join(name))
            .find(|p| p.is_file())
    };
    let keel = binary("keel");
    let (Some(runc), Some(busybox)) = (
        found("runc").or_else(|| Some("/usr/sbin/runc".into()).filter(|p: &PathBuf| p.is_file())),
        found("busybox"),
    ) else {
        skip(test, "runc and busybox are not installed");
        return None;
    };
    if !keel.is_file() || !nix::unistd::geteuid().is_root() {
        skip(test, "needs root and a built keel");
        return None;
    }
    let runtime = |name: &str, program: &Path| {
        let base =
            std::env::temp_dir().join(format!("keel-face-{test}-{name}-{}", std::process::id()));
        let bin = base.join("b/rootfs/bin");
        for directory in [
            "b/rootfs/bin",
            "b/rootfs/proc",
            "b/rootfs/dev",
            "b/rootfs/sys",
            "empty",
        ] {
            fs::create_dir_all(base.join(directory)).unwrap();
        }
        fs::copy(&busybox, bin.join("busybox")).unwrap();
        for name in ["sh", "sleep", "true", "false"] {
            symlink("busybox", bin.join(name)).unwrap();
        }
        // keel goes by its caller's name for it.
        let called = base.join("runc");
        symlink(program, &called).unwrap();
        Runtime {
            program: called,
            base,
        }
    };
    let both = [runtime("runc", &runc), runtime("keel", &keel)];
    for runtime in &both {
        bundle(runtime, "b", r#"["sleep","100"]"#);
        bundle(runtime, "missing", r#"["/nosuch"]"#);
        bundle(runtime, "unfound", r#"["nosuch"]"#);
        bundle(runtime, "false", r#"["false"]"#);
        for (name, root) in [("linked", "link"), ("rootless", "nowhere")] {
            bundle(runtime, name, r#"["true"]"#);
            let config = runtime.base.join(name).join("config.json");
            let text = fs::read_to_string(&config).unwrap();
            fs::write(config, text.replace("/b/rootfs", &format!("/{root}"))).unwrap();
        }
        symlink(runtime.base.join("b/rootfs"), runtime.base.join("link")).unwrap();
    }
    Some(both)
}

/// A bundle over the root file system of `b`.
fn bundle(runtime: &Runtime, name: &str, args: &str) {
    let base = runtime.base.display();
    let who = runtime.base.file_name().unwrap().to_string_lossy();
    let config = format!(
        r#"{{"ociVersion":"1.0.2","process":{{"user":{{"uid":0,"gid":0}},"args":{args},"env":["PATH=/bin"],"cwd":"/"}},
        "root":{{"path":"{base}/b/rootfs"}},"mounts":[{{"destination":"/proc","type":"proc","source":"proc"}}],
        "linux":{{"cgroupsPath":"/{who}-{name}","namespaces":[{{"type":"pid"}},{{"type":"mount"}},{{"type":"ipc"}},{{"type":"uts"}}]}}}}"#,
    );
    fs::create_dir_all(runtime.base.join(name)).unwrap();
    fs::write(runtime.base.join(name).join("config.json"), config).unwrap();
}

impl Drop for Runtime {
    fn drop(&mut self) {
        for id in ["c1", "c2"] {
            self.launch(&format!("--root @/root delete --force {id}"));
        }
        if fs::remove_dir_all(&self.base).is_err() {
            eprintln!("left behind: {}", self.base.display());
        }
    }
}

/// How much of a row is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Like {
    /// Everything.
    Whole,
    /// The first line of standard output (the help behind it is each program's own), code and message.
    FirstLine,
    /// Exit code only, for this reason.
    Code(&'static str),
    /// keel's exit code is this one, whatever runc's is, for this reason.
    Own(i32, &'static str),
}
use Like::{Code, FirstLine, Own, Whole};

const USAGE: &[(&str, Like)] = &[
    ("bogus", Code("runc puts a newline into its message")),
    ("help bogus", Code("runc puts a newline into its message")),
    ("--bogus", FirstLine),
    ("--log", FirstLine),
    ("--systemd-cgroup=x list", FirstLine),
    ("create", FirstLine),
    ("create a b", FirstLine),
    ("create --bogus x", FirstLine),
    ("create --bundle", FirstLine),
    ("create -preserve-fds x y", FirstLine),
    ("create --preserve-fds= y", FirstLine),
    ("create --no-pivot=maybe x", FirstLine),
    ("run", FirstLine),
    ("run --bogus", FirstLine),
    ("start", FirstLine),
    (
        "start a b",
        Code("runc 1.1.5 has another sentence for one superfluous argument here"),
    ),
    ("exec", FirstLine),
    ("exec --bogus a b", FirstLine),
    ("kill", FirstLine),
    ("kill a b c", FirstLine),
    ("delete", FirstLine),
    ("delete a b", FirstLine),
    ("state", FirstLine),
    ("state a b", FirstLine),
    ("list extra", FirstLine),
    ("ps", FirstLine),
    ("pause", FirstLine),
    ("resume", FirstLine),
    ("update", FirstLine),
    ("events", FirstLine),
    ("events --interval 5 x", FirstLine),
    ("spec extra", FirstLine),
    ("checkpoint", Code("runc checks for root and CRIU first")),
    ("restore --lsm-mount-context", FirstLine),
    ("-v", Code("each tells its own version")),
    (
        "--log-format xml state x",
        Code("keel adds what is accepted"),
    ),
    (
        "--root @/nosuch list",
        Own(
            1,
            "runc 1.1.5 shows an empty list, 1.3 refuses a root that was named and is not there",
        ),
    ),
    ("--root @/root kill nosuch", Whole),
    ("--root @/root state nosuch", Whole),
    ("--root @/root start nosuch", Whole),
    ("--root @/root delete nosuch", Whole),
    ("--root @/root delete --force nosuch", Whole),
    (
        "--root @/root exec nosuch true",
        Code("runc 1.1.5 has no prefix here where 1.3 has"),
    ),
    ("--root @/root pause nosuch", Whole),
    ("--root @/root resume nosuch", Whole),
    ("--root @/root ps nosuch", Whole),
    ("--root @/root update --memory 1m nosuch", Whole),
    ("--root @/root events nosuch", Whole),
    ("--root @/root list", Whole),
    ("--root @/root list -q", Whole),
    ("--root @/root list -f json", Whole),
];

fn compare(runtimes: &[Runtime; 2], rows: &[(&str, Like)]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (line, like) in rows {
        let [runc, keel] = [0, 1].map(|at| runtimes[at].run(line));
        let first = |outcome: &Outcome| {
            outcome
                .stdout
                .lines()
                .next()
                .unwrap_or_default()
                .trim_end()
                .to_owned()
        };
        let same = match like {
            Whole => runc == keel,
            FirstLine => {
                (first(&runc), runc.code, &runc.message) == (first(&keel), keel.code, &keel.message)
            }
            Code(_) => runc.code == keel.code,
            Own(code, _) => keel.code == Some(*code),
        };
        if !same {
            wrong.push(format!(
                "{line} ({like:?})\n  runc {runc:?}\n  keel {keel:?}"
            ));
        }
    }
    wrong
}

#[test]
fn usage_and_what_does_not_exist() {
    let Some(runtimes) = both("usage") else {
        return;
    };
    let wrong = compare(&runtimes, USAGE);
    assert!(
        wrong.is_empty(),
        "{} rows differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Rows around one container; `create` stands between them because its init inherits the streams.
const CREATED: &[(&str, Like)] = &[
    ("--root @/root create -b @/b c1", Whole),
    (
        "--root @/root delete c1",
        Code("runc 1.1.5 and keel take away what was never started"),
    ),
];

const LIVE: &[(&str, Like)] = &[
    ("--root @/root delete c2", Whole),
    ("--root @/root start c2", Whole),
    ("--root @/root create -b @/b c2", Whole),
    ("--root @/root run -b @/b c2", Whole),
    (
        "--root @/root kill c2 NOPE",
        Code("runc 1.1.5 asks strconv about a number, keel and runc 1.3 name the signal"),
    ),
    ("--root @/root resume c2", Whole),
    ("--root @/root list -q", Whole),
    ("--root @/root kill c2 KILL", Whole),
];

const DEAD: &[(&str, Like)] = &[
    ("--root @/root kill c2", Whole),
    ("--root @/root kill --all c2", Whole),
    ("--root @/root start c2", Whole),
    ("--root @/root exec c2 true", Whole),
    (
        "--root @/root pause c2",
        Code("the contract's words are container not running"),
    ),
    ("--root @/root delete c2", Whole),
    ("--root @/root list", Whole),
];

const FAILURES: &[(&str, Like)] = &[
    ("--root @/root create -b @/linked x", Whole),
    (
        "--root @/root create -b @/rootless x",
        Code("the call stands behind the object in keel"),
    ),
    ("--root @/root create -b @/b a/b", Whole),
    ("--root @/root create -b @/b ''", Whole),
    (
        "--root @/root create -b @/empty x",
        Code("runc has a sentence of its own, keel names the file"),
    ),
    (
        "--root @/root create -b @/nosuch x",
        Code("the object stands before the call in keel"),
    ),
    ("--root @/root create -b @/b --console-socket @/s x", Whole),
    (
        "--root @/root run -b @/missing x",
        Code("the place of the phrase differs, see programs_that_are_not_there"),
    ),
    (
        "--root @/root run -b @/unfound x",
        Code("the place of the phrase differs, see programs_that_are_not_there"),
    ),
    ("--root @/root run -b @/false x", Whole),
    ("--root @/root list -f json", Whole),
];

#[test]
fn a_container_from_create_to_delete() {
    let Some(runtimes) = both("life") else { return };
    let mut wrong = Vec::new();
    for runtime in &runtimes {
        assert_eq!(
            runtime.launch("--root @/root create -b @/b c1"),
            Some(0),
            "{}",
            runtime.program.display()
        );
    }
    wrong.extend(shapes(&runtimes, "c1", "created"));
    wrong.extend(compare(&runtimes, CREATED));
    for runtime in &runtimes {
        assert_eq!(
            runtime.launch("--root @/root run -d -b @/b c2"),
            Some(0),
            "{}",
            runtime.program.display()
        );
    }
    wrong.extend(shapes(&runtimes, "c2", "running"));
    wrong.extend(compare(&runtimes, LIVE));
    for runtime in &runtimes {
        let stopped = |_| {
            runtime
                .run("--root @/root state c2")
                .stdout
                .contains("\"stopped\"")
                || {
                    std::thread::sleep(std::time::Duration::from_millis(50));
                    false
                }
        };
        assert!((0..100).any(stopped), "{}", runtime.program.display());
    }
    wrong.extend(compare(&runtimes, DEAD));
    wrong.extend(compare(&runtimes, FAILURES));
    assert!(
        wrong.is_empty(),
        "{} rows differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// `state` and `list` with pids, moments and versions taken out: those differ from run to run.
fn shapes(runtimes: &[Runtime; 2], id: &str, status: &str) -> Vec<String> {
    let shape = |runtime: &Runtime, line: &str| {
        let out = runtime.run(line).stdout;
        assert!(out.contains(status), "{line}: {out}");
        let mask = |text: &str, key: &str| match text.find(key) {
            Some(at) => {
                let end = text[at + key.len()..]
                    .find([',', '\n'])
                    .map_or(text.len(), |n| at + key.len() + n);
                format!("{}…{}", &text[..at + key.len()], &text[end..])
            }
            None => text.to_owned(),
        };
        let keys = [
            "\"pid\": ",
            "\"pid\":",
            "\"created\": ",
            "\"created\":",
            "\"ociVersion\": ",
            "\"ociVersion\":",
        ];
        keys.iter().fold(out, |text, key| mask(&text, key))
    };
    let lines = [
        format!("--root @/root state {id}"),
        "--root @/root list -f json".to_owned(),
    ];
    let differs = |line: &String| {
        let [runc, keel] = [0, 1].map(|at| shape(&runtimes[at], line));
        (runc != keel).then(|| format!("{line}\n  runc {runc}\n  keel {keel}"))
    };
    lines.iter().filter_map(differs).collect()
}

/// The phrases that engines turn into 127.
#[test]
fn programs_that_are_not_there() {
    let Some(runtimes) = both("programs") else {
        return;
    };
    for runtime in &runtimes {
        let missing = runtime.run("--root @/root run -b @/missing c1").message;
        assert!(
            missing.starts_with("runc run failed: ")
                && missing.contains("no such file or directory"),
            "{missing}"
        );
        let unfound = runtime.run("--root @/root run -b @/unfound c1").message;
        assert!(
            unfound.contains("exec: \"nosuch\": executable file not found in $PATH"),
            "{unfound}"
        );
    }
}

/// `--log` with JSON: one object in the whole file, the bare message on standard error.
#[test]
fn the_log_is_one_object() {
    let Some(runtimes) = both("log") else { return };
    for runtime in &runtimes {
        let line = "--root @/root --log @/log.json --log-format json state nosuch";
        assert_eq!(runtime.run(line).message, "container does not exist");
        let log = fs::read_to_string(runtime.base.join("log.json")).unwrap();
        let object: serde_json::Value = serde_json::from_str(&log).unwrap();
        assert_eq!(object["level"], "error");
        assert_eq!(object["msg"], "container does not exist");
        assert!(object["time"].is_string());
        assert_eq!(object.as_object().unwrap().len(), 3);
    }
}

/// `spec` and `features` are runc's documents apart from the version and what keel knows beyond it.
#[test]
fn documents() {
    let Some(runtimes) = both("documents") else {
        return;
    };
    for flags in ["", " --rootless"] {
        let [runc, keel] = [0, 1].map(|at| {
            let outcome = runtimes[at].run(&format!("spec -b @/empty{flags}"));
            assert_eq!(
                (outcome.code, outcome.stdout.as_str()),
                (Some(0), ""),
                "{}",
                outcome.message
            );
            let path = runtimes[at].base.join("empty/config.json");
            let text = fs::read_to_string(&path).unwrap();
            let again = runtimes[at].run("spec -b @/empty");
            assert_eq!(
                (again.code, again.message.as_str()),
                (Some(1), "File config.json exists. Remove it first")
            );
            fs::remove_file(path).unwrap();
            let document: serde_json::Value = serde_json::from_str(&text).unwrap();
            (text, document)
        });
        assert!(keel.0.starts_with("{\n\t\"ociVersion\": \"1.3.0\",\n"));
        let ambient_and_version = |mut document: serde_json::Value| {
            document.as_object_mut().unwrap().remove("ociVersion");
            // runc stopped writing ambient capabilities in 1.2.
            document["process"]["capabilities"]
                .as_object_mut()
                .unwrap()
                .remove("ambient");
            document
        };
        assert_eq!(ambient_and_version(runc.1), ambient_and_version(keel.1));
    }
    let features = runtimes[1].run("features");
    assert_eq!((features.code, features.message.as_str()), (Some(0), ""));
    let keel: serde_json::Value = serde_json::from_str(&features.stdout).unwrap();
    let runc: serde_json::Value = match serde_json::from_str(&runtimes[0].run("features").stdout) {
        Ok(document) => document,
        Err(_) => return skip("documents", "this runc has no features command"),
    };
    for list in ["mountOptions", "hooks"] {
        let theirs = runc[list].as_array().into_iter().flatten();
        // Options without effect that runc 1.2 took off its list.
        for option in theirs.filter(|option| !option.as_str().unwrap_or_default().ends_with("acl"))
        {
            assert!(
                keel[list].as_array().unwrap().contains(option),
                "{list}: {option}"
            );
        }
    }
}

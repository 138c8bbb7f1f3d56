//! What the program finds in force: the seccomp filter, Landlock by annotation, network devices of the host.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use integration::{binary, skip};

/// A bundle with busybox as its root file system, in a directory of its own.
struct Bundle {
    base: PathBuf,
}

impl Bundle {
    fn new(test: &str) -> Option<Self> {
        let busybox = ["/bin/busybox", "/usr/bin/busybox"]
            .map(PathBuf::from)
            .into_iter()
            .find(|p| p.is_file());
        let Some(busybox) =
            busybox.filter(|_| binary("keel").is_file() && nix::unistd::geteuid().is_root())
        else {
            skip(test, "needs root, busybox and a built keel");
            return None;
        };
        let base = std::env::temp_dir().join(format!("keel-kernel-{test}-{}", std::process::id()));
        for directory in [
            "rootfs/bin",
            "rootfs/proc",
            "rootfs/sys",
            "rootfs/dev",
            "rootfs/tmp",
        ] {
            fs::create_dir_all(base.join(directory)).unwrap();
        }
        fs::copy(busybox, base.join("rootfs/bin/busybox")).unwrap();
        for applet in ["sh", "cat", "mkdir", "ip", "chmod"] {
            symlink("busybox", base.join("rootfs/bin").join(applet)).unwrap();
        }
        Some(Self { base })
    }

    /// Runs `script` in a container; `change` has the last word on the configuration. `before` is a script on the host, in a
    /// network namespace that ends with it.
    fn run(
        &self,
        script: &str,
        before: &str,
        change: impl FnOnce(&mut serde_json::Value),
    ) -> Output {
        let mut config = serde_json::json!({
            "ociVersion": "1.3.0",
            "process": {"user": {"uid": 0, "gid": 0}, "args": ["sh", "-c", script], "env": ["PATH=/bin"], "cwd": "/", "noNewPrivileges": true},
            "root": {"path": "rootfs"},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
            "linux": {
                "cgroupsPath": format!("/{}", self.base.file_name().unwrap().to_string_lossy()),
                "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "network"}],
            },
        });
        change(&mut config);
        fs::write(self.base.join("config.json"), config.to_string()).unwrap();
        let line = format!("{before}\nexec \"$0\" --root root run c");
        let mut command = Command::new("unshare");
        command
            .args(["--net", "sh", "-c", &line])
            .arg(binary("keel"))
            .current_dir(&self.base);
        command.stdin(Stdio::null()).output().unwrap()
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        if fs::remove_dir_all(&self.base).is_err() {
            eprintln!("left behind: {}", self.base.display());
        }
    }
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn the_filter_is_in_force_with_and_without_new_privileges() {
    let Some(bundle) = Bundle::new("seccomp") else {
        return;
    };
    for no_new_privileges in [true, false] {
        let output = bundle.run("cat /proc/self/status; mkdir /tmp/x; chmod 700 /tmp", "", |config| {
            config["process"]["noNewPrivileges"] = no_new_privileges.into();
            config["linux"]["seccomp"] = serde_json::json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [
                    {"names": ["mkdir", "mkdirat", "nosuchcall"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
                    {"names": ["chmod", "fchmodat", "fchmodat2"], "action": "SCMP_ACT_ERRNO",
                     "args": [{"index": 1, "value": 448, "op": "SCMP_CMP_EQ"}]},
                ],
            });
        });
        let said = text(&output);
        assert!(said.contains("Seccomp:\t2"), "{said}");
        assert!(said.contains("No space left on device"), "{said}");
        assert!(said.contains("/tmp: Operation not permitted"), "{said}");
    }
    let refused = bundle.run("true", "", |config| {
        config["linux"]["seccomp"] = serde_json::json!({"defaultAction": "SCMP_ACT_FLY"});
    });
    let said = text(&refused);
    assert!(
        said.contains("keel run failed: linux.seccomp.defaultAction: unknown action"),
        "{said}"
    );
}

#[test]
fn landlock_by_annotation_binds_even_root() {
    let Some(bundle) = Bundle::new("landlock") else {
        return;
    };
    let output = bundle.run(
        "echo x > /tmp/f && echo made; echo y > /f || echo refused",
        "",
        |config| {
            let rule = r#"{"handled":["make"],"rules":[{"path":"/tmp","allow":["make"]}]}"#;
            config["annotations"] = serde_json::json!({"keel.landlock": rule});
        },
    );
    let said = text(&output);
    if said.contains("landlock_create_ruleset") {
        return skip(
            "landlock_by_annotation_binds_even_root",
            "this kernel has no Landlock",
        );
    }
    assert!(said.contains("made") && said.contains("refused"), "{said}");
}

#[test]
fn devices_of_the_host_come_with_their_addresses() {
    let Some(bundle) = Bundle::new("netdev") else {
        return;
    };
    let before =
        "ip link add keelv0 type veth peer name keelv1 && ip addr add 10.1.2.3/24 dev keelv0";
    let output = bundle.run("ip addr", before, |config| {
        config["linux"]["netDevices"] = serde_json::json!({"keelv0": {"name": "eth%d"}});
    });
    let said = text(&output);
    assert!(
        said.contains("eth0@") && said.contains("inet 10.1.2.3/24 scope global eth0"),
        "{said}"
    );
    let missing = bundle.run("true", "", |config| {
        config["linux"]["netDevices"] = serde_json::json!({"nosuch": {}});
    });
    let said = text(&missing);
    assert!(
        said.contains("network device \\\"nosuch\\\"") && said.contains("no such device"),
        "{said}"
    );
}

impl Bundle {
    /// Runs keel on the bundle's state root.
    fn keel(&self, line: &str) -> (Option<i32>, String) {
        let mut command = Command::new(binary("keel"));
        command
            .arg("--root")
            .arg(self.base.join("root"))
            .args(line.split(' '));
        command.current_dir(&self.base).stdin(Stdio::null());
        if line.starts_with("run") {
            // The container's init keeps the streams; nobody may wait for their end.
            command.stdout(Stdio::null()).stderr(Stdio::null());
            return (command.status().unwrap().code(), String::new());
        }
        let output = command.output().unwrap();
        (output.status.code(), text(&output))
    }
}

#[test]
fn mounts_come_and_go_in_a_running_container() {
    let Some(bundle) = Bundle::new("mounts") else {
        return;
    };
    fs::create_dir(bundle.base.join("source")).unwrap();
    fs::write(bundle.base.join("source/file"), "from the host\n").unwrap();
    let started = bundle.run("true", "", |_| {});
    assert!(started.status.success(), "{}", text(&started));
    let config = fs::read_to_string(bundle.base.join("config.json")).unwrap();
    let config = config.replace(r#"["sh","-c","true"]"#, r#"["busybox","sleep","60"]"#);
    fs::write(bundle.base.join("config.json"), config).unwrap();
    assert_eq!(bundle.keel("run -d c").0, Some(0));
    let list = r#"[{"destination":"/tmp","type":"bind","source":"source","options":["bind","ro"]},
        {"destination":"/added/deep","type":"tmpfs","source":"tmpfs"}]"#;
    fs::write(bundle.base.join("list.json"), list).unwrap();
    let added = bundle.keel("mounts add c list.json");
    let script = "cat /tmp/file; echo x > /tmp/file; busybox grep added /proc/self/mounts";
    fs::write(bundle.base.join("rootfs/probe"), script).unwrap();
    let seen = bundle.keel("exec c sh /probe");
    let removed = bundle.keel("mounts remove c list.json");
    let gone = bundle.keel("exec c cat /tmp/file");
    let again = bundle.keel("mounts remove c list.json");
    fs::write(
        bundle.base.join("list.json"),
        r#"[{"destination":"/p","type":"proc"}]"#,
    )
    .unwrap();
    let proc = bundle.keel("mounts add c list.json");
    assert_eq!(bundle.keel("delete --force c").0, Some(0));
    assert_eq!(
        (added, removed),
        ((Some(0), String::new()), (Some(0), String::new()))
    );
    for part in ["from the host", "Read-only", "tmpfs /added/deep"] {
        assert!(seen.1.contains(part), "{}", seen.1);
    }
    assert!(gone.1.contains("No such file"), "{}", gone.1);
    assert!(
        again.0 == Some(1) && again.1.contains("umount2: invalid argument"),
        "{}",
        again.1
    );
    assert!(
        proc.1.contains("mounts[0].type: proc cannot be added"),
        "{}",
        proc.1
    );
}

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

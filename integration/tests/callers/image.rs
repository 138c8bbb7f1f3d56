//! The image all cases use: Debian's static busybox, as a root file system and as an archive docker would save.

use std::io;
use std::path::Path;
use std::process::Command;

const APPLETS: &[&str] = &[
    "cat", "echo", "env", "false", "grep", "hostname", "id", "ip", "kill", "ls", "mkdir", "mount",
    "ps", "sh", "sleep", "stty", "touch", "true", "trap",
];

/// Makes `DIR/rootfs` and `DIR/rootfs.tar`, and the configuration podman and buildah run with.
pub fn make(dir: &Path) -> io::Result<()> {
    let root = dir.join("rootfs");
    for name in ["bin", "etc", "tmp", "root"] {
        std::fs::create_dir_all(root.join(name))?;
    }
    std::fs::copy("/bin/busybox", root.join("bin/busybox"))?;
    for applet in APPLETS {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet))?;
    }
    std::fs::write(
        root.join("etc/passwd"),
        "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n",
    )?;
    std::fs::write(root.join("etc/group"), "root:x:0:\nuser:x:1000:\n")?;
    std::fs::write(dir.join("containers.conf"), CONFIGURATION)?;
    std::fs::write(dir.join("Dockerfile"), DOCKERFILE)?;
    std::fs::write(
        dir.join("policy.json"),
        "{\"default\":[{\"type\":\"insecureAcceptAnything\"}]}",
    )?;
    let made = Command::new("tar")
        .arg("-C")
        .arg(&root)
        .arg("-cf")
        .arg(dir.join("rootfs.tar"))
        .arg(".")
        .status()?;
    if made.success() {
        Ok(())
    } else {
        Err(io::Error::other("tar failed"))
    }
}

/// Limits the machine may not raise are not asked for; keel is treated as runc is.
const CONFIGURATION: &str = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n\
    [engine]\nruntime_supports_json = [\"runc\", \"crun\", \"keel\"]\nruntime_supports_nocgroups = [\"crun\", \"keel\"]\n";

const DOCKERFILE: &str = "FROM localhost/bb\nRUN echo one > /one\nRUN cat /one && echo two > /two\nCMD [\"cat\", \"/two\"]\n";

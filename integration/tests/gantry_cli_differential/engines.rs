//! The engines compared, each in namespaces and a directory of its own, and what a line says on one.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::mask;

/// What the fixtures' image is made of.
pub const BUSYBOX: &str = "/bin/busybox";

/// Where the tree of a real dockerd is.
pub fn tree() -> PathBuf {
    let cache = std::env::var_os("KEEL_CACHE")
        .map_or_else(|| PathBuf::from("/var/cache/keel"), PathBuf::from);
    cache.join("trees/dockerd-sid")
}

/// What one line came to, masked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    /// The differences as text.
    pub fn against(&self, other: &Self) -> String {
        let mut text = String::new();
        if self.code != other.code {
            text += &format!("  exit code {:?}, then {:?}\n", self.code, other.code);
        }
        for (name, left, right) in [
            ("stdout", &self.out, &other.out),
            ("stderr", &self.err, &other.err),
        ] {
            if left != right {
                text += &format!("  {name}:\n{left}  then:\n{right}");
            }
        }
        text
    }

    /// With what two engines cannot have in common masked too: addresses, sizes on disk, paths of their own.
    pub fn between_engines(&self) -> Self {
        Self {
            code: self.code,
            out: mask::between_engines(&self.out),
            err: mask::between_engines(&self.err),
        }
    }
}

/// A running engine.
pub struct Engine {
    child: Child,
    folder: PathBuf,
    socket: PathBuf,
}

impl Engine {
    /// Debian's dockerd.
    pub fn dockerd() -> Result<Self> {
        let folder = folder("dockerd")?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hack/reference-dockerd");
        let mut command = Command::new(script);
        command.arg("run").arg(&folder);
        Self::start(command, folder)
    }

    /// Ours.
    pub fn gantryd(program: &Path) -> Result<Self> {
        let folder = folder("gantryd")?;
        let mut command = Command::new("unshare");
        command
            .args(["--net", "sh", "-c", "ip link set lo up; exec \"$@\"", "sh"])
            .arg(program);
        command
            .arg("-H")
            .arg(format!("unix://{}/docker.sock", folder.display()));
        command
            .arg("--data-root")
            .arg(folder.join("data"))
            .arg("--exec-root")
            .arg(folder.join("exec"));
        // Both engines with the same init, so that what differs is theirs.
        command
            .arg("--init-path")
            .arg(tree().join("usr/bin/tini-static"));
        Self::start(command, folder)
    }

    fn start(mut command: Command, folder: PathBuf) -> Result<Self> {
        let log = fs::File::create(folder.join("log"))?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child = command.spawn().with_context(|| format!("{command:?}"))?;
        let socket = folder.join("docker.sock");
        let mut engine = Self {
            child,
            folder,
            socket,
        };
        let begun = Instant::now();
        while std::os::unix::net::UnixStream::connect(&engine.socket).is_err() {
            if let Some(status) = engine.child.try_wait()? {
                bail!(
                    "engine: {status}: {}",
                    fs::read_to_string(engine.folder.join("log"))?
                );
            }
            ensure!(
                begun.elapsed() < Duration::from_secs(60),
                "engine: does not answer"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(engine)
    }

    /// Makes the fixtures with `docker`.
    pub fn prepare(&self, docker: &Path) -> Result<()> {
        let root = self.folder.join("rootfs");
        fs::create_dir_all(root.join("bin"))?;
        fs::create_dir_all(root.join("etc"))?;
        fs::create_dir_all(root.join("tmp"))?;
        fs::copy(BUSYBOX, root.join("bin/busybox"))?;
        let names = Command::new(BUSYBOX).arg("--list").output()?;
        for name in String::from_utf8_lossy(&names.stdout)
            .lines()
            .filter(|name| *name != "busybox")
        {
            symlink("busybox", root.join("bin").join(name))?;
        }
        fs::write(
            root.join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n",
        )?;
        fs::write(root.join("etc/group"), "root:x:0:\nuser:x:1000:\n")?;
        fs::create_dir_all(self.folder.join("work"))?;
        let setup =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gantry_cli_differential/setup.sh");
        fs::copy(setup, self.folder.join("work/setup.sh"))?;
        let said = self.run(docker, "sh setup.sh")?;
        ensure!(said.code == Some(0), "setup.sh: {}{}", said.out, said.err);
        Ok(())
    }

    /// Runs one line, `docker` being `program`.
    pub fn run(&self, program: &Path, line: &str) -> Result<Said> {
        let name = program.file_name().context("a program")?;
        let folder = self.folder.join("bin").join(name);
        fs::create_dir_all(&folder)?;
        if !folder.join("docker").exists() {
            symlink(fs::canonicalize(program)?, folder.join("docker"))?;
        }
        let path = format!(
            "{}:{}",
            folder.display(),
            std::env::var("PATH").unwrap_or_default()
        );
        let output = Command::new("timeout")
            .args(["60", "sh", "-c", line])
            .current_dir(self.folder.join("work"))
            .env("PATH", path)
            .env("DOCKER_HOST", format!("unix://{}", self.socket.display()))
            .env("DOCKER_CONFIG", self.folder.join("config"))
            .env("ROOTFS", self.folder.join("rootfs"))
            .env("TZ", "UTC")
            .env_remove("DOCKER_CONTEXT")
            .stdin(Stdio::null())
            .output()?;
        let text = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes)
                .replace(&self.folder.display().to_string(), "<FOLDER>");
            mask::mask(&text)
        };
        Ok(Said {
            code: output.status.code(),
            out: text(&output.stdout),
            err: text(&output.stderr),
        })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Containers first: an engine that leaves them running would leave their mounts and cgroups too.
        let program = format!("DOCKER_HOST=unix://{}", self.socket.display());
        let script = format!("{program} docker rm -f $({program} docker ps -aq) >/dev/null 2>&1");
        drop(Command::new("sh").args(["-c", &script]).status());
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // One that has ended already needs no signal.
            kill(Pid::from_raw(pid), Signal::SIGTERM).ok();
        }
        drop(self.child.wait());
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn folder(name: &str) -> Result<PathBuf> {
    let folder =
        std::env::temp_dir().join(format!("gantry-differential-{name}-{}", std::process::id()));
    fs::create_dir_all(folder.join("config"))?;
    Ok(folder)
}

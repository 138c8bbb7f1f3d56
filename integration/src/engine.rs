//! An engine of a test's own under the real docker command.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// An engine with an image `bb` in it; gone with everything when dropped.
#[derive(Debug)]
pub struct Engine {
    /// Its directory.
    pub root: PathBuf,
    /// Its process.
    pub process: Child,
}

/// What a command gave.
#[derive(Debug)]
pub struct Output {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Engine {
    /// Starts one and imports `bb` into it. None, with the reason told, where the machine lacks something.
    pub fn start(test: &str) -> Result<Option<Self>> {
        let busybox = Path::new("/bin/busybox");
        let missing = ["gantryd", "gantry-monitor"]
            .into_iter()
            .find(|name| !crate::binary(name).is_file());
        let missing = missing
            .or((!busybox.is_file()).then_some("busybox"))
            .or_else(|| {
                let docker = Command::new("docker").arg("--version").output();
                docker.is_err().then_some("the docker command")
            });
        if let Some(missing) = missing.or((!nix::unistd::geteuid().is_root()).then_some("root")) {
            crate::skip(test, missing);
            return Ok(None);
        }
        let root = std::env::temp_dir().join(format!("gantry-{test}-{}", std::process::id()));
        let bin = root.join("tree/bin");
        fs::create_dir_all(&bin)?;
        fs::create_dir_all(root.join("tree/etc"))?;
        fs::create_dir_all(root.join("tree/tmp"))?;
        fs::copy(busybox, bin.join("busybox"))?;
        for name in [
            "sh", "cat", "echo", "sleep", "true", "false", "seq", "id", "hostname", "tty", "env",
            "rm",
        ] {
            std::os::unix::fs::symlink("busybox", bin.join(name))?;
        }
        fs::write(
            root.join("tree/etc/passwd"),
            "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
        )?;
        fs::write(
            root.join("tree/etc/group"),
            "root:x:0:\nnobody:x:65534:\nextra:x:77:nobody\n",
        )?;
        let mut engine = Self {
            process: Self::spawn(&root)?,
            root,
        };
        engine.ready()?;
        let tree = Command::new("tar")
            .arg("-C")
            .arg(engine.root.join("tree"))
            .args(["-c", "."])
            .stdout(Stdio::piped())
            .spawn()?;
        let tar = tree.stdout.context("tar's output")?;
        let done = engine.docker(&["import", "-", "bb"]).stdin(tar).output()?;
        ensure!(done.status.success(), "import: {done:?}");
        Ok(Some(engine))
    }

    fn spawn(root: &Path) -> Result<Child> {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(root.join("log"))?;
        Ok(Command::new(crate::binary("gantryd"))
            .arg("-H")
            .arg(format!("unix://{}", root.join("s").display()))
            .arg("--data-root")
            .arg(root.join("data"))
            .arg("--exec-root")
            .arg(root.join("exec"))
            .arg("--monitor")
            .arg(crate::binary("gantry-monitor"))
            .args([
                "--cgroup-parent",
                &format!("/gantry-test-{}", std::process::id()),
            ])
            .stderr(log)
            .spawn()?)
    }

    fn ready(&mut self) -> Result<()> {
        let begun = Instant::now();
        while UnixStream::connect(self.root.join("s")).is_err() {
            ensure!(
                begun.elapsed() < Duration::from_secs(20),
                "the engine does not answer: {:?}",
                fs::read_to_string(self.root.join("log"))
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Kills the engine without a word and starts the next one on the same directories.
    pub fn crash(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        fs::remove_file(self.root.join("s"))?;
        self.process = Self::spawn(&self.root)?;
        self.ready()
    }

    /// The docker command against this engine.
    pub fn docker(&self, words: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command
            .arg("-H")
            .arg(format!("unix://{}", self.root.join("s").display()))
            .args(words)
            .stdin(Stdio::null());
        command.env("DOCKER_CONFIG", self.root.join("client"));
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, words: &[&str]) -> Result<Output> {
        let done = self.docker(words).output()?;
        Ok(Output {
            code: done.status.code().unwrap_or(-1),
            out: String::from_utf8(done.stdout)?,
            err: String::from_utf8(done.stderr)?,
        })
    }

    /// Runs what must succeed; gives its output without the last newline.
    pub fn ok(&self, words: &[&str]) -> Result<String> {
        let done = self.run(words)?;
        ensure!(done.code == 0, "docker {words:?}: {done:?}");
        Ok(done.out.trim_end().to_owned())
    }

    /// Waits until `docker words` prints `wanted`.
    pub fn until(&self, words: &[&str], wanted: &str) -> Result<()> {
        let begun = Instant::now();
        loop {
            let now = self.run(words)?;
            if now.out.trim_end() == wanted {
                return Ok(());
            }
            ensure!(
                begun.elapsed() < Duration::from_secs(15),
                "docker {words:?}: {now:?}, expected {wanted:?}"
            );
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Sends a request as it is; gives the whole answer.
    pub fn http(&self, request: &str) -> Result<String> {
        let mut stream = UnixStream::connect(self.root.join("s"))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let all = self
            .run(&["ps", "-aq"])
            .map(|done| done.out)
            .unwrap_or_default();
        let ids: Vec<&str> = all.split_whitespace().collect();
        if !ids.is_empty() && self.run(&[&["rm", "-f"][..], &ids].concat()).is_err() {
            eprintln!("containers {ids:?} are left");
        }
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.process.id()).unwrap_or(0));
        let ended = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)
            .map_err(anyhow::Error::from);
        let ended = ended.and_then(|()| Ok(self.process.wait()?));
        if let Err(error) = ended.and_then(|_| Ok(fs::remove_dir_all(&self.root)?)) {
            eprintln!("{}: {error}", self.root.display());
        }
    }
}

//! A container of a case's own: bundle, state root and cgroups under one name, all gone at the end.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use serde_json::{Value, json};

/// Which hierarchies the runtime sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Those of the machine.
    Host,
    /// cgroup2 alone.
    V2,
}

/// Why the case cannot run here.
pub fn missing(runtime: &Path, lane: Lane) -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("only root may make cgroups".to_owned());
    }
    if !runtime.exists() {
        return Some(format!("{} is not there", runtime.display()));
    }
    if busybox().is_none() {
        return Some("busybox-static is not installed".to_owned());
    }
    let v1 = Path::new("/sys/fs/cgroup/memory/cgroup.procs").exists();
    (lane == Lane::Host && !v1)
        .then(|| "the case is about cgroup v1, which is not mounted here".to_owned())
}

fn busybox() -> Option<&'static str> {
    ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .find(|path| Path::new(path).exists())
}

/// The container.
#[derive(Debug)]
pub struct Stage {
    runtime: PathBuf,
    lane: Lane,
    dir: PathBuf,
    /// Its name, which is also that of its cgroup's parent.
    pub id: String,
}

impl Stage {
    /// A bundle that sleeps.
    pub fn new(runtime: &Path, lane: Lane, tag: &str) -> Result<Self, Failed> {
        let id = format!("keel-it-{}-{tag}", std::process::id());
        let dir = std::env::temp_dir().join(&id);
        let stage = Self {
            runtime: runtime.to_owned(),
            lane,
            dir,
            id,
        };
        let bin = stage.dir.join("rootfs/bin");
        fs::create_dir_all(&bin)?;
        fs::copy(busybox().unwrap_or_default(), bin.join("busybox"))?;
        for name in ["sh", "sleep", "cat", "tail", "true", "mknod"] {
            std::os::unix::fs::symlink("busybox", bin.join(name))?;
        }
        let made = Command::new(runtime)
            .arg("spec")
            .current_dir(&stage.dir)
            .output()?;
        check(made.status.success(), || said(&made))?;
        stage.change(|config| {
            config["process"]["terminal"] = json!(false);
            config["process"]["args"] = json!(["sleep", "100"]);
            config["root"]["readonly"] = json!(false);
            config["linux"]["cgroupsPath"] = json!(format!("/{}/c", stage.id));
        })?;
        Ok(stage)
    }

    /// Edits config.json.
    pub fn change(&self, edit: impl FnOnce(&mut Value)) -> Result<(), Failed> {
        let path = self.dir.join("config.json");
        let mut config: Value = serde_json::from_str(&fs::read_to_string(&path)?)?;
        edit(&mut config);
        fs::write(&path, config.to_string())?;
        Ok(())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match self.lane {
            Lane::Host => Command::new(&self.runtime),
            Lane::V2 => {
                let script = "mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"";
                let mut command = Command::new("unshare");
                command.args([
                    "--mount",
                    "--propagation",
                    "private",
                    "sh",
                    "-c",
                    script,
                    "sh",
                ]);
                command.arg(&self.runtime);
                command
            }
        };
        command
            .arg("--root")
            .arg(self.dir.join("state"))
            .args(arguments);
        command.current_dir(&self.dir).stdin(Stdio::null());
        command
    }

    /// Runs the runtime; `ID` among the arguments is the container's name.
    pub fn run(&self, arguments: &[&str]) -> Result<Output, Failed> {
        let arguments = self.named(arguments);
        Ok(self.command(&arguments).output()?)
    }

    /// As [`Self::run`], and it must succeed; gives what it printed.
    pub fn ok(&self, arguments: &[&str]) -> Result<String, Failed> {
        let output = self.run(arguments)?;
        check(output.status.success(), || {
            format!("{arguments:?}: {}", said(&output))
        })?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// As [`Self::run`], and it must fail with 1 and say `words`.
    pub fn fails(&self, arguments: &[&str], words: &str) -> Result<(), Failed> {
        let output = self.run(arguments)?;
        let right = output.status.code() == Some(1) && said(&output).contains(words);
        check(right, || {
            format!(
                "{arguments:?} did not fail with {words:?}: {}",
                said(&output)
            )
        })
    }

    /// Starts the container with nobody waiting at its output.
    pub fn start(&self) -> Result<(), Failed> {
        let log = fs::File::create(self.dir.join("log"))?;
        let mut command = self.command(&["run", "-d", &self.id]);
        let status = command.stdout(log.try_clone()?).stderr(log).status()?;
        check(status.success(), || {
            fs::read_to_string(self.dir.join("log")).unwrap_or_default()
        })
    }

    /// Runs the runtime and lets it run.
    pub fn spawn(&self, arguments: &[&str]) -> Result<Child, Failed> {
        let arguments = self.named(arguments);
        Ok(self
            .command(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?)
    }

    fn named<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        arguments
            .iter()
            .map(|a| if *a == "ID" { self.id.as_str() } else { *a })
            .collect()
    }

    /// The text of a control file of the container's v1 cgroup.
    pub fn file(&self, controller: &str, file: &str) -> Result<String, Failed> {
        let path = self.cgroup(controller).join(file);
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(text.trim_end().to_owned())
    }

    /// The directory of the container's v1 cgroup.
    pub fn cgroup(&self, controller: &str) -> PathBuf {
        Path::new("/sys/fs/cgroup")
            .join(controller)
            .join(&self.id)
            .join("c")
    }

    /// The v1 and v2 mounts below `/sys/fs/cgroup`.
    pub fn hierarchies() -> Result<Vec<PathBuf>, Failed> {
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        let below = points.filter(|point| point.starts_with("/sys/fs/cgroup/"));
        Ok(below.map(PathBuf::from).collect())
    }

    /// What the container has written.
    pub fn log(&self) -> Result<String, Failed> {
        Ok(fs::read_to_string(self.dir.join("log"))?)
    }

    /// A file of the case's own.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The word that `state` gives for the container.
    pub fn status(&self) -> Result<String, Failed> {
        let state: Value = serde_json::from_str(&self.ok(&["state", "ID"])?)?;
        Ok(state["status"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until `status` is what the runtime says.
    pub fn wait_for(&self, status: &str) -> Result<(), Failed> {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.status()? != status {
            check(Instant::now() < deadline, || format!("never {status}"))?;
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let id = self.id.clone();
        let removed = self.command(&["delete", "--force", &id]).output();
        if !removed.is_ok_and(|output| output.status.success()) {
            eprintln!("{id}: delete --force failed");
        }
        for hierarchy in Self::hierarchies().unwrap_or_default() {
            let parent = hierarchy.join(&id);
            if parent.exists()
                && let Err(error) = fs::remove_dir(&parent)
            {
                eprintln!("{}: {error}", parent.display());
            }
        }
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            eprintln!("{}: {error}", self.dir.display());
        }
    }
}

/// Fails with `why` unless `right`.
pub fn check<T: Display>(right: bool, why: impl FnOnce() -> T) -> Result<(), Failed> {
    if right {
        Ok(())
    } else {
        Err(why().to_string().into())
    }
}

/// Fails unless both are the same.
pub fn same<T: PartialEq + std::fmt::Debug>(found: T, wanted: T) -> Result<(), Failed> {
    check(found == wanted, || format!("{found:?}, wanted {wanted:?}"))
}

/// Everything that a command printed, and how it ended.
pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!(
        "{}: {}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    )
}

//! What a case works with: bundles, containers, kept namespaces; all of it gone when the case is over.

use crate::bundle::{Bundle, base, merge};
use crate::container::{Container, LIMIT, readable};
use crate::report::Report;
use crate::session::Session;
use crate::verdict::{Verdict, fail, skip};
use nix::mount::{MntFlags, umount2};
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;
use std::cell::{Cell, RefCell};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// The workplace of one case.
pub struct Rig<'s> {
    /// The run it belongs to.
    pub session: &'s Session,
    /// A name no other case has: container IDs and cgroups begin with it.
    pub name: String,
    /// The case's own directory.
    pub dir: PathBuf,
    /// Words put before the runtime, to run it in other namespaces.
    pub within: RefCell<Vec<String>>,
    made: Cell<usize>,
    containers: RefCell<Vec<String>>,
    keepers: RefCell<Vec<Child>>,
}

/// How an invocation of the runtime ended.
#[derive(Debug)]
pub struct Ran {
    /// Exit status 0.
    pub ok: bool,
    /// stdout and stderr together, in this order.
    pub text: String,
    /// stdout alone.
    pub out: String,
}

impl<'s> Rig<'s> {
    /// Makes the workplace of case number `number`.
    pub fn new(session: &'s Session, number: usize) -> std::io::Result<Self> {
        let name = format!("case{number}");
        let dir = session.work.join(&name);
        fs::create_dir(&dir)?;
        Ok(Self {
            session,
            name: format!("{}-{name}", session.group),
            dir,
            within: RefCell::default(),
            made: Cell::new(0),
            containers: RefCell::default(),
            keepers: RefCell::default(),
        })
    }

    fn next(&self) -> usize {
        self.made.set(self.made.get() + 1);
        self.made.get()
    }

    /// A fresh container ID.
    pub fn id(&self) -> String {
        format!("{}-{}", self.name, self.next())
    }

    /// A fresh bundle, its config.json not yet written.
    pub fn bundle(&self) -> Verdict<Bundle> {
        Ok(Bundle::make(self.session, &self.dir.join(format!("bundle{}", self.next())))?)
    }

    /// The base configuration with `patch` laid over it, running the probe with `actions`.
    pub fn config(&self, patch: &Value, actions: &[&str]) -> Value {
        let mut config = base(self.session, &self.name, actions);
        merge(&mut config, patch);
        config
    }

    /// A fresh bundle with that configuration.
    pub fn bundle_with(&self, patch: &Value, actions: &[&str]) -> Verdict<Bundle> {
        let bundle = self.bundle()?;
        bundle.write(&self.config(patch, actions))?;
        Ok(bundle)
    }

    /// Writes that configuration into a bundle made before.
    pub fn bundle_at(&self, bundle: &Bundle, patch: &Value, actions: &[&str]) -> Verdict<Bundle> {
        bundle.write(&self.config(patch, actions))?;
        Ok(bundle.clone())
    }

    /// Runs the runtime with `words` and nothing on stdin.
    pub fn operate(&self, words: &[&str]) -> Verdict<Ran> {
        let stem = self.dir.join(format!("run{}", self.next()));
        let out = stem.with_extension("out");
        let errors = stem.with_extension("err");
        let code = self.spawn(words, Stdio::from(File::create(&out)?), &errors, None)?;
        let out = String::from_utf8_lossy(&fs::read(out)?).into_owned();
        let text = format!("{out}{}", String::from_utf8_lossy(&fs::read(errors)?));
        Ok(Ran { ok: code == Some(0), text, out })
    }

    /// The runtime with `words`, ready for more settings.
    pub fn command(&self, words: &[&str]) -> Command {
        let within = self.within.borrow();
        let mut line: Vec<&std::ffi::OsStr> = within.iter().map(AsRef::as_ref).collect();
        let state = self.dir.join("state");
        line.extend([self.session.runtime.as_os_str(), "--root".as_ref(), state.as_os_str()]);
        line.extend(words.iter().map(AsRef::<std::ffi::OsStr>::as_ref));
        let mut command = Command::new(line[0]);
        command.args(&line[1..]).current_dir(&self.dir);
        command
    }

    fn spawn(&self, words: &[&str], out: Stdio, errors: &Path, dir: Option<&Path>) -> Verdict<Option<i32>> {
        let mut command = self.command(words);
        command.stdin(Stdio::null()).stdout(out).stderr(File::create(errors)?);
        if let Some(dir) = dir {
            command.current_dir(dir);
        }
        finish(command.spawn()?, words)
    }

    /// Creates a container from the bundle under `id`; the inner result is the runtime's refusal.
    pub fn create_as(&self, id: &str, bundle: &Bundle, flags: &[&str]) -> Verdict<Result<Container, String>> {
        let pid_file = self.dir.join(format!("{id}-{}.pid", self.next()));
        let errors = pid_file.with_extension("err");
        let (out, into) = std::io::pipe()?;
        self.adopt(id);
        let (dir, file) = (bundle.dir.to_string_lossy().into_owned(), pid_file.to_string_lossy().into_owned());
        let mut words = vec!["create", "--bundle", &dir, "--pid-file", &file];
        words.extend(flags);
        words.push(id);
        match self.spawn(&words, into.into(), &errors, None)? {
            Some(0) => Ok(Ok(Container::adopt(id, &pid_file, out, errors)?)),
            _ => Ok(Err(String::from_utf8_lossy(&fs::read(errors)?).into_owned())),
        }
    }

    /// Whether `create` takes the base configuration with `patch`: the container is deleted at once; else the refusal.
    pub fn takes(&self, patch: &Value) -> Verdict<Result<(), String>> {
        let bundle = self.bundle_with(patch, &["pid"])?;
        let id = self.id();
        match self.create_as(&id, &bundle, &[])? {
            Err(text) => Ok(Err(text.trim().to_owned())),
            Ok(mut container) => {
                require!(self.operate(&["delete", "--force", &id])?.ok, "delete --force failed");
                container.wait()?;
                Ok(Ok(()))
            }
        }
    }

    /// Takes care of a container created without `create`: it is deleted when the case is over.
    pub fn adopt(&self, id: &str) {
        self.containers.borrow_mut().push(id.to_owned());
    }

    /// Creates a container that must be creatable.
    pub fn create(&self, bundle: &Bundle) -> Verdict<Container> {
        match self.create_as(&self.id(), bundle, &[])? {
            Ok(container) => Ok(container),
            Err(text) => fail(format!("create failed: {}", text.trim())),
        }
    }

    /// Creates and starts a container of the base configuration and `patch`.
    pub fn launch(&self, patch: &Value, actions: &[&str]) -> Verdict<Container> {
        let bundle = self.bundle_with(patch, actions)?;
        let mut container = self.create(&bundle)?;
        container.start(self)?;
        Ok(container)
    }

    /// Runs such a container to its end, deletes it and returns what the probe saw.
    pub fn run(&self, patch: &Value, actions: &[&str]) -> Verdict<Report> {
        let bundle = self.bundle_with(patch, actions)?;
        self.run_bundle(&bundle)
    }

    /// Runs a container of `bundle` to its end, deletes it and returns what the probe saw.
    pub fn run_bundle(&self, bundle: &Bundle) -> Verdict<Report> {
        let mut container = self.create(bundle)?;
        container.start(self)?;
        let report = container.finish()?;
        self.delete(&container.id)?;
        Ok(report)
    }

    /// The state of a container that must be known.
    pub fn state(&self, id: &str) -> Verdict<Value> {
        let ran = self.operate(&["state", id])?;
        require!(ran.ok, "state failed: {}", ran.text.trim());
        match serde_json::from_str(&ran.out) {
            Ok(state) => Ok(state),
            Err(error) => fail(format!("state is not JSON ({error}): {}", ran.out)),
        }
    }

    /// Deletes a stopped container that must be deletable.
    pub fn delete(&self, id: &str) -> Verdict {
        let ran = self.operate(&["delete", id])?;
        require!(ran.ok, "delete failed: {}", ran.text.trim());
        Ok(())
    }

    /// Keeps a process in new namespaces (names as under /proc/PID/ns) until the case ends; returns its pid.
    pub fn keep(&self, names: &[&str]) -> Verdict<i32> {
        let mut child = Command::new(self.session.work.join("probe")).arg("keep").args(names).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut line)?;
        }
        self.keepers.borrow_mut().push(child);
        match line.trim().parse() {
            Ok(pid) => Ok(pid),
            Err(_) => skip(format!("new namespaces {}: {}", names.join(" "), line.trim())),
        }
    }

    /// From now on the runtime runs inside the named namespaces of process `pid`.
    pub fn enter(&self, pid: i32, names: &[&str]) {
        let mut words = vec![self.session.work.join("probe").to_string_lossy().into_owned(), "within".to_owned(), pid.to_string()];
        words.extend(names.iter().map(|n| (*n).to_owned()));
        words.push("--".to_owned());
        *self.within.borrow_mut() = words;
    }

    /// Detaches what the case mounted below its directory, the last mount first.
    fn unmount(&self) {
        let own = self.dir.to_string_lossy().into_owned();
        let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let points = text.lines().filter_map(|line| line.split(' ').nth(4));
        let points: Vec<&str> = points.filter(|p| p.starts_with(&format!("{own}/"))).collect();
        for point in points.into_iter().rev() {
            if let Err(error) = umount2(point, MntFlags::MNT_DETACH) {
                eprintln!("oci-conformance: {point}: {error}");
            }
        }
    }

    /// Runs another program inside the namespaces chosen with `enter`; skips the case where it is not installed.
    pub fn tool(&self, words: &[&str]) -> Verdict<String> {
        let within = self.within.borrow();
        let mut line: Vec<&str> = within.iter().map(String::as_str).collect();
        line.extend(words);
        match Command::new(line[0]).args(&line[1..]).stdin(Stdio::null()).output() {
            Ok(ran) if ran.status.success() => Ok(String::from_utf8_lossy(&ran.stdout).into_owned()),
            Ok(ran) => skip(format!("`{}`: {}", words.join(" "), String::from_utf8_lossy(&ran.stderr).trim())),
            Err(error) => skip(format!("{}: {error}", words[0])),
        }
    }
}

impl Drop for Rig<'_> {
    fn drop(&mut self) {
        for id in self.containers.take() {
            if self.dir.join("state").join(&id).exists() {
                // What cannot be deleted shows as a cgroup or a mount left over; the case's own verdict stands.
                drop(self.operate(&["delete", "--force", &id]));
            }
        }
        for mut keeper in self.keepers.take() {
            drop(keeper.stdin.take());
            drop(keeper.wait());
        }
        self.unmount();
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            eprintln!("oci-conformance: {}: {error}", self.dir.display());
        }
    }
}

/// Waits for a child within the limit; kills it and fails the case otherwise.
pub fn finish(mut child: Child, words: &[&str]) -> Verdict<Option<i32>> {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    let Some(pid) = pid else {
        return fail("a child without a pid");
    };
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    if readable(pidfd.as_fd(), Instant::now() + LIMIT)? {
        return Ok(child.wait()?.code());
    }
    pidfd_send_signal(&pidfd, Signal::KILL)?;
    child.wait()?;
    fail(format!("the runtime did not end within {} s: {}", LIMIT.as_secs(), words.join(" ")))
}

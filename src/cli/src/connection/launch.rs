//! Starts an engine where none listens on the default socket: locked, so that many commands at once start one; ready
//! when it answers `/_ping`.

use std::fs::{self, File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{Flock, FlockArg};

use super::Endpoint;
use crate::failure::{Failure, Outcome, os_text};

/// How long a new engine may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Seconds without a container and without a question after which the engine leaves.
const IDLE: &str = "300";

/// `gantryd` beside this program, else in `PATH`.
fn engine() -> Outcome<PathBuf> {
    let beside = std::env::current_exe()
        .ok()
        .and_then(|path| path.parent().map(|folder| folder.join("gantryd")));
    if let Some(path) = beside.filter(|path| path.is_file()) {
        return Ok(path);
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders)
        .map(|folder| folder.join("gantryd"))
        .find(|path| path.is_file())
        .ok_or_else(|| {
            Failure::new(
                "gantryd: not found beside gantry nor in PATH; install it or set DOCKER_HOST",
            )
        })
}

/// Connects to the engine on `path`, starting one if nobody listens.
///
/// # Errors
/// When the engine cannot be started or does not answer in time.
pub fn connect(path: &Path) -> Outcome<File> {
    let endpoint = Endpoint::Unix(path.to_owned());
    if let Ok(connection) = endpoint.connect() {
        return Ok(connection);
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    let cannot = |what: &Path, error: &std::io::Error| {
        Failure::new(format!("{}: {}", what.display(), os_text(error)))
    };
    fs::create_dir_all(folder).map_err(|error| cannot(folder, &error))?;
    let lock_path = folder.join("gantry.lock");
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&lock_path)
        .map_err(|error| cannot(&lock_path, &error))?;
    // Another command may be starting the engine; when the lock is ours that has happened.
    let lock = Flock::lock(lock, FlockArg::LockExclusive)
        .map_err(|(_, error)| cannot(&lock_path, &error.into()))?;
    if let Ok(connection) = endpoint.connect() {
        return Ok(connection);
    }
    let connection = start(&endpoint, folder);
    drop(lock);
    connection
}

fn start(endpoint: &Endpoint, folder: &Path) -> Outcome<File> {
    let program = engine()?;
    let log_path = folder.join("gantryd.log");
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&log_path)?;
    let mut command = Command::new(&program);
    command.args(["--idle-exit", IDLE, "-H", &endpoint.text()]);
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0);
    let mut child = command
        .spawn()
        .map_err(|error| Failure::new(format!("{}: {}", program.display(), os_text(&error))))?;
    let begun = Instant::now();
    let mut pause = Duration::from_millis(2);
    while begun.elapsed() < PATIENCE {
        if let Ok(connection) = endpoint.connect() {
            return Ok(connection);
        }
        if let Some(status) = child.try_wait()? {
            return Err(Failure::new(format!(
                "{}: {status} before it was ready; see {}",
                program.display(),
                log_path.display()
            )));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
    Err(Failure::new(format!(
        "{}: not ready after {} s; see {}",
        program.display(),
        PATIENCE.as_secs(),
        log_path.display()
    )))
}

/// Becomes the engine: `gantry daemon`.
///
/// # Errors
/// When there is no engine to become.
pub fn become_engine(arguments: &[String]) -> Outcome {
    let program = engine()?;
    let error = Command::new(&program).args(arguments).exec();
    Err(Failure::new(format!(
        "{}: {}",
        program.display(),
        os_text(&error)
    )))
}

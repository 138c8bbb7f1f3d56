//! keel beneath the engines that drive an OCI runtime: podman, buildah and containerd, from Debian's packages.
//!
//! Every case runs with runc first (`runc::…`), so that a failure of `keel::…` alone means keel. All of it happens in
//! mount and network namespaces of its own, with state and storage in a temporary directory: the host sees nothing.

mod buildah;
mod containerd;
mod image;
mod podman;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};

/// A runtime under a caller.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// `runc` or `keel`.
    pub name: &'static str,
    /// Its binary.
    pub path: PathBuf,
}

/// What all cases share: a directory of their own with an image in it.
#[derive(Debug)]
pub struct Stage {
    /// The directory, removed at the end.
    pub dir: PathBuf,
}

/// A case: its name and what it does with a runtime.
pub type Case = (&'static str, fn(&Stage, &Runtime) -> Result<(), Failed>);

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if std::env::var_os("KEEL_CALLERS_INSIDE").is_none() && !arguments.list {
        return enter_namespaces();
    }
    let stage = Arc::new(Stage {
        dir: std::env::temp_dir().join(format!("keel-callers-{}", std::process::id())),
    });
    let trials = trials(&stage);
    if !arguments.list
        && let Err(error) = image::make(&stage.dir)
    {
        eprintln!("callers: no image to test with: {error}");
        return ExitCode::FAILURE;
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    containerd::stop();
    unmount_below(&stage.dir);
    if let Err(error) = std::fs::remove_dir_all(&stage.dir) {
        eprintln!("callers: {}: {error}", stage.dir.display());
    }
    conclusion.exit_code()
}

/// podman leaves its storage mounted, and what is mounted cannot be removed. Nothing of it is seen outside of this mount
/// namespace.
fn unmount_below(dir: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let below = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .filter(|at| Path::new(at).starts_with(dir));
    // The innermost first.
    for at in below.collect::<Vec<_>>().into_iter().rev() {
        if let Err(error) = succeed(Command::new("umount").args(["-l", at])) {
            eprintln!("callers: {error:?}");
        }
    }
}

/// Runs this test again where it can make bridges and mounts that nobody else sees.
fn enter_namespaces() -> ExitCode {
    let own = std::env::current_exe().unwrap_or_default();
    let script = "ip link set lo up; mount -t tmpfs run /run/netns 2>/dev/null || { mkdir -p /run/netns; }; exec \"$@\"";
    let error = Command::new("unshare")
        .args([
            "--mount",
            "--net",
            "--propagation",
            "private",
            "sh",
            "-c",
            script,
            "sh",
        ])
        .arg(own)
        .args(std::env::args_os().skip(1))
        .env("KEEL_CALLERS_INSIDE", "1")
        .exec();
    eprintln!("callers: unshare: {error}");
    ExitCode::FAILURE
}

fn trials(stage: &Arc<Stage>) -> Vec<Trial> {
    let runtimes = [
        Runtime {
            name: "runc",
            path: PathBuf::from("/usr/sbin/runc"),
        },
        Runtime {
            name: "keel",
            path: integration::binary("keel"),
        },
    ];
    let callers = [
        ("podman", "podman", podman::CASES),
        ("buildah", "buildah", buildah::CASES),
        ("containerd", "containerd", containerd::CASES),
    ];
    let mut trials = Vec::new();
    for (caller, program, cases) in callers {
        let missing = !installed(program);
        for runtime in &runtimes {
            for (name, case) in cases {
                let (stage, runtime, case) = (Arc::clone(stage), runtime.clone(), *case);
                let title = format!("{caller}::{}::{name}", runtime.name);
                if missing {
                    integration::skip(&title, &format!("{program} is not installed"));
                }
                trials.push(
                    Trial::test(title, move || case(&stage, &runtime)).with_ignored_flag(missing),
                );
            }
        }
    }
    trials
}

fn installed(program: &str) -> bool {
    ["/usr/bin", "/usr/sbin", "/usr/local/bin"]
        .iter()
        .any(|dir| Path::new(dir).join(program).exists())
}

/// Runs a command; its standard output where it ends with 0.
pub fn succeed(command: &mut Command) -> Result<String, Failed> {
    let output = run(command)?;
    if !output.status.success() {
        return Err(describe(command, &output).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned())
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Result<Output, Failed> {
    command
        .output()
        .map_err(|error| format!("{command:?}: {error}").into())
}

/// What a command did, for a failure's text.
pub fn describe(command: &Command, output: &Output) -> String {
    format!(
        "{command:?}: {}\nstdout: {}\nstderr: {}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Fails where two texts differ.
pub fn expect(found: &str, expected: &str) -> Result<(), Failed> {
    if found == expected {
        return Ok(());
    }
    Err(format!("found {found:?}, expected {expected:?}").into())
}

/// Fails where a text does not hold another.
pub fn expect_within(found: &str, part: &str) -> Result<(), Failed> {
    if found.contains(part) {
        return Ok(());
    }
    Err(format!("found {found:?}, expected {part:?} in it").into())
}

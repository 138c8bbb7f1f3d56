//! `create` and `run`.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use serde_json::value::RawValue;
use sys::{Errno, file, process, socket};

use super::foreground::{self, Session};
use super::make::{self, Made, Order};
use super::{Context, start, teardown};
use crate::annotations;
use crate::cli::{Create, LaunchFlags, Run};
use crate::compat;
use crate::config::{Config, SIZE_LIMIT};
use crate::error::{Error, Kernelize, Result};
use crate::host::Host;
use crate::init::wire::CONTINUE;
use crate::mounts::place::c_path;
use crate::plan::{Confinement, Plan, Wishes};
use crate::state::root::check_id;

/// A bundle as it was read.
#[derive(Debug)]
pub struct Bundle {
    /// Its configuration, typed.
    pub config: Config,
    /// The file as it is.
    pub raw: Box<RawValue>,
}

impl Bundle {
    /// Reads the bundle that the flags name.
    ///
    /// # Errors
    /// [`Error::NotFound`] without its file; [`Error::InvalidConfig`].
    pub fn read(bundle: Option<&Path>, name: Option<&Path>) -> Result<Self> {
        let named = bundle.unwrap_or(Path::new("."));
        let absolute = std::fs::canonicalize(named).map_err(|error| {
            Error::kernel(
                format!("bundle {:?}", named.display()),
                "chdir",
                "",
                Errno::from_io_error(&error).unwrap_or(Errno::IO),
            )
        })?;
        let path = absolute.join(name.unwrap_or(Path::new("config.json")));
        let step = || format!("{:?}", path.display());
        let opened = match file::open_read(file::here(), &c_path(&path)?) {
            Err(Errno::NOENT) => return Err(Error::NotFound(compat::SPEC_NOT_FOUND.to_owned())),
            result => result.step(step, "open")?,
        };
        let bytes = file::read_file(opened.as_fd(), SIZE_LIMIT).step(step, "read")?;
        let config = Config::parse(&bytes, &absolute)?;
        let text =
            String::from_utf8(bytes).map_err(|_| Error::config("config.json", "not UTF-8"))?;
        let raw = RawValue::from_string(text)
            .map_err(|error| Error::config("config.json", error.to_string()))?;
        Ok(Self { config, raw })
    }
}

/// The root must be what its path says, in runc's words: through a link a container could be led to another directory between
/// this look and the mount.
///
/// # Errors
/// The kernel's, or [`Error::Denied`] for a link.
pub fn check_root(path: &Path) -> Result<()> {
    use std::path::{Component, PathBuf};
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(clean.pop()),
            other => clean.push(other),
        }
    }
    let real = std::fs::canonicalize(&clean).map_err(|error| {
        let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
        Error::kernel("invalid rootfs", "stat", clean.display().to_string(), errno)
    })?;
    if real == clean {
        return Ok(());
    }
    let reason = "invalid rootfs: not an absolute path, or a symlink";
    Err(Error::Denied(reason.to_owned()))
}

/// Makes a container that waits for `start`.
///
/// # Errors
/// Whatever keeps it from standing before its program.
pub fn create(context: &Context, verb: &Create) -> Result<()> {
    launch(context, &verb.id, &verb.launch, true, false).map(drop)
}

/// Makes a container and runs it; returns the program's status, or 0 once it runs detached.
///
/// # Errors
/// Whatever keeps its program from starting.
pub fn run(context: &Context, verb: &Run) -> Result<i32> {
    let launched = launch(context, &verb.id, &verb.launch, verb.detach, true)?;
    let Launched { made, config } = launched;
    let session = if verb.detach {
        None
    } else {
        Some(Session::prepare(&made, &verb.launch)?)
    };
    if let Err(error) = open_gate(&made).and_then(|()| start::poststart(&config, &made.record)) {
        teardown::kill(&made.record).ok();
        process::wait(made.dialogue.child.pidfd.as_fd()).ok();
        teardown::remove(&made.root, &made.slot, Some(&made.record)).ok();
        teardown::poststop(&made.record);
        return Err(error);
    }
    let Some(session) = session else {
        return Ok(0);
    };
    let Made {
        record,
        slot,
        root,
        dialogue,
    } = made;
    // From here on other commands may change the container.
    drop(slot);
    let exit = session.wait(&dialogue.child)?;
    if !verb.keep {
        foreground::clean_up(&root, &record)?;
    }
    Ok(exit.code())
}

fn open_gate(made: &Made) -> Result<()> {
    match socket::send(made.dialogue.channel.as_fd(), &[CONTINUE], &[]) {
        Ok(()) | Err(Errno::PIPE) => {}
        Err(errno) => return Err(Error::kernel("start gate", "sendmsg", "", errno)),
    }
    start::outcome(made.dialogue.channel.as_fd())
}

struct Launched {
    made: Made,
    config: Config,
}

fn launch(
    context: &Context,
    id: &str,
    flags: &LaunchFlags,
    detached: bool,
    own_gate: bool,
) -> Result<Launched> {
    check_id(id)?;
    super::seal::ensure()?;
    let Bundle { mut config, raw } =
        Bundle::read(flags.bundle.as_deref(), flags.config.as_deref())?;
    super::notify::pass(&mut config)?;
    check_root(&config.rootfs)?;
    let console = console(flags, &config, detached)?;
    let (passed, environment) = passed_descriptors(flags.preserve_fds)?;
    let host = Host::probe()?;
    let wishes = Wishes {
        id: id.to_owned(),
        no_pivot: flags.no_pivot,
        no_new_keyring: flags.no_new_keyring,
        passed_descriptors: passed,
    };
    let confinement = confinement(&config, &host)?;
    let plan = Plan::new(&config, &host, &wishes, &confinement)?;
    for name in config
        .process
        .iter()
        .flat_map(|process| &process.unknown_capabilities)
    {
        tracing::warn!("process.capabilities: unknown capability {name:?} is left out");
    }
    let order = Order {
        context,
        id,
        flags,
        own_gate,
        console,
        environment,
        confinement: &confinement,
    };
    let made = make::make(order, &config, raw, &host, &plan)?;
    let receiver = annotations::path(&config.annotations, annotations::PIDFD_RECEIVER);
    if let Some(path) = flags.pidfd_socket.as_ref().or(receiver.as_ref()) {
        send_pidfd(path, made.dialogue.child.pidfd.as_fd(), "standard")?;
    }
    Ok(Launched { made, config })
}

/// What confines the program of `config`.
///
/// # Errors
/// [`Error::InvalidConfig`].
pub fn confinement(config: &Config, host: &Host) -> Result<Confinement> {
    let process = config.process.as_ref();
    process.map_or_else(
        || Ok(Confinement::default()),
        |process| Confinement::new(config, process, host),
    )
}

/// Sends a pidfd to whoever listens at `path`.
///
/// # Errors
/// The kernel's.
pub fn send_pidfd(path: &Path, pidfd: BorrowedFd<'_>, payload: &str) -> Result<()> {
    let step = || format!("pidfd socket {:?}", path.display());
    let socket = socket::connect_stream(&c_path(path)?).step(step, "connect")?;
    socket::send(socket.as_fd(), payload.as_bytes(), &[pidfd]).step(step, "sendmsg")
}

/// The rules of terminals and console sockets; the connected socket, where there is one.
///
/// # Errors
/// [`Error::Usage`] in runc's words.
pub fn console(flags: &LaunchFlags, config: &Config, detached: bool) -> Result<Option<OwnedFd>> {
    let terminal = config
        .process
        .as_ref()
        .is_some_and(|process| process.terminal);
    console_socket(flags.console_socket.as_deref(), terminal, detached)
}

/// The same for any process.
///
/// # Errors
/// [`Error::Usage`] in runc's words.
pub fn console_socket(
    path: Option<&Path>,
    terminal: bool,
    detached: bool,
) -> Result<Option<OwnedFd>> {
    match path {
        None if terminal && detached => Err(Error::Usage(compat::TTY_NEEDS_SOCKET.to_owned())),
        None => Ok(None),
        Some(_) if !(terminal && detached) => {
            Err(Error::Usage(compat::SOCKET_NEEDS_TTY.to_owned()))
        }
        Some(path) => {
            let step = || format!("console socket {:?}", path.display());
            socket::connect_stream(&c_path(path)?)
                .step(step, "connect")
                .map(Some)
        }
    }
}

/// How many descriptors from 3 on the program gets, and what its environment says of them.
///
/// # Errors
/// [`Error::Usage`] for one that is not open.
pub fn passed_descriptors(preserved: u32) -> Result<(u32, Vec<CString>)> {
    let listening: u32 = std::env::var("LISTEN_FDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let mut environment = Vec::new();
    if listening > 0 {
        for text in [format!("LISTEN_FDS={listening}"), "LISTEN_PID=1".to_owned()] {
            environment.push(
                CString::new(text)
                    .map_err(|_| Error::Usage("LISTEN_FDS contains a NUL".to_owned()))?,
            );
        }
    }
    let passed = listening + preserved;
    for number in 3..3 + passed {
        let descriptor =
            i32::try_from(number).map_err(|_| Error::Usage("too many descriptors".to_owned()))?;
        if file::set_close_on_exec(descriptor, false).is_err() {
            return Err(Error::Usage(compat::no_preserved_fd(number - 2, passed)));
        }
    }
    Ok((passed, environment))
}

//! Checkpoint and restore by CRIU, which does the work: `criu swrk`, spoken to over a socket that it inherits.
//!
//! Mounts from outside the container are named to CRIU by an opaque number, never by a path of the image: names made of
//! paths let an image with links in it lead a restore to any directory of the host (CVE-2026-119101).

pub mod external;
pub mod rpc;

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use prost::Message as _;
use rpc::{Kind, Notification, Options, Request, Response};
use sys::{file, socket};

use crate::error::{Error, Kernelize as _, Result};

/// CRIU at work for one request.
#[derive(Debug)]
pub struct Criu {
    child: Child,
    /// Nothing once the work is over.
    channel: Option<OwnedFd>,
}

/// Where CRIU's program is, by `PATH` and where distributions put it.
#[must_use]
pub fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(usual)
        .map(|directory| directory.join("criu"))
        .find(|path| path.is_file())
}

impl Criu {
    /// Starts CRIU. `inherited` are descriptors that requests name by number.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where it is not installed, or the kernel's.
    pub fn start(inherited: &[&OwnedFd]) -> Result<Self> {
        let program = program().ok_or_else(|| Error::Unsupported {
            feature: "checkpoint and restore".to_owned(),
            missing: "criu is not installed".to_owned(),
        })?;
        let step = || "criu".to_owned();
        let (channel, theirs) = socket::pair().step(step, "socketpair")?;
        for descriptor in inherited.iter().copied().chain([&theirs]) {
            file::set_close_on_exec(descriptor.as_raw_fd(), false).step(step, "fcntl")?;
        }
        let child = Command::new(&program)
            .args(["swrk", &theirs.as_raw_fd().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        for descriptor in inherited {
            file::set_close_on_exec(descriptor.as_raw_fd(), true).step(step, "fcntl")?;
        }
        let child = child.map_err(|error| {
            let errno = sys::Errno::from_io_error(&error).unwrap_or(sys::Errno::IO);
            Error::kernel(format!("{}", program.display()), "execve", "", errno)
        })?;
        Ok(Self {
            child,
            channel: Some(channel),
        })
    }

    /// CRIU's pid, to put it into a cgroup before it makes anything.
    #[must_use]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or(0)
    }

    /// Makes one request and answers notifications by `notified`, which also gets descriptors that came along.
    ///
    /// # Errors
    /// What CRIU says, with the first error of its log `log`; what `notified` says stops the work.
    pub fn request(
        mut self,
        kind: Kind,
        options: Options,
        log: &Path,
        mut notified: impl FnMut(&Notification, Vec<OwnedFd>) -> Result<()>,
    ) -> Result<Response> {
        self.send(&Request {
            kind: kind.into(),
            options: Some(options),
            notify_success: None,
        })?;
        let mut refused = None;
        loop {
            let (response, descriptors) = self.receive(log)?;
            if response.kind != i32::from(Kind::Notify) {
                self.child.wait().ok();
                return match refused {
                    Some(error) => Err(error),
                    None if response.success => Ok(response),
                    None => Err(failure(&response, log)),
                };
            }
            let result = response
                .notification
                .as_ref()
                .map_or(Ok(()), |it| notified(it, descriptors));
            self.send(&Request {
                kind: Kind::Notify.into(),
                options: None,
                notify_success: Some(result.is_ok()),
            })?;
            refused = refused.or(result.err());
        }
    }

    fn channel(&self) -> Result<BorrowedFd<'_>> {
        let channel = self.channel.as_ref().map(AsFd::as_fd);
        channel.ok_or_else(|| Error::Bug("criu's channel is closed".to_owned()))
    }

    fn send(&self, request: &Request) -> Result<()> {
        socket::send(self.channel()?, &request.encode_to_vec(), &[])
            .step(|| "criu".to_owned(), "sendmsg")
    }

    fn receive(&self, log: &Path) -> Result<(Response, Vec<OwnedFd>)> {
        let (bytes, descriptors) =
            socket::receive(self.channel()?).step(|| "criu".to_owned(), "recvmsg")?;
        if bytes.is_empty() {
            return Err(Error::WrongState(format!(
                "criu ended without an answer{}",
                from_log(log)
            )));
        }
        let response = Response::decode(&bytes[..])
            .map_err(|error| Error::Bug(format!("criu's answer: {error}")))?;
        Ok((response, descriptors))
    }
}

impl Drop for Criu {
    fn drop(&mut self) {
        // It ends by itself when the channel closes; killed, it would leave a frozen tree.
        self.channel = None;
        self.child.wait().ok();
    }
}

fn failure(response: &Response, log: &Path) -> Error {
    let errno = response.errno.filter(|errno| *errno != 0);
    let errno =
        errno.map(|errno| format!(", {}", sys::describe(sys::Errno::from_raw_os_error(errno))));
    Error::WrongState(format!(
        "criu failed{}{}",
        errno.unwrap_or_default(),
        from_log(log)
    ))
}

/// The first error of a log, and where the log is. A limit that CRIU could not raise for itself has never been the reason.
fn from_log(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut errors = text
        .lines()
        .filter_map(|line| line.split_once("Error ").map(|(_, rest)| rest));
    match errors.find(|error| !error.contains("RLIMIT_NOFILE")) {
        Some(first) => format!(": {first} (log: {})", log.display()),
        None => format!(" (log: {})", log.display()),
    }
}

//! `NOTIFY_SOCKET`: a service manager that waits for the container's program to say that it is ready (sd_notify(3)).
//!
//! The manager's socket appears in the container as `/run/notify/notify.sock`, and the program is told so; the kernel
//! translates the sender's process number for the manager.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::config::mounts::Source;
use crate::config::{Config, Kind, Mount};
use crate::error::{Error, Result};

const INSIDE: &str = "/run/notify/notify.sock";

/// Lets the container's program reach the socket that the caller's environment names, if any.
///
/// # Errors
/// [`Error::Unsupported`] for an abstract socket, which no mount can show.
pub fn pass(config: &mut Config) -> Result<()> {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else {
        return Ok(());
    };
    if !config.namespaces.has(Kind::Mount) {
        return Ok(());
    }
    if !socket.as_bytes().starts_with(b"/") {
        return Err(Error::Unsupported {
            feature: format!("NOTIFY_SOCKET={}", socket.display()),
            missing: "only a socket with an absolute path can be passed to a container".to_owned(),
        });
    }
    config.mounts.push(Mount {
        destination: PathBuf::from(INSIDE),
        source: Source::Bind {
            path: PathBuf::from(&socket),
            recursive: false,
        },
        ..Mount::default()
    });
    if let Some(process) = &mut config.process {
        process
            .env
            .retain(|entry| !entry.as_bytes().starts_with(b"NOTIFY_SOCKET="));
        let entry = [b"NOTIFY_SOCKET=", OsStr::new(INSIDE).as_bytes()].concat();
        process.env.extend(CString::new(entry));
    }
    Ok(())
}

//! config.md#process, `terminal` and `consoleSize`; config-linux.md#default-devices, /dev/console.
//! The terminal's other end comes over the socket given with --console-socket, as engines receive it.

use crate::case::{Case, case};
use crate::container::{LIMIT, readable};
use crate::report::Report;
use crate::rig::Rig;
use crate::verdict::{Verdict, fail, same};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};
use std::io::{IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Instant;

const PROCESS: &str = "config.md#process";

/// The chapter's cases.
pub fn cases() -> Vec<Case> {
    vec![
        case("process/terminal/stdio", PROCESS, |rig| {
            let report = on_terminal(rig, &json!({}), &["tty"])?;
            let seen = report.ok("tty")?;
            same("terminals at 0, 1 and 2", json!([seen["stdin"], seen["stdout"], seen["stderr"]]), json!([true, true, true]))
        }),
        case("process/terminal/controlling", PROCESS, |rig| {
            same("/dev/tty can be opened", on_terminal(rig, &json!({}), &["tty"])?.ok("tty")?["controlling"].as_bool(), Some(true))
        }),
        case("process/consoleSize/applied", PROCESS, |rig| {
            let report = on_terminal(rig, &json!({"process": {"consoleSize": {"height": 33, "width": 111}}}), &["tty"])?;
            same("rows and columns", &report.ok("tty")?["size"], &json!([33, 111]))
        }),
        case("devices/console/is-the-terminal", "config-linux.md#default-devices", |rig| {
            let report = on_terminal(rig, &json!({}), &["follow:/dev/console", "follow:/proc/self/fd/0"])?;
            let (console, stdin) = (report.ok("follow:/dev/console")?, report.ok("follow:/proc/self/fd/0")?);
            same("the device number", (&console["major"], &console["minor"]), (&stdin["major"], &stdin["minor"]))
        }),
        case("process/terminal/from-the-containers-devpts", PROCESS, |rig| {
            let link = "link:/proc/self/fd/0";
            let report = on_terminal(rig, &json!({}), &[link])?;
            let name = report.text(link)?;
            require!(name.starts_with("/dev/pts/") || name == "/dev/console", "stdin is {name}");
            Ok(())
        }),
        case("process/terminal/owner-can-open-it", PROCESS, |rig| {
            let patch = json!({"process": {"user": {"uid": 1000, "gid": 1000}, "capabilities": {"bounding": [], "effective": [], "permitted": []}}});
            on_terminal(rig, &patch, &["follow:/proc/self/fd/0", "openw:/dev/tty"])?.ok("openw:/dev/tty").map(drop)
        })
        .root(),
    ]
}

/// Runs a container with a terminal and returns what the probe wrote to it.
fn on_terminal(rig: &Rig, patch: &Value, actions: &[&str]) -> Verdict<Report> {
    // A socket's path has room for 108 bytes, so it stands in the case's directory.
    let path = rig.dir.join("console");
    let listener = UnixListener::bind(&path)?;
    let mut config = rig.config(&json!({"process": {"terminal": true}}), actions);
    crate::bundle::merge(&mut config, patch);
    let bundle = rig.bundle()?;
    bundle.write(&config)?;
    let socket = path.to_string_lossy().into_owned();
    let mut container = match rig.create_as(&rig.id(), &bundle, &["--console-socket", &socket])? {
        Ok(container) => container,
        Err(text) => return fail(format!("create failed: {}", text.trim())),
    };
    if !readable(listener.as_fd(), Instant::now() + LIMIT)? {
        return fail("nobody connected to the console socket");
    }
    let (stream, _) = listener.accept()?;
    let Some(terminal) = receive(&stream)?.1 else {
        return fail("no descriptor came over the console socket");
    };
    container.start(rig)?;
    let text = drain(terminal)?;
    let code = container.wait()?;
    rig.delete(&container.id)?;
    Ok(Report::parse(&text, code))
}

/// One message: its bytes and the first descriptor with it.
pub fn receive(stream: &UnixStream) -> Verdict<(Vec<u8>, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = vec![0; 65536];
    if !readable(stream.as_fd(), Instant::now() + LIMIT)? {
        return fail("nothing came over the socket");
    }
    let message = recvmsg(stream, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    bytes.truncate(message.bytes);
    let mut first = None;
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = part {
            first = first.or(descriptors.into_iter().next());
        }
    }
    Ok((bytes, first))
}

/// Reads the terminal until its last holder has closed it, which a terminal tells with EIO.
fn drain(terminal: OwnedFd) -> Verdict<String> {
    let mut terminal = std::fs::File::from(terminal);
    let mut seen = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if !readable(terminal.as_fd(), Instant::now() + LIMIT)? {
            return fail("the terminal stays open without a word");
        }
        match terminal.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => seen.extend_from_slice(&chunk[..count]),
            Err(error) if error.raw_os_error() == Some(5) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(String::from_utf8_lossy(&seen).into_owned())
}

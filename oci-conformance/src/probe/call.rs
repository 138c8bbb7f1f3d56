//! Single system calls for the seccomp cases: `call:NAME[,ARGUMENT…]`, with the errno or the value they give.

use super::outcome;
use nix::unistd::{Gid, Pid, Uid};
use serde_json::{Value, json};
use std::io;
use std::os::fd::AsFd;

/// The system call verb; `None` when `verb` is another.
pub fn act(verb: &str, operands: &str) -> Option<Value> {
    if verb != "call" {
        return None;
    }
    let mut words = operands.split(',');
    let name = words.next().unwrap_or("");
    let numbers: Vec<i64> = words.map(|w| w.parse().unwrap_or(0)).collect();
    let at = |n: usize| numbers.get(n).copied().unwrap_or(0);
    Some(outcome(perform(name, &at)))
}

fn perform(name: &str, at: &dyn Fn(usize) -> i64) -> io::Result<Value> {
    let pid = |n: usize| Pid::from_raw(i32::try_from(at(n)).unwrap_or(0));
    Ok(match name {
        "getppid" => json!(Pid::parent().as_raw()),
        "getpgid" => json!(nix::unistd::getpgid(Some(pid(0)))?.as_raw()),
        "getsid" => json!(nix::unistd::getsid(Some(pid(0)))?.as_raw()),
        "sync" => {
            nix::unistd::sync();
            json!(0)
        }
        "umask" => {
            json!(nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o22)).bits())
        }
        "mkdir" => std::fs::create_dir("/made").map(|()| json!(0))?,
        "sethostname" => nix::unistd::sethostname("changed").map(|()| json!(0))?,
        "sched_yield" => nix::sched::sched_yield().map(|()| json!(0))?,
        "setuid" => nix::unistd::setuid(Uid::from_raw(u32::try_from(at(0)).unwrap_or(0))).map(|()| json!(0))?,
        "setgid" => nix::unistd::setgid(Gid::from_raw(u32::try_from(at(0)).unwrap_or(0))).map(|()| json!(0))?,
        "personality" => json!(nix::sys::personality::get()?.bits()),
        // The offset is a whole 64-bit argument: what the comparison operators are tried on.
        "lseek" => {
            let file = std::fs::File::open("/probe")?;
            let whence = rustix::fs::SeekFrom::Start(at(0).unsigned_abs());
            json!(rustix::fs::seek(file.as_fd(), whence)?)
        }
        "unshare" => nix::sched::unshare(nix::sched::CloneFlags::from_bits_retain(i32::try_from(at(0)).unwrap_or(0))).map(|()| json!(0))?,
        "socket" => socket(at(0))?,
        _ => return Err(io::Error::from_raw_os_error(22)),
    })
}

fn socket(domain: i64) -> io::Result<Value> {
    use rustix::net::{AddressFamily, SocketType, socket};
    let family = AddressFamily::from_raw(u16::try_from(domain).unwrap_or(0));
    socket(family, SocketType::DGRAM, None)?;
    Ok(json!(0))
}

//! What the probe is: identity, limits, namespaces, clocks, terminal; and how it stays alive for others.

use super::outcome;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{SigSet, Signal};
use serde_json::{Map, Value, json};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// The process verbs; `None` when `verb` is none of them.
pub fn act(verb: &str, operands: &str) -> Option<Value> {
    Some(match verb {
        "status" => outcome(status()),
        "env" => std::env::vars_os().map(|(k, v)| format!("{}={}", k.display(), v.display())).collect(),
        "args" => std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect(),
        "cwd" => outcome(std::env::current_dir().map(|p| p.to_string_lossy().into_owned())),
        "pid" => json!(std::process::id()),
        "fds" => outcome(descriptors()),
        "limits" => limits(),
        "uname" => uname(),
        "clocks" => clocks(),
        "ns" => namespaces(),
        "sched" => outcome(fs::read_to_string("/proc/self/stat").map(|t| scheduling(&t))),
        "tty" => terminal(),
        "stdin" => outcome(io::read_to_string(io::stdin())),
        "stderr" => outcome(io::stderr().write_all(operands.as_bytes()).map(|()| 0)),
        "ifaces" => outcome(interfaces()),
        "affinity" => outcome(affinity()),
        _ => return None,
    })
}

/// /proc/self/status as a map (proc_pid_status(5)).
pub fn status() -> io::Result<Value> {
    let text = fs::read_to_string("/proc/self/status")?;
    let entries = text.lines().filter_map(|line| line.split_once(':'));
    Ok(entries.map(|(k, v)| (k.to_owned(), json!(v.trim()))).collect::<Map<_, _>>().into())
}

/// The open descriptors and what they point at, without the one that reads the list.
fn descriptors() -> io::Result<Value> {
    let mut open = Map::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let entry = entry?;
        let target = fs::read_link(entry.path())?.to_string_lossy().into_owned();
        if !target.starts_with("/proc/") || !target.ends_with("/fd") {
            open.insert(entry.file_name().to_string_lossy().into_owned(), json!(target));
        }
    }
    Ok(open.into())
}

const RESOURCES: [(&str, Resource); 16] = [
    ("RLIMIT_AS", Resource::RLIMIT_AS),
    ("RLIMIT_CORE", Resource::RLIMIT_CORE),
    ("RLIMIT_CPU", Resource::RLIMIT_CPU),
    ("RLIMIT_DATA", Resource::RLIMIT_DATA),
    ("RLIMIT_FSIZE", Resource::RLIMIT_FSIZE),
    ("RLIMIT_LOCKS", Resource::RLIMIT_LOCKS),
    ("RLIMIT_MEMLOCK", Resource::RLIMIT_MEMLOCK),
    ("RLIMIT_MSGQUEUE", Resource::RLIMIT_MSGQUEUE),
    ("RLIMIT_NICE", Resource::RLIMIT_NICE),
    ("RLIMIT_NOFILE", Resource::RLIMIT_NOFILE),
    ("RLIMIT_NPROC", Resource::RLIMIT_NPROC),
    ("RLIMIT_RSS", Resource::RLIMIT_RSS),
    ("RLIMIT_RTPRIO", Resource::RLIMIT_RTPRIO),
    ("RLIMIT_RTTIME", Resource::RLIMIT_RTTIME),
    ("RLIMIT_SIGPENDING", Resource::RLIMIT_SIGPENDING),
    ("RLIMIT_STACK", Resource::RLIMIT_STACK),
];

fn limits() -> Value {
    let seen = RESOURCES.iter().map(|(name, resource)| {
        let value = getrlimit(*resource).map_or(Value::Null, |(soft, hard)| json!([soft, hard]));
        ((*name).to_owned(), value)
    });
    seen.collect::<Map<_, _>>().into()
}

fn uname() -> Value {
    nix::sys::utsname::uname().map_or(Value::Null, |u| {
        json!({"node": u.nodename().to_string_lossy(), "machine": u.machine().to_string_lossy(),
               "domain": u.domainname().to_string_lossy()})
    })
}

fn clocks() -> Value {
    use rustix::time::{ClockId, clock_gettime};
    json!({"monotonic": clock_gettime(ClockId::Monotonic).tv_sec, "boottime": clock_gettime(ClockId::Boottime).tv_sec})
}

/// The namespace links of the calling process, by the names under /proc/self/ns (namespaces(7)).
pub fn namespaces() -> Value {
    let names = ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"];
    let links = names.iter().map(|name| {
        let link = fs::read_link(format!("/proc/self/ns/{name}"));
        ((*name).to_owned(), link.map_or(Value::Null, |l| json!(l.to_string_lossy())))
    });
    links.collect::<Map<_, _>>().into()
}

/// nice, real-time priority and policy: fields 19, 40 and 41 of proc_pid_stat(5).
fn scheduling(stat: &str) -> Value {
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = |n: usize| after.split_whitespace().nth(n - 3).and_then(|f| f.parse::<i64>().ok());
    json!({"nice": field(19), "priority": field(40), "policy": field(41)})
}

fn terminal() -> Value {
    use rustix::termios::{isatty, tcgetwinsize};
    let size = tcgetwinsize(io::stdin()).ok().map(|s| json!([s.ws_row, s.ws_col]));
    json!({"stdin": isatty(io::stdin()), "stdout": isatty(io::stdout()), "stderr": isatty(io::stderr()),
           "size": size, "controlling": fs::File::open("/dev/tty").is_ok()})
}

fn interfaces() -> io::Result<Value> {
    let mut seen: Vec<Value> = Vec::new();
    for interface in nix::ifaddrs::getifaddrs()? {
        let address = interface.address.map(|a| a.to_string());
        let up = interface.flags.contains(nix::net::if_::InterfaceFlags::IFF_UP);
        seen.push(json!({"name": interface.interface_name, "address": address, "up": up}));
    }
    Ok(seen.into())
}

fn affinity() -> io::Result<Value> {
    let set = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0))?;
    let cpus: Vec<usize> = (0..nix::sched::CpuSet::count()).filter(|c| set.is_set(*c).unwrap_or(false)).collect();
    Ok(json!(cpus))
}

/// Waits for ever without using the processor; signals keep their default actions.
pub fn hold() -> ! {
    loop {
        nix::unistd::pause();
    }
}

/// Blocks every signal, calls `ready`, then returns the number of the first that comes.
pub fn await_signal(ready: impl FnOnce()) -> io::Result<i32> {
    let all = SigSet::all();
    all.thread_block()?;
    ready();
    let signal: Signal = all.wait()?;
    Ok(signal as i32)
}

fn flag(name: &str) -> CloneFlags {
    match name {
        "cgroup" => CloneFlags::CLONE_NEWCGROUP,
        "ipc" => CloneFlags::CLONE_NEWIPC,
        "mnt" => CloneFlags::CLONE_NEWNS,
        "net" => CloneFlags::CLONE_NEWNET,
        "pid" => CloneFlags::CLONE_NEWPID,
        "user" => CloneFlags::CLONE_NEWUSER,
        "uts" => CloneFlags::CLONE_NEWUTS,
        // CLONE_NEWTIME, which nix does not name.
        "time" => CloneFlags::from_bits_retain(0x80),
        _ => CloneFlags::empty(),
    }
}

/// `keep NS…`: makes the named namespaces, puts a child into them, prints its pid and lives until stdin closes.
pub fn keep(names: &[String]) -> i32 {
    let flags = names.iter().fold(CloneFlags::empty(), |all, n| all | flag(n));
    let child = unshare(flags)
        .map_err(io::Error::from)
        .and_then(|()| Command::new("/proc/self/exe").arg0("probe").arg("block").stdin(Stdio::piped()).spawn());
    match child {
        Ok(mut child) => {
            println!("{}", child.id());
            let mut end = Vec::new();
            let closed = io::stdin().read_to_end(&mut end).and_then(|_| child.kill()).and_then(|()| child.wait());
            i32::from(closed.is_err())
        }
        Err(error) => {
            println!("{error}");
            1
        }
    }
}

/// Lives until stdin closes.
pub fn block() -> i32 {
    i32::from(io::stdin().read_to_end(&mut Vec::new()).is_err())
}

/// `within PID NS… -- COMMAND…`: joins the namespaces of a process and becomes the command.
pub fn within(words: &[String]) -> i32 {
    let Some(cut) = words.iter().position(|w| w == "--") else {
        return 122;
    };
    let (Some(pid), [program, arguments @ ..]) = (words.first(), &words[cut + 1..]) else {
        return 122;
    };
    for name in &words[1..cut] {
        let joined = fs::File::open(format!("/proc/{pid}/ns/{name}")).and_then(|file| setns(file, flag(name)).map_err(io::Error::from));
        if let Err(error) = joined {
            eprintln!("{name} of {pid}: {error}");
            return 122;
        }
    }
    eprintln!("{program}: {}", Command::new(program).args(arguments).exec());
    122
}

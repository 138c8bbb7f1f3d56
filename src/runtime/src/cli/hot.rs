//! The commands an engine runs for every container, read without building clap's definition (0.27 ms of each of the three
//! execs a container needs). The scanner already split the words, so nothing but the assignment is left; a test holds
//! every flag, default and result together with clap's.

use std::ffi::{OsStr, OsString};

use super::scan::{Flag, Given, Table, flag};
use super::value::{self, FlagError};
use super::verbs::{Command, Create, Delete, Exec, Kill, LaunchFlags, Run, Start, State};

const LAUNCH: [Flag<'static>; 9] = [
    flag("bundle", Some('b'), true),
    flag("config", Some('f'), true),
    flag("console-socket", None, true),
    flag("pidfd-socket", None, true),
    flag("pid-file", None, true),
    flag("no-pivot", None, false),
    flag("no-new-keyring", None, false),
    flag("preserve-fds", None, true),
    flag("no-subreaper", None, false),
];

const EXEC: [Flag<'static>; 17] = [
    flag("console-socket", None, true),
    flag("pidfd-socket", None, true),
    flag("cwd", None, true),
    flag("env", Some('e'), true),
    flag("tty", Some('t'), false),
    flag("user", Some('u'), true),
    flag("additional-gids", Some('g'), true),
    flag("process", Some('p'), true),
    flag("detach", Some('d'), false),
    flag("pid-file", None, true),
    flag("process-label", None, true),
    flag("apparmor", None, true),
    flag("no-new-privs", None, false),
    flag("cap", Some('c'), true),
    flag("preserve-fds", None, true),
    flag("cgroup", None, true),
    flag("ignore-paused", None, false),
];

/// The flags of a hot command, or nothing for the others.
pub(super) fn table(verb: &str) -> Option<Table<'static>> {
    let (flags, least, most) = match verb {
        "create" => (LAUNCH.to_vec(), 1, Some(1)),
        "run" => {
            let mut flags = LAUNCH.to_vec();
            flags.extend([flag("detach", Some('d'), false), flag("keep", None, false)]);
            (flags, 1, Some(1))
        }
        "start" | "state" => (Vec::new(), 1, Some(1)),
        "kill" => (
            vec![
                flag("all", Some('a'), false),
                flag("regex", Some('r'), false),
            ],
            1,
            Some(2),
        ),
        "delete" => (
            vec![
                flag("force", Some('f'), false),
                flag("regex", Some('r'), false),
            ],
            1,
            Some(1),
        ),
        "exec" => (EXEC.to_vec(), 1, None),
        _ => return None,
    };
    Some(Table {
        flags,
        in_order: verb == "exec",
        least,
        most,
    })
}

/// The command from what was found; `verb` is one that [`table`] knows and the number of positionals has been checked.
///
/// # Errors
/// The flag's (or argument's) name and what is wrong with it.
pub(super) fn command(
    verb: &str,
    flags: &[(&str, Given)],
    positionals: Vec<OsString>,
) -> Result<Command, (String, OsString, FlagError)> {
    let mut words = positionals.into_iter();
    let id = text("container-id", words.next())?;
    let command = match verb {
        "create" => Command::Create(Create {
            launch: filled(flags, launch)?,
            id,
        }),
        "run" => Command::Run(Run {
            id,
            ..filled(flags, run)?
        }),
        "start" => Command::Start(Start { id }),
        "state" => Command::State(State { id }),
        "kill" => {
            let signal = match words.next() {
                Some(word) => {
                    let name = text("signal", Some(word))?;
                    value::signal(&name)
                        .map_err(|e| ("signal".to_owned(), OsString::from(name), e))?
                }
                None => nix::sys::signal::Signal::SIGTERM as i32,
            };
            Command::Kill(Kill {
                all: switched(flags, "all"),
                regex: switched(flags, "regex"),
                id,
                signal,
            })
        }
        "delete" => Command::Delete(Delete {
            force: switched(flags, "force"),
            regex: switched(flags, "regex"),
            id,
        }),
        _ => {
            let args = words
                .map(|word| text("command", Some(word)))
                .collect::<Result<_, _>>()?;
            Command::Exec(Exec {
                id,
                args,
                ..filled(flags, exec)?
            })
        }
    };
    Ok(command)
}

fn filled<T: Default>(
    flags: &[(&str, Given)],
    set: fn(&mut T, &str, &Given) -> Result<(), FlagError>,
) -> Result<T, (String, OsString, FlagError)> {
    let mut target = T::default();
    for (long, given) in flags {
        set(&mut target, long, given)
            .map_err(|e| ((*long).to_owned(), given.text().to_owned(), e))?;
    }
    Ok(target)
}

fn switched(flags: &[(&str, Given)], long: &str) -> bool {
    flags
        .iter()
        .rev()
        .find(|(name, _)| *name == long)
        .is_some_and(|(_, given)| given.on())
}

fn text(name: &str, word: Option<OsString>) -> Result<String, (String, OsString, FlagError)> {
    word.unwrap_or_default().into_string().map_err(|word| {
        let error = FlagError::Plain(format!(
            "{name} {word:?} is not UTF-8 (accepted: UTF-8 text)"
        ));
        (name.to_owned(), word, error)
    })
}

fn number(given: &Given) -> Result<u32, FlagError> {
    given
        .text()
        .to_str()
        .map_or(Err(FlagError::Parse), value::count)
}

fn launch(flags: &mut LaunchFlags, long: &str, given: &Given) -> Result<(), FlagError> {
    match long {
        "bundle" => flags.bundle = given.path(),
        "config" => flags.config = given.path(),
        "console-socket" => flags.console_socket = given.path(),
        "pidfd-socket" => flags.pidfd_socket = given.path(),
        "pid-file" => flags.pid_file = given.path(),
        "no-pivot" => flags.no_pivot = given.on(),
        "no-new-keyring" => flags.no_new_keyring = given.on(),
        "preserve-fds" => flags.preserve_fds = number(given)?,
        "no-subreaper" => flags.no_subreaper = given.on(),
        _ => return Err(FlagError::Undefined),
    }
    Ok(())
}

fn run(flags: &mut Run, long: &str, given: &Given) -> Result<(), FlagError> {
    match long {
        "detach" => flags.detach = given.on(),
        "keep" => flags.keep = given.on(),
        _ => launch(&mut flags.launch, long, given)?,
    }
    Ok(())
}

fn exec(flags: &mut Exec, long: &str, given: &Given) -> Result<(), FlagError> {
    match long {
        "console-socket" => flags.console_socket = given.path(),
        "pidfd-socket" => flags.pidfd_socket = given.path(),
        "cwd" => flags.cwd = given.string()?,
        "env" => flags.env.push(given.str()?.to_owned()),
        "tty" => flags.tty = given.on(),
        // An empty user is no user for Go's flags, but whoever writes `-u ""` did not mean root.
        "user" => flags.user = Some(given.str()?.parse()?),
        "additional-gids" => flags.additional_gids.push(number(given)?),
        "process" => flags.process = given.path(),
        "detach" => flags.detach = given.on(),
        "pid-file" => flags.pid_file = given.path(),
        "process-label" => flags.process_label = given.string()?,
        "apparmor" => flags.apparmor = given.string()?,
        "no-new-privs" => flags.no_new_privs = given.on(),
        "cap" => flags.cap.push(given.str()?.to_owned()),
        "preserve-fds" => flags.preserve_fds = number(given)?,
        "cgroup" => flags.cgroup.push(given.str()?.to_owned()),
        "ignore-paused" => flags.ignore_paused = given.on(),
        _ => return Err(FlagError::Undefined),
    }
    Ok(())
}

/// Whether `value` for `long` means nothing at all, as an empty path does in Go's flags.
pub(super) fn is_void(takes_path: bool, value: &OsStr) -> bool {
    takes_path && value.is_empty()
}

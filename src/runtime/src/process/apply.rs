//! Orders → kernel, in the child.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};

use sys::{Errno, file, keyring, process, scheduling, terminal};

use super::{Order, identity, program};
use crate::error::{Error, Kernelize, Result};

/// What the steps know and leave for each other.
#[derive(Debug, Default)]
pub struct Body {
    /// Arguments of the program.
    pub args: Vec<CString>,
    /// Environment of the program.
    pub env: Vec<CString>,
    /// Where the program is, once it is found.
    pub program: Option<CString>,
    /// The parent's number, for the race between its death and the wish to die with it. 0 in another pid namespace.
    pub parent: i32,
}

impl Body {
    /// Carries out one order; `slave` is the terminal, if there is one.
    ///
    /// # Errors
    /// The kernel's, with the step.
    pub fn apply(&mut self, order: &Order, slave: Option<BorrowedFd<'_>>) -> Result<()> {
        match order {
            Order::NotDumpable => {
                process::set_dumpable(false).step(name("protection"), "prctl PR_SET_DUMPABLE")
            }
            Order::DieWithParent => self.die_with_parent(),
            Order::SurviveParent => {
                process::set_parent_death_signal(0).step(name("handover"), "prctl PR_SET_PDEATHSIG")
            }
            Order::Session => process::new_session().step(name("session"), "setsid"),
            Order::Keyring { name, label } => join_keyring(name, label.as_deref()),
            Order::Terminal => take_terminal(slave),
            Order::Umask(mask) => {
                process::set_umask(*mask);
                Ok(())
            }
            Order::NoNewPrivileges => process::set_no_new_privileges()
                .step(name("no new privileges"), "prctl PR_SET_NO_NEW_PRIVS"),
            Order::Scheduler(policy) => {
                scheduling::set_policy(*policy).step(name("scheduler"), "sched_setattr")
            }
            Order::IoPriority(priority) => {
                scheduling::set_io_priority(priority.class, priority.level)
                    .step(name("I/O priority"), "ioprio_set")
            }
            Order::Personality(domain) => {
                scheduling::set_personality(*domain).step(name("personality"), "personality")
            }
            Order::MemoryPolicy(mode, nodes) => scheduling::set_memory_policy(*mode, nodes)
                .step(name("memory policy"), "set_mempolicy"),
            Order::CloseFrom(first) => {
                process::close_on_exec_from(*first).step(name("descriptors"), "close_range")
            }
            Order::EnterEarly(path) => match program::enter(path) {
                Err(error) if error.errno() == Some(Errno::ACCESS) => Ok(()),
                result => result,
            },
            Order::Enter(path) => program::enter(path),
            Order::Home(uid) => self.add_home(*uid),
            Order::Bounding(keep) => identity::limit(*keep),
            Order::OwnStreams(uid) => identity::own_streams(*uid),
            Order::Identity(identity) => {
                identity::assume(identity)?;
                // The kernel forgets the wish at every change of identity, and root to root is none.
                if identity.uid == 0 && identity.gid == 0 {
                    return Ok(());
                }
                self.die_with_parent()
            }
            Order::Resolve(name) => {
                let path = self
                    .env
                    .iter()
                    .find_map(|entry| entry.to_bytes().strip_prefix(b"PATH="));
                self.program = Some(program::resolve(name, path.unwrap_or_default())?);
                Ok(())
            }
            Order::Execute => Err(self.execute()),
        }
    }

    fn die_with_parent(&self) -> Result<()> {
        const SIGKILL: i32 = 9;
        process::set_parent_death_signal(SIGKILL)
            .step(name("handover"), "prctl PR_SET_PDEATHSIG")?;
        if process::parent() != self.parent {
            return Err(Error::WrongState(
                "the runtime ended while it made the container".to_owned(),
            ));
        }
        Ok(())
    }

    fn add_home(&mut self, uid: u32) -> Result<()> {
        let mut entry = b"HOME=".to_vec();
        entry.extend(program::home(uid));
        let entry = CString::new(entry)
            .map_err(|_| Error::Denied("/etc/passwd contains a NUL".to_owned()))?;
        self.env
            .retain(|entry| !entry.as_bytes().starts_with(b"HOME="));
        self.env.push(entry);
        Ok(())
    }

    fn execute(&self) -> Error {
        let Some(program) = &self.program else {
            return Error::Bug("no program was resolved".to_owned());
        };
        let errno = process::execute(program, &self.args, &self.env);
        let text = program.to_string_lossy();
        match errno {
            Errno::NOENT => Error::NotFound(format!("exec {text}: {}", sys::describe(errno))),
            _ => Error::Denied(format!("exec {text}: {}", sys::describe(errno))),
        }
    }
}

fn name(step: &'static str) -> impl FnOnce() -> String {
    move || step.to_owned()
}

fn take_terminal(slave: Option<BorrowedFd<'_>>) -> Result<()> {
    let slave = slave.ok_or_else(|| Error::Bug("no terminal was opened".to_owned()))?;
    terminal::control(slave).step(name("terminal"), "TIOCSCTTY")?;
    for number in 0..3 {
        file::become_standard(slave, number).step(name("terminal"), "dup3")?;
    }
    Ok(())
}

/// A session keyring of its own keeps the container from the caller's keys. Its permissions are widened to search for
/// owner and group, so that root of another user namespace can still use it.
fn join_keyring(wish: &CString, label: Option<&str>) -> Result<()> {
    if let Some(label) = label {
        label_keyring(label)?;
    }
    let serial = match keyring::join_session(wish) {
        // A kernel without keys, and a seccomp filter of an outer container, have nothing to protect.
        Err(Errno::NOSYS) => return Ok(()),
        result => result.step(name("session keyring"), "keyctl")?,
    };
    if label.is_some() {
        label_keyring("")?;
    }
    let permissions = keyring::permissions(serial).step(name("session keyring"), "keyctl")?;
    const SEARCH_BY_USER: u32 = 0x0008_0000;
    keyring::set_permissions(serial, permissions | SEARCH_BY_USER)
        .step(name("session keyring"), "keyctl")
}

fn label_keyring(label: &str) -> Result<()> {
    let step = name("session keyring label");
    let file = file::open_both(file::here(), c"/proc/self/attr/keycreate");
    let file = file.map_err(|errno| Error::kernel(step(), "open", "keycreate", errno))?;
    file::write_all(file.as_fd(), label.as_bytes()).step(name("session keyring label"), "write")
}

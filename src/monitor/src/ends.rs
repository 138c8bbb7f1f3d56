//! How things end: runtime calls, exec sessions, the container.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::time::{Instant, SystemTime};

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use crate::cgroup;
use crate::error::{Error, Result};
use crate::jobs::{Job, Purpose};
use crate::process::{INIT, Monitor};
use crate::protocol::{Exit, PID_FILE, Reply, Verdict};
use crate::runtime::{self, Call, Stdio3};
use sys::clock::rfc3339_nano;

impl Monitor {
    /// Takes every process that has ended.
    pub(crate) fn reap(&mut self) -> Result<()> {
        while let Ok(Some(_)) = self.signals.read_signal() {}
        loop {
            let (pid, code) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid.as_raw(), code),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid.as_raw(), 128 + signal as i32),
                Ok(WaitStatus::StillAlive) | Err(nix::errno::Errno::ECHILD) => break,
                Ok(_) | Err(nix::errno::Errno::EINTR) => continue,
                Err(error) => return Err(Error::kernel("waitpid", error)),
            };
            if let Some(job) = self.jobs.take(pid) {
                self.finish_job(job, code)?;
            } else if let Some(session) = self
                .sessions
                .values_mut()
                .find(|session| session.pid == Some(pid))
            {
                session.exit = Some((code, Instant::now()));
            } else {
                self.jobs.keep(pid, code);
            }
        }
        self.jobs.settle();
        Ok(())
    }

    pub(crate) fn finish_job(&mut self, job: Job, code: i32) -> Result<()> {
        let verdict = job.call.finish(code);
        match job.purpose {
            Purpose::Create => {
                verdict?;
                let pid = runtime::read_pid(Path::new(PID_FILE))?;
                self.oom =
                    cgroup::oom_counter(pid).map(|file| (file.clone(), cgroup::oom_kills(&file)));
                self.learn_pid(INIT, pid);
                report(pid)?;
            }
            Purpose::Start { client } => match verdict {
                Ok(()) => {
                    self.started = true;
                    self.with_client(client, |client| client.reply(&Reply::Done));
                }
                Err(error) => self.refuse(client, error.to_string()),
            },
            Purpose::Exec {
                session,
                client,
                pid_file,
            } => {
                match verdict.and_then(|()| runtime::read_pid(&pid_file)) {
                    Ok(pid) => {
                        self.learn_pid(session, pid);
                        self.with_client(client, |client| client.reply(&Reply::Executed { pid }));
                    }
                    Err(error) => {
                        if let Some(mut session) = self.sessions.remove(&session) {
                            session.drop_console();
                        }
                        self.refuse(client, error.to_string());
                    }
                }
                remove(&pid_file);
            }
            Purpose::Delete => {
                if let Err(error) = verdict {
                    eprintln!("gantry-monitor: delete of {}: {error}", self.setup.id);
                }
                self.announce_exit();
            }
        }
        Ok(())
    }

    /// Notes a session's process, and its end if that came first.
    pub(crate) fn learn_pid(&mut self, number: u64, pid: i32) {
        let ended = self.jobs.claim(pid);
        if let Some(session) = self.sessions.get_mut(&number) {
            // The runtime has sent the terminal before it ended.
            if let Err(error) = session.receive_console() {
                eprintln!("gantry-monitor: {error}");
            }
            session.pid = Some(pid);
            session.exit = ended.map(|code| (code, Instant::now()));
        }
    }

    /// Settles sessions whose process and output are through.
    pub(crate) fn end_sessions(&mut self) {
        let through: Vec<u64> = self
            .sessions
            .iter()
            .filter(|(number, session)| {
                session.finished() && (**number != INIT || self.exited.is_none())
            })
            .map(|(number, _)| *number)
            .collect();
        for number in through {
            if number == INIT {
                self.end_container();
            } else if let Some(session) = self.sessions.remove(&number) {
                let code = session.exit.map_or(0, |(code, _)| code);
                let reply = Reply::ExecExited {
                    id: session.name,
                    code,
                };
                for client in self.clients.values_mut() {
                    if client.watches || client.attached.is_some_and(|(at, _)| at == number) {
                        client.reply(&reply);
                    }
                }
            }
        }
    }

    pub(crate) fn end_container(&mut self) {
        let Some(session) = self.sessions.get_mut(&INIT) else {
            return;
        };
        session.stdout = None;
        session.stderr = None;
        let [out, err] = &mut session.lines;
        let code = session.exit.take().map_or(0, |(code, _)| code);
        if let Some(log) = &mut self.log
            && let Err(error) = log
                .finish("stdout", out)
                .and_then(|()| log.finish("stderr", err))
        {
            eprintln!("gantry-monitor: log of {}: {error}", self.setup.id);
        }
        let oom_killed = self
            .oom
            .as_ref()
            .is_some_and(|(file, before)| cgroup::oom_kills(file) > *before);
        let exit = Exit {
            code,
            at: rfc3339_nano(SystemTime::now()),
            oom_killed,
            started: self.started,
        };
        if let Err(error) = write_durably(&self.setup.exit_record, &exit) {
            eprintln!("gantry-monitor: exit record of {}: {error}", self.setup.id);
        }
        self.exited = Some(exit);
        let number = self.jobs.number();
        match Call::spawn(
            &self.setup.runtime,
            number,
            &["delete", "--force", &self.setup.id],
            Stdio3::default(),
        ) {
            Ok(call) => self.jobs.add(call, Purpose::Delete),
            Err(error) => {
                eprintln!("gantry-monitor: delete of {}: {error}", self.setup.id);
                self.announce_exit();
            }
        }
    }

    pub(crate) fn announce_exit(&mut self) {
        let Some(exit) = self.exited.clone() else {
            return;
        };
        for client in self.clients.values_mut() {
            if client.watches || client.attached.is_some_and(|(at, _)| at == INIT) {
                client.reply(&Reply::Exited(exit.clone()));
            }
        }
        self.over = true;
    }
}

/// Tells the engine that the container is created, and lets go of its pipe.
fn report(pid: i32) -> Result<()> {
    let line = serde_json::to_string(&Verdict::Created { pid }).map_err(Error::Config)?;
    let told = writeln!(io::stdout(), "{line}");
    let null = File::options()
        .write(true)
        .open("/dev/null")
        .map_err(|e| Error::kernel("/dev/null", e))?;
    nix::unistd::dup2_stdout(&null).map_err(|e| Error::kernel("standard output", e))?;
    // An engine that died meanwhile adopts the container later: not hearing of it is no failure.
    if let Err(error) = told {
        eprintln!("gantry-monitor: report: {error}");
    }
    Ok(())
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        eprintln!("gantry-monitor: {path:?}: {error}");
    }
}

/// Writes `exit` so that it is whole on disk or not there.
fn write_durably(path: &Path, exit: &Exit) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec(exit)?)?;
    file.sync_data()?;
    fs::rename(&temporary, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

//! The terminal of a container: opened in its own devpts, shown as `/dev/console`.

use std::os::fd::AsFd;
use std::path::Path;

use sys::file::{self, Kind};
use sys::{Errno, mount, terminal};

use super::apply::Scene;
use super::place::{c_path, ensure};
use crate::error::{Error, Kernelize, Result};

/// A terminal of the devpts at `/dev/pts`, for a process that has already entered the container. What is at that path is
/// found to be a devpts before anything of it is opened.
///
/// # Errors
/// The kernel's; [`Error::Denied`] where something else is mounted there.
pub fn open_here(size: Option<(u16, u16)>, uid: u32) -> Result<terminal::Pair> {
    const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;
    let step = || "console".to_owned();
    let devpts = file::place(file::here(), c"/dev/pts").step(step, "open /dev/pts")?;
    if file::filesystem(devpts.as_fd()).step(step, "fstatfs")? != DEVPTS_SUPER_MAGIC {
        return Err(Error::Denied(
            "console: /dev/pts is not a devpts".to_owned(),
        ));
    }
    let pair = terminal::open(devpts.as_fd()).step(step, "open ptmx")?;
    prepare(&pair, size, uid)?;
    Ok(pair)
}

fn prepare(pair: &terminal::Pair, size: Option<(u16, u16)>, uid: u32) -> Result<()> {
    let step = || "console".to_owned();
    if let Some((rows, columns)) = size {
        terminal::set_size(pair.slave.as_fd(), rows, columns).step(step, "TIOCSWINSZ")?;
    }
    let facts = file::facts(pair.slave.as_fd()).step(step, "fstat")?;
    debug_assert_eq!(facts.kind, Kind::CharacterDevice);
    match file::set_owner(pair.slave.as_fd(), uid, facts.gid) {
        Ok(()) | Err(Errno::PERM | Errno::INVAL | Errno::ROFS) => Ok(()),
        Err(errno) => Err(Error::kernel(step(), "fchown", "", errno)),
    }
}

impl Scene<'_> {
    /// The slave is opened by its master and bound by the devpts mount, so that neither `/dev/ptmx` nor `/dev/pts/N` of
    /// the image is asked (CVE-2025-52565); `/dev/console` is not followed where it is a link (CVE-2026-88264).
    pub(super) fn console(&mut self, size: Option<(u16, u16)>, uid: u32) -> Result<()> {
        let step = "console".to_owned();
        let devpts = match self
            .mounted
            .iter()
            .rev()
            .find(|(path, _)| path == Path::new("/dev/pts"))
        {
            Some((_, mounted)) => mounted
                .try_clone()
                .map_err(|_| Error::kernel(&*step, "dup", "", Errno::MFILE))?,
            None => ensure(self.root()?, Path::new("/dev/pts"), true, &step)?,
        };
        let pair = terminal::open(devpts.as_fd()).step(|| step.clone(), "open ptmx")?;
        prepare(&pair, size, uid)?;
        let number = c_path(pair.number.to_string())?;
        let node =
            mount::clone_tree(devpts.as_fd(), &number, false).step(|| step.clone(), "open_tree")?;
        let (one, other) = (file::facts(node.as_fd()), file::facts(pair.slave.as_fd()));
        let same = matches!((one, other), (Ok(one), Ok(other)) if one.identity == other.identity);
        if !same {
            return Err(Error::Denied(format!(
                "{step}: the terminal is not what its devpts shows"
            )));
        }
        let (directory, name) = self.dev(Path::new("/dev/console"), &step)?;
        match file::make_file(directory, &name, 0o666) {
            Ok(_) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(Error::kernel(step, "openat", "/dev/console", errno)),
        }
        let target = match file::place_strictly(directory, &name) {
            Err(Errno::LOOP) => {
                return Err(Error::Denied(format!(
                    "{step}: /dev/console is a symbolic link"
                )));
            }
            result => result.step(|| step.clone(), "openat2")?,
        };
        mount::attach(node.as_fd(), target.as_fd()).step(|| step, "move_mount")?;
        self.terminal = Some(pair);
        Ok(())
    }
}

//! keel's cgroups as a user meets them: limits, update, pause, ps, events, devices, and what is left afterwards.
//!
//! Every case that is not about something only keel does runs with runc first, so that a failure of `keel::…` alone
//! means keel. Cases named `v2` run with nothing but cgroup2 mounted, in a mount namespace of their own.

mod cases;
mod only;
mod stage;

use std::path::PathBuf;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use stage::{Lane, Stage};

/// What a case does with a container of its own.
type Case = fn(&Stage) -> Result<(), Failed>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let runtimes = [
        ("runc", PathBuf::from("/usr/sbin/runc")),
        ("keel", integration::binary("keel")),
    ];
    let mut trials = Vec::new();
    for (runtime, path) in &runtimes {
        for (lane, name, case) in cases::ALL
            .iter()
            .chain(only::ALL.iter().filter(|_| *runtime == "keel"))
        {
            let title = format!(
                "{runtime}::{}{name}",
                if *lane == Lane::V2 { "v2::" } else { "" }
            );
            let missing = stage::missing(path, *lane);
            if let Some(missing) = &missing {
                integration::skip(&title, missing);
            }
            let (path, lane, name, case): (PathBuf, Lane, &str, Case) =
                (path.clone(), *lane, name, *case);
            let tag = format!("{runtime}-{lane:?}-{name}").to_lowercase();
            let trial = Trial::test(title, move || case(&Stage::new(&path, lane, &tag)?));
            trials.push(trial.with_ignored_flag(missing.is_some()));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

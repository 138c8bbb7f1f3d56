//! oci-conformance: judges any OCI runtime against the runtime specification 1.3. It links nothing of the runtimes
//! it judges and drives them by their command line: create, start, state, kill, delete, features.
//! The same binary under the name `probe` runs inside the containers and reports what it sees there.

#[macro_use]
mod verdict;

mod bundle;
mod case;
mod cases;
mod container;
mod expectation;
mod host;
mod probe;
mod report;
mod rig;
mod session;
mod tally;

use clap::Parser;
use expectation::Expectation;
use std::path::PathBuf;
use std::process::ExitCode;
use tally::{Form, Tally};

/// Judge an OCI runtime against runtime-spec 1.3
#[derive(Parser, Debug)]
#[command(version)]
struct Arguments {
    /// The runtime to judge: a path
    #[arg(long, value_name = "PATH", required_unless_present = "list")]
    runtime: Option<PathBuf>,
    /// Only the cases whose name or clause contains WORD
    #[arg(long, value_name = "WORD")]
    filter: Option<String>,
    /// List the cases and their clauses, run nothing
    #[arg(long)]
    list: bool,
    /// One JSON object per case instead of TAP lines
    #[arg(long)]
    json: bool,
    /// How many cases run at once (default: one per processor)
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Run as the unprivileged user this is; cases that need root are skipped
    #[arg(long)]
    rootless: bool,
    /// The runtime's known deviations: a case per line, with its reason. A listed case that passes is a failure
    #[arg(long, value_name = "FILE")]
    expected: Option<PathBuf>,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
    if words.first().is_some_and(|name| name.rsplit('/').next() == Some("probe")) {
        return ExitCode::from(u8::try_from(probe::main(&words[1..])).unwrap_or(125));
    }
    let arguments = Arguments::parse();
    match judge(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("oci-conformance: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs or lists the chosen cases; true when nothing failed.
fn judge(arguments: &Arguments) -> std::io::Result<bool> {
    let all = cases::all();
    let expectation = arguments.expected.as_deref().map(Expectation::read).transpose()?.unwrap_or_default();
    if let Some(name) = expectation.strangers(|name| all.iter().any(|c| c.name == name)).next() {
        return Err(std::io::Error::other(format!("{name}: expected to fail, but there is no such case")));
    }
    let wanted = |case: &case::Case| arguments.filter.as_deref().is_none_or(|word| case.name.contains(word) || case.clause.contains(word));
    let chosen: Vec<case::Case> = all.into_iter().filter(wanted).collect();
    let Some(runtime) = arguments.runtime.as_deref().filter(|_| !arguments.list) else {
        for case in &chosen {
            println!("{}  {}", case.name, case.clause);
        }
        return Ok(true);
    };
    if !arguments.rootless && !nix::unistd::geteuid().is_root() {
        return Err(std::io::Error::other("this user is not root; as another user give --rootless"));
    }
    let jobs = arguments.jobs.or_else(|| std::thread::available_parallelism().ok().map(Into::into)).unwrap_or(1);
    let form = if arguments.json { Form::Json } else { Form::Tap };
    let session = session::Session::open(runtime, arguments.rootless)?;
    Ok(Tally::new(form, expectation).run(&session, &chosen, jobs.max(1)))
}

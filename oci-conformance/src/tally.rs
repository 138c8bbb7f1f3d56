//! Runs the cases, some at once, prints each result as it comes and counts.

use crate::case::Case;
use crate::expectation::Expectation;
use crate::rig::Rig;
use crate::session::Session;
use crate::verdict::{Stop, Verdict};
use nix::sys::signal::{SigSet, Signal};
use serde_json::json;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Test Anything Protocol lines.
    Tap,
    /// One JSON object per line.
    Json,
}

#[derive(Debug, Default)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
    deviating: usize,
}

/// The results of one run.
#[derive(Debug)]
pub struct Tally {
    form: Form,
    expectation: Expectation,
    counts: Mutex<Counts>,
    /// Set when nobody reads the results any more: the cases under way are finished and no more begun.
    unheard: AtomicBool,
}

impl Tally {
    /// An empty tally.
    pub fn new(form: Form, expectation: Expectation) -> Self {
        Self { form, expectation, counts: Mutex::default(), unheard: AtomicBool::new(false) }
    }

    /// Runs `cases` on `jobs` threads; SIGINT and SIGTERM end the run after the cases under way, with all cleaned up.
    pub fn run(self, session: &Session, cases: &[Case], jobs: usize) -> bool {
        let next = AtomicUsize::new(0);
        let lanes = session.lanes();
        let stopped: &'static AtomicBool = Box::leak(Box::default());
        let mut ends = SigSet::empty();
        ends.add(Signal::SIGINT);
        ends.add(Signal::SIGTERM);
        if ends.thread_block().is_ok() {
            std::thread::spawn(move || stopped.store(ends.wait().is_ok(), Ordering::Relaxed));
        }
        if self.form == Form::Tap {
            self.say(format_args!("# {}, {}", session.runtime.display(), session.host.summary()));
            self.say(format_args!("1..{}", cases.len()));
        }
        std::thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(|| {
                    while !stopped.load(Ordering::Relaxed) && !self.unheard.load(Ordering::Relaxed) {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some(case) = cases.get(number) else { break };
                        self.record(number + 1, case, &lanes, attempt(session, case, number + 1));
                    }
                });
            }
        });
        self.close(stopped.load(Ordering::Relaxed))
    }

    fn record(&self, number: usize, case: &Case, lanes: &[&str], verdict: Verdict) {
        let known = self.expectation.deviation(&case.name, lanes);
        let mut counts = self.counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (result, reason) = match (verdict, known) {
            (Ok(()), Some(known)) if !known.at_times => ("failed", format!("it passes, but is listed as a known deviation: {}", known.reason)),
            (Ok(()), _) => ("passed", String::new()),
            (Err(Stop::Skipped(missing)), _) => ("skipped", missing),
            (Err(Stop::Failed(_)), Some(known)) => ("deviates", known.reason.clone()),
            (Err(Stop::Failed(reason)), None) => ("failed", reason),
        };
        *match result {
            "passed" => &mut counts.passed,
            "skipped" => &mut counts.skipped,
            "deviates" => &mut counts.deviating,
            _ => &mut counts.failed,
        } += 1;
        let reason = reason.trim().replace('\n', " | ");
        let name = &case.name;
        match (self.form, result) {
            (Form::Json, _) => self.say(json!({"case": name, "clause": case.clause, "result": result, "reason": reason})),
            (Form::Tap, "passed") => self.say(format_args!("ok {number} - {name}")),
            (Form::Tap, "skipped") => self.say(format_args!("ok {number} - {name} # SKIP {reason}")),
            (Form::Tap, "deviates") => self.say(format_args!("not ok {number} - {name} # TODO known deviation: {reason}")),
            (Form::Tap, _) => self.say(format_args!("not ok {number} - {name}\n# {}: {reason}", case.clause)),
        }
    }

    fn say(&self, line: impl std::fmt::Display) {
        if writeln!(std::io::stdout(), "{line}").is_err() {
            self.unheard.store(true, Ordering::Relaxed);
        }
    }

    fn close(&self, stopped: bool) -> bool {
        let counts = self.counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if counts.deviating > 0 {
            self.say(format_args!("# {} known deviations", counts.deviating));
        }
        self.say(format_args!("{} passed, {} failed, {} skipped", counts.passed, counts.failed, counts.skipped));
        !stopped && !self.unheard.load(Ordering::Relaxed) && counts.failed == 0
    }
}

fn attempt(session: &Session, case: &Case, number: usize) -> Verdict {
    if case.root && session.rootless {
        return crate::verdict::skip("root");
    }
    let rig = Rig::new(session, number)?;
    (case.act)(&rig)
}

//! A case: a name, the clause it judges, and what is done. Most cases are one of four shapes, made here.

use crate::report::Report;
use crate::rig::Rig;
use crate::verdict::{Verdict, fail};
use serde_json::Value;

/// What a case does with its workplace.
pub type Act = Box<dyn Fn(&Rig) -> Verdict + Send + Sync>;

/// One judgement of one clause.
pub struct Case {
    /// `chapter/topic/detail`.
    pub name: String,
    /// The clause of the runtime specification: file and anchor.
    pub clause: &'static str,
    /// Whether it needs root.
    pub root: bool,
    /// What is done.
    pub act: Act,
}

impl Case {
    /// The same case, skipped where the suite does not run as root.
    pub fn root(mut self) -> Self {
        self.root = true;
        self
    }
}

/// A case of its own shape.
pub fn case(name: impl Into<String>, clause: &'static str, act: impl Fn(&Rig) -> Verdict + Send + Sync + 'static) -> Case {
    Case { name: name.into(), clause, root: false, act: Box::new(act) }
}

/// The base configuration with `patch` must run; what the probe reports of `actions` must satisfy `check`.
pub fn sees(
    name: impl Into<String>,
    clause: &'static str,
    patch: Value,
    actions: &[&str],
    check: impl Fn(&Report) -> Verdict + Send + Sync + 'static,
) -> Case {
    let actions: Vec<String> = actions.iter().map(|a| (*a).to_owned()).collect();
    case(name, clause, move |rig| {
        let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
        let report = rig.run(&patch, &actions)?;
        require!(report.code.unwrap_or(0) == 0, "the probe ended with status {:?}", report.code);
        check(&report)
    })
}

/// The base configuration with `patch` must run.
pub fn accepted(name: impl Into<String>, clause: &'static str, patch: Value) -> Case {
    sees(name, clause, patch, &["pid"], |report| report.ok("pid").map(drop))
}

/// `create` must refuse the base configuration with `patch`, and leave no container behind.
pub fn refused(name: impl Into<String>, clause: &'static str, patch: Value) -> Case {
    case(name, clause, move |rig| must_refuse(rig, &patch, false))
}

/// The same, where `start` may be the operation that refuses: properties of `process` may be applied by either.
pub fn refused_by_start(name: impl Into<String>, clause: &'static str, patch: Value) -> Case {
    case(name, clause, move |rig| must_refuse(rig, &patch, true))
}

/// Tries to create (and start) a container that must not come to be.
pub fn must_refuse(rig: &Rig, patch: &Value, start_may: bool) -> Verdict {
    let bundle = rig.bundle_with(patch, &["pid"])?;
    let id = rig.id();
    match rig.create_as(&id, &bundle, &[])? {
        Err(_) => gone(rig, &id),
        Ok(_) if !start_may => fail("create accepted it"),
        Ok(mut container) => {
            require!(!rig.operate(&["start", &id])?.ok, "create and start accepted it");
            require!(!container.finish()?.has("pid"), "start refused it, but the program ran");
            Ok(())
        }
    }
}

/// No container of that ID may be known.
pub fn gone(rig: &Rig, id: &str) -> Verdict {
    let ran = rig.operate(&["state", id])?;
    require!(!ran.ok, "the container is still known: {}", ran.out);
    Ok(())
}

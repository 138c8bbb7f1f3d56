//! `state`, `list` and `plan`: verbs that only tell.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use serde::Serialize;

use super::Context;
use super::create::Bundle;
use crate::cli::{Format, List, Plan as PlanVerb, State};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::plan::{Plan, Wishes};
use crate::state::{Record, Root, Slot, Status};

/// A container as `state` and `list` show it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct View {
    oci_version: &'static str,
    id: String,
    pid: i32,
    status: String,
    bundle: String,
    rootfs: String,
    created: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    owner: String,
}

impl View {
    fn of(slot: &Slot, record: &Record, owner: String) -> Self {
        #[derive(serde::Deserialize)]
        struct Annotated {
            annotations: Option<BTreeMap<String, String>>,
        }
        let status = Status::of(slot, record);
        let annotated = serde_json::from_str::<Annotated>(record.config.get());
        Self {
            oci_version: crate::cli::SPEC_VERSION,
            id: record.id.clone(),
            pid: if status == Status::Stopped {
                0
            } else {
                record.pid
            },
            status: status.to_string(),
            bundle: record.bundle.display().to_string(),
            rootfs: record.rootfs.display().to_string(),
            created: record.created.clone(),
            annotations: annotated
                .ok()
                .and_then(|it| it.annotations)
                .unwrap_or_default(),
            owner,
        }
    }
}

/// Prints the state of one container.
///
/// # Errors
/// [`Error::NotFound`].
pub fn state(context: &Context, verb: &State) -> Result<()> {
    let slot = context.root()?.find(&verb.id)?;
    let record = slot.record()?;
    let view = View::of(&slot, &record, String::new());
    let text =
        serde_json::to_string_pretty(&view).map_err(|error| Error::Bug(error.to_string()))?;
    print(&text)
}

/// Prints all containers.
///
/// # Errors
/// The kernel's; [`Error::NotFound`] for a root that was named and is not there.
pub fn list(context: &Context, verb: &List) -> Result<()> {
    let path = context.root_path();
    let root = match Root::open(&path)? {
        Some(root) => root.list()?,
        None if context.global.root.is_none() => Vec::new(),
        None => {
            return Err(Error::kernel(
                format!("state root {:?}", path.display()),
                "open",
                "",
                sys::Errno::NOENT,
            ));
        }
    };
    let view = |(slot, record): &(Slot, Record)| View::of(slot, record, owner(slot));
    let views: Vec<View> = root.iter().map(view).collect();
    if verb.quiet {
        return print(
            &views
                .iter()
                .map(|view| format!("{}\n", view.id))
                .collect::<String>(),
        );
    }
    match verb.format {
        Format::Json if views.is_empty() => print("null\n"),
        Format::Json => {
            let text =
                serde_json::to_string(&views).map_err(|error| Error::Bug(error.to_string()))?;
            print(&format!("{text}\n"))
        }
        Format::Table => print(&table(&views)),
    }
}

/// Columns as Go's tabwriter lays them out with a width of at least 12 and 3 spaces between.
fn table(views: &[View]) -> String {
    let mut rows = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned)];
    for view in views {
        rows.push([
            view.id.clone(),
            view.pid.to_string(),
            view.status.clone(),
            view.bundle.clone(),
            view.created.clone(),
            view.owner.clone(),
        ]);
    }
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count() + 3)
            .max()
            .unwrap_or(0)
            .max(12)
    };
    let widths: Vec<usize> = (0..5).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}{}\n", cells.collect::<String>(), row[5])
    };
    rows.iter().map(line).collect()
}

/// The name of the user whose directory it is; its number in front of `#` where it has none.
fn owner(slot: &Slot) -> String {
    let uid = sys::file::facts(slot.directory().as_fd()).map_or(0, |facts| facts.uid);
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    name.unwrap_or_else(|| format!("#{uid}"))
}

/// Prints what `create` would do.
///
/// # Errors
/// Whatever `create` would refuse before it does anything.
pub fn plan(verb: &PlanVerb) -> Result<()> {
    let bundle = Bundle::read(verb.bundle.as_deref(), verb.config.as_deref())?;
    let wishes = Wishes {
        id: verb.id.clone(),
        no_pivot: verb.no_pivot,
        no_new_keyring: verb.no_new_keyring,
        passed_descriptors: 0,
    };
    let host = Host::probe()?;
    let confinement = super::create::confinement(&bundle.config, &host)?;
    let plan = Plan::new(&bundle.config, &host, &wishes, &confinement)?;
    if verb.json {
        let text = serde_json::to_string_pretty(&plan.json())
            .map_err(|error| Error::Bug(error.to_string()))?;
        return print(&format!("{text}\n"));
    }
    print(&plan.text())
}

fn print(text: &str) -> Result<()> {
    crate::query::print(text.as_bytes())
}

//! `update`: new limits for a running container, kept in its record so that the next update knows them.

use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::Context;
use crate::cgroups::Cgroup;
use crate::cli::Update;
use crate::compat;
use crate::config::resources::Resources;
use crate::error::{Error, Result};
use crate::state::{Record, Status};

/// Limits of which zero, or an empty text, means "leave it" as in the spec's Go types.
const ZERO_IS_NOTHING: [&str; 13] = [
    "/memory/limit",
    "/memory/reservation",
    "/memory/swap",
    "/memory/kernel",
    "/memory/kernelTCP",
    "/cpu/shares",
    "/cpu/quota",
    "/cpu/period",
    "/cpu/realtimeRuntime",
    "/cpu/realtimePeriod",
    "/cpu/cpus",
    "/cpu/mems",
    "/blockIO/weight",
];

/// Sets what the flags or the file name, and nothing else.
///
/// # Errors
/// [`Error::WrongState`] when the container does not run; refusals by field; the kernel's, with everything put back.
pub fn update(context: &Context, verb: &Update) -> Result<()> {
    let slot = context.root()?.find(&verb.id)?;
    slot.lock()?;
    let mut record = slot.record()?;
    if matches!(
        Status::of(&slot, &record),
        Status::Stopped | Status::Creating
    ) {
        return Err(Error::WrongState(compat::CONTAINER_NOT_RUNNING.to_owned()));
    }
    update_rdt(verb, &record)?;
    let mut new = match verb.resources.as_deref() {
        Some(path) => from_file(path)?,
        None => from_flags(verb)?,
    };
    let saved = in_force(&record)?;
    let merged = merge(&saved, &mut new);
    let new = Resources::parse_update(&new.to_string())?;
    let old = Resources::parse_update(&saved.to_string())?;
    // What is kept must be acceptable as a whole, or the next update could not even read it.
    Resources::parse_update(&merged.to_string())?;
    Cgroup::from_record(&record.cgroup).update(&new, &old)?;
    record.resources =
        Some(serde_json::value::to_raw_value(&merged).map_err(|e| Error::Bug(e.to_string()))?);
    slot.write(&record)
}

/// The schemata of the container's class; a file of resources stands in place of all flags.
fn update_rdt(verb: &Update, record: &Record) -> Result<()> {
    if verb.resources.is_some() {
        return Ok(());
    }
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (cache, bandwidth) = (given(&verb.l3_cache_schema), given(&verb.mem_bw_schema));
    match &record.rdt {
        Some(rdt) => rdt.update(cache.as_deref(), bandwidth.as_deref()),
        None if cache.is_none() && bandwidth.is_none() => Ok(()),
        None => Err(Error::Unsupported {
            feature: "--l3-cache-schema and --mem-bw-schema".to_owned(),
            missing: "the container is in no class of resctrl that could be changed".to_owned(),
        }),
    }
}

/// The limits in force, as `linux.resources`.
fn in_force(record: &Record) -> Result<Value> {
    let config = record.config()?;
    let text = record.resources.as_ref().or(config.resources.as_ref());
    let unreadable = |e: serde_json::Error| Error::config("linux.resources", e.to_string());
    let value: Value = text
        .map_or(Ok(Value::Null), |raw| serde_json::from_str(raw.get()))
        .map_err(unreadable)?;
    Ok(if value.is_object() { value } else { json!({}) })
}

fn from_file(path: &Path) -> Result<Value> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|error| {
        let errno = sys::Errno::from_io_error(&error).unwrap_or(sys::Errno::IO);
        Error::kernel(
            format!("resources file {:?}", path.display()),
            "open",
            "",
            errno,
        )
    })?;
    let value: Value = serde_json::from_str(&text)
        .map_err(|error| Error::Usage(format!("resources file {:?}: {error}", path.display())))?;
    if value.is_object() {
        return Ok(value);
    }
    let what = "expected an object as linux.resources in config.json";
    Err(Error::Usage(format!(
        "resources file {:?}: {what}",
        path.display()
    )))
}

fn from_flags(verb: &Update) -> Result<Value> {
    if verb.kernel_memory.is_some() || verb.kernel_memory_tcp.is_some() {
        tracing::warn!("Kernel memory settings are ignored and will be removed");
    }
    let mut unified = Map::new();
    for pair in &verb.unified {
        let Some((file, value)) = pair.split_once('=') else {
            return Err(Error::Usage(format!(
                "invalid value for unified: {pair:?} is not FILE=VALUE"
            )));
        };
        unified.insert(file.to_owned(), json!(value));
    }
    let mut all = json!({
        "blockIO": { "weight": verb.blkio_weight },
        "cpu": {
            "period": verb.cpu_period,
            "quota": verb.cpu_quota,
            "burst": verb.cpu_burst,
            "shares": verb.cpu_share,
            "realtimePeriod": verb.cpu_rt_period,
            "realtimeRuntime": verb.cpu_rt_runtime,
            "idle": verb.cpu_idle,
            "cpus": verb.cpuset_cpus,
            "mems": verb.cpuset_mems,
        },
        "memory": {
            "limit": verb.memory,
            "reservation": verb.memory_reservation,
            "swap": verb.memory_swap,
        },
        "unified": unified,
    });
    if let Some(limit) = verb.pids_limit {
        all["pids"] = json!({ "limit": limit });
    }
    Ok(all)
}

/// Adds to `new` what its limits need of the saved ones, and returns the saved ones changed by it.
fn merge(saved: &Value, new: &mut Value) -> Value {
    if let Some(fields) = new.as_object_mut() {
        // The filter of a running container is not changed here, and must not be lost.
        fields.remove("devices");
    }
    prune("", new);
    let memory = |value: &Value, field: &str| {
        value
            .pointer(&format!("/memory/{field}"))
            .and_then(Value::as_i64)
    };
    if memory(new, "limit") == Some(-1) && memory(new, "swap").is_none() {
        new["memory"]["swap"] = json!(-1);
    }
    let mut merged = saved.clone();
    prune("", &mut merged);
    overlay(&mut merged, new);
    // Each of these pairs is one value to some kernel or to systemd.
    for (one, other) in [("quota", "period"), ("period", "quota")] {
        let named = |field: &str| new.pointer(&format!("/cpu/{field}")).is_some();
        if named(one) && !named(other) && merged["cpu"][other].is_i64() {
            new["cpu"][other] = merged["cpu"][other].clone();
        }
    }
    if memory(new, "swap").is_some_and(|n| n > 0)
        && memory(new, "limit").is_none()
        && merged["memory"]["limit"].is_i64()
    {
        new["memory"]["limit"] = merged["memory"]["limit"].clone();
    }
    let idle = new.pointer("/cpu/idle").is_some() && new.pointer("/cpu/shares").is_none();
    if let Some(cpu) = merged["cpu"].as_object_mut().filter(|_| idle) {
        cpu.remove("shares");
    }
    prune("", &mut merged);
    merged
}

/// Removes what names nothing: nulls, empty objects, and the zeros that mean "leave it".
fn prune(path: &str, value: &mut Value) {
    let Some(fields) = value.as_object_mut() else {
        return;
    };
    fields.retain(|name, field| {
        let path = format!("{path}/{name}");
        prune(&path, field);
        let nothing = match field {
            Value::Null => true,
            Value::Object(inner) => inner.is_empty(),
            Value::Number(n) => n.as_i64() == Some(0) && ZERO_IS_NOTHING.contains(&path.as_str()),
            Value::String(text) => text.is_empty() && ZERO_IS_NOTHING.contains(&path.as_str()),
            _ => false,
        };
        !nothing
    });
}

fn overlay(onto: &mut Value, new: &Value) {
    match (onto, new) {
        (Value::Object(onto), Value::Object(new)) => {
            for (name, field) in new {
                overlay(onto.entry(name).or_insert(Value::Null), field);
            }
        }
        (onto, new) => *onto = new.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(saved: Value, mut new: Value) -> (Value, Value) {
        let kept = merge(&saved, &mut new);
        (kept, new)
    }

    #[test]
    fn only_what_is_named_changes() {
        let saved = json!({"memory": {"limit": 5, "swap": 9}, "pids": {"limit": 7}, "devices": [{"allow": false}]});
        let (kept, new) = merged(
            saved,
            json!({"memory": {"limit": 6, "swap": 0}, "cpu": {"cpus": ""}, "devices": []}),
        );
        assert_eq!(new, json!({"memory": {"limit": 6}}));
        assert_eq!(
            kept,
            json!({"memory": {"limit": 6, "swap": 9}, "pids": {"limit": 7}, "devices": [{"allow": false}]})
        );
    }

    #[test]
    fn quota_and_period_go_together() {
        let saved = json!({"cpu": {"quota": 10, "period": 100}});
        let (kept, new) = merged(saved.clone(), json!({"cpu": {"quota": 20}}));
        assert_eq!(
            (&kept, &new),
            (&json!({"cpu": {"quota": 20, "period": 100}}), &kept)
        );
        let (kept, new) = merged(saved, json!({"cpu": {"period": 50}}));
        assert_eq!(
            (&kept, &new),
            (&json!({"cpu": {"quota": 10, "period": 50}}), &kept)
        );
        let (_, new) = merged(json!({}), json!({"cpu": {"period": 50}}));
        assert_eq!(new, json!({"cpu": {"period": 50}}));
    }

    #[test]
    fn memory_and_swap_go_together() {
        let saved = json!({"memory": {"limit": 5}});
        assert_eq!(
            merged(saved.clone(), json!({"memory": {"swap": 9}})).1,
            json!({"memory": {"limit": 5, "swap": 9}})
        );
        assert_eq!(
            merged(saved, json!({"memory": {"limit": -1}})).0,
            json!({"memory": {"limit": -1, "swap": -1}})
        );
    }

    #[test]
    fn idle_forgets_the_shares() {
        let (kept, new) = merged(json!({"cpu": {"shares": 512}}), json!({"cpu": {"idle": 1}}));
        assert_eq!(
            (kept, new),
            (json!({"cpu": {"idle": 1}}), json!({"cpu": {"idle": 1}}))
        );
    }

    #[test]
    fn zeros_that_are_limits_stay() {
        let (kept, _) = merged(
            json!({}),
            json!({"pids": {"limit": 0}, "cpu": {"burst": 0, "idle": 0}}),
        );
        assert_eq!(
            kept,
            json!({"pids": {"limit": 0}, "cpu": {"burst": 0, "idle": 0}})
        );
    }
}

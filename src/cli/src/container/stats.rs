//! `stats`.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use gantry_api::container::list::Summary;
use gantry_api::container::stats::Stats;
use serde_json::json;

use crate::connection::{Body, Query, query::segment};
use crate::failure::{Failure, Outcome};
use crate::format::list::{Fields, List};
use crate::format::{short_id, units};
use crate::grammar::{COMMAND as BASE, Command, Count, Flag, Parsed, flag, option};
use crate::output;
use crate::session::{Engine, Session};

/// `stats`.
pub const COMMAND: Command = Command {
    name: "stats",
    usage: "[OPTIONS] [CONTAINER...]",
    about: "Show what containers use, as it changes",
    flags: &[FLAGS],
    count: Count::AtLeast(0),
    run,
    ..BASE
};

const FLAGS: &[Flag] = &[
    flag("all", "Also those that do not run").short('a'),
    option(
        "format",
        "string",
        "Template of a row, 'table TEMPLATE' or 'json'",
    ),
    flag("no-stream", "Print once and return"),
    flag("no-trunc", "Print everything in full"),
];

const TITLES: &[(&str, &str)] = &[
    ("Container", "CONTAINER"),
    ("ID", "CONTAINER ID"),
    ("Name", "NAME"),
    ("CPUPerc", "CPU %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("MemPerc", "MEM %"),
    ("NetIO", "NET I/O"),
    ("BlockIO", "BLOCK I/O"),
    ("PIDs", "PIDS"),
];

const TABLE: &str = "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}";

fn run(session: &Session, parsed: &Parsed) -> Outcome {
    let engine = session.engine()?;
    let configured = session
        .configuration
        .text("statsFormat")
        .unwrap_or_default();
    let format = if parsed.text("format").is_empty() {
        configured
    } else {
        parsed.text("format")
    };
    let list = List {
        format,
        quiet: false,
        table: TABLE,
        id: "",
        what: "*container.statsContext",
        titles: TITLES,
        raw: "",
    };
    if parsed.is("no-stream") {
        let names = names(&engine, parsed)?;
        let rows = once(&engine, &names, !parsed.is("no-trunc"))?;
        return list.print(&rows).map_err(|error| {
            Failure::new(
                error
                    .text
                    .replace("failed to execute template: ", "template parsing error: "),
            )
        });
    }
    follow(&engine, parsed, &list)
}

fn names(engine: &Engine, parsed: &Parsed) -> Outcome<Vec<String>> {
    if !parsed.arguments.is_empty() {
        return Ok(parsed.arguments.clone());
    }
    let containers: Vec<Summary> = engine.get(
        "/containers/json",
        &Query::new().when("all", parsed.is("all")),
    )?;
    Ok(containers
        .into_iter()
        .map(|container| container.id)
        .collect())
}

/// One sample of each, all at the same time, since the engine takes a second for one.
fn once(engine: &Engine, names: &[String], cut: bool) -> Outcome<Vec<Fields>> {
    let query = Query::new().with("stream", "0");
    let results: Vec<Outcome<Stats>> = thread::scope(|scope| {
        let threads: Vec<_> = names
            .iter()
            .map(|name| {
                scope.spawn(|| engine.get(&format!("/containers/{}/stats", segment(name)), &query))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(Failure::new("bug: a thread of the command panicked")))
            })
            .collect()
    });
    let mut rows = Vec::new();
    for (name, result) in names.iter().zip(results) {
        rows.push(row(name, &result?, cut));
    }
    Ok(rows)
}

/// The newest row of each container, by the name it was asked for.
type Newest = Vec<(String, Option<Fields>)>;

/// Prints the newest samples twice a second, over the ones before.
fn follow(engine: &Engine, parsed: &Parsed, list: &List<'_>) -> Outcome {
    let cut = !parsed.is("no-trunc");
    let named = !parsed.arguments.is_empty();
    let newest: Arc<Mutex<Newest>> = Arc::default();
    let mut first = true;
    loop {
        for name in names(engine, parsed)? {
            let mut known = newest
                .lock()
                .map_err(|_| Failure::new("bug: a thread of the command panicked"))?;
            if !known.iter().any(|(other, _)| *other == name) {
                known.push((name.clone(), None));
                let (engine, newest) = (engine.clone(), Arc::clone(&newest));
                thread::spawn(move || watch(&engine, &name, cut, &newest));
            }
        }
        thread::sleep(Duration::from_millis(if first { 1200 } else { 500 }));
        first = false;
        let known = newest
            .lock()
            .map_err(|_| Failure::new("bug: a thread of the command panicked"))?;
        let rows: Vec<Fields> = known.iter().filter_map(|(_, row)| row.clone()).collect();
        let gone = named && known.is_empty();
        drop(known);
        output::text("\u{1b}[2J\u{1b}[H")?;
        list.print(&rows)?;
        if gone {
            return Ok(());
        }
    }
}

fn watch(engine: &Engine, name: &str, cut: bool, newest: &Mutex<Newest>) {
    let path = format!("/containers/{}/stats", segment(name));
    if let Ok(answer) = engine.call("GET", &path, &Query::new().with("stream", "1"), Body::Empty) {
        let lines = serde_json::Deserializer::from_reader(std::io::BufReader::new(answer.body))
            .into_iter::<Stats>();
        for stats in lines {
            let (Ok(stats), Ok(mut newest)) = (stats, newest.lock()) else {
                break;
            };
            if let Some(entry) = newest.iter_mut().find(|(other, _)| other == name) {
                entry.1 = Some(row(name, &stats, cut));
            }
        }
    }
    if let Ok(mut newest) = newest.lock() {
        newest.retain(|(other, _)| other != name);
    }
}

#[allow(clippy::cast_precision_loss, reason = "printed with four digits")]
fn row(name: &str, stats: &Stats, cut: bool) -> Fields {
    let memory = &stats.memory_stats;
    // Pages the kernel takes back at once are not in use: total_inactive_file (v1), inactive_file (v2).
    let idle = memory
        .stats
        .get("total_inactive_file")
        .or_else(|| memory.stats.get("inactive_file"));
    let idle = idle.copied().unwrap_or(0);
    let used = if idle < memory.usage {
        memory.usage - idle
    } else {
        memory.usage
    } as f64;
    let limit = memory.limit as f64;
    let part = if limit > 0.0 {
        used / limit * 100.0
    } else {
        0.0
    };
    let both = |(one, other): (f64, f64)| {
        format!(
            "{} / {}",
            units::human_with(one, 3),
            units::human_with(other, 3)
        )
    };
    Fields::from([
        ("Container", json!(name)),
        (
            "ID",
            json!(if cut { short_id(&stats.id) } else { &stats.id }),
        ),
        ("Name", json!(stats.name.trim_start_matches('/'))),
        ("CPUPerc", json!(format!("{:.2}%", cpu(stats)))),
        (
            "MemUsage",
            json!(format!(
                "{} / {}",
                units::binary(used),
                units::binary(limit)
            )),
        ),
        ("MemPerc", json!(format!("{part:.2}%"))),
        ("NetIO", json!(both(network(stats)))),
        ("BlockIO", json!(both(blocks(stats)))),
        ("PIDs", json!(stats.pids_stats.current.to_string())),
    ])
}

/// Percent of one processor between the two samples.
#[allow(clippy::cast_precision_loss, reason = "printed with two digits")]
fn cpu(stats: &Stats) -> f64 {
    let (now, before) = (&stats.cpu_stats, &stats.precpu_stats);
    let total = now
        .cpu_usage
        .total_usage
        .saturating_sub(before.cpu_usage.total_usage) as f64;
    let system = now.system_cpu_usage.saturating_sub(before.system_cpu_usage) as f64;
    let cpus = match now.online_cpus {
        0 => now.cpu_usage.percpu_usage.len() as f64,
        cpus => f64::from(cpus),
    };
    if total > 0.0 && system > 0.0 {
        total / system * cpus * 100.0
    } else {
        0.0
    }
}

/// Bytes received and sent.
#[allow(clippy::cast_precision_loss, reason = "printed with three digits")]
fn network(stats: &Stats) -> (f64, f64) {
    let networks = stats.networks.values();
    networks.fold((0.0, 0.0), |(received, sent), network| {
        (
            received + network.rx_bytes as f64,
            sent + network.tx_bytes as f64,
        )
    })
}

/// Bytes read and written.
#[allow(clippy::cast_precision_loss, reason = "printed with three digits")]
fn blocks(stats: &Stats) -> (f64, f64) {
    let mut blocks = (0.0, 0.0);
    for entry in stats
        .blkio_stats
        .io_service_bytes_recursive
        .iter()
        .flatten()
    {
        match entry.op.to_lowercase().as_str() {
            "read" => blocks.0 += entry.value as f64,
            "write" => blocks.1 += entry.value as f64,
            _ => {}
        }
    }
    blocks
}

//! `update`.

use gantry_api::container::host_config::Resources;
use gantry_api::container::update::{UpdateRequest, UpdateResponse};

use super::options::limits;
use crate::connection::{Query, query::segment};
use crate::failure::{Failure, Outcome};
use crate::format::units;
use crate::grammar::{COMMAND as BASE, Command, Count, Flag, Parsed, checks, option};
use crate::output;
use crate::session::Session;

/// `update`.
pub const COMMAND: Command = Command {
    name: "update",
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Change limits and restart policy of containers",
    flags: &[FLAGS],
    count: Count::AtLeast(1),
    run,
    ..BASE
};

const FLAGS: &[Flag] = &[
    option(
        "blkio-weight",
        "uint16",
        "Share of block I/O (10 to 1000, 0 for none)",
    )
    .default("0")
    .check(checks::uint16),
    option(
        "cpu-period",
        "int",
        "Period of the CPU quota in microseconds",
    )
    .default("0")
    .check(checks::int),
    option("cpu-quota", "int", "CPU time per period in microseconds")
        .default("0")
        .check(checks::int),
    option(
        "cpu-rt-period",
        "int",
        "Period of real-time scheduling in microseconds",
    )
    .default("0")
    .check(checks::int),
    option(
        "cpu-rt-runtime",
        "int",
        "Real-time CPU time per period in microseconds",
    )
    .default("0")
    .check(checks::int),
    option("cpu-shares", "int", "Share of CPU time, relative to others")
        .short('c')
        .default("0")
        .check(checks::int),
    option("cpus", "decimal", "Number of CPUs").check(checks::decimal),
    option("cpuset-cpus", "string", "CPUs to run on (0-3, 0,1)"),
    option("cpuset-mems", "string", "Memory nodes to use (0-3, 0,1)"),
    option(
        "kernel-memory",
        "bytes",
        "Kernel memory; no kernel limits it any more",
    )
    .check(checks::bytes)
    .hidden(),
    option("memory", "bytes", "Memory")
        .short('m')
        .check(checks::bytes),
    option("memory-reservation", "bytes", "Memory kept under pressure").check(checks::bytes),
    option(
        "memory-swap",
        "bytes",
        "Memory and swap together, -1 for no bound",
    )
    .check(checks::swap),
    option("pids-limit", "int", "Number of processes, -1 for no bound")
        .default("0")
        .check(checks::int),
    option("restart", "string", "What to do when the container exits"),
];

fn run(session: &Session, parsed: &Parsed) -> Outcome {
    if !FLAGS.iter().any(|flag| parsed.given(flag.long)) {
        return Err(Failure::new(
            "you must provide one or more flags when using this command",
        ));
    }
    let restart_policy = if parsed.given("restart") {
        limits::restart_policy(parsed.text("restart")).map_err(|error| error.with_code(1))?
    } else {
        gantry_api::container::host_config::RestartPolicy::default()
    };
    let request = UpdateRequest {
        resources: Resources {
            blkio_weight: u16::try_from(parsed.number("blkio-weight")).unwrap_or(0),
            cpuset_cpus: parsed.text("cpuset-cpus").to_owned(),
            cpuset_mems: parsed.text("cpuset-mems").to_owned(),
            cpu_shares: parsed.number("cpu-shares"),
            memory: parsed.bytes("memory"),
            memory_reservation: parsed.bytes("memory-reservation"),
            memory_swap: parsed.bytes("memory-swap"),
            kernel_memory: parsed.bytes("kernel-memory"),
            cpu_period: parsed.number("cpu-period"),
            cpu_quota: parsed.number("cpu-quota"),
            cpu_realtime_period: parsed.number("cpu-rt-period"),
            cpu_realtime_runtime: parsed.number("cpu-rt-runtime"),
            nano_cpus: units::parse_cpus(parsed.text("cpus")).unwrap_or(0),
            pids_limit: parsed
                .given("pids-limit")
                .then(|| parsed.number("pids-limit")),
            ..Resources::default()
        },
        restart_policy,
    };
    let engine = session.engine()?;
    let mut warnings = Vec::new();
    let outcome = crate::failure::for_each(&parsed.arguments, |name| {
        let path = format!("/containers/{}/update", segment(name));
        let response: UpdateResponse = engine.post_json(&path, &Query::new(), &request)?;
        warnings.extend(response.warnings.unwrap_or_default());
        Ok(Some(name.to_owned()))
    });
    for warning in warnings {
        output::complain(&warning);
    }
    outcome
}

//! The flags `run` and `create` share.

use crate::grammar::{Flag, checks, flag, option};

/// What the process is.
pub const PROCESS: &[Flag] = &[
    option(
        "annotation",
        "map",
        "Annotation handed on to the OCI runtime (name=value)",
    )
    .check(checks::label),
    option("attach", "list", "Attach to stdin, stdout or stderr")
        .short('a')
        .check(checks::attach),
    option("cidfile", "string", "File the container's ID is written to"),
    option(
        "entrypoint",
        "string",
        "Program that replaces the image's entrypoint",
    ),
    option(
        "env",
        "list",
        "Environment variable (NAME=value, or NAME to pass on)",
    )
    .short('e')
    .check(checks::environment),
    option("env-file", "list", "File of environment variables"),
    option("group-add", "list", "Further group of the process"),
    option(
        "health-cmd",
        "string",
        "Command that tells whether the container is healthy",
    ),
    option("health-interval", "duration", "Time between health checks")
        .default("0s")
        .check(checks::duration),
    option(
        "health-retries",
        "int",
        "Failures in a row that make it unhealthy",
    )
    .check(checks::int),
    option(
        "health-start-interval",
        "duration",
        "Time between health checks while starting",
    )
    .default("0s")
    .check(checks::duration),
    option(
        "health-start-period",
        "duration",
        "Time to start in before failures count",
    )
    .default("0s")
    .check(checks::duration),
    option(
        "health-timeout",
        "duration",
        "Time one health check may take",
    )
    .default("0s")
    .check(checks::duration),
    option("hostname", "string", "Host name in the container").short('h'),
    option("domainname", "string", "NIS domain name in the container"),
    flag("init", "Run a small init as process 1"),
    flag("interactive", "Keep standard input open").short('i'),
    option("label", "list", "Label (name=value)")
        .short('l')
        .check(checks::label),
    option("label-file", "list", "File of labels, one per line"),
    option("log-driver", "string", "Log driver"),
    option("log-opt", "list", "Option of the log driver"),
    option("name", "string", "Name of the container"),
    flag("no-healthcheck", "Do not run the image's health check"),
    option(
        "platform",
        "string",
        "Platform of the image, if it has several",
    ),
    option(
        "pull",
        "string",
        "When to pull the image (\"always\", \"missing\", \"never\")",
    )
    .default("missing"),
    option("restart", "string", "What to do when the container exits").default("no"),
    flag(
        "rm",
        "Remove the container and its anonymous volumes when it exits",
    ),
    option("stop-signal", "string", "Signal that stops the container"),
    option(
        "stop-timeout",
        "int",
        "Seconds to stop in before it is killed",
    )
    .default("0")
    .check(checks::int),
    flag("tty", "Give the container a terminal").short('t'),
    option(
        "user",
        "string",
        "User to run as (name or number, with :group or without)",
    )
    .short('u'),
    flag("quiet", "Do not show the pull").short('q'),
    option("workdir", "string", "Working directory in the container").short('w'),
    flag(
        "disable-content-trust",
        "Skip image verification; verification is not supported",
    )
    .default("true"),
];

/// What it may use.
pub const LIMITS: &[Flag] = &[
    option(
        "blkio-weight",
        "uint16",
        "Share of block I/O (10 to 1000, 0 for none)",
    )
    .default("0")
    .check(checks::uint16),
    option(
        "blkio-weight-device",
        "list",
        "Share of one device's I/O (device:weight)",
    )
    .check(checks::weight_device),
    option(
        "cgroup-parent",
        "string",
        "Cgroup to make the container's in",
    ),
    option("cpu-count", "int", "Number of CPUs (Windows only)")
        .default("0")
        .check(checks::int)
        .hidden(),
    option("cpu-percent", "int", "Percentage of CPU (Windows only)")
        .default("0")
        .check(checks::int)
        .hidden(),
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
        "device-read-bps",
        "list",
        "Bytes per second read from a device (device:rate)",
    )
    .check(checks::throttle_bps),
    option(
        "device-read-iops",
        "list",
        "Reads per second from a device (device:rate)",
    )
    .check(checks::throttle_iops),
    option(
        "device-write-bps",
        "list",
        "Bytes per second written to a device (device:rate)",
    )
    .check(checks::throttle_bps),
    option(
        "device-write-iops",
        "list",
        "Writes per second to a device (device:rate)",
    )
    .check(checks::throttle_iops),
    option("io-maxbandwidth", "bytes", "I/O bandwidth (Windows only)")
        .check(checks::bytes)
        .hidden(),
    option("io-maxiops", "uint", "I/O operations (Windows only)")
        .default("0")
        .check(checks::uint)
        .hidden(),
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
    option("memory-swappiness", "int", "Readiness to swap (0 to 100)")
        .default("-1")
        .check(checks::int),
    flag("oom-kill-disable", "Do not kill when out of memory"),
    option(
        "oom-score-adj",
        "int",
        "Likelihood to be killed when out of memory (-1000 to 1000)",
    )
    .default("0")
    .check(checks::int),
    option("pids-limit", "int", "Number of processes, -1 for no bound")
        .default("0")
        .check(checks::int),
    option("shm-size", "bytes", "Size of /dev/shm").check(checks::bytes),
    option(
        "ulimit",
        "ulimit",
        "Resource limit of the process (type=soft[:hard])",
    )
    .check(checks::ulimit),
];

/// What it sees.
pub const SURROUNDINGS: &[Flag] = &[
    option("add-host", "list", "Line of /etc/hosts (host:address)").check(checks::add_host),
    option("cap-add", "list", "Capability to add"),
    option("cap-drop", "list", "Capability to drop"),
    option("cgroupns", "string", "Cgroup namespace (host, private)"),
    option("device", "list", "Host device to give"),
    option("device-cgroup-rule", "list", "Rule of the device cgroup")
        .check(checks::device_cgroup_rule),
    option("dns", "list", "DNS server").check(checks::ip),
    option("dns-opt", "list", "DNS option").hidden(),
    option("dns-option", "list", "DNS option"),
    option("dns-search", "list", "DNS search domain").check(checks::dns_search),
    option(
        "expose",
        "list",
        "Port or range of ports the container listens on",
    ),
    option("gpus", "gpu-request", "GPUs to give ('all' for every one)").check(checks::gpus),
    option("ip", "string", "IPv4 address"),
    option("ip6", "string", "IPv6 address"),
    option("ipc", "string", "IPC namespace"),
    option(
        "isolation",
        "string",
        "Isolation of the container (Windows only)",
    ),
    option("link", "list", "Other container to reach by name").check(checks::link),
    option("link-local-ip", "list", "Link-local address").check(checks::ip),
    option("mac-address", "string", "MAC address"),
    option("mount", "mount", "Mount (type=…,source=…,target=…)").check(checks::mount),
    option("net", "network", "Network")
        .check(checks::network)
        .hidden(),
    option("net-alias", "list", "Name on the network").hidden(),
    option("network", "network", "Network to join").check(checks::network),
    option("network-alias", "list", "Further name on the network"),
    option("pid", "string", "PID namespace"),
    flag("privileged", "Give the container the host's powers"),
    option(
        "publish",
        "list",
        "Port to publish on the host ([address:][host port:]port)",
    )
    .short('p'),
    flag(
        "publish-all",
        "Publish every exposed port on a free host port",
    )
    .short('P'),
    flag("read-only", "Make the root file system read-only"),
    option("runtime", "string", "OCI runtime"),
    option("security-opt", "list", "Security option"),
    option("storage-opt", "list", "Option of the storage driver"),
    option(
        "sysctl",
        "map",
        "Kernel parameter of the container's namespaces (name=value)",
    )
    .check(checks::sysctl),
    option("tmpfs", "list", "Directory in memory (path[:options])"),
    flag(
        "use-api-socket",
        "Give the container the engine's socket and your registry logins",
    ),
    option("userns", "string", "User namespace"),
    option("uts", "string", "UTS namespace"),
    option(
        "volume",
        "list",
        "Volume or host directory ([source:]path[:options])",
    )
    .short('v'),
    option("volume-driver", "string", "Driver of new volumes"),
    option("volumes-from", "list", "Container whose volumes to mount"),
];

/// What only `run` has.
pub const RUN: &[Flag] = &[
    flag("detach", "Run in the background and print the ID").short('d'),
    option(
        "detach-keys",
        "string",
        "Keys that leave the container running",
    ),
    flag("sig-proxy", "Pass signals on to the process").default("true"),
    option(
        "wait",
        "condition",
        "With -d, return when the container is running (the default) or healthy",
    )
    .bare("running")
    .check(super::super::readiness::check),
];

//! What concerns the engine as a whole.

use std::collections::BTreeMap;

use gantry_api::progress::Line;
use gantry_api::system::info::{Index, Info, Plugins, RegistryConfig, Runtime, Swarm};
use gantry_api::system::version::{Component, Version};
use gantry_api::word::Map;
use http::{HeaderValue, header};
use tokio::sync::broadcast::error::RecvError;

use super::Call;
use super::answer::{self, Answer, full};
use crate::clock;
use crate::container::record::Phase;
use crate::events;
use crate::pipe;

/// `HEAD` and `GET /_ping`.
pub fn ping(head: bool) -> Answer {
    let mut response = http::Response::new(full(if head { "" } else { "OK" }));
    let headers = response.headers_mut();
    for (name, value) in [
        ("Builder-Version", "1"),
        ("Swarm", "inactive"),
        ("Cache-Control", "no-cache, no-store, must-revalidate"),
        ("Pragma", "no-cache"),
        ("Content-Type", "text/plain; charset=utf-8"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if head {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    Ok(response)
}

/// This machine's architecture in Go's words.
fn architecture() -> &'static str {
    gantry_store::config::host_architecture()
}

/// `GET /version`.
pub fn version(call: &Call) -> Answer {
    let version = env!("CARGO_PKG_VERSION");
    let kernel = call.engine.machine.kernel.clone();
    let details: Map = [
        ("ApiVersion", gantry_api::VERSION),
        ("Arch", architecture()),
        ("BuildTime", ""),
        ("Experimental", "false"),
        ("GitCommit", ""),
        ("GoVersion", ""),
        ("KernelVersion", &kernel),
        ("MinAPIVersion", gantry_api::MINIMUM_VERSION),
        ("Os", "linux"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .collect();
    let engine = Component {
        name: "Engine".into(),
        version: version.into(),
        details,
    };
    answer::ok(&Version {
        components: vec![engine],
        version: version.into(),
        api_version: gantry_api::VERSION.into(),
        min_api_version: gantry_api::MINIMUM_VERSION.into(),
        os: "linux".into(),
        arch: architecture().into(),
        kernel_version: kernel,
        ..Version::default()
    })
}

/// `GET /info`.
pub fn info(call: &Call) -> Answer {
    let (engine, machine, options) = (&call.engine, &call.engine.machine, &call.engine.options);
    let mut info = Info {
        id: machine.engine_id.clone(),
        images: i64::try_from(engine.store.images().len()).unwrap_or(i64::MAX),
        driver: engine.store.driver().name().into(),
        driver_status: Some(driver_status()),
        plugins: plugins(),
        debug: options.debug,
        file_descriptors: entries("/proc/self/fd"),
        goroutines: entries("/proc/self/task"),
        system_time: clock::now(),
        logging_driver: options.log_driver.clone(),
        cgroup_driver: "cgroupfs".into(),
        cgroup_version: if machine.unified { "2" } else { "1" }.into(),
        events_listeners: i64::try_from(engine.events.listeners()).unwrap_or(0),
        os_type: "linux".into(),
        architecture: std::env::consts::ARCH.into(),
        index_server_address: "https://index.docker.io/v1/".into(),
        registry_config: Some(registries(call)),
        docker_root_dir: options.data_root.to_string_lossy().into_owned(),
        labels: Some(options.labels.clone()),
        server_version: env!("CARGO_PKG_VERSION").into(),
        runtimes: Some(runtimes(call)),
        default_runtime: options.default_runtime.clone(),
        swarm: Swarm {
            local_node_state: "inactive".into(),
            ..Swarm::default()
        },
        live_restore_enabled: true,
        init_binary: "docker-init".into(),
        security_options: Some(security(call)),
        cdi_spec_dirs: Some(Vec::new()),
        ..Info::default()
    };
    count_containers(call, &mut info);
    describe_machine(call, &mut info);
    answer::ok(&info)
}

fn entries(directory: &str) -> i64 {
    std::fs::read_dir(directory).map_or(-1, |all| i64::try_from(all.count()).unwrap_or(-1))
}

fn count_containers(call: &Call, info: &mut Info) {
    for container in call.engine.containers.all() {
        info.containers += 1;
        match container.view().state.phase {
            Phase::Running | Phase::Restarting => info.containers_running += 1,
            Phase::Paused => info.containers_paused += 1,
            _ => info.containers_stopped += 1,
        }
    }
}

fn describe_machine(call: &Call, info: &mut Info) {
    let machine = &call.engine.machine;
    let variable = |name: &str| {
        std::env::var(name)
            .or_else(|_| std::env::var(name.to_lowercase()))
            .unwrap_or_default()
    };
    info.http_proxy = variable("HTTP_PROXY");
    info.https_proxy = variable("HTTPS_PROXY");
    info.no_proxy = variable("NO_PROXY");
    info.kernel_version.clone_from(&machine.kernel);
    info.operating_system.clone_from(&machine.system);
    info.os_version.clone_from(&machine.system_version);
    info.name.clone_from(&machine.name);
    info.cpus = machine.cpus;
    info.mem_total = machine.memory;
    let has = |name: &str| machine.has(name);
    info.memory_limit = has("memory");
    info.swap_limit = has("memory");
    info.kernel_memory_tcp = has("memory") && !machine.unified;
    info.oom_kill_disable = has("memory") && !machine.unified;
    info.cpu_cfs_period = has("cpu");
    info.cpu_cfs_quota = has("cpu");
    info.cpu_shares = has("cpu");
    info.cpu_set = has("cpuset");
    info.pids_limit = has("pids");
    let forwarding = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward");
    info.ipv4_forwarding = forwarding.is_ok_and(|text| text.trim() == "1");
}

fn plugins() -> Plugins {
    let list = |words: &[&str]| {
        Some(
            words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>(),
        )
    };
    Plugins {
        volume: list(&["local"]),
        network: list(&["bridge", "host", "macvlan", "null"]),
        authorization: None,
        log: list(&["json-file", "none"]),
    }
}

fn security(call: &Call) -> Vec<String> {
    let machine = &call.engine.machine;
    let mut all = vec!["name=seccomp,profile=builtin".to_owned()];
    if machine.apparmor {
        all.insert(0, "name=apparmor".into());
    }
    if machine.unified {
        all.push("name=cgroupns".into());
    }
    all
}

fn runtimes(call: &Call) -> BTreeMap<String, Runtime> {
    let known = call.engine.options.runtimes.iter();
    known
        .map(|(name, runtime)| {
            let path = runtime.path.to_string_lossy().into_owned();
            (
                name.clone(),
                Runtime {
                    path,
                    runtime_args: runtime.arguments.clone(),
                    ..Runtime::default()
                },
            )
        })
        .collect()
}

fn driver_status() -> Vec<[String; 2]> {
    [
        ("Supports d_type", "true"),
        ("Using metacopy", "false"),
        ("Native Overlay Diff", "true"),
        ("userxattr", "false"),
    ]
    .map(|(key, value)| [key.to_owned(), value.to_owned()])
    .into()
}

fn registries(call: &Call) -> RegistryConfig {
    let options = &call.engine.options;
    let index = |name: &str, official: bool, secure: bool, mirrors: Vec<String>| {
        (
            name.to_owned(),
            Index {
                mirrors: Some(mirrors),
                name: name.to_owned(),
                official,
                secure,
            },
        )
    };
    let mut configs: BTreeMap<String, Index> = options
        .insecure_registries
        .iter()
        .map(|name| index(name, false, false, Vec::new()))
        .collect();
    configs.extend([index(
        "docker.io",
        true,
        true,
        options.registry_mirrors.clone(),
    )]);
    RegistryConfig {
        index_configs: Some(configs),
        insecure_registry_cidrs: Some(vec!["::1/128".into(), "127.0.0.0/8".into()]),
        mirrors: Some(options.registry_mirrors.clone()),
    }
}

/// `GET /events`.
pub async fn events(call: Call) -> Answer {
    let filters = call.query.filters()?;
    events::check(&filters)?;
    let since = super::logs::time(call.query.text("since"), "since")?;
    let until = super::logs::time(call.query.text("until"), "until")?;
    let (past, mut coming) = call.engine.events.subscribe();
    let (writer, parts) = pipe::writer();
    let engine = call.engine.clone();
    tokio::spawn(async move {
        let line = |event: &gantry_api::system::events::Event| {
            let mut bytes = serde_json::to_vec(event).unwrap_or_default();
            bytes.push(b'\n');
            bytes
        };
        let wanted = past.iter().filter(|event| {
            since.is_some_and(|since| event.time_nano >= since)
                && until.is_none_or(|until| event.time_nano <= until)
        });
        for event in wanted.filter(|event| events::passes(&filters, event)) {
            if !writer.send(line(event)).await {
                return;
            }
        }
        let end = until.map(|until| u64::try_from(until - clock::unix_nanos()).unwrap_or(0));
        let over = async {
            match end {
                Some(nanos) => tokio::time::sleep(std::time::Duration::from_nanos(nanos)).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(over);
        loop {
            tokio::select! {
                received = coming.recv() => match received {
                    Ok(event) if events::passes(&filters, &event) => {
                        if !writer.send(line(&event)).await {
                            return;
                        }
                    }
                    Ok(_) => {}
                    Err(RecvError::Lagged(missed)) => tracing::warn!("a client of /events missed {missed} events"),
                    Err(RecvError::Closed) => return,
                },
                () = &mut over => return,
                () = writer.closed() => return,
            }
        }
    });
    drop(engine);
    answer::stream("application/json", parts)
}

/// A line that ends a stream with an error.
#[must_use]
pub fn failure(error: &crate::error::Error) -> Vec<u8> {
    Line::failure(i32::from(error.status().as_u16()), &error.message).to_wire()
}

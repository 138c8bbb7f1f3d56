//! `inspect --as run`: the command that makes a container again. What the image already says is left out.

use gantry_api::container::inspect::Inspect;
use gantry_api::image::inspect::Inspect as Image;

use crate::connection::{Query, query::segment};
use crate::failure::Outcome;
use crate::output;
use crate::session::Engine;

/// Prints one command per container.
///
/// # Errors
/// For what is no container.
pub fn print(engine: &Engine, texts: &[String]) -> Outcome {
    for text in texts {
        let container: Inspect = serde_json::from_str(text)?;
        // An image that is gone hides nothing; every setting is then printed.
        let image: Image = engine
            .get(
                &format!("/images/{}/json", segment(&container.image)),
                &Query::new(),
            )
            .unwrap_or_default();
        output::line(&command(&container, &image))?;
    }
    Ok(())
}

/// The words of a command, quoted for a shell where need be.
struct Words(Vec<String>);

impl Words {
    fn push(&mut self, word: &str) {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:=,@%+".contains(&byte);
        self.0.push(if !word.is_empty() && word.bytes().all(plain) {
            word.to_owned()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        });
    }

    fn option(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.push(name);
            self.push(value);
        }
    }

    fn number(&mut self, name: &str, value: i64) {
        if value != 0 {
            self.option(name, &value.to_string());
        }
    }

    fn when(&mut self, name: &str, yes: bool) {
        if yes {
            self.push(name);
        }
    }

    fn each<'a>(&mut self, name: &str, values: impl IntoIterator<Item = &'a String>) {
        for value in values {
            self.option(name, value);
        }
    }
}

/// The command line.
#[must_use]
pub fn command(container: &Inspect, image: &Image) -> String {
    let mut words = Words(vec!["gantry".to_owned(), "run".to_owned()]);
    process(&mut words, container, image);
    mounts(&mut words, container);
    network(&mut words, container);
    limits(&mut words, container);
    security(&mut words, container);
    words.push(&container.config.image);
    let inherited = image.config.as_ref();
    let entrypoint = container.config.entrypoint.clone().unwrap_or_default();
    let own = inherited
        .and_then(|config| config.entrypoint.clone())
        .unwrap_or_default()
        != entrypoint;
    if own {
        entrypoint.iter().skip(1).for_each(|word| words.push(word));
    }
    let command = container.config.cmd.clone().unwrap_or_default();
    if own
        || inherited
            .and_then(|config| config.cmd.clone())
            .unwrap_or_default()
            != command
    {
        command.iter().for_each(|word| words.push(word));
    }
    words.0.join(" ")
}

fn process(words: &mut Words, container: &Inspect, image: &Image) {
    let config = &container.config;
    let host = &container.host_config;
    let inherited = image.config.clone().unwrap_or_default();
    words.when("-d", !config.attach_stdout && !config.attach_stderr);
    words.when("-i", config.open_stdin);
    words.when("-t", config.tty);
    words.when("--rm", host.auto_remove);
    words.option("--name", container.name.trim_start_matches('/'));
    if !container.id.starts_with(&config.hostname) && host.network_mode != "host" {
        words.option("--hostname", &config.hostname);
    }
    words.option("--domainname", &config.domainname);
    if config.user != inherited.user {
        words.option("--user", &config.user);
    }
    if config.working_dir != inherited.working_dir {
        words.option("--workdir", &config.working_dir);
    }
    let known = inherited.env.unwrap_or_default();
    words.each(
        "--env",
        config
            .env
            .iter()
            .flatten()
            .filter(|pair| !known.contains(pair)),
    );
    let labels = inherited.labels.unwrap_or_default();
    for (name, value) in config
        .labels
        .iter()
        .flatten()
        .filter(|(name, value)| labels.get(*name) != Some(value))
    {
        words.option("--label", &format!("{name}={value}"));
    }
    let entrypoint = config.entrypoint.clone().unwrap_or_default();
    if inherited.entrypoint.unwrap_or_default() != entrypoint {
        words.push("--entrypoint");
        words.push(entrypoint.first().map(String::as_str).unwrap_or_default());
    }
    ending(words, container, &inherited.stop_signal);
    if config.healthcheck != inherited.healthcheck {
        health(words, container);
    }
}

/// How it ends, and where its output goes.
fn ending(words: &mut Words, container: &Inspect, inherited_signal: &str) {
    let config = &container.config;
    let host = &container.host_config;
    let policy = &host.restart_policy;
    match (policy.name.as_str(), policy.maximum_retry_count) {
        ("" | "no", _) => {}
        (name, 0) => words.option("--restart", name),
        (name, count) => words.option("--restart", &format!("{name}:{count}")),
    }
    if config.stop_signal != inherited_signal {
        words.option("--stop-signal", &config.stop_signal);
    }
    if let Some(seconds) = config.stop_timeout {
        words.option("--stop-timeout", &seconds.to_string());
    }
    words.when("--init", host.init == Some(true));
    words.option(
        "--log-driver",
        if host.log_config.driver == "json-file" {
            ""
        } else {
            &host.log_config.driver
        },
    );
    for (name, value) in host.log_config.config.iter().flatten() {
        words.option("--log-opt", &format!("{name}={value}"));
    }
}

fn health(words: &mut Words, container: &Inspect) {
    let Some(check) = &container.config.healthcheck else {
        return;
    };
    match check.test.as_slice() {
        [kind] if kind == "NONE" => words.push("--no-healthcheck"),
        [kind, command] if kind == "CMD-SHELL" => words.option("--health-cmd", command),
        [kind, rest @ ..] if kind == "CMD" => words.option("--health-cmd", &rest.join(" ")),
        _ => {}
    }
    let mut time = |name: &str, nanoseconds: i64| {
        if nanoseconds != 0 {
            words.option(name, &format!("{}ms", nanoseconds / 1_000_000));
        }
    };
    time("--health-interval", check.interval);
    time("--health-timeout", check.timeout);
    time("--health-start-period", check.start_period);
    time("--health-start-interval", check.start_interval);
    words.number("--health-retries", check.retries);
}

fn mounts(words: &mut Words, container: &Inspect) {
    let host = &container.host_config;
    words.each("--volume", host.binds.iter().flatten());
    words.each("--volumes-from", host.volumes_from.iter().flatten());
    for (path, options) in &host.tmpfs {
        words.option(
            "--tmpfs",
            &if options.is_empty() {
                path.clone()
            } else {
                format!("{path}:{options}")
            },
        );
    }
    for mount in &host.mounts {
        let mut fields = vec![format!("type={}", mount.kind)];
        if !mount.source.is_empty() {
            fields.push(format!("source={}", mount.source));
        }
        fields.push(format!("target={}", mount.target));
        if mount.read_only {
            fields.push("readonly".to_owned());
        }
        if mount
            .volume_options
            .as_ref()
            .is_some_and(|options| options.no_copy)
        {
            fields.push("volume-nocopy".to_owned());
        }
        if let Some(options) = &mount.bind_options
            && !options.propagation.is_empty()
        {
            fields.push(format!("bind-propagation={}", options.propagation));
        }
        if let Some(options) = &mount.tmpfs_options
            && options.size_bytes > 0
        {
            fields.push(format!("tmpfs-size={}", options.size_bytes));
        }
        words.option("--mount", &fields.join(","));
    }
}

fn network(words: &mut Words, container: &Inspect) {
    let host = &container.host_config;
    if !matches!(host.network_mode.as_str(), "" | "default" | "bridge") {
        words.option("--network", &host.network_mode);
    }
    let short = container.id.get(..12).unwrap_or_default();
    for (name, settings) in container.network_settings.networks.iter().flatten() {
        if *name != host.network_mode && host.network_mode != "default" {
            words.option("--network", name);
        }
        for alias in settings
            .aliases
            .iter()
            .flatten()
            .filter(|alias| *alias != short)
        {
            words.option("--network-alias", alias);
        }
        if let Some(ipam) = &settings.ipam_config {
            words.option("--ip", &ipam.ipv4_address);
            words.option("--ip6", &ipam.ipv6_address);
        }
    }
    for (port, bindings) in host.port_bindings.iter().flatten() {
        for binding in bindings.iter().flatten() {
            let address = if binding.host_ip.contains(':') {
                format!("[{}]", binding.host_ip)
            } else {
                binding.host_ip.clone()
            };
            let port = port.strip_suffix("/tcp").unwrap_or(port);
            let text = match (address.as_str(), binding.host_port.as_str()) {
                ("", "") => port.to_owned(),
                ("", host) => format!("{host}:{port}"),
                (address, host) => format!("{address}:{host}:{port}"),
            };
            words.option("--publish", &text);
        }
    }
    words.when("--publish-all", host.publish_all_ports);
    words.each("--add-host", host.extra_hosts.iter().flatten());
    words.each("--dns", host.dns.iter().flatten());
    words.each("--dns-option", host.dns_options.iter().flatten());
    words.each("--dns-search", host.dns_search.iter().flatten());
    for link in host.links.iter().flatten() {
        if let Some((target, alias)) = link.split_once(':') {
            let alias = alias.rsplit('/').next().unwrap_or(alias);
            words.option(
                "--link",
                &format!("{}:{alias}", target.trim_start_matches('/')),
            );
        }
    }
}

fn limits(words: &mut Words, container: &Inspect) {
    let limits = &container.host_config.resources;
    words.number("--memory", limits.memory);
    if limits.memory_swap != limits.memory * 2 {
        words.number("--memory-swap", limits.memory_swap);
    }
    words.number("--memory-reservation", limits.memory_reservation);
    if limits.nano_cpus != 0 {
        let fraction = format!("{:09}", limits.nano_cpus % 1_000_000_000);
        let text = format!("{}.{fraction}", limits.nano_cpus / 1_000_000_000);
        words.option("--cpus", text.trim_end_matches('0').trim_end_matches('.'));
    }
    words.number("--cpu-shares", limits.cpu_shares);
    words.number("--cpu-period", limits.cpu_period);
    words.number("--cpu-quota", limits.cpu_quota);
    words.option("--cpuset-cpus", &limits.cpuset_cpus);
    words.option("--cpuset-mems", &limits.cpuset_mems);
    words.number("--pids-limit", limits.pids_limit.unwrap_or(0));
    words.number("--blkio-weight", i64::from(limits.blkio_weight));
    words.when("--oom-kill-disable", limits.oom_kill_disable == Some(true));
    words.option("--cgroup-parent", &limits.cgroup_parent);
    for limit in limits.ulimits.iter().flatten() {
        words.option(
            "--ulimit",
            &format!("{}={}:{}", limit.name, limit.soft, limit.hard),
        );
    }
    for device in limits.devices.iter().flatten() {
        words.option(
            "--device",
            &format!(
                "{}:{}:{}",
                device.path_on_host, device.path_in_container, device.cgroup_permissions
            ),
        );
    }
    words.each(
        "--device-cgroup-rule",
        limits.device_cgroup_rules.iter().flatten(),
    );
}

fn security(words: &mut Words, container: &Inspect) {
    let host = &container.host_config;
    words.when("--privileged", host.privileged);
    words.when("--read-only", host.readonly_rootfs);
    words.each("--cap-add", host.cap_add.iter().flatten());
    words.each("--cap-drop", host.cap_drop.iter().flatten());
    words.each("--security-opt", host.security_opt.iter().flatten());
    words.each("--group-add", host.group_add.iter().flatten());
    for (name, value) in &host.sysctls {
        words.option("--sysctl", &format!("{name}={value}"));
    }
    for (name, value) in &host.annotations {
        words.option("--annotation", &format!("{name}={value}"));
    }
    for (name, value) in &host.storage_opt {
        words.option("--storage-opt", &format!("{name}={value}"));
    }
    words.option("--pid", &host.pid_mode);
    words.option("--uts", &host.uts_mode);
    words.option("--userns", &host.userns_mode);
    words.option(
        "--ipc",
        if host.ipc_mode == "private" {
            ""
        } else {
            &host.ipc_mode
        },
    );
    words.number("--oom-score-adj", host.oom_score_adj);
    if host.shm_size != 64 << 20 {
        words.number("--shm-size", host.shm_size);
    }
    words.option("--volume-driver", &host.volume_driver);
}

#[cfg(test)]
mod tests {
    use super::command;
    use gantry_api::container::inspect::Inspect;
    use gantry_api::image::inspect::Inspect as Image;

    #[test]
    fn only_what_the_image_does_not_say_is_printed() {
        let container: Inspect = serde_json::from_str(
            r#"{"Id":"0123456789abcdef","Name":"/n","Config":{"Hostname":"0123456789ab","Image":"bb","Env":["A=b c","P=1"],"Cmd":["sh","-c","echo 'x'"],
            "Labels":{"l":"1"}},"HostConfig":{"NetworkMode":"bridge","ShmSize":67108864,"Memory":1048576,"MemorySwap":2097152,"NanoCpus":1500000000,
            "PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}]},"Binds":["/a:/b:ro"],"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":3}}}"#,
        )
        .expect("container");
        let image: Image = serde_json::from_str(r#"{"Config":{"Env":["P=1"],"Labels":{"l":"1"}}}"#)
            .expect("image");
        assert_eq!(
            command(&container, &image),
            r"gantry run -d --name n --env 'A=b c' --restart on-failure:3 --volume /a:/b:ro --publish 8080:80 --memory 1048576 --cpus 1.5 bb sh -c 'echo '\''x'\'''"
        );
    }
}

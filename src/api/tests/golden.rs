//! Every answer of a real dockerd (28.5.2, asked for API 1.50) read into its type and written again gives the same bytes.

use gantry_api::{container, error, image, network, system, volume};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn same<T: DeserializeOwned + Serialize>(text: &str) {
    for line in text.lines() {
        let read: T = serde_json::from_str(line).expect("golden answer");
        let written = serde_json::to_string(&read).expect("answer");
        let at = line
            .bytes()
            .zip(written.bytes())
            .take_while(|(a, b)| a == b)
            .count();
        let from = at.saturating_sub(80);
        assert_eq!(
            line.get(from..),
            written.get(from..),
            "differs from byte {at}"
        );
    }
}

macro_rules! golden {
    ($($name:ident $file:literal $ty:ty;)*) => {$(
        #[test]
        fn $name() {
            same::<$ty>(include_str!(concat!("golden/", $file)));
        }
    )*};
}

golden! {
    changes "changes.json" Vec<container::changes::Change>;
    container_inspect "container.json" container::inspect::Inspect;
    container_exited "container_exited.json" container::inspect::Inspect;
    container_size "container_size.json" container::inspect::Inspect;
    containers "containers.json" Vec<container::list::Summary>;
    disk_usage "df.json" system::df::DiskUsage;
    error_body "error.json" error::Message;
    events "events.jsonl" system::events::Event;
    exec "exec.json" container::exec::ExecInspect;
    history "history.json" Vec<image::history::Step>;
    image_inspect "image.json" image::inspect::Inspect;
    image_commit "image_commit.json" image::inspect::Inspect;
    images "images.json" Vec<image::list::Summary>;
    info "info.json" system::info::Info;
    network_inspect "network.json" network::Network;
    networks "networks.json" Vec<network::Network>;
    stats "stats.json" container::stats::Stats;
    top "top.json" container::top::Top;
    version "version.json" system::version::Version;
    volume_inspect "volume.json" volume::Volume;
    volumes "volumes.json" volume::List;
}

/// What docker-py and compose send: nulls everywhere, unknown fields, a command as one string.
#[test]
fn input_is_read_leniently() {
    let body = r#"{"Image":"x","Cmd":"true","Entrypoint":null,"Env":null,"Hostname":null,"Unknown":1,"Volumes":{"/v":null},
        "HostConfig":{"Binds":null,"PortBindings":{"80/tcp":null,"81/tcp":[{"HostIp":null,"HostPort":"1"}]},"Memory":null,
        "RestartPolicy":null,"LogConfig":{"Type":"","Config":null}},"NetworkingConfig":{"EndpointsConfig":{"n":null}}}"#;
    let read: container::create::CreateRequest = serde_json::from_str(body).expect("create body");
    assert_eq!(
        read.config.cmd.as_deref(),
        Some(&["true".to_owned()] as &[_])
    );
    assert_eq!(read.config.entrypoint, None);
    let ports = read.host_config.port_bindings.expect("ports");
    assert_eq!(ports["80/tcp"], None);
    assert_eq!(ports["81/tcp"].as_ref().expect("binding")[0].host_port, "1");
}

//! `GET /containers/{id}/json`.

use std::collections::BTreeMap;

use super::host_config::Ports;
use super::{Config, HostConfig};
use crate::network::EndpointSettings;
use crate::word::{Map, object};

object! {
    /// Everything known about one container.
    Inspect {
        "Id" id: String,
        "Created" created: String,
        "Path" path: String,
        "Args" args: Option<Vec<String>>,
        "State" state: State,
        "Image" image: String,
        "ResolvConfPath" resolv_conf_path: String,
        "HostnamePath" hostname_path: String,
        "HostsPath" hosts_path: String,
        "LogPath" log_path: String,
        /// With its leading slash.
        "Name" name: String,
        "RestartCount" restart_count: i64,
        "Driver" driver: String,
        "Platform" platform: String,
        "MountLabel" mount_label: String,
        "ProcessLabel" process_label: String,
        "AppArmorProfile" app_armor_profile: String,
        "ExecIDs" exec_ids: Option<Vec<String>>,
        "HostConfig" host_config: HostConfig,
        "GraphDriver" graph_driver: GraphDriver,
        "SizeRw"? size_rw: Option<i64>,
        "SizeRootFs"? size_root_fs: Option<i64>,
        "Mounts" mounts: Option<Vec<MountPoint>>,
        "Config" config: Config,
        "NetworkSettings" network_settings: NetworkSettings,
        "ImageManifestDescriptor"? image_manifest_descriptor: Option<crate::image::Descriptor>,
    }
}

object! {
    /// What the container does now.
    State {
        /// `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`.
        "Status" status: String,
        "Running" running: bool,
        "Paused" paused: bool,
        "Restarting" restarting: bool,
        "OOMKilled" oom_killed: bool,
        "Dead" dead: bool,
        "Pid" pid: i64,
        "ExitCode" exit_code: i64,
        "Error" error: String,
        "StartedAt" started_at: String,
        "FinishedAt" finished_at: String,
        "Health"? health: Option<Health>,
    }
}

object! {
    /// Health as the probes found it.
    Health {
        /// `starting`, `healthy` or `unhealthy`.
        "Status" status: String,
        "FailingStreak" failing_streak: i64,
        "Log" log: Option<Vec<Probe>>,
    }
}

object! {
    /// One run of the health probe.
    Probe {
        "Start" start: String,
        "End" end: String,
        "ExitCode" exit_code: i64,
        "Output" output: String,
    }
}

object! {
    /// Where the storage driver keeps the layers.
    GraphDriver {
        "Data" data: Option<Map>,
        "Name" name: String,
    }
}

object! {
    /// A mount as it is in the container.
    MountPoint {
        "Type"? kind: String,
        "Name"? name: String,
        "Source" source: String,
        "Destination" destination: String,
        "Driver"? driver: String,
        "Mode" mode: String,
        "RW" rw: bool,
        "Propagation" propagation: String,
    }
}

object! {
    /// The container's network; the address fields are the default bridge's.
    NetworkSettings {
        "Bridge" bridge: String,
        "SandboxID" sandbox_id: String,
        "SandboxKey" sandbox_key: String,
        "Ports" ports: Option<Ports>,
        "HairpinMode" hairpin_mode: bool,
        "LinkLocalIPv6Address" link_local_ipv6_address: String,
        "LinkLocalIPv6PrefixLen" link_local_ipv6_prefix_len: i64,
        "SecondaryIPAddresses" secondary_ip_addresses: Option<Vec<Address>>,
        "SecondaryIPv6Addresses" secondary_ipv6_addresses: Option<Vec<Address>>,
        "EndpointID" endpoint_id: String,
        "Gateway" gateway: String,
        "GlobalIPv6Address" global_ipv6_address: String,
        "GlobalIPv6PrefixLen" global_ipv6_prefix_len: i64,
        "IPAddress" ip_address: String,
        "IPPrefixLen" ip_prefix_len: i64,
        "IPv6Gateway" ipv6_gateway: String,
        "MacAddress" mac_address: String,
        "Networks" networks: Option<BTreeMap<String, EndpointSettings>>,
    }
}

object! {
    /// One more address.
    Address {
        "Addr" addr: String,
        "PrefixLen" prefix_len: i64,
    }
}

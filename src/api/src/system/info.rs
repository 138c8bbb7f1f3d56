//! `GET /info`.

use std::collections::BTreeMap;

use crate::word::{Map, object};

object! {
    /// The engine and its host.
    Info {
        "ID" id: String,
        "Containers" containers: i64,
        "ContainersRunning" containers_running: i64,
        "ContainersPaused" containers_paused: i64,
        "ContainersStopped" containers_stopped: i64,
        "Images" images: i64,
        "Driver" driver: String,
        "DriverStatus" driver_status: Option<Vec<[String; 2]>>,
        "SystemStatus"? system_status: Vec<[String; 2]>,
        "Plugins" plugins: Plugins,
        "MemoryLimit" memory_limit: bool,
        "SwapLimit" swap_limit: bool,
        "KernelMemory"? kernel_memory: bool,
        "KernelMemoryTCP"? kernel_memory_tcp: bool,
        "CpuCfsPeriod" cpu_cfs_period: bool,
        "CpuCfsQuota" cpu_cfs_quota: bool,
        "CPUShares" cpu_shares: bool,
        "CPUSet" cpu_set: bool,
        "PidsLimit" pids_limit: bool,
        "IPv4Forwarding" ipv4_forwarding: bool,
        "Debug" debug: bool,
        "NFd" file_descriptors: i64,
        "OomKillDisable" oom_kill_disable: bool,
        "NGoroutines" goroutines: i64,
        "SystemTime" system_time: String,
        "LoggingDriver" logging_driver: String,
        "CgroupDriver" cgroup_driver: String,
        "CgroupVersion"? cgroup_version: String,
        "NEventsListener" events_listeners: i64,
        "KernelVersion" kernel_version: String,
        "OperatingSystem" operating_system: String,
        "OSVersion" os_version: String,
        "OSType" os_type: String,
        "Architecture" architecture: String,
        "IndexServerAddress" index_server_address: String,
        "RegistryConfig" registry_config: Option<RegistryConfig>,
        "NCPU" cpus: i64,
        /// Bytes.
        "MemTotal" mem_total: i64,
        "GenericResources" generic_resources: Option<Vec<serde_json::Value>>,
        "DockerRootDir" docker_root_dir: String,
        "HttpProxy" http_proxy: String,
        "HttpsProxy" https_proxy: String,
        "NoProxy" no_proxy: String,
        "Name" name: String,
        "Labels" labels: Option<Vec<String>>,
        "ExperimentalBuild" experimental_build: bool,
        "ServerVersion" server_version: String,
        "ClusterStore"? cluster_store: String,
        "ClusterAdvertise"? cluster_advertise: String,
        "Runtimes" runtimes: Option<BTreeMap<String, Runtime>>,
        "DefaultRuntime" default_runtime: String,
        "Swarm" swarm: Swarm,
        "LiveRestoreEnabled" live_restore_enabled: bool,
        "Isolation" isolation: String,
        "InitBinary" init_binary: String,
        "ContainerdCommit" containerd_commit: Commit,
        "RuncCommit" runc_commit: Commit,
        "InitCommit" init_commit: Commit,
        "SecurityOptions" security_options: Option<Vec<String>>,
        "ProductLicense"? product_license: String,
        "DefaultAddressPools"? default_address_pools: Vec<AddressPool>,
        "FirewallBackend"? firewall_backend: Option<FirewallBackend>,
        "CDISpecDirs" cdi_spec_dirs: Option<Vec<String>>,
        "DiscoveredDevices"? discovered_devices: Vec<DiscoveredDevice>,
        "Containerd"? containerd: Option<Containerd>,
        "Warnings" warnings: Option<Vec<String>>,
    }
}

object! {
    /// The drivers built in and plugged in.
    Plugins {
        "Volume" volume: Option<Vec<String>>,
        "Network" network: Option<Vec<String>>,
        "Authorization" authorization: Option<Vec<String>>,
        "Log" log: Option<Vec<String>>,
    }
}

object! {
    /// How registries are reached.
    RegistryConfig {
        "IndexConfigs" index_configs: Option<BTreeMap<String, Index>>,
        "InsecureRegistryCIDRs" insecure_registry_cidrs: Option<Vec<String>>,
        "Mirrors" mirrors: Option<Vec<String>>,
    }
}

object! {
    /// One registry.
    Index {
        "Mirrors" mirrors: Option<Vec<String>>,
        "Name" name: String,
        "Official" official: bool,
        "Secure" secure: bool,
    }
}

object! {
    /// One OCI runtime.
    Runtime {
        "path"? path: String,
        "runtimeArgs"? runtime_args: Vec<String>,
        "runtimeType"? runtime_type: String,
        "options"? options: BTreeMap<String, serde_json::Value>,
        "status"? status: Map,
    }
}

object! {
    /// Swarm, which an engine without one calls `inactive`.
    Swarm {
        "NodeID" node_id: String,
        "NodeAddr" node_addr: String,
        "LocalNodeState" local_node_state: String,
        "ControlAvailable" control_available: bool,
        "Error" error: String,
        "RemoteManagers" remote_managers: Option<Vec<serde_json::Value>>,
    }
}

object! {
    /// The version of a program beneath.
    Commit {
        "ID" id: String,
        "Expected"? expected: String,
    }
}

object! {
    /// Subnets given to new networks: a base and the size each gets.
    AddressPool {
        "Base" base: String,
        "Size" size: i64,
    }
}

object! {
    /// `iptables`, `nftables`, ….
    FirewallBackend {
        "Driver" driver: String,
        "Info"? info: Vec<[String; 2]>,
    }
}

object! {
    /// A device found by a driver.
    DiscoveredDevice {
        "Source" source: String,
        "ID" id: String,
    }
}

object! {
    /// Where a containerd beneath listens.
    Containerd {
        "Address"? address: String,
        "Namespaces" namespaces: Namespaces,
    }
}

object! {
    /// The containerd namespaces in use.
    Namespaces {
        "Containers" containers: String,
        "Plugins" plugins: String,
    }
}

//! `HostConfig`: what of a container belongs to this host.

use std::collections::BTreeMap;

use crate::word::{Map, object};

object! {
    /// The host's part of a container.
    HostConfig {
        "Binds" binds: Option<Vec<String>>,
        "ContainerIDFile" container_id_file: String,
        "LogConfig" log_config: LogConfig,
        "NetworkMode" network_mode: String,
        "PortBindings" port_bindings: Option<Ports>,
        "RestartPolicy" restart_policy: RestartPolicy,
        "AutoRemove" auto_remove: bool,
        "VolumeDriver" volume_driver: String,
        "VolumesFrom" volumes_from: Option<Vec<String>>,
        /// Height, then width.
        "ConsoleSize" console_size: [u64; 2],
        "Annotations"? annotations: Map,
        "CapAdd" cap_add: Option<Vec<String>>,
        "CapDrop" cap_drop: Option<Vec<String>>,
        "CgroupnsMode" cgroupns_mode: String,
        "Dns" dns: Option<Vec<String>>,
        "DnsOptions" dns_options: Option<Vec<String>>,
        "DnsSearch" dns_search: Option<Vec<String>>,
        "ExtraHosts" extra_hosts: Option<Vec<String>>,
        "GroupAdd" group_add: Option<Vec<String>>,
        "IpcMode" ipc_mode: String,
        "Cgroup" cgroup: String,
        "Links" links: Option<Vec<String>>,
        "OomScoreAdj" oom_score_adj: i64,
        "PidMode" pid_mode: String,
        "Privileged" privileged: bool,
        "PublishAllPorts" publish_all_ports: bool,
        "ReadonlyRootfs" readonly_rootfs: bool,
        "SecurityOpt" security_opt: Option<Vec<String>>,
        "StorageOpt"? storage_opt: Map,
        "Tmpfs"? tmpfs: Map,
        "UTSMode" uts_mode: String,
        "UsernsMode" userns_mode: String,
        "ShmSize" shm_size: i64,
        "Sysctls"? sysctls: Map,
        "Runtime"? runtime: String,
        "Isolation" isolation: String,
        .. resources: Resources,
        "Mounts"? mounts: Vec<Mount>,
        "MaskedPaths" masked_paths: Option<Vec<String>>,
        "ReadonlyPaths" readonly_paths: Option<Vec<String>>,
        "Init"? init: Option<bool>,
    }
}

/// Published ports: `80/tcp` to the host addresses it answers on; `null` when it is only exposed.
pub type Ports = BTreeMap<String, Option<Vec<PortBinding>>>;

object! {
    /// One host address of a published port; an empty port asks for any free one.
    PortBinding {
        "HostIp" host_ip: String,
        "HostPort" host_port: String,
    }
}

object! {
    /// Log driver and its options.
    LogConfig {
        "Type" driver: String,
        "Config" config: Option<Map>,
    }
}

object! {
    /// `no`, `always`, `unless-stopped` or `on-failure` with a number of tries (0: no bound).
    RestartPolicy {
        "Name" name: String,
        "MaximumRetryCount" maximum_retry_count: i64,
    }
}

object! {
    /// Limits; zero, empty or `null` leaves one unset.
    Resources {
        "CpuShares" cpu_shares: i64,
        /// Bytes.
        "Memory" memory: i64,
        /// CPUs times 10⁹.
        "NanoCpus" nano_cpus: i64,
        "CgroupParent" cgroup_parent: String,
        "BlkioWeight" blkio_weight: u16,
        "BlkioWeightDevice" blkio_weight_device: Option<Vec<WeightDevice>>,
        "BlkioDeviceReadBps" blkio_device_read_bps: Option<Vec<ThrottleDevice>>,
        "BlkioDeviceWriteBps" blkio_device_write_bps: Option<Vec<ThrottleDevice>>,
        "BlkioDeviceReadIOps" blkio_device_read_iops: Option<Vec<ThrottleDevice>>,
        "BlkioDeviceWriteIOps" blkio_device_write_iops: Option<Vec<ThrottleDevice>>,
        /// Microseconds.
        "CpuPeriod" cpu_period: i64,
        /// Microseconds.
        "CpuQuota" cpu_quota: i64,
        /// Microseconds.
        "CpuRealtimePeriod" cpu_realtime_period: i64,
        /// Microseconds.
        "CpuRealtimeRuntime" cpu_realtime_runtime: i64,
        "CpusetCpus" cpuset_cpus: String,
        "CpusetMems" cpuset_mems: String,
        "Devices" devices: Option<Vec<DeviceMapping>>,
        "DeviceCgroupRules" device_cgroup_rules: Option<Vec<String>>,
        "DeviceRequests" device_requests: Option<Vec<DeviceRequest>>,
        /// Bytes; no kernel has it any more.
        "KernelMemory"? kernel_memory: i64,
        /// Bytes; cgroup v1 only.
        "KernelMemoryTCP"? kernel_memory_tcp: i64,
        /// Bytes.
        "MemoryReservation" memory_reservation: i64,
        /// Bytes of memory and swap together; -1 for no bound.
        "MemorySwap" memory_swap: i64,
        "MemorySwappiness" memory_swappiness: Option<i64>,
        "OomKillDisable" oom_kill_disable: Option<bool>,
        "PidsLimit" pids_limit: Option<i64>,
        "Ulimits" ulimits: Option<Vec<Ulimit>>,
        "CpuCount" cpu_count: i64,
        "CpuPercent" cpu_percent: i64,
        "IOMaximumIOps" io_maximum_iops: u64,
        "IOMaximumBandwidth" io_maximum_bandwidth: u64,
    }
}

object! {
    /// Block I/O weight of one device.
    WeightDevice {
        "Path" path: String,
        "Weight" weight: u16,
    }
}

object! {
    /// Bytes or operations per second of one device.
    ThrottleDevice {
        "Path" path: String,
        "Rate" rate: u64,
    }
}

object! {
    /// A host device given to the container; permissions are letters of `rwm`.
    DeviceMapping {
        "PathOnHost" path_on_host: String,
        "PathInContainer" path_in_container: String,
        "CgroupPermissions" cgroup_permissions: String,
    }
}

object! {
    /// Devices asked of a driver (`nvidia`, `cdi`); a count of -1 is all of them.
    DeviceRequest {
        "Driver" driver: String,
        "Count" count: i64,
        "DeviceIDs" device_ids: Option<Vec<String>>,
        "Capabilities" capabilities: Option<Vec<Vec<String>>>,
        "Options" options: Option<Map>,
    }
}

object! {
    /// One `ulimit`; -1 is unlimited.
    Ulimit {
        "Name" name: String,
        "Hard" hard: i64,
        "Soft" soft: i64,
    }
}

object! {
    /// A mount as `--mount` asks for it.
    Mount {
        "Type"? kind: String,
        "Source"? source: String,
        "Target"? target: String,
        "ReadOnly"? read_only: bool,
        "Consistency"? consistency: String,
        "BindOptions"? bind_options: Option<BindOptions>,
        "VolumeOptions"? volume_options: Option<VolumeOptions>,
        "ImageOptions"? image_options: Option<ImageOptions>,
        "TmpfsOptions"? tmpfs_options: Option<TmpfsOptions>,
        "ClusterOptions"? cluster_options: Option<crate::word::Empty>,
    }
}

object! {
    /// Options of a bind mount.
    BindOptions {
        "Propagation"? propagation: String,
        "NonRecursive"? non_recursive: bool,
        "CreateMountpoint"? create_mountpoint: bool,
        "ReadOnlyNonRecursive"? read_only_non_recursive: bool,
        "ReadOnlyForceRecursive"? read_only_force_recursive: bool,
    }
}

object! {
    /// Options of a volume mount.
    VolumeOptions {
        "NoCopy"? no_copy: bool,
        "Labels"? labels: Map,
        "Subpath"? subpath: String,
        "DriverConfig"? driver_config: Option<Driver>,
    }
}

object! {
    /// A volume driver with its options.
    Driver {
        "Name"? name: String,
        "Options"? options: Map,
    }
}

object! {
    /// Options of an image mount.
    ImageOptions {
        "Subpath"? subpath: String,
    }
}

object! {
    /// Options of a tmpfs mount; the mode is a permission number.
    TmpfsOptions {
        "SizeBytes"? size_bytes: i64,
        "Mode"? mode: u32,
        "Options"? options: Vec<Vec<String>>,
    }
}

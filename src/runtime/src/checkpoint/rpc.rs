//! CRIU's messages (its rpc.proto, version 2 syntax), as far as keel speaks them.

/// What is asked or answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Kind {
    /// Nothing.
    Empty = 0,
    /// Save a process tree.
    Dump = 1,
    /// Bring a process tree back.
    Restore = 2,
    /// Save memory only.
    PreDump = 4,
    /// CRIU tells where it is, and waits for an answer.
    Notify = 6,
}

/// How cgroups are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum CgroupsMode {
    /// Left alone.
    Ignore = 0,
    /// Properties of those that CRIU made.
    Soft = 3,
    /// All properties.
    Full = 4,
    /// All, or failure.
    Strict = 5,
}

/// Where memory pages are sent.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PageServer {
    /// Address.
    #[prost(string, optional, tag = "1")]
    pub address: Option<String>,
    /// Port.
    #[prost(int32, optional, tag = "2")]
    pub port: Option<i32>,
}

/// A descriptor that CRIU has inherited.
#[derive(Clone, PartialEq, prost::Message)]
pub struct InheritFd {
    /// What it replaces.
    #[prost(string, required, tag = "1")]
    pub key: String,
    /// Its number.
    #[prost(int32, required, tag = "2")]
    pub fd: i32,
}

/// Where a controller's cgroups of the tree are put.
#[derive(Clone, PartialEq, prost::Message)]
pub struct CgroupRoot {
    /// The controllers; empty for v2.
    #[prost(string, optional, tag = "1")]
    pub ctrl: Option<String>,
    /// The path below the hierarchy's mount.
    #[prost(string, required, tag = "2")]
    pub path: String,
}

/// All options.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Options {
    /// Directory of the images, a descriptor that CRIU has inherited.
    #[prost(int32, required, tag = "1")]
    pub images_dir_fd: i32,
    /// The tree's root, for a dump.
    #[prost(int32, optional, tag = "2")]
    pub pid: Option<i32>,
    /// Let it run on.
    #[prost(bool, optional, tag = "3")]
    pub leave_running: Option<bool>,
    /// Allow unix sockets that lead outside.
    #[prost(bool, optional, tag = "4")]
    pub ext_unix_sk: Option<bool>,
    /// Allow open tcp connections.
    #[prost(bool, optional, tag = "5")]
    pub tcp_established: Option<bool>,
    /// Take device nodes by any path.
    #[prost(bool, optional, tag = "6")]
    pub evasive_devices: Option<bool>,
    /// Allow shell jobs.
    #[prost(bool, optional, tag = "7")]
    pub shell_job: Option<bool>,
    /// Allow file locks.
    #[prost(bool, optional, tag = "8")]
    pub file_locks: Option<bool>,
    /// Verbosity, 4 being all.
    #[prost(int32, optional, tag = "9")]
    pub log_level: Option<i32>,
    /// Name of the log in the working directory.
    #[prost(string, optional, tag = "10")]
    pub log_file: Option<String>,
    /// Page server.
    #[prost(message, optional, tag = "11")]
    pub page_server: Option<PageServer>,
    /// Tell where it is.
    #[prost(bool, optional, tag = "12")]
    pub notify_scripts: Option<bool>,
    /// The root of the tree.
    #[prost(string, optional, tag = "13")]
    pub root: Option<String>,
    /// Images of an earlier pre-dump, relative to the images.
    #[prost(string, optional, tag = "14")]
    pub parent_image: Option<String>,
    /// Note which pages change.
    #[prost(bool, optional, tag = "15")]
    pub track_memory: Option<bool>,
    /// Drop double pages.
    #[prost(bool, optional, tag = "16")]
    pub auto_dedup: Option<bool>,
    /// Directory of logs, a descriptor that CRIU has inherited.
    #[prost(int32, optional, tag = "17")]
    pub work_dir_fd: Option<i32>,
    /// Link unlinked files back.
    #[prost(bool, optional, tag = "18")]
    pub link_remap: Option<bool>,
    /// Deal with cgroups.
    #[prost(bool, optional, tag = "24")]
    pub manage_cgroups: Option<bool>,
    /// Where cgroups go.
    #[prost(message, repeated, tag = "25")]
    pub cgroup_roots: Vec<CgroupRoot>,
    /// The tree becomes CRIU's sibling, not its child.
    #[prost(bool, optional, tag = "26")]
    pub sibling: Option<bool>,
    /// Inherited descriptors.
    #[prost(message, repeated, tag = "27")]
    pub inherited: Vec<InheritFd>,
    /// How.
    #[prost(enumeration = "CgroupsMode", optional, tag = "34")]
    pub cgroups_mode: Option<i32>,
    /// Things outside the tree, as `mnt[NAME]:VALUE`.
    #[prost(string, repeated, tag = "37")]
    pub external: Vec<String>,
    /// Namespaces (`CLONE_NEW*`) that come back empty.
    #[prost(uint32, optional, tag = "38")]
    pub empty_namespaces: Option<u32>,
    /// The freezer cgroup of the tree.
    #[prost(string, optional, tag = "44")]
    pub freeze_cgroup: Option<String>,
    /// Leave out tcp connections that are being made.
    #[prost(bool, optional, tag = "46")]
    pub tcp_skip_in_flight: Option<bool>,
    /// Pages are loaded when used.
    #[prost(bool, optional, tag = "48")]
    pub lazy_pages: Option<bool>,
    /// Descriptor to tell when lazy pages can be asked for.
    #[prost(int32, optional, tag = "49")]
    pub status_fd: Option<i32>,
    /// Hand the master of a terminal over.
    #[prost(bool, optional, tag = "50")]
    pub orphan_pts_master: Option<bool>,
    /// A configuration file of CRIU's.
    #[prost(string, optional, tag = "51")]
    pub config_file: Option<String>,
    /// Close tcp connections.
    #[prost(bool, optional, tag = "52")]
    pub tcp_close: Option<bool>,
    /// Label in place of the saved one.
    #[prost(string, optional, tag = "53")]
    pub lsm_profile: Option<String>,
    /// Mount context in place of the saved one.
    #[prost(string, optional, tag = "63")]
    pub lsm_mount_context: Option<String>,
    /// 1 iptables, 2 nftables, 3 none.
    #[prost(int32, optional, tag = "64")]
    pub network_lock: Option<i32>,
}

/// A request, or the answer to a notification.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Request {
    /// Which.
    #[prost(enumeration = "Kind", required, tag = "1")]
    pub kind: i32,
    /// How.
    #[prost(message, optional, tag = "2")]
    pub options: Option<Options>,
    /// Whether the notification was dealt with.
    #[prost(bool, optional, tag = "3")]
    pub notify_success: Option<bool>,
}

/// Where CRIU is.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Notification {
    /// The name of the moment.
    #[prost(string, optional, tag = "1")]
    pub script: Option<String>,
    /// The tree's root.
    #[prost(int32, optional, tag = "2")]
    pub pid: Option<i32>,
}

/// The restored tree's root.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Restored {
    /// Its pid.
    #[prost(int32, required, tag = "1")]
    pub pid: i32,
}

/// An answer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Response {
    /// To what.
    #[prost(enumeration = "Kind", required, tag = "1")]
    pub kind: i32,
    /// Whether it was done.
    #[prost(bool, required, tag = "2")]
    pub success: bool,
    /// The restored tree.
    #[prost(message, optional, tag = "4")]
    pub restored: Option<Restored>,
    /// A notification.
    #[prost(message, optional, tag = "5")]
    pub notification: Option<Notification>,
    /// What the kernel said.
    #[prost(int32, optional, tag = "7")]
    pub errno: Option<i32>,
    /// What CRIU says.
    #[prost(string, optional, tag = "9")]
    pub message: Option<String>,
}

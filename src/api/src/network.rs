//! Networks and a container's end of them.

use std::collections::BTreeMap;

use crate::word::{Map, object};

object! {
    /// `GET /networks/{id}`, and each of `GET /networks`.
    Network {
        "Name" name: String,
        "Id" id: String,
        "Created" created: String,
        "Scope" scope: String,
        "Driver" driver: String,
        "EnableIPv4" enable_ipv4: bool,
        "EnableIPv6" enable_ipv6: bool,
        "IPAM" ipam: Ipam,
        "Internal" internal: bool,
        "Attachable" attachable: bool,
        "Ingress" ingress: bool,
        "ConfigFrom" config_from: ConfigReference,
        "ConfigOnly" config_only: bool,
        /// By container ID; empty in lists.
        "Containers" containers: Option<BTreeMap<String, EndpointResource>>,
        "Options" options: Option<Map>,
        "Labels" labels: Option<Map>,
    }
}

object! {
    /// Where addresses come from.
    Ipam {
        "Driver" driver: String,
        "Options" options: Option<Map>,
        "Config" config: Option<Vec<IpamConfig>>,
    }
}

object! {
    /// One subnet.
    IpamConfig {
        "Subnet"? subnet: String,
        "IPRange"? ip_range: String,
        "Gateway"? gateway: String,
        "AuxiliaryAddresses"? auxiliary_addresses: Map,
    }
}

object! {
    /// The network whose configuration is taken over.
    ConfigReference {
        "Network" network: String,
    }
}

object! {
    /// One container on a network.
    EndpointResource {
        "Name" name: String,
        "EndpointID" endpoint_id: String,
        "MacAddress" mac_address: String,
        /// With its prefix length.
        "IPv4Address" ipv4_address: String,
        /// With its prefix length.
        "IPv6Address" ipv6_address: String,
    }
}

object! {
    /// A container's end of one network, as asked for and as it is.
    EndpointSettings {
        "IPAMConfig" ipam_config: Option<EndpointIpam>,
        "Links" links: Option<Vec<String>>,
        "Aliases" aliases: Option<Vec<String>>,
        "MacAddress" mac_address: String,
        "DriverOpts" driver_opts: Option<Map>,
        "GwPriority" gw_priority: i64,
        "NetworkID" network_id: String,
        "EndpointID" endpoint_id: String,
        "Gateway" gateway: String,
        "IPAddress" ip_address: String,
        "IPPrefixLen" ip_prefix_len: i64,
        "IPv6Gateway" ipv6_gateway: String,
        "GlobalIPv6Address" global_ipv6_address: String,
        "GlobalIPv6PrefixLen" global_ipv6_prefix_len: i64,
        "DNSNames" dns_names: Option<Vec<String>>,
    }
}

object! {
    /// The addresses asked for.
    EndpointIpam {
        "IPv4Address"? ipv4_address: String,
        "IPv6Address"? ipv6_address: String,
        "LinkLocalIPs"? link_local_ips: Vec<String>,
    }
}

object! {
    /// `POST /networks/create`.
    CreateRequest {
        "Name" name: String,
        "Driver" driver: String,
        "Scope" scope: String,
        /// Missing means yes.
        "EnableIPv4"? enable_ipv4: Option<bool>,
        /// Missing means no.
        "EnableIPv6"? enable_ipv6: Option<bool>,
        "IPAM" ipam: Option<Ipam>,
        "Internal" internal: bool,
        "Attachable" attachable: bool,
        "Ingress" ingress: bool,
        "ConfigOnly" config_only: bool,
        "ConfigFrom" config_from: Option<ConfigReference>,
        "Options" options: Option<Map>,
        "Labels" labels: Option<Map>,
        /// Refuse a second network of the name; always so today.
        "CheckDuplicate"? check_duplicate: Option<bool>,
    }
}

object! {
    /// The answer (201).
    CreateResponse {
        "Id" id: String,
        "Warning" warning: String,
    }
}

object! {
    /// `POST /networks/{id}/connect`.
    ConnectRequest {
        "Container" container: String,
        "EndpointConfig"? endpoint_config: Option<EndpointSettings>,
    }
}

object! {
    /// `POST /networks/{id}/disconnect`.
    DisconnectRequest {
        "Container" container: String,
        "Force" force: bool,
    }
}

object! {
    /// `POST /networks/prune`.
    PruneReport {
        "NetworksDeleted" networks_deleted: Option<Vec<String>>,
    }
}

//! The networks a container joins.

use std::collections::BTreeMap;

use gantry_api::network::{EndpointIpam, EndpointSettings};

use super::{fields, refuse, some};
use crate::failure::{Failure, Outcome};
use crate::grammar::Parsed;

/// One `--network`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attachment {
    /// The network's name or the mode.
    pub target: String,
    /// What is asked of it.
    pub settings: EndpointSettings,
}

/// Reads `--network`.
///
/// # Errors
/// Docker's words for what it cannot mean.
pub fn parse_network(text: &str) -> Result<Attachment, String> {
    if !text.contains("name=") {
        return Ok(Attachment {
            target: text.to_owned(),
            ..Attachment::default()
        });
    }
    let mut attachment = Attachment::default();
    let settings = &mut attachment.settings;
    for field in fields(text)? {
        let (key, value) = field
            .split_once('=')
            .ok_or_else(|| format!("invalid field {field}"))?;
        match key.to_lowercase().as_str() {
            "name" => value.clone_into(&mut attachment.target),
            "alias" => settings
                .aliases
                .get_or_insert_default()
                .push(value.to_owned()),
            "ip" => {
                value.clone_into(&mut settings.ipam_config.get_or_insert_default().ipv4_address)
            }
            "ip6" => {
                value.clone_into(&mut settings.ipam_config.get_or_insert_default().ipv6_address)
            }
            "link-local-ip" => settings
                .ipam_config
                .get_or_insert_default()
                .link_local_ips
                .push(value.to_owned()),
            "mac-address" => value.clone_into(&mut settings.mac_address),
            "driver-opt" => {
                let (name, value) = value
                    .split_once('=')
                    .ok_or("invalid key value pair format in driver options")?;
                settings
                    .driver_opts
                    .get_or_insert_default()
                    .insert(name.to_lowercase(), value.to_owned());
            }
            "gw-priority" => {
                settings.gw_priority = value
                    .parse()
                    .map_err(|_| format!("invalid gw-priority ({value}): invalid syntax"))?
            }
            key => return Err(format!("invalid field key {key}")),
        }
    }
    if attachment.target.is_empty() {
        return Err("network name/id is not specified".to_owned());
    }
    Ok(attachment)
}

/// The mode and the networks of a command line.
///
/// # Errors
/// For options that do not fit together.
pub fn read(parsed: &Parsed) -> Outcome<(String, BTreeMap<String, Option<EndpointSettings>>)> {
    let texts: Vec<&String> = parsed
        .list("network")
        .iter()
        .chain(parsed.list("net"))
        .collect();
    let mut attachments: Vec<Attachment> = texts
        .iter()
        .filter_map(|text| parse_network(text).ok())
        .collect();
    if attachments.is_empty() {
        attachments.push(Attachment {
            target: "default".to_owned(),
            ..Attachment::default()
        });
    }
    let mode = attachments[0].target.clone();
    apply_flags(parsed, &mut attachments[0])?;
    let several = attachments.len() > 1;
    let mut endpoints = BTreeMap::new();
    for attachment in attachments {
        let target = attachment.target;
        if several && !user_defined(&target) && target != "default" {
            return Err(refuse(
                "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
            ));
        }
        if endpoints.contains_key(&target) {
            return Err(refuse(format!(
                "network {} is specified multiple times",
                crate::grammar::checks::quoted(&target)
            )));
        }
        endpoints.insert(target, Some(attachment.settings));
    }
    Ok((mode, endpoints))
}

/// The flags that speak of the first network.
fn apply_flags(parsed: &Parsed, first: &mut Attachment) -> Outcome {
    let settings = &mut first.settings;
    let aliases = parsed
        .list("network-alias")
        .iter()
        .chain(parsed.list("net-alias"));
    let aliases: Vec<String> = aliases.cloned().collect();
    if !aliases.is_empty() {
        if settings.aliases.is_some() {
            return Err(both("network-alias", "alias"));
        }
        settings.aliases = Some(aliases);
    }
    let links = parsed.list("link");
    if !links.is_empty() && user_defined(&first.target) && first.target != "bridge" {
        settings.links = some(links);
    }
    apply_addresses(parsed, settings)?;
    if let Some(mac) = parsed.last("mac-address") {
        let pairs: Vec<&str> = mac.split([':', '-']).collect();
        let hexadecimal = |pair: &&str| pair.len() == 2 && u8::from_str_radix(pair, 16).is_ok();
        if pairs.len() != 6 || !pairs.iter().all(hexadecimal) {
            return Err(refuse(format!("{mac} is not a valid mac address")));
        }
        mac.clone_into(&mut settings.mac_address);
    }
    Ok(())
}

fn both(flag: &str, field: &str) -> Failure {
    refuse(format!(
        "conflicting options: cannot specify both --{flag} and per-network {field}"
    ))
}

/// Fixed addresses; whether they are any is for the engine to say.
fn apply_addresses(parsed: &Parsed, settings: &mut EndpointSettings) -> Outcome {
    if let Some(address) = parsed.last("ip") {
        let place = &mut settings
            .ipam_config
            .get_or_insert_with(EndpointIpam::default)
            .ipv4_address;
        if !place.is_empty() {
            return Err(both("ip", "IPv4 address"));
        }
        address.clone_into(place);
    }
    if let Some(address) = parsed.last("ip6") {
        let place = &mut settings
            .ipam_config
            .get_or_insert_with(EndpointIpam::default)
            .ipv6_address;
        if !place.is_empty() {
            return Err(both("ip6", "IPv6 address"));
        }
        address.clone_into(place);
    }
    let link_local = parsed.list("link-local-ip");
    if !link_local.is_empty() {
        settings
            .ipam_config
            .get_or_insert_with(EndpointIpam::default)
            .link_local_ips = link_local.to_vec();
    }
    Ok(())
}

/// Whether a network is one that somebody made.
fn user_defined(name: &str) -> bool {
    !matches!(name, "default" | "host" | "none") && !name.starts_with("container:")
}

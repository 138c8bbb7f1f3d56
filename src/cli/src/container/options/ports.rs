//! Published and exposed ports.

use std::net::IpAddr;

use gantry_api::container::host_config::{PortBinding, Ports};
use gantry_api::word::{Empty, Set};

use super::{fields, refuse};
use crate::failure::{Failure, Outcome};
use crate::grammar::checks::quoted;

fn range(text: &str) -> Result<(u16, u16), String> {
    let number = |text: &str| {
        text.parse::<u16>().map_err(|_| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let why = if digits {
                "value out of range"
            } else {
                "invalid syntax"
            };
            format!("strconv.ParseUint: parsing {}: {why}", quoted(text))
        })
    };
    if text.is_empty() {
        return Err("empty string specified for ports".to_owned());
    }
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let (low, high) = (number(low)?, number(high)?);
    if high < low {
        return Err(format!("invalid range specified for port: {text}"));
    }
    Ok((low, high))
}

/// Splits `address:host port:container port`, the address maybe in brackets.
fn split(text: &str) -> (String, String, String) {
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [container] => (String::new(), String::new(), (*container).to_owned()),
        [host, container] => (String::new(), (*host).to_owned(), (*container).to_owned()),
        [address, host, container] => (
            (*address).to_owned(),
            (*host).to_owned(),
            (*container).to_owned(),
        ),
        many => {
            let at = many.len() - 2;
            (
                many[..at].join(":"),
                many[at].to_owned(),
                many[at + 1].to_owned(),
            )
        }
    }
}

/// The long form: `target=80,published=8080,protocol=tcp,mode=host`.
fn long_form(text: &str) -> Outcome<String> {
    let (mut target, mut published, mut protocol) =
        (String::new(), String::new(), "tcp".to_owned());
    for field in fields(text).map_err(refuse)? {
        match field.split_once('=') {
            Some(("target", value)) => value.clone_into(&mut target),
            Some(("published", value)) => value.clone_into(&mut published),
            Some(("protocol", value)) => value.clone_into(&mut protocol),
            Some(("mode", _)) => {}
            Some((key, _)) => return Err(refuse(format!("invalid field key {key}"))),
            None => return Err(refuse(format!("invalid field {field}"))),
        }
    }
    if target.is_empty() {
        return Err(refuse(format!("missing mandatory field '{target}'")));
    }
    Ok(format!("{published}:{target}/{protocol}")
        .trim_start_matches(':')
        .to_owned())
}

/// Adds the ports of one `--publish`.
fn publish(text: &str, exposed: &mut Set, bindings: &mut Ports) -> Outcome {
    let text = if text.contains('=') {
        long_form(text)?
    } else {
        text.to_owned()
    };
    let (address, host, container) = split(&text);
    let (container, protocol) = match container.split_once('/') {
        Some((port, protocol)) => (port.to_owned(), protocol.to_lowercase()),
        None => (container, "tcp".to_owned()),
    };
    if container.is_empty() {
        return Err(refuse(format!("no port specified: {text}<empty>")));
    }
    let bare = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(&address);
    if !bare.is_empty() && bare.parse::<IpAddr>().is_err() {
        return Err(refuse(format!("invalid IP address: {bare}")));
    }
    let (low, high) =
        range(&container).map_err(|_| refuse(format!("invalid containerPort: {container}")))?;
    let host_range = if host.is_empty() {
        None
    } else {
        Some(range(&host).map_err(|_| refuse(format!("invalid hostPort: {host}")))?)
    };
    if let Some((host_low, host_high)) = host_range
        && host_high - host_low != high - low
        && low != high
    {
        return Err(refuse(format!(
            "invalid ranges specified for container and host Ports: {container} and {host}"
        )));
    }
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(refuse(format!("invalid proto: {protocol}")));
    }
    for port in low..=high {
        let host_port = match host_range {
            None => String::new(),
            Some((host_low, host_high)) if low == high && host_low != host_high => {
                format!("{host_low}-{host_high}")
            }
            Some((host_low, _)) => (host_low + (port - low)).to_string(),
        };
        let name = format!("{port}/{protocol}");
        exposed.insert(name.clone(), Empty {});
        let binding = PortBinding {
            host_ip: bare.to_owned(),
            host_port,
        };
        bindings
            .entry(name)
            .or_default()
            .get_or_insert_default()
            .push(binding);
    }
    Ok(())
}

/// The exposed ports and the published ones of a command line.
///
/// # Errors
/// Docker's words for what is no port.
pub fn read(published: &[String], exposes: &[String]) -> Result<(Set, Ports), Failure> {
    let (mut exposed, mut bindings) = (Set::new(), Ports::new());
    for text in published {
        publish(text, &mut exposed, &mut bindings)?;
    }
    for text in exposes {
        if text.contains(':') {
            return Err(refuse(format!("invalid port format for --expose: {text}")));
        }
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (low, high) = range(ports).map_err(|error| {
            refuse(format!(
                "invalid range format for --expose: {text}, error: {error}"
            ))
        })?;
        for port in low..=high {
            exposed.insert(format!("{port}/{}", protocol.to_lowercase()), Empty {});
        }
    }
    Ok((exposed, bindings))
}

#[cfg(test)]
mod tests {
    use super::read;

    fn ports(text: &str) -> String {
        match read(&[text.to_owned()], &[]) {
            Ok((_, bindings)) => serde_json::to_string(&bindings).unwrap_or_default(),
            Err(error) => error.text,
        }
    }

    #[test]
    fn every_form_of_publish() {
        assert_eq!(ports("80"), r#"{"80/tcp":[{"HostIp":"","HostPort":""}]}"#);
        assert_eq!(
            ports("127.0.0.1::80/udp"),
            r#"{"80/udp":[{"HostIp":"127.0.0.1","HostPort":""}]}"#
        );
        assert_eq!(
            ports("[::1]:1:80"),
            r#"{"80/tcp":[{"HostIp":"::1","HostPort":"1"}]}"#
        );
        assert_eq!(
            ports("10-11:20-21"),
            r#"{"20/tcp":[{"HostIp":"","HostPort":"10"}],"21/tcp":[{"HostIp":"","HostPort":"11"}]}"#
        );
        assert_eq!(
            ports("10-12:20"),
            r#"{"20/tcp":[{"HostIp":"","HostPort":"10-12"}]}"#
        );
        assert_eq!(ports("x"), "invalid containerPort: x");
    }
}

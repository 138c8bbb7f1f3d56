//! Values a flag refuses, in docker's words.

use crate::format::duration;
use crate::format::units;

/// What a check answers.
pub type Check = Result<(), String>;

/// A boolean as Go reads one.
pub fn boolean(text: &str) -> Check {
    parse_boolean(text).map(drop).ok_or_else(|| {
        format!(
            "strconv.ParseBool: parsing {}: invalid syntax",
            quoted(text)
        )
    })
}

/// The boolean a text means to Go.
#[must_use]
pub fn parse_boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Text in Go's double quotes.
#[must_use]
pub fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// The reason Go's number parsing gives.
fn number_reason(text: &str, signed: bool) -> &'static str {
    let digits = if signed {
        text.strip_prefix(['-', '+']).unwrap_or(text)
    } else {
        text
    };
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        "value out of range"
    } else {
        "invalid syntax"
    }
}

/// A signed number.
pub fn int(text: &str) -> Check {
    text.parse::<i64>().map(drop).map_err(|_| {
        format!(
            "strconv.ParseInt: parsing {}: {}",
            quoted(text),
            number_reason(text, true)
        )
    })
}

/// An unsigned number.
pub fn uint(text: &str) -> Check {
    text.parse::<u64>().map(drop).map_err(|_| {
        format!(
            "strconv.ParseUint: parsing {}: {}",
            quoted(text),
            number_reason(text, false)
        )
    })
}

/// An unsigned number of 16 bits.
pub fn uint16(text: &str) -> Check {
    text.parse::<u16>().map(drop).map_err(|_| {
        format!(
            "strconv.ParseUint: parsing {}: {}",
            quoted(text),
            number_reason(text, false)
        )
    })
}

/// A size with a unit.
pub fn bytes(text: &str) -> Check {
    units::parse_bytes(text).map(drop)
}

/// A size with a unit, or -1.
pub fn swap(text: &str) -> Check {
    if text == "-1" { Ok(()) } else { bytes(text) }
}

/// A number of CPUs.
pub fn decimal(text: &str) -> Check {
    units::parse_cpus(text).map(drop)
}

/// A duration in Go's words.
pub fn duration(text: &str) -> Check {
    duration::parse(text).map(drop)
}

/// `name=value` of `--filter`.
pub fn filter(text: &str) -> Check {
    if text.is_empty() || text.contains('=') {
        Ok(())
    } else {
        Err("bad format of filter (expected name=value)".to_owned())
    }
}

/// A label: a name, with or without a value.
pub fn label(text: &str) -> Check {
    let (name, _) = text.split_once('=').unwrap_or((text, ""));
    if name.trim_start_matches([' ', '\t']).is_empty() {
        return Err(format!("invalid label '{text}': empty name"));
    }
    if name.contains([' ', '\t']) {
        return Err(format!("label '{name}' contains whitespaces"));
    }
    Ok(())
}

/// An environment variable: a name, with or without a value.
pub fn environment(text: &str) -> Check {
    if text.is_empty() || text.starts_with('=') {
        Err(format!("invalid environment variable: {text}"))
    } else {
        Ok(())
    }
}

/// `host:address` or `host=address`; the address may be `host-gateway`.
pub fn add_host(text: &str) -> Check {
    let at = text.find('=').or_else(|| text.find(':'));
    let Some((host, address)) = at.map(|at| (&text[..at], &text[at + 1..])) else {
        return Err(format!("bad format for add-host: {}", quoted(text)));
    };
    if host.is_empty() {
        return Err(format!("bad format for add-host: {}", quoted(text)));
    }
    let bare = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(address);
    if bare == "host-gateway" || bare.parse::<std::net::IpAddr>().is_ok() {
        Ok(())
    } else {
        Err(format!(
            "invalid IP address in add-host: {}",
            quoted(address)
        ))
    }
}

/// An IP address.
pub fn ip(text: &str) -> Check {
    text.trim()
        .parse::<std::net::IpAddr>()
        .map(drop)
        .map_err(|_| format!("IP address is not correctly formatted: {text}"))
}

/// A domain to search in, or `.` for none.
pub fn dns_search(text: &str) -> Check {
    let name = text.trim();
    let good = name == "."
        || (!name.is_empty()
            && name.len() <= 255
            && name.split('.').all(|part| {
                !part.is_empty()
                    && part.len() <= 63
                    && !part.starts_with('-')
                    && !part.ends_with('-')
                    && part
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            }));
    if good {
        Ok(())
    } else {
        Err(format!("{text} is not a valid domain"))
    }
}

/// `container` or `container:alias`.
pub fn link(text: &str) -> Check {
    if text.is_empty() {
        return Err("empty string specified for links".to_owned());
    }
    if text.split(':').count() > 2 {
        return Err(format!("bad format for links: {text}"));
    }
    Ok(())
}

/// A sysctl of a namespace of its own.
pub fn sysctl(text: &str) -> Check {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    let known = [
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let allowed = text.contains('=')
        && (known.contains(&name) || name.starts_with("net.") || name.starts_with("fs.mqueue."));
    let _ = value;
    if allowed {
        Ok(())
    } else {
        Err(format!("sysctl '{text}' is not allowed"))
    }
}

/// A stream to attach to.
pub fn attach(text: &str) -> Check {
    match text.to_lowercase().as_str() {
        "stdin" | "stdout" | "stderr" => Ok(()),
        _ => Err("valid streams are STDIN, STDOUT and STDERR".to_owned()),
    }
}

/// `type=soft[:hard]`.
pub fn ulimit(text: &str) -> Check {
    crate::container::options::limits::parse_ulimit(text).map(drop)
}

/// `type=…,src=…,dst=…`.
pub fn mount(text: &str) -> Check {
    crate::container::options::mounts::parse_mount(text).map(drop)
}

/// `name` or `name=…,alias=…`.
pub fn network(text: &str) -> Check {
    crate::container::options::networks::parse_network(text).map(drop)
}

/// `all`, a number, or `count=…,device=…`.
pub fn gpus(text: &str) -> Check {
    crate::container::options::devices::parse_gpus(text).map(drop)
}

/// `/dev/x:10` with a weight of 10 to 1000, or 0.
pub fn weight_device(text: &str) -> Check {
    crate::container::options::devices::parse_weight(text).map(drop)
}

/// `/dev/x:1mb`.
pub fn throttle_bps(text: &str) -> Check {
    crate::container::options::devices::parse_bps(text).map(drop)
}

/// `/dev/x:1000`.
pub fn throttle_iops(text: &str) -> Check {
    crate::container::options::devices::parse_iops(text).map(drop)
}

/// `c 1:3 rwm`.
pub fn device_cgroup_rule(text: &str) -> Check {
    crate::container::options::devices::check_cgroup_rule(text)
}

//! Ports of EXPOSE: `80`, `80/udp`, `8000-8010/tcp`.

use crate::error::Fault;

/// Every port a word of EXPOSE names, as docker's image configuration writes it: `80/tcp`.
///
/// # Errors
/// A port outside 0 to 65535, a range that runs backwards, or a protocol other than tcp, udp and sctp.
pub fn parse(word: &str) -> Result<Vec<String>, Fault> {
    let (ports, protocol) = word.split_once('/').unwrap_or((word, "tcp"));
    let protocol = if protocol.is_empty() {
        "tcp".into()
    } else {
        protocol.to_ascii_lowercase()
    };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return Err(Fault::near(
            format!("invalid proto: {protocol}, expected tcp, udp or sctp"),
            &protocol,
            &["tcp", "udp", "sctp"],
        ));
    }
    // A host part (`ip:host:container`) has no meaning in an image; docker drops it.
    let container = ports.rsplit(':').next().unwrap_or(ports);
    let (first, last) = container.split_once('-').unwrap_or((container, container));
    let number = |text: &str| -> Result<u16, Fault> {
        text.parse()
            .map_err(|_| Fault::from(format!("invalid containerPort: {container}")))
    };
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(format!("invalid containerPort: {container}, the range runs backwards").into());
    }
    Ok((first..=last)
        .map(|port| format!("{port}/{protocol}"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_ports_ranges_and_protocols() {
        assert_eq!(parse("80").unwrap(), ["80/tcp"]);
        assert_eq!(parse("53/UDP").unwrap(), ["53/udp"]);
        assert_eq!(
            parse("8000-8002/sctp").unwrap(),
            ["8000/sctp", "8001/sctp", "8002/sctp"]
        );
        assert_eq!(parse("127.0.0.1:8080:80").unwrap(), ["80/tcp"]);
        for wrong in ["x", "70000", "9-8", "80/icmp", "-"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}

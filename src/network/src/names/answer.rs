//! The answer to one query, as bytes: RFC 1035. Pure.

use std::net::{IpAddr, Ipv6Addr};

use simple_dns::rdata::{A, AAAA, PTR, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, Question, RCODE, ResourceRecord, TYPE};

use super::directory::Directory;

/// Seconds a client may keep an answer, as docker gives.
const LIFETIME: u32 = 600;

/// What is to be done with a query.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Send these bytes back.
    Reply(Vec<u8>),
    /// Ask the sandbox's upstream servers.
    Forward,
    /// Not a query; say nothing.
    Ignore,
}

/// Decides about the query in `data` from sandbox `asker`. `turn` rotates the addresses of a name that has several.
#[must_use]
pub fn decide(directory: &Directory, asker: &str, data: &[u8], turn: usize) -> Outcome {
    let Ok(query) = Packet::parse(data) else {
        return Outcome::Ignore;
    };
    if query.has_flags(PacketFlag::RESPONSE) {
        return Outcome::Ignore;
    }
    let [question] = query.questions.as_slice() else {
        return failure(data, RCODE::FormatError);
    };
    let name = question.qname.to_string();
    let known = match question.qtype {
        QTYPE::TYPE(kind @ (TYPE::A | TYPE::AAAA)) => directory
            .addresses(asker, &name)
            .map(|all| chosen(&all, kind, turn)),
        QTYPE::TYPE(TYPE::PTR) => address_of(&name)
            .and_then(|address| directory.name(asker, address))
            .map(|name| {
                let target = Name::new_unchecked(&name).into_owned();
                vec![RData::PTR(PTR(target))]
            }),
        _ => None,
    };
    match known {
        Some(records) => reply(&query, question, records),
        None => unknown(directory, asker, data, question, &name),
    }
}

fn unknown(
    directory: &Directory,
    asker: &str,
    data: &[u8],
    question: &Question<'_>,
    name: &str,
) -> Outcome {
    let Some(sandbox) = directory.get(asker) else {
        return failure(data, RCODE::ServerFailure);
    };
    let addressed = matches!(question.qtype, QTYPE::TYPE(TYPE::A | TYPE::AAAA));
    if sandbox.upstreams.is_empty() {
        return failure(data, RCODE::ServerFailure);
    }
    if addressed && sandbox.ndots && !name.trim_end_matches('.').contains('.') {
        return failure(data, RCODE::NameError);
    }
    Outcome::Forward
}

/// The answer to the query in `data` that says only why there is none.
#[must_use]
pub fn failure(data: &[u8], code: RCODE) -> Outcome {
    let Ok(query) = Packet::parse(data) else {
        return Outcome::Ignore;
    };
    let mut answer = head(&query);
    *answer.rcode_mut() = code;
    answer.questions.clone_from(&query.questions);
    bytes(&answer)
}

fn head<'a>(query: &Packet<'a>) -> Packet<'a> {
    let mut answer = Packet::new_reply(query.id());
    answer.set_flags(PacketFlag::RECURSION_AVAILABLE);
    if query.has_flags(PacketFlag::RECURSION_DESIRED) {
        answer.set_flags(PacketFlag::RECURSION_DESIRED);
    }
    answer
}

fn reply(query: &Packet<'_>, question: &Question<'_>, records: Vec<RData<'_>>) -> Outcome {
    let mut answer = head(query);
    answer.questions.push(question.clone());
    let owner = || question.qname.clone();
    answer.answers = records
        .into_iter()
        .map(|data| ResourceRecord::new(owner(), CLASS::IN, LIFETIME, data))
        .collect();
    bytes(&answer)
}

fn bytes(packet: &Packet<'_>) -> Outcome {
    packet
        .build_bytes_vec_compressed()
        .map_or(Outcome::Ignore, Outcome::Reply)
}

fn chosen<'a>(all: &[IpAddr], kind: TYPE, turn: usize) -> Vec<RData<'a>> {
    let mut records: Vec<RData<'a>> = all
        .iter()
        .filter_map(|address| match address {
            IpAddr::V4(a) if kind == TYPE::A => Some(RData::A(A {
                address: (*a).into(),
            })),
            IpAddr::V6(a) if kind == TYPE::AAAA => Some(RData::AAAA(AAAA {
                address: (*a).into(),
            })),
            _ => None,
        })
        .collect();
    if !records.is_empty() {
        let first = turn % records.len();
        records.rotate_left(first);
    }
    records
}

/// The address a reverse name stands for: `2.0.18.172.in-addr.arpa`, or nibbles under `ip6.arpa`.
fn address_of(name: &str) -> Option<IpAddr> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    if let Some(reversed) = name.strip_suffix(".in-addr.arpa") {
        let octets: Vec<u8> = reversed
            .split('.')
            .rev()
            .map(str::parse)
            .collect::<Result<_, _>>()
            .ok()?;
        return <[u8; 4]>::try_from(octets).ok().map(IpAddr::from);
    }
    let digits: Vec<&str> = name.strip_suffix(".ip6.arpa")?.split('.').rev().collect();
    if digits.len() != 32 || digits.iter().any(|d| d.len() != 1) {
        return None;
    }
    u128::from_str_radix(&digits.concat(), 16)
        .ok()
        .map(|n| Ipv6Addr::from(n).into())
}

#[cfg(test)]
mod tests {
    use super::super::directory::tests::sandbox;
    use super::*;
    use crate::files::Upstream;
    use simple_dns::QCLASS;

    fn directory() -> Directory {
        let mut directory = Directory::default();
        directory.insert(sandbox("a", &[("n1", "10.1.0.2", &["a"])]));
        directory.insert(sandbox("b", &[("n1", "10.1.0.3", &["b", "web"])]));
        directory.insert(sandbox("c", &[("n1", "10.1.0.4", &["c", "web"])]));
        let mut outside = sandbox("o", &[("n1", "10.1.0.5", &["o"])]);
        outside.upstreams = vec![Upstream {
            address: IpAddr::from([9, 9, 9, 9]),
            host: true,
        }];
        directory.insert(outside);
        directory
    }

    fn ask(asker: &str, name: &str, kind: TYPE, turn: usize) -> Outcome {
        let mut query = Packet::new_query(7);
        query.questions.push(Question::new(
            Name::new_unchecked(name),
            QTYPE::TYPE(kind),
            QCLASS::CLASS(CLASS::IN),
            false,
        ));
        decide(
            &directory(),
            asker,
            &query.build_bytes_vec().expect("query"),
            turn,
        )
    }

    fn shown(outcome: &Outcome) -> String {
        let Outcome::Reply(data) = outcome else {
            return format!("{outcome:?}");
        };
        let packet = Packet::parse(data).expect("answer");
        let records: Vec<_> = packet
            .answers
            .iter()
            .map(|r| match &r.rdata {
                RData::A(a) => std::net::Ipv4Addr::from(a.address).to_string(),
                RData::PTR(p) => p.0.to_string(),
                other => format!("{other:?}"),
            })
            .collect();
        format!("{} {:?} {}", packet.id(), packet.rcode(), records.join(" "))
    }

    #[test]
    fn answers() {
        assert_eq!(shown(&ask("a", "b", TYPE::A, 0)), "7 NoError 10.1.0.3");
        assert_eq!(
            shown(&ask("a", "web", TYPE::A, 0)),
            "7 NoError 10.1.0.3 10.1.0.4"
        );
        assert_eq!(
            shown(&ask("a", "web", TYPE::A, 1)),
            "7 NoError 10.1.0.4 10.1.0.3"
        );
        assert_eq!(
            shown(&ask("a", "b", TYPE::AAAA, 0)),
            "7 NoError ",
            "a known name without the type is empty, not passed on"
        );
        assert_eq!(
            shown(&ask("a", "3.0.1.10.in-addr.arpa", TYPE::PTR, 0)),
            "7 NoError b.n1"
        );
        assert_eq!(
            shown(&ask("a", "example.com", TYPE::A, 0)),
            "7 ServerFailure ",
            "no server to ask"
        );
        assert_eq!(ask("o", "example.com", TYPE::A, 0), Outcome::Forward);
        assert_eq!(ask("o", "b", TYPE::MX, 0), Outcome::Forward);
    }

    #[test]
    fn hostile_bytes() {
        assert_eq!(decide(&directory(), "a", &[], 0), Outcome::Ignore);
        assert_eq!(decide(&directory(), "a", &[0xff; 40], 0), Outcome::Ignore);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(data in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            drop(decide(&directory(), "a", &data, 0));
        }
    }
}

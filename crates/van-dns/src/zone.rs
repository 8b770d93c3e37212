//! What is known of names, and the answers from it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, NS, PTR, SOA, SRV};
use hickory_proto::rr::{LowerName, Name, RData, Record, RecordType};
use ipnet::Ipv4Net;

/// Seconds for which an answer may be kept: short, since services come and go.
const TTL: u32 = 5;

/// A service under its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it listens here.
    pub address: Ipv4Addr,
    /// Its TCP ports there.
    pub ports: Vec<u16>,
    /// Its UDP ports there.
    pub datagram_ports: Vec<u16>,
}

/// The names of one domain at one moment.
#[derive(Debug, Clone)]
pub struct Zone {
    domain: Name,
    /// The name server's own name.
    server: Name,
    own: Ipv4Addr,
    network: Ipv4Net,
    serial: u32,
    names: BTreeMap<LowerName, Entry>,
    reverse: BTreeMap<Ipv4Addr, Name>,
}

/// What a question is answered with.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Whether the name is there, is not, or is none of this server's.
    pub code: ResponseCode,
    /// The records that were asked for.
    pub records: Vec<Record>,
    /// The zone's own record, where there are none: it tells how long that may be kept.
    pub authority: Vec<Record>,
}

impl Zone {
    /// Makes a zone for `domain` whose server and services have addresses of `network`. `None` where
    /// the domain can't be one.
    pub fn new(domain: &str, network: Ipv4Net, server: Ipv4Addr, serial: u32) -> Option<Self> {
        let mut domain = Name::from_ascii(domain).ok().filter(|name| name.num_labels() > 0)?;
        domain.set_fqdn(true);
        let domain = domain.to_lowercase();
        let own = Name::from_ascii("ns").and_then(|ns| ns.append_domain(&domain)).ok()?;
        let (names, reverse) = Default::default();
        Some(Self { domain, server: own, own: server, network, serial, names, reverse })
    }

    /// Adds a service; a name that DNS can't carry is left out and `false` is returned.
    pub fn insert(&mut self, service: &str, entry: Entry) -> bool {
        let name = Name::from_ascii(service).and_then(|name| name.append_domain(&self.domain));
        let Ok(name) = name else { return false };
        self.reverse.insert(entry.address, name.clone());
        self.names.insert(LowerName::new(&name), entry);
        true
    }

    /// How many services have a name.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether no service has a name.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Answers one question.
    pub fn answer(&self, name: &LowerName, kind: RecordType) -> Answer {
        let asked = Name::from(name);
        if self.domain.zone_of(&asked) {
            self.forward(name, &asked, kind)
        } else if let Some(address) = reverse_address(&asked).filter(|a| self.network.contains(a)) {
            self.backward(asked, address, kind)
        } else {
            Answer { code: ResponseCode::Refused, records: Vec::new(), authority: Vec::new() }
        }
    }

    fn forward(&self, name: &LowerName, asked: &Name, kind: RecordType) -> Answer {
        let record = |data| Record::from_rdata(asked.clone(), TTL, data);
        if *asked == self.domain {
            return self.found(match kind {
                RecordType::SOA => vec![self.soa()],
                RecordType::NS => vec![record(RData::NS(NS(self.server.clone())))],
                _ => Vec::new(),
            });
        }
        if *asked == self.server {
            let own = record(RData::A(A(self.own)));
            return self.found(Vec::from_iter((kind == RecordType::A).then_some(own)));
        }
        let (entry, target, ports) = match self.names.get(name) {
            Some(entry) if entry.ports.is_empty() => (entry, asked.clone(), &entry.datagram_ports),
            Some(entry) => (entry, asked.clone(), &entry.ports),
            None => match self.by_label(asked) {
                Some(found) if kind == RecordType::SRV => found,
                Some(_) => return self.found(Vec::new()),
                None => return self.missing(asked),
            },
        };
        self.found(match kind {
            RecordType::A => vec![record(RData::A(A(entry.address)))],
            RecordType::SRV => {
                let srv = |port: &u16| record(RData::SRV(SRV::new(0, 0, *port, target.clone())));
                ports.iter().map(srv).collect()
            }
            _ => Vec::new(),
        })
    }

    /// `_anything._tcp.NAME` or `_anything._udp.NAME`: the form in which SRV records are asked for
    /// (RFC 2782).
    fn by_label(&self, asked: &Name) -> Option<(&Entry, Name, &Vec<u16>)> {
        let mut labels = asked.iter();
        let (service, protocol) = (labels.next()?, labels.next()?);
        let datagrams = protocol.eq_ignore_ascii_case(b"_udp");
        if !service.starts_with(b"_") || !(datagrams || protocol.eq_ignore_ascii_case(b"_tcp")) {
            return None;
        }
        let target = asked.base_name().base_name();
        let entry = self.names.get(&LowerName::new(&target))?;
        let ports = if datagrams { &entry.datagram_ports } else { &entry.ports };
        (!ports.is_empty()).then_some((entry, target, ports))
    }

    fn backward(&self, asked: Name, address: Ipv4Addr, kind: RecordType) -> Answer {
        let name =
            if address == self.own { Some(&self.server) } else { self.reverse.get(&address) };
        let Some(name) = name else { return self.none(ResponseCode::NXDomain) };
        let pointer = || Record::from_rdata(asked, TTL, RData::PTR(PTR(name.clone())));
        self.found(Vec::from_iter((kind == RecordType::PTR).then(pointer)))
    }

    fn found(&self, records: Vec<Record>) -> Answer {
        if records.is_empty() {
            return self.none(ResponseCode::NoError);
        }
        Answer { code: ResponseCode::NoError, records, authority: Vec::new() }
    }

    /// Of a name that is not there: one with names below it exists without records (RFC 8020).
    fn missing(&self, asked: &Name) -> Answer {
        let below = |name: &LowerName| asked.zone_of(&Name::from(name));
        let code = if self.names.keys().any(below) {
            ResponseCode::NoError
        } else {
            ResponseCode::NXDomain
        };
        self.none(code)
    }

    fn none(&self, code: ResponseCode) -> Answer {
        Answer { code, records: Vec::new(), authority: vec![self.soa()] }
    }

    fn soa(&self) -> Record {
        let mail = Name::from_ascii("hostmaster").and_then(|n| n.append_domain(&self.domain));
        let mail = mail.unwrap_or_else(|_| self.domain.clone());
        let times = (3600, 600, 86_400);
        let soa = SOA::new(self.server.clone(), mail, self.serial, times.0, times.1, times.2, TTL);
        Record::from_rdata(self.domain.clone(), TTL, RData::SOA(soa))
    }
}

/// The address of a name such as `5.0.18.198.in-addr.arpa`.
fn reverse_address(name: &Name) -> Option<Ipv4Addr> {
    let net = name.parse_arpa_name().ok()?;
    match (net.addr(), net.prefix_len() == net.max_prefix_len()) {
        (IpAddr::V4(address), true) => Some(address),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NET: &str = "198.18.0.0/16";

    fn zone() -> Zone {
        let own = Ipv4Addr::new(198, 18, 0, 1);
        let mut zone = Zone::new("van.internal", NET.parse().unwrap(), own, 7).unwrap();
        let entry = |last, ports: &[u16]| Entry {
            address: Ipv4Addr::new(198, 18, 0, last),
            ports: ports.into(),
            datagram_ports: Vec::new(),
        };
        assert!(zone.insert("backend", entry(5, &[8080])));
        assert!(zone.insert("eu.shop", entry(6, &[80, 443])));
        assert!(zone.insert("time", Entry { datagram_ports: vec![123], ..entry(7, &[]) }));
        zone
    }

    fn ask(name: &str, kind: RecordType) -> (ResponseCode, Vec<String>) {
        let name = LowerName::new(&Name::from_ascii(name).unwrap());
        let answer = zone().answer(&name, kind);
        let none = answer.records.is_empty() && answer.code != ResponseCode::Refused;
        assert_eq!(answer.authority.len(), usize::from(none), "{answer:?}");
        assert!(answer.records.iter().chain(&answer.authority).all(|r| r.ttl <= TTL));
        (answer.code, answer.records.iter().map(|r| r.data.to_string()).collect())
    }

    #[test]
    fn names_have_addresses_and_ports() {
        use ResponseCode::NoError;
        let found = |text: &[&str]| (NoError, text.iter().map(ToString::to_string).collect());
        for (name, kind, answer) in [
            ("backend.van.internal.", RecordType::A, found(&["198.18.0.5"])),
            ("BackEnd.VAN.internal.", RecordType::A, found(&["198.18.0.5"])),
            ("backend.van.internal.", RecordType::AAAA, found(&[])),
            ("backend.van.internal.", RecordType::MX, found(&[])),
            ("eu.shop.van.internal.", RecordType::A, found(&["198.18.0.6"])),
            ("shop.van.internal.", RecordType::A, found(&[])),
            ("ns.van.internal.", RecordType::A, found(&["198.18.0.1"])),
            ("van.internal.", RecordType::NS, found(&["ns.van.internal."])),
            ("van.internal.", RecordType::A, found(&[])),
            (
                "_http._tcp.eu.shop.van.internal.",
                RecordType::SRV,
                found(&["0 0 80 eu.shop.van.internal.", "0 0 443 eu.shop.van.internal."]),
            ),
            ("backend.van.internal.", RecordType::SRV, found(&["0 0 8080 backend.van.internal."])),
            ("_http._tcp.backend.van.internal.", RecordType::A, found(&[])),
            (
                "_ntp._udp.time.van.internal.",
                RecordType::SRV,
                found(&["0 0 123 time.van.internal."]),
            ),
            ("time.van.internal.", RecordType::SRV, found(&["0 0 123 time.van.internal."])),
            ("5.0.18.198.in-addr.arpa.", RecordType::PTR, found(&["backend.van.internal."])),
            ("1.0.18.198.in-addr.arpa.", RecordType::PTR, found(&["ns.van.internal."])),
            ("5.0.18.198.in-addr.arpa.", RecordType::A, found(&[])),
        ] {
            assert_eq!(ask(name, kind), answer, "{name} {kind}");
        }
    }

    #[test]
    fn what_is_not_there_is_told_from_what_is_not_ours() {
        for (name, kind, code) in [
            ("other.van.internal.", RecordType::A, ResponseCode::NXDomain),
            ("x.backend.van.internal.", RecordType::A, ResponseCode::NXDomain),
            ("_http._udp.backend.van.internal.", RecordType::SRV, ResponseCode::NXDomain),
            ("_ntp._tcp.time.van.internal.", RecordType::SRV, ResponseCode::NXDomain),
            ("9.0.18.198.in-addr.arpa.", RecordType::PTR, ResponseCode::NXDomain),
            ("5.0.19.198.in-addr.arpa.", RecordType::PTR, ResponseCode::Refused),
            ("example.org.", RecordType::A, ResponseCode::Refused),
            ("internal.", RecordType::SOA, ResponseCode::Refused),
            ("evilvan.internal.", RecordType::A, ResponseCode::Refused),
            (".", RecordType::NS, ResponseCode::Refused),
        ] {
            assert_eq!(ask(name, kind), (code, Vec::new()), "{name} {kind}");
        }
    }

    #[test]
    fn names_that_dns_can_not_carry_are_left_out() {
        let long = format!("{}.{}", ["a"; 120].join("."), "b");
        let entry = Entry { address: Ipv4Addr::LOCALHOST, ports: vec![1], datagram_ports: vec![] };
        let mut zone = zone();
        assert!(!zone.insert(&long, entry.clone()) && !zone.insert(&"x".repeat(64), entry));
        assert_eq!(zone.len(), 3);
        let own = Ipv4Addr::LOCALHOST;
        for domain in ["", ".", "a..b"] {
            assert!(Zone::new(domain, NET.parse().unwrap(), own, 0).is_none(), "{domain:?}");
        }
    }
}

//! OPEN and ACCEPT: what a stream is for, and who took it.

use std::net::{IpAddr, SocketAddr};

use van_model::{Address, SiteId};

use crate::error::ProtocolError;
use crate::frame::FrameType;

/// The most bytes of an OPEN's payload.
pub const MAX_OPEN: usize = 1024;

/// What a stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// One user connection.
    Flow = 1,
    /// A session with a site that is not a neighbour.
    Circuit = 2,
    /// The datagrams of one source of a UDP listener, and what comes back; only to peers with the
    /// capability [`crate::DATAGRAMS`].
    Datagrams = 3,
}

/// How a stream is scheduled from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Class {
    /// Short messages that someone waits for.
    Interactive = 1,
    /// Much at once.
    Bulk = 2,
}

/// OPEN's payload: `kind u8 · class u8 · hop limit u8 · hint length u8 · address length u16 ·
/// client family u8 · reserved u8 · hint · address · client`.
///
/// A circuit's destination takes the places of address (the site's id) and hint (the replica, in
/// decimal).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// What the stream carries.
    pub kind: Kind,
    /// How it is scheduled.
    pub class: Class,
    /// Sites that it may still pass through.
    pub hop_limit: u8,
    /// The service that is wanted.
    pub address: Address,
    /// The connector that the ingress would like, at most 255 bytes; empty: any.
    pub hint: String,
    /// Who connected to the listener.
    pub client: Option<SocketAddr>,
}

const FIXED: usize = 8;

/// The hop limit of a new flow.
pub const HOP_LIMIT: u8 = 16;

impl Open {
    /// A flow to `address` on behalf of `client`.
    pub fn flow(address: Address, client: Option<SocketAddr>) -> Self {
        Self {
            kind: Kind::Flow,
            class: Class::Interactive,
            hop_limit: HOP_LIMIT,
            address,
            hint: String::new(),
            client,
        }
    }

    /// Datagrams to `address` from `client`.
    pub fn datagrams(address: Address, client: SocketAddr) -> Self {
        Self { kind: Kind::Datagrams, ..Self::flow(address, Some(client)) }
    }

    /// A circuit to one of a site's routers.
    pub fn circuit(site: SiteId, replica: u16, class: Class) -> Self {
        let address = site.to_string().parse().expect("an id is a DNS label");
        let hint = replica.to_string();
        Self { kind: Kind::Circuit, class, hint, ..Self::flow(address, None) }
    }

    /// Where a circuit goes: the site and its replica. `None` for all others.
    pub fn destination(&self) -> Option<(SiteId, u16)> {
        let site = self.address.as_str().parse().ok().filter(|_| self.kind == Kind::Circuit)?;
        Some((site, self.hint.parse().ok()?))
    }

    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let hint = cut(&self.hint).as_bytes();
        let address = self.address.as_str().as_bytes();
        let family = match self.client.map(|c| c.ip()) {
            None => 0,
            Some(IpAddr::V4(_)) => 4,
            Some(IpAddr::V6(_)) => 6,
        };
        let address_len = u16::try_from(address.len()).expect("an address has at most 259 bytes");
        out.extend_from_slice(&[
            self.kind as u8,
            self.class as u8,
            self.hop_limit,
            hint.len() as u8,
        ]);
        out.extend_from_slice(&address_len.to_be_bytes());
        out.extend_from_slice(&[family, 0]);
        out.extend_from_slice(hint);
        out.extend_from_slice(address);
        if let Some(client) = self.client {
            match client.ip() {
                IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
                IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
            }
            out.extend_from_slice(&client.port().to_be_bytes());
        }
    }

    /// Reads and checks a payload; bytes behind the known fields are passed over.
    pub fn decode(payload: &[u8]) -> Result<Self, ProtocolError> {
        let bad = |why| ProtocolError::Malformed(FrameType::Open, why);
        if payload.len() > MAX_OPEN {
            return Err(bad("longer than 1024 bytes"));
        }
        let (fixed, rest) = payload.split_first_chunk::<FIXED>().ok_or(bad("too short"))?;
        let [kind, class, hop_limit, hint_len, a0, a1, family, _] = *fixed;
        let kind = match kind {
            1 => Kind::Flow,
            2 => Kind::Circuit,
            3 => Kind::Datagrams,
            _ => return Err(bad("unknown kind")),
        };
        let class = match class {
            1 => Class::Interactive,
            2 => Class::Bulk,
            _ => return Err(bad("unknown class")),
        };
        let (hint, rest) =
            rest.split_at_checked(usize::from(hint_len)).ok_or(bad("the hint is cut off"))?;
        let (address, rest) = rest
            .split_at_checked(usize::from(u16::from_be_bytes([a0, a1])))
            .ok_or(bad("the address is cut off"))?;
        let hint = std::str::from_utf8(hint).map_err(|_| bad("the hint is not UTF-8"))?.to_owned();
        let address = std::str::from_utf8(address)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or(bad("the address is not the name of a service"))?;
        let client = decode_client(family, rest).map_err(bad)?;
        let open = Self { kind, class, hop_limit, address, hint, client };
        if kind == Kind::Circuit && open.destination().is_none() {
            return Err(bad("a circuit's destination is no router"));
        }
        Ok(open)
    }
}

fn decode_client(family: u8, bytes: &[u8]) -> Result<Option<SocketAddr>, &'static str> {
    let cut_off = "the client's address is cut off";
    let (ip, rest): (IpAddr, &[u8]) = match family {
        0 => return Ok(None),
        4 => {
            bytes.split_first_chunk::<4>().map(|(ip, rest)| ((*ip).into(), rest)).ok_or(cut_off)?
        }
        6 => {
            bytes.split_first_chunk::<16>().map(|(ip, rest)| ((*ip).into(), rest)).ok_or(cut_off)?
        }
        _ => return Err("unknown family of the client's address"),
    };
    let port = rest.first_chunk::<2>().ok_or(cut_off)?;
    Ok(Some(SocketAddr::new(ip, u16::from_be_bytes(*port))))
}

/// The most of a text that fits 255 bytes, whole characters only: the peer refuses half ones.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(255)]
}

/// ACCEPT's payload: `connect time in µs u32 · target (the rest, UTF-8, at most 255 bytes)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accept {
    /// How long the egress took to reach the workload, in microseconds.
    pub connect_us: u32,
    /// The connector that took the flow.
    pub target: String,
}

impl Accept {
    /// Appends the payload.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.connect_us.to_be_bytes());
        out.extend_from_slice(cut(&self.target).as_bytes());
    }

    /// Reads and checks a payload.
    pub fn decode(payload: &[u8]) -> Result<Self, ProtocolError> {
        let bad = |why| ProtocolError::Malformed(FrameType::Accept, why);
        let (time, target) = payload.split_first_chunk::<4>().ok_or(bad("too short"))?;
        if target.len() > 255 {
            return Err(bad("the target's name is longer than 255 bytes"));
        }
        let target = std::str::from_utf8(target).map_err(|_| bad("the target is not UTF-8"))?;
        Ok(Self { connect_us: u32::from_be_bytes(*time), target: target.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_round_trips_and_every_cut_is_refused() {
        for client in [None, Some("1.2.3.4:5"), Some("[::1]:65535")] {
            let mut open = Open::flow("db".parse().unwrap(), client.map(|c| c.parse().unwrap()));
            open.hint = "pg-1".into();
            let mut wire = Vec::new();
            open.encode(&mut wire);
            assert_eq!(Open::decode(&wire).unwrap(), open);
            for cut in 0..wire.len() {
                assert!(Open::decode(&wire[..cut]).is_err(), "cut at {cut}");
            }
            wire.push(0);
            assert_eq!(Open::decode(&wire).unwrap(), open, "later fields are passed over");
        }
        assert!(Open::decode(&[1; MAX_OPEN + 1]).is_err());
    }

    #[test]
    fn a_circuit_names_a_router() {
        let site = SiteId::from_bytes([7; SiteId::BYTES]);
        let open = Open::circuit(site, 3, Class::Bulk);
        let mut wire = Vec::new();
        open.encode(&mut wire);
        assert_eq!(Open::decode(&wire).unwrap().destination(), Some((site, 3)));
        let mut flow = Open::flow(site.to_string().parse().unwrap(), None);
        assert_eq!(flow.destination(), None);
        flow.kind = Kind::Circuit;
        for (address, hint) in
            [("db", "0"), (&*site.to_string(), "65536"), (&*site.to_string(), "")]
        {
            let open =
                Open { address: address.parse().unwrap(), hint: hint.into(), ..flow.clone() };
            let mut wire = Vec::new();
            open.encode(&mut wire);
            assert!(Open::decode(&wire).is_err(), "{address} {hint}");
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let mut open = Open::flow("db".parse().unwrap(), None);
        open.hint = "é".repeat(200);
        let mut wire = Vec::new();
        open.encode(&mut wire);
        assert_eq!(Open::decode(&wire).unwrap().hint, "é".repeat(127));
        let accept = Accept { connect_us: 1, target: format!("{}日", "x".repeat(253)) };
        let mut wire = Vec::new();
        accept.encode(&mut wire);
        assert_eq!(Accept::decode(&wire).unwrap().target, "x".repeat(253));
    }

    #[test]
    fn accept_round_trips() {
        let accept = Accept { connect_us: 1234, target: "pg".into() };
        let mut wire = Vec::new();
        accept.encode(&mut wire);
        assert_eq!(Accept::decode(&wire).unwrap(), accept);
        assert!(Accept::decode(&wire[..3]).is_err() && Accept::decode(&[0xff; 8]).is_err());
        assert!(Accept::decode(&[b'x'; 300]).is_err());
    }
}

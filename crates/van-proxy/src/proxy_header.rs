//! The PROXY protocol, version 2: tells a workload who its client is
//! (haproxy's `proxy-protocol.txt`, §2.2).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What every header begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Version 2, connection of the proxy's own.
const LOCAL: u8 = 0x20;
/// Version 2, connection on behalf of a client.
const PROXY: u8 = 0x21;

/// Family and transport.
const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// The header of a connection on behalf of `client` to `server`.
///
/// Without a client's address it is that of a connection of the proxy's own; without a server's (a
/// Unix socket) that address is unspecified. Mixed families become IPv6.
pub(crate) fn encode(client: Option<SocketAddr>, server: Option<SocketAddr>) -> Vec<u8> {
    let mut header = SIGNATURE.to_vec();
    let Some(client) = client else {
        header.extend_from_slice(&[LOCAL, UNSPECIFIED, 0, 0]);
        return header;
    };
    let (from, port) = (client.ip().to_canonical(), client.port());
    let server = server.unwrap_or_else(|| SocketAddr::new(unspecified(from), 0));
    match (from, server.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            header.extend_from_slice(&[PROXY, TCP4, 0, 12]);
            header.extend_from_slice(&from.octets());
            header.extend_from_slice(&to.octets());
        }
        (from, to) => {
            header.extend_from_slice(&[PROXY, TCP6, 0, 36]);
            header.extend_from_slice(&as_v6(from).octets());
            header.extend_from_slice(&as_v6(to).octets());
        }
    }
    header.extend_from_slice(&port.to_be_bytes());
    header.extend_from_slice(&server.port().to_be_bytes());
    header
}

fn as_v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// The unspecified address of the same family.
fn unspecified(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Option<SocketAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn both_families() {
        let v4 = encode(at("192.0.2.1:1000"), at("198.51.100.2:80"));
        assert_eq!(v4[..12], SIGNATURE);
        assert_eq!(v4[12..], [0x21, 0x11, 0, 12, 192, 0, 2, 1, 198, 51, 100, 2, 3, 0xe8, 0, 80]);
        let v6 = encode(at("[2001:db8::1]:1"), at("[::1]:2"));
        assert_eq!((&v6[12..16], v6.len()), (&[0x21, 0x21, 0, 36][..], 16 + 36));
        assert_eq!((v6[16], v6[31], v6[47]), (0x20, 1, 1));
        assert_eq!(v6[48..], [0, 1, 0, 2]);
    }

    #[test]
    fn mixed_families_and_unknown_ends() {
        let mixed = encode(at("192.0.2.1:1"), at("[::1]:2"));
        assert_eq!(mixed[13], 0x21);
        assert_eq!(mixed[26..32], [0xff, 0xff, 192, 0, 2, 1]);
        let mapped = encode(at("[::ffff:192.0.2.1]:1"), at("127.0.0.1:2"));
        assert_eq!(mapped[12..20], [0x21, 0x11, 0, 12, 192, 0, 2, 1]);
        let unix = encode(at("192.0.2.1:1"), None);
        assert_eq!(unix[20..], [0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(encode(None, at("127.0.0.1:2"))[12..], [0x20, 0, 0, 0]);
    }
}

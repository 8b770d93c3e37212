//! Where things listen and where they are reached.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Workload;

/// Why a text is not a place to listen at or to connect to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// There is no `:port`.
    #[error("{0:?} has no port: write HOST:PORT, [IPV6]:PORT or unix:/path")]
    NoPort(String),
    /// There is no `:port` behind a container or pod.
    #[error("{0:?} has no port: write {0}:PORT, the port inside")]
    NoWorkloadPort(String),
    /// What stands before the port is no name of a container or pod.
    #[error(
        "{0:?} is no name of a container or pod: letters, digits, '_', '.' and '-', at most 128"
    )]
    WorkloadName(String),
    /// The port is not 1..=65535.
    #[error("{0:?}: the port must be 1 to 65535")]
    Port(String),
    /// The host is no name and no IP address.
    #[error("{0:?}: the host must be a name, an IPv4 address or an IPv6 address in brackets")]
    Host(String),
    /// A Unix socket's path is relative, empty, too long or has a NUL.
    #[error("{0:?}: a Unix socket needs an absolute path of at most 107 bytes")]
    Path(String),
}

/// A host (name or IP address) and a port, as `host:port` or `[ipv6]:port`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    host: Box<str>,
    port: u16,
}

impl HostPort {
    /// Joins a host and a port without checking the host's form.
    pub fn new(host: IpAddr, port: u16) -> Self {
        Self { host: host.to_string().into(), port }
    }

    /// The host: a name, or an IP address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 1..=65535.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The socket address, where the host is an IP address.
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        self.host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, self.port))
    }
}

fn is_host_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
        // Digits and dots alone are a mistyped IPv4 address, not a name.
        && !text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

impl FromStr for HostPort {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) =
            text.rsplit_once(':').ok_or_else(|| EndpointError::NoPort(text.into()))?;
        let port = port
            .parse::<u16>()
            .ok()
            .filter(|p| *p > 0 && port.bytes().all(|b| b.is_ascii_digit()))
            .ok_or_else(|| EndpointError::Port(text.into()))?;
        let bad_host = || EndpointError::Host(text.into());
        let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(v6) => v6.parse::<Ipv6Addr>().map_err(|_| bad_host())?.to_string(),
            None if host.parse::<std::net::Ipv4Addr>().is_ok() || is_host_name(host) => host.into(),
            None => return Err(bad_host()),
        };
        Ok(Self { host: host.into(), port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl From<SocketAddr> for HostPort {
    fn from(addr: SocketAddr) -> Self {
        Self::new(addr.ip(), addr.port())
    }
}

/// What begins the place of a Unix socket.
const UNIX: &str = "unix:";

/// Room in `sockaddr_un` for a path and its NUL.
const UNIX_PATH_MAX: usize = 107;

fn unix_path(text: &str) -> Result<PathBuf, EndpointError> {
    let path = Path::new(text);
    if !path.is_absolute() || text.len() > UNIX_PATH_MAX || text.contains('\0') {
        return Err(EndpointError::Path(text.into()));
    }
    Ok(path.into())
}

macro_rules! as_text {
    ($type:ident) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

as_text!(HostPort);
as_text!(Target);
as_text!(Bind);

/// Where a workload is: `host:port`, `unix:/path`, `container/NAME:port` or `pod/NAME:port`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// A TCP port of a host.
    Tcp(HostPort),
    /// A Unix stream socket.
    Unix(PathBuf),
    /// A TCP port of a container or pod, wherever that is at the moment.
    Workload(Workload),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(tcp) => write!(f, "{tcp}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Workload(workload) => write!(f, "{workload}"),
        }
    }
}

impl FromStr for Target {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // No host's name has a slash.
        if text.contains('/') && !text.starts_with(UNIX) {
            return text.parse().map(Self::Workload);
        }
        Ok(match text.parse()? {
            Bind::Tcp(tcp) => Self::Tcp(tcp),
            Bind::Unix(path) => Self::Unix(path),
        })
    }
}

/// Whether clouds tell a machine its secrets at this address: no name may lead there.
pub fn is_metadata(ip: IpAddr) -> bool {
    use std::net::{Ipv4Addr, Ipv6Addr};
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4 == Ipv4Addr::new(169, 254, 169, 254),
        IpAddr::V6(v6) => v6 == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    }
}

impl Target {
    /// Whether it is written as the address at which clouds tell a machine its secrets.
    pub fn is_metadata(&self) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.socket_addr().is_some_and(|a| is_metadata(a.ip())),
            Self::Unix(_) | Self::Workload(_) => false,
        }
    }

    /// The TCP port, where there is one.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(tcp) => Some(tcp.port()),
            Self::Unix(_) => None,
            Self::Workload(workload) => Some(workload.port.get()),
        }
    }
}

/// Where a listener listens: `host:port` or `unix:/path`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bind {
    /// A TCP port of a local address or name.
    Tcp(HostPort),
    /// A Unix stream socket.
    Unix(PathBuf),
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(tcp) => write!(f, "{tcp}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Bind {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix(UNIX) {
            Some(path) => unix_path(path).map(Self::Unix),
            None => text.parse().map(Self::Tcp),
        }
    }
}

impl fmt::Debug for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port() {
        for good in ["127.0.0.1:5432", "[::1]:80", "db.example.com:1", "localhost:65535"] {
            assert_eq!(good.parse::<HostPort>().unwrap().to_string(), good);
        }
        for bad in [
            "127.0.0.1",
            "a:0",
            "a:65536",
            "a:x",
            "::1:80",
            "1.2.3:4",
            "300.1.1.1:1",
            ":80",
            "a b:1",
            "a:+1",
            "[::1:80",
        ] {
            assert!(bad.parse::<HostPort>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn unix_sockets() {
        assert_eq!("unix:/run/x.sock".parse::<Target>().unwrap().to_string(), "unix:/run/x.sock");
        assert_eq!("container/pg:1".parse::<Target>().unwrap().port(), Some(1));
        assert!("container/pg:1".parse::<Bind>().is_err());
        for bad in ["unix:x.sock", "unix:", &format!("unix:/{}", "x".repeat(107))] {
            assert!(bad.parse::<Bind>().is_err(), "{bad:?}");
        }
    }
}

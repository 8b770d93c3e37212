//! The peers: what vand is measured against, and vand itself.

mod frp;
mod ghostunnel;
mod haproxy;
mod nginx;
mod rathole;
mod stunnel;
mod vand;

use anyhow::Result;

use crate::layout::{Layout, Setup};
use crate::program::Programs;

/// A way from the client to the back-end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// No proxy at all.
    Direct,
    /// No proxy, over a link whose ends use Reno (the WAN workload alone).
    DirectReno,
    /// A pair of haproxy without TLS: the limit of a plain pair.
    HaproxyPlain,
    /// A pair of haproxy, mutual TLS on each connection.
    HaproxyMtls,
    /// A pair of nginx stream proxies, mutual TLS on each connection.
    Nginx,
    /// A pair of stunnel, mutual TLS on each connection.
    Stunnel,
    /// A pair of ghostunnel, mutual TLS on each connection.
    Ghostunnel,
    /// frp, everything over one TLS connection.
    Frp,
    /// rathole with TLS, a connection for each flow.
    RatholeTls,
    /// rathole with the noise protocol.
    RatholeNoise,
    /// Two sites of vand with one link.
    Vand,
    /// The same two sites (the transit workload alone): what a site between them is held against.
    VandOneLink,
    /// Two sites of vand with a third one between them (the transit workload alone).
    VandTransit,
}

impl Peer {
    /// Every peer of the ordinary workloads, in the tables' order.
    pub const ALL: [Self; 10] = [
        Self::Direct,
        Self::HaproxyPlain,
        Self::HaproxyMtls,
        Self::Nginx,
        Self::Stunnel,
        Self::Ghostunnel,
        Self::Frp,
        Self::RatholeTls,
        Self::RatholeNoise,
        Self::Vand,
    ];

    /// Gives the name in tables, records and options.
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::DirectReno => "direct-reno",
            Self::HaproxyPlain => "haproxy-plain",
            Self::HaproxyMtls => "haproxy-mtls",
            Self::Nginx => "nginx-mtls",
            Self::Stunnel => "stunnel",
            Self::Ghostunnel => "ghostunnel",
            Self::Frp => "frp",
            Self::RatholeTls => "rathole-tls",
            Self::RatholeNoise => "rathole-noise",
            Self::Vand => "vand",
            Self::VandOneLink => "vand-one-link",
            Self::VandTransit => "vand-transit",
        }
    }

    /// Tells whether the peer encrypts its link; vand is no peer of its own.
    pub fn is_encrypted_rival(self) -> bool {
        !matches!(self, Self::Direct | Self::DirectReno | Self::HaproxyPlain) && !self.is_own()
    }

    /// Tells whether the peer is vand itself.
    pub fn is_own(self) -> bool {
        matches!(self, Self::Vand | Self::VandOneLink | Self::VandTransit)
    }

    /// Tells whether the peer pays a TLS handshake for each flow.
    pub fn has_tls_per_flow(self) -> bool {
        matches!(
            self,
            Self::HaproxyMtls | Self::Nginx | Self::Stunnel | Self::Ghostunnel | Self::RatholeTls
        )
    }

    /// Tells whether there are no processes between client and back-end.
    pub fn is_direct(self) -> bool {
        matches!(self, Self::Direct | Self::DirectReno)
    }

    /// Tells what is missing to run the peer here, if anything.
    pub fn missing(self, programs: &Programs) -> Option<String> {
        let needed: &[&str] = match self {
            Self::Direct | Self::DirectReno => &[],
            Self::Vand | Self::VandOneLink | Self::VandTransit => {
                let absent = programs.own().is_none();
                return absent.then(|| format!("no {}", programs.vand.display()));
            }
            Self::HaproxyPlain | Self::HaproxyMtls => &["haproxy"],
            Self::Nginx => &["nginx"],
            Self::Stunnel => &["stunnel"],
            Self::Ghostunnel => &["ghostunnel"],
            Self::Frp => &["frps", "frpc"],
            Self::RatholeTls => &["rathole", "openssl"],
            Self::RatholeNoise => &["rathole"],
        };
        let absent = needed.iter().find(|name| programs.find(name).is_none());
        absent.map(|name| format!("{name} is not installed")).or_else(|| {
            (self == Self::Nginx && nginx::module().is_none() && !nginx::built_in())
                .then(|| "nginx has no stream module".to_owned())
        })
    }

    /// Writes the peer's configuration and gives the processes to start.
    ///
    /// # Errors
    /// Where a file can't be written or a program of the preparation fails.
    pub fn prepare(self, layout: &Layout<'_>) -> Result<Setup> {
        match self {
            Self::Direct | Self::DirectReno => Ok(Setup::default()),
            Self::HaproxyPlain => haproxy::prepare(layout, false),
            Self::HaproxyMtls => haproxy::prepare(layout, true),
            Self::Nginx => nginx::prepare(layout),
            Self::Stunnel => stunnel::prepare(layout),
            Self::Ghostunnel => Ok(ghostunnel::prepare(layout)),
            Self::Frp => frp::prepare(layout),
            Self::RatholeTls => rathole::prepare_tls(layout),
            Self::RatholeNoise => rathole::prepare_noise(layout),
            Self::Vand | Self::VandOneLink => vand::prepare(layout, false),
            Self::VandTransit => vand::prepare(layout, true),
        }
    }
}

impl std::str::FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|peer| peer.name() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|peer| peer.name()).collect();
            format!("reading the peer failed: `{text}` is none of {}", names.join(", "))
        })
    }
}

/// Gives the path of a program that [`Peer::missing`] has found.
fn program(layout: &Layout<'_>, name: &str) -> Result<std::path::PathBuf> {
    layout.programs.find(name).ok_or_else(|| anyhow::anyhow!("{name} is not installed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for peer in Peer::ALL {
            assert_eq!(peer.name().parse(), Ok(peer));
        }
        assert!("squid".parse::<Peer>().unwrap_err().contains("haproxy-plain"));
    }
}
